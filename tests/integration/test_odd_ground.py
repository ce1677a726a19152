"""Ground on which exactly-once and exact rollback could slip: collations, vanished collections, damaged records."""

from __future__ import annotations

import random
import time
from datetime import datetime
from typing import Any

import pytest
from bson import Binary, DatetimeMS
from bson.raw_bson import RawBSONDocument

from goaime_migrate import errors
from goaime_migrate.backends import raw_bson
from goaime_migrate.events import BatchCommitted, Event
from tests.servers import Kind
from tests.world import World, succeeded

COUNT = '''
    """Count."""
    from goaime_migrate import TransformDocuments

    def count(document):
        document["n"] += 1

    operations = [TransformDocuments("things", count)]
'''
SERVERS = pytest.mark.parametrize("backend", [Kind.REPLICA_SET, Kind.STANDALONE], indirect=True, ids=str)
ONE_NODE = pytest.mark.parametrize("backend", [Kind.REPLICA_SET], indirect=True, ids=str)


@SERVERS
def test_a_collection_with_a_collation_of_its_own_is_refused(world: World) -> None:
    with world.client() as client:
        client[world.database].create_collection("things", collation={"locale": "en", "strength": 2})
    world.insert("things", [{"_id": i, "n": 0} for i in "aBcD"])
    world.write("0001_count.py", COUNT)

    error = world.up().error

    assert isinstance(error, errors.MissingCapability)
    assert "collation" in error.message
    assert world.states() == ["pending"]
    assert [d["n"] for d in world.documents("things")] == [0, 0, 0, 0]


@SERVERS
def test_down_into_a_collection_that_is_not_there_keeps_the_journal(world: World) -> None:
    world.insert("things", [{"_id": i, "n": 0} for i in range(5)])
    before = world.raws("things")
    world.write("0001_count.py", COUNT)
    succeeded(world.up())
    with world.client() as client:
        client[world.database]["things"].rename("elsewhere")

    result = world.down()

    assert isinstance(result.error, errors.CollectionChanged)
    with world.client() as client:
        client[world.database]["elsewhere"].rename("things")
    succeeded(world.down())
    assert world.raws("things") == before


@SERVERS
def test_a_collection_that_is_renamed_during_up_is_not_recorded_as_applied(world: World) -> None:
    world.settings["batch_size"] = 2
    world.insert("things", [{"_id": i, "n": 0} for i in range(10)])
    world.write("0001_count.py", COUNT)
    renamed: list[int] = []

    def rename(event: Event) -> None:
        if isinstance(event, BatchCommitted) and not renamed:
            renamed.append(1)
            with world.client() as client:
                client[world.database]["things"].rename("elsewhere")

    with world.migrator(rename) as migrator:
        result = migrator.up()

    assert isinstance(result.error, errors.CollectionChanged)
    assert world.states() != ["applied"]


@ONE_NODE
@pytest.mark.parametrize(
    ("key", "expression"),
    [
        (datetime(2026, 1, 2), "datetime(2026, 1, 2, tzinfo=UTC)"),
        (DatetimeMS(5), "DatetimeMS(5)"),
        (Binary(b"x", 0), "Binary(b'x', 0)"),
    ],
    ids=["aware", "milliseconds", "binary"],
)
def test_a_lookup_finds_what_the_database_calls_equal(world: World, key: Any, expression: str) -> None:
    world.insert("others", [{"_id": key, "word": "found"}])
    world.insert("things", [{"_id": 1}])
    world.write(
        "0001_look.py",
        f'''
        """Look."""
        from datetime import UTC, datetime
        from bson import Binary, DatetimeMS
        from goaime_migrate import Lookup, TransformDocuments

        def look(document, others):
            document["word"] = others[{expression}]["word"]

        operations = [TransformDocuments("things", look, others=Lookup("others"))]
        ''',
    )
    succeeded(world.up())
    assert world.documents("things") == [{"_id": 1, "word": "found"}]


def test_a_transform_that_asks_for_random_keys_is_ended(world: World) -> None:
    world.insert("others", [{"_id": 1}])
    world.insert("things", [{"_id": 1}])
    world.write(
        "0001_look.py",
        '''
        """Look."""
        from bson import ObjectId
        from goaime_migrate import Lookup, TransformDocuments

        def look(document, others):
            document["found"] = others.get(ObjectId()) is not None

        operations = [TransformDocuments("things", look, others=Lookup("others"))]
        ''',
    )
    result = world.up()
    assert isinstance(result.error, errors.TransformFailed)
    assert "must be pure" in result.error.hint


