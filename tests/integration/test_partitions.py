"""Where a collection is parted, whatever its `_id`s are."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from bson import encode

from goaime_migrate import DeleteDocuments, InsertDocuments, RemoveField, TransformDocuments
from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.bson_order import id_key
from goaime_migrate.backends.connect import connect
from goaime_migrate.config import Settings
from goaime_migrate.errors import Interrupted
from goaime_migrate.run import partitions
from goaime_migrate.transform import projection
from goaime_migrate.transform.insertion import place_of
from goaime_migrate.transform.step import Step
from tests.integration.mixed_ids import DOCUMENTS, mixed
from tests.servers import ReplicaSet
from tests.world import World, succeeded


@pytest.fixture
def world(
    local_replica_set: ReplicaSet, database_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> World:
    """Documents of all types, and partitions of which few documents make many."""
    monkeypatch.setattr(partitions, "WORTH", 100)
    monkeypatch.setattr(partitions, "SIZE", 60)
    settings = {"workers": 2, "batch_size": 20}
    world = World("partitions", local_replica_set.uri, database_name, tmp_path / "migrations", settings)
    world.insert("things", mixed())
    world.write("0001_add.py", 'from goaime_migrate import *\noperations = [AddField("things", "new", 1)]')
    return world


CHANGING = TransformDocuments("things", lambda _: None).step("0001", "0001_x.py")
DELETING = DeleteDocuments("things", where={"n": 1}).step("0001", "0001_x.py")


def sizes(world: World, step: Step = CHANGING) -> list[int]:
    """Of the partitions of its things; each document is in one of them."""
    backend = connect(Settings(uri=world.uri, database=world.database), write=False)
    try:
        bounds = partitions.bounds(backend, [step], lambda: None)
        assert sorted(map(id_key, bounds)) == list(map(id_key, bounds))
        edges = [None, *bounds, None]
        parts = [backend.documents("things", after=after, upto=upto) for after, upto in pairwise(edges)]
    finally:
        backend.close()
    assert sorted(raw_bson.id_of(d) for part in parts for d in part) == sorted(world.raws("things"))
    return list(map(len, parts))


TAPERED = [60] * 6 + [30] * 4 + [15] * 8


def test_a_collection_of_all_types_is_parted_by_counting_and_the_parts_taper_off(world: World) -> None:
    assert sizes(world) == TAPERED


def twice(i: int) -> bytes:
    """An `_id` that is a document with one name twice: the server compares the first, a dict keeps the last."""
    return b"\x03_id\0" + raw_bson.join([encode({"a": i})[4:-1], encode({"a": -i})[4:-1]])


def not_text(i: int) -> bytes:
    """An `_id` that is a string in another encoding."""
    text = f"Gr\xf6\xdfe-{i:04d}\0".encode("latin-1")
    return b"\x02_id\0" + len(text).to_bytes(4, "little") + text


@pytest.mark.parametrize("identity", [twice, not_text])
def test_ids_that_do_not_survive_decoding_are_parted_in_the_order_of_the_server(
    world: World, identity: Callable[[int], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    with world.client() as client:
        client[world.database].drop_collection("things")
    things = [raw_bson.join([identity(i), encode({"n": i})[4:-1]]) for i in range(DOCUMENTS)]
    world.insert("things", things)
    monkeypatch.setattr(projection, "FROM", 1)

    assert sizes(world) == TAPERED
    with world.migrator(workers=1) as migrator:
        assert succeeded(migrator.up()).documents.changed == DOCUMENTS
        succeeded(migrator.down("base"))
    assert sorted(world.raws("things").values()) == sorted(things)


@pytest.mark.since("5.3")
def test_a_clustered_collection_is_parted_too(world: World) -> None:
    with world.client() as client:
        database = client[world.database]
        database.drop_collection("things")
        database.create_collection("things", clusteredIndex={"key": {"_id": 1}, "unique": True})
    world.insert("things", mixed())

    assert sizes(world) == TAPERED
    succeeded(world.up())


def test_partitions_are_larger_where_documents_go_or_lose_fields(world: World) -> None:
    assert sizes(world, DELETING) == [150] * 2 + [75] * 4
    assert sizes(world, RemoveField("things", "new").step("0001", "0001_x.py")) == [150] * 2 + [75] * 4
    assert sizes(world, CHANGING) == TAPERED


def test_a_list_is_parted_by_places(world: World) -> None:
    step = InsertDocuments("names", [{"_id": n} for n in range(DOCUMENTS)]).step("0001", "0001_x.py")
    backend = connect(Settings(uri=world.uri, database=world.database), write=False)
    try:
        found = partitions.bounds(backend, [step], lambda: None)
    finally:
        backend.close()
    ends = [place_of(bound) + 1 for bound in found]
    assert [b - a for a, b in pairwise([0, *ends, DOCUMENTS])] == [150] * 2 + [75] * 4


def test_parting_a_large_collection_can_be_interrupted(world: World) -> None:
    def interrupted() -> None:
        raise Interrupted("stopped")

    backend = connect(Settings(uri=world.uri, database=world.database), write=False)
    try:
        with pytest.raises(Interrupted):
            partitions.bounds(backend, [CHANGING], interrupted)
    finally:
        backend.close()
