"""Documents that a unit of work inserts and deletes, on every engine: to the byte, or not at all."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from bson import Decimal128, Int64, MaxKey, MinKey, ObjectId, Timestamp, encode

from goaime_migrate import errors
from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.connect import connect
from goaime_migrate.backends.ports import (
    JOURNAL,
    Add,
    Backend,
    Changes,
    Collision,
    Committed,
    GuardFailed,
    Owner,
    Reader,
    Write,
)
from goaime_migrate.backends.server import writes as server_writes
from goaime_migrate.config import Settings
from tests.integration.engines import dump, each_mode, on, one_server, servers
from tests.servers import Kind
from tests.unit.values import NOT_UTF8, SURVIVORS, TWICE, document, element
from tests.world import World

ME = Owner("mine", "me", "here", 1, "boot", "now")
FILLER = "x" * (raw_bson.MAX_DOCUMENT - 1000)
AWKWARD = {
    "a zero timestamp": encode({"_id": 1, "at": Timestamp(0, 0), "in": {"at": Timestamp(0, 0)}}),
    "names with a dollar": encode({"_id": 1, "$set": {"$x": "$y"}, "$": 1, "a$": 2}),
    "both": encode({"_id": 1, "$a": Timestamp(0, 0), "b": Timestamp(0, 0)}),
    "empty names": encode({"_id": 1, "": {"": [{"": 1}]}}),
    "dots in names": encode({"_id": 1, "a.b": 1, ".": 2}),
    "nothing but an id": encode({"_id": {"b": 1, "a": Int64(2)}}),
    "a null id": encode({"_id": None, "z": 1, "a": 2}),
    "a name twice": document(element("_id", 1), TWICE),
    "no UTF-8": document(element("_id", 1), NOT_UTF8),
    "nearly too large": encode({"_id": 1, "text": FILLER}),
    "nearly too large and awkward": encode({"_id": 1, "$text": FILLER}),
    **{name: document(element("_id", 1), value) for name, value in SURVIVORS.items()},
}


@contextmanager
def opened(world: World) -> Iterator[Backend]:
    backend = connect(Settings(uri=world.uri, database=world.database), write=True)
    try:
        backend.try_lease(ME, 30)
        backend.prepare()
        if "c" not in backend.collections():
            backend.create_collection("c", {})
        yield backend
    finally:
        backend.close()


def of(*writes: Write, then: Callable[[], None] = lambda: None) -> Callable[[Reader], Changes]:
    """A unit of work that reads the collection and then makes these writes."""

    def work(reader: Reader) -> Changes:
        reader.documents("c")
        then()
        return Changes(collection="c", writes=writes)

    return work


def do(world: World, *writes: Write) -> Committed:
    with opened(world) as backend:
        return backend.transact(of(*writes))


def insert(raw: bytes, place: bytes | None = None) -> Write:
    return Write(raw_bson.id_of(raw), None, raw, place=place)


def delete(raw: bytes) -> Write:
    return Write(raw_bson.id_of(raw), raw, None)


def numbered(number: int, **fields: Any) -> bytes:
    return encode({"_id": number, **fields})


def raw_id(number: int) -> bytes:
    return encode({"_id": number})


@each_mode
@pytest.mark.parametrize("name", AWKWARD)
def test_what_is_inserted_has_the_very_bytes_and_can_be_deleted_again(world: World, name: str) -> None:
    raw = AWKWARD[name]
    assert not do(world, insert(raw)).missed
    assert list(world.raws("c").values()) == [raw]
    assert not do(world, delete(raw)).missed
    assert not world.raws("c")


@each_mode
def test_documents_of_every_kind_of_id_go_together_and_no_others(world: World) -> None:
    ids = [1, 2.5, Int64(3), "x", "$x", b"", ObjectId(), None, True, datetime(2026, 1, 1), Decimal128("7.10")]
    ids += [math.nan, Timestamp(1, 2), MinKey(), MaxKey(), {"a": 1}, {"b": {"a": 1}}, UUID(int=1).bytes, ""]
    raws = [encode({"_id": each, "a": 1}) for each in ids]
    others = [encode({"_id": each}) for each in (2, 3.5, "y", b"a", False, {"a": 2})]
    world.insert("c", [*raws, *others])
    assert not do(world, *map(delete, raws)).missed
    assert sorted(world.raws("c").values()) == sorted(others)


@servers
def test_a_record_that_is_added_takes_no_others_place_unless_a_batch_can_be_cut_off(world: World) -> None:
    records = [{"_id": "mine", "data": data} for data in (b"1", b"2")]
    with opened(world) as backend:
        backend.transact(lambda _: Changes(first=[Add(JOURNAL, records[0])]))
        stands = pytest.raises(errors.MigrateError, match="duplicate key")
        with stands if world.kind == Kind.REPLICA_SET else nullcontext():
            backend.transact(lambda _: Changes(first=[Add(JOURNAL, records[1])]))
        found = backend.find(JOURNAL, {"_id": "mine"})
    assert found == [records[0] if world.kind == Kind.REPLICA_SET else records[1]]


@servers
def test_a_unit_of_work_reads_the_very_bytes_however_many_replies_it_takes(world: World) -> None:
    odd = document(element("_id", -1), TWICE), document(element("_id", 0), NOT_UTF8)
    raws = [*odd, *(numbered(n, text="x" * n) for n in range(1, 2_500))]
    world.insert("c", raws)
    found: list[list[bytes]] = []

    def work(reader: Reader) -> Changes:
        found.append(reader.documents("c"))
        found.append(reader.documents("c", after=raw_id(5), upto=raw_id(2_000), limit=1_200))
        found.append(reader.documents("c", where={"text": {"$exists": True}}, max_bytes=1_000))
        found.append(reader.documents("c", upto=raw_id(9), fields=["none"]))
        return Changes()

    with opened(world) as backend:
        backend.transact(work)
    everything, some, first, ids = found
    assert everything == raws
    assert some == raws[7:1_207]
    assert first == raws[2 : 2 + len(first)]
    assert sum(map(len, first[:-1])) < 1_000 <= sum(map(len, first))
    assert ids == [raw_id(n) for n in range(-1, 10)]


@each_mode
def test_one_unit_of_work_deletes_replaces_and_inserts(world: World) -> None:
    old = [numbered(n, a=n) for n in range(4)]
    world.insert("c", old)
    new = Write(raw_id(1), old[1], numbered(1, a="new"))
    with opened(world) as backend:
        backend.create_index("c", [("a", 1)], {"unique": True, "name": "a_1"})
        backend.transact(of(insert(numbered(7, a=0)), new, delete(old[0]), insert(numbered(8, a=1))))
    assert world.documents("c") == [
        {"_id": 1, "a": "new"},
        {"_id": 2, "a": 2},
        {"_id": 3, "a": 3},
        {"_id": 7, "a": 0},
        {"_id": 8, "a": 1},
    ]


@each_mode
def test_another_documents_key_is_refused_naming_both(world: World) -> None:
    world.insert("c", [numbered(1, a="taken")])
    with opened(world) as backend:
        backend.create_index("c", [("a", 1)], {"unique": True, "name": "a_1"})
        with pytest.raises(errors.DuplicateKey, match="1 and 2 would have the same key") as caught:
            backend.transact(of(insert(numbered(2, a="taken"))))
    assert (caught.value.id, caught.value.field) == (2, "a")
    assert list(world.raws("c")) == [raw_id(1)]


@each_mode
def test_a_document_that_has_changed_is_not_deleted_and_one_that_is_there_is_not_inserted(
    world: World,
) -> None:
    world.insert("c", [numbered(1, a=2), numbered(2)])
    stale, taken = delete(numbered(1, a=1)), insert(numbered(2, b=1))
    if world.kind == Kind.STANDALONE:
        assert set(do(world, stale, taken, insert(numbered(3))).missed) == {raw_id(1), raw_id(2)}
        assert list(world.raws("c").values()) == [numbered(1, a=2), numbered(2), numbered(3)]
    elif world.embedded:
        for write in (stale, taken):
            with pytest.raises(GuardFailed):
                do(world, write)
    else:
        with pytest.raises(Collision):
            do(world, taken)


@on(Kind.STANDALONE)
def test_what_is_there_or_gone_as_it_should_be_is_not_missed(world: World) -> None:
    raw = numbered(1, a=1)
    world.insert("c", [raw])
    assert do(world, insert(raw), delete(numbered(2))).missed == []


@one_server
@pytest.mark.parametrize("raw", [numbered(1, a=1), numbered(1, at=Timestamp(0, 0))], ids=["plain", "awkward"])
def test_one_that_somebody_else_inserts_meanwhile_is_read_by_the_next_try(world: World, raw: bytes) -> None:
    tries: list[int] = []

    def work(reader: Reader) -> Changes:
        found = reader.by_ids("c", [raw_id(1)])
        tries.append(len(found))
        if len(tries) == 1:
            world.put("c", numbered(1, a="theirs"))
        return Changes(collection="c", writes=[] if found else [insert(raw)])

    with opened(world) as backend:
        backend.transact(work)
    assert tries == [0, 1]
    assert list(world.raws("c").values()) == [numbered(1, a="theirs")]


@one_server
def test_one_that_somebody_else_changes_meanwhile_is_not_deleted(world: World) -> None:
    world.insert("c", [numbered(1)])
    found: list[bytes] = []

    def work(reader: Reader) -> Changes:
        found[:] = reader.by_ids("c", [raw_id(1)])
        if found == [numbered(1)]:
            world.put("c", numbered(1, a="theirs"))
        return Changes(collection="c", writes=[delete(each) for each in found])

    with opened(world) as backend:
        backend.transact(work)
    assert (found, world.raws("c")) == ([numbered(1, a="theirs")], {})


@servers
def test_a_validator_is_asked_before_an_insertion_and_not_before_a_restore(world: World) -> None:
    with opened(world) as backend:
        backend.set_options("c", {"validator": {"a": {"$type": "int"}}, "validationLevel": "strict"})
        for raw in (numbered(1, a="x"), numbered(1, at=Timestamp(0, 0))):
            with pytest.raises(errors.ValidatorRejected):
                backend.transact(of(insert(raw)))
            backend.transact(partial(_restoring, raw))
            assert list(world.raws("c").values()) == [raw]
            backend.transact(of(delete(raw)))


def _restoring(raw: bytes, _: Reader) -> Changes:
    return Changes(collection="c", writes=[insert(raw)], bypass_validation=True)


@servers
def test_more_than_fits_into_one_command_goes_in_several(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_writes, "COMMAND_BYTES", 5_000)
    raws = [numbered(n, text="x" * 1_000) for n in range(12)] + [numbered(12, text="x" * 6_000)]
    do(world, *map(insert, raws))
    assert list(world.raws("c").values()) == raws
    do(world, *map(delete, raws))
    assert not world.raws("c")


@dump
def test_what_comes_back_stands_where_it_stood(world: World) -> None:
    before = [numbered(n) for n in (5, 3, 9, 1, 7)]
    world.insert("c", before)
    going = [raw_id(n) for n in (1, 5, 9)]
    with opened(world) as backend:
        places = backend.places("c", going)
        backend.transact(of(*(delete(identity) for identity in going)))
    assert list(world.raws("c").values()) == [numbered(3), numbered(7)]
    back: Sequence[Write] = [insert(i, place) for i, place in zip(going, places, strict=True)]
    with opened(world) as backend:
        backend.transact(of(insert(numbered(2))))
        for write in reversed(back):
            backend.transact(of(write))
    assert list(world.raws("c").values()) == [*before, numbered(2)]


@servers
def test_a_server_has_no_places(world: World) -> None:
    world.insert("c", [numbered(1)])
    with opened(world) as backend:
        assert not backend.places("c", [raw_id(1)])