def test_added_fields_of_others_are_not_removed(world: World) -> None:
    world.insert("things", [{"_id": 1, "k": "a"}])
    world.write(
        "0001_add.py",
        '''
        """Add."""
        from goaime_migrate import AddField
        operations = [AddField("things", "x", 1)]
        ''',
    )
    succeeded(world.up())
    world.insert("things", [{"_id": 2, "x": 7}, {"_id": 3, "x": 1}])
    succeeded(world.down())
    assert world.documents("things") == [{"_id": 1, "k": "a"}, {"_id": 2, "x": 7}, {"_id": 3}]


@ONE_NODE
def test_a_symbol_may_be_an_id(world: World) -> None:
    symbol = b"\x14\x00\x00\x00\x0e_id\x00\x03\x00\x00\x00hi\x00"
    raw_bson = (
        (len(symbol) + 1 + 7).to_bytes(4, "little") + symbol[4:] + b"\x10n\x00\x00\x00\x00\x00" + b"\x00"
    )
    with world.client() as client:
        client[world.database]["things"].insert_one(RawBSONDocument(raw_bson))
    world.write("0001_count.py", COUNT)
    succeeded(world.up())
    (after,) = world.raws("things").values()
    assert b"\x0e_id\x00" in after
    assert b"\x10n\x00\x01\x00\x00\x00" in after
    succeeded(world.down())
    assert list(world.raws("things").values()) == [raw_bson]


def test_text_that_bson_cannot_hold_does_not_hide_the_failure(world: World) -> None:
    world.insert("things", [{"_id": 1, "n": 0}])
    world.write(
        "0001_raise.py",
        '''
        """Raise."""
        from goaime_migrate import TransformDocuments

        def fail(document):
            raise ValueError("\\\\ud800" + "x" * 20_000_000)

        operations = [TransformDocuments("things", fail)]
        ''',
    )
    result = world.up()
    assert isinstance(result.error, errors.TransformFailed)
    assert world.states() == ["failed"]


@ONE_NODE
def test_a_claim_does_not_wait_for_a_transaction_that_has_the_lease_locked(world: World) -> None:
    world.insert("things", [{"_id": 1, "n": 0}])
    world.write("0001_count.py", COUNT)
    succeeded(world.up())
    lease = {"_id": "lock"}
    later = [{"$set": {"expires_at": {"$add": ["$$NOW", 60_000]}, "run": "frozen", "host": "elsewhere"}}]
    with world.client() as client, client.start_session() as session:
        lock = client[world.database]["schema_versions_lock"]
        lock.update_one(lease, later)
        session.start_transaction()
        lock.update_one(lease, {"$set": {"touched_at": None}}, session=session)
        started = time.monotonic()

        with pytest.raises(errors.LockHeld), world.migrator(lock_timeout=0) as migrator:
            migrator.down()

        assert time.monotonic() - started < 20
        session.abort_transaction()


@ONE_NODE
def test_a_looked_up_document_may_be_as_large_as_documents_can_be(world: World) -> None:
    large = {"_id": 1, "text": ""}
    large["text"] = "x" * (raw_bson.MAX_DOCUMENT - len(raw_bson.encode(large)))
    world.insert("others", [large])
    world.insert("things", [{"_id": 1, "n": 0}, {"_id": 2, "n": 0}])
    world.write(
        "0001_look.py",
        '''
        """Look."""
        from goaime_migrate import Lookup, TransformDocuments

        def look(document, others):
            document["n"] = len(others[1]["text"])

        operations = [TransformDocuments("things", look, others=Lookup("others"))]
        ''',
    )
    succeeded(world.up())
    assert [d["n"] for d in world.documents("things")] == 2 * [len(str(large["text"]))]
    succeeded(world.down())
    assert [d["n"] for d in world.documents("things")] == [0, 0]


@SERVERS
def test_ids_may_be_long(world: World) -> None:
    """All of a batch together are more than a record, a command or an index entry can hold."""
    noise = random.Random(0)
    names = [f"{i:03d}{noise.randbytes(50_000).hex()}" for i in range(200)]
    world.insert("things", [{"_id": name, "n": i} for i, name in enumerate(names)])
    before = world.raws("things")
    world.write("0001_count.py", COUNT.replace("+= 1", "+= 1000"))
    written: list[int] = []

    def write(event: Event) -> None:
        if isinstance(event, BatchCommitted) and not written:
            written.append(1)
            with world.client() as client:
                client[world.database]["things"].update_many({"n": {"$lt": 1000}}, {"$set": {"more": 1}})

    succeeded(world.up(where={"n": {"$gte": 20}}))
    with world.migrator(write) as migrator:
        succeeded(migrator.up())
    assert sorted(d["n"] for d in world.documents("things")) == list(range(1000, 1200))
    succeeded(world.down())
    after = [{k: v for k, v in d.items() if k != "more"} for d in world.documents("things")]
    assert {raw_bson.id_of(d): d for d in map(raw_bson.encode, after)} == before
