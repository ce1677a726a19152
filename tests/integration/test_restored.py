"""A database that was restored, copied or overwritten: what is proved goes on, what is not is refused and said."""

from __future__ import annotations

import signal
from dataclasses import replace
from typing import Any

import pytest
from bson import decode, encode
from bson.raw_bson import RawBSONDocument

from goaime_migrate import errors
from goaime_migrate.backends.ports import LOCK, PROGRESS
from goaime_migrate.results import Direction, RunResult
from tests.integration.engines import each_mode, one_server, servers
from tests.world import World, succeeded

SETTLED = """
    from goaime_migrate import TransformDocuments

    def cents(d):
        if "price" in d:
            d["cents"] = d.pop("price") * 100

    operations = [TransformDocuments("c", cents)]
    """
COUNTING = """
    from goaime_migrate import TransformDocuments

    def count(d):
        d["price"] += 1000

    operations = [TransformDocuments("c", count)]
    """
OLD = [{"_id": i, "price": i} for i in range(12)]
NEW = {
    SETTLED: [{"_id": i, "cents": i * 100} for i in range(12)],
    COUNTING: [{"_id": i, "price": i + 1000} for i in range(12)],
}
Dump = dict[str, list[bytes]]


def start(world: World, source: str) -> World:
    world.settings["batch_size"] = 3
    world.insert("c", OLD)
    world.write("0001_change.py", source)
    return world


def run_until(world: World, command: str, documents: int) -> RunResult:
    """Run `up` or `down` and interrupt it when so many documents are done."""

    def stop(event: Any) -> None:
        if getattr(event, "done", 0) >= documents:
            migrator.interrupt(signal.SIGTERM)

    with world.migrator(stop) as migrator:
        result: RunResult = getattr(migrator, command)()
    assert isinstance(result.error, errors.Interrupted)
    return result


def dumped(world: World, *, records: bool = True, documents: bool = True) -> Dump:
    """What a dump of the records, or of the documents, would hold."""
    with world.client() as client:
        names = client[world.database].list_collection_names()
    wanted = [name for name in names if (records if name.startswith("schema_") else documents)]
    return {name: list(world.raws(name).values()) for name in wanted}


def restore(world: World, dump: Dump) -> World:
    """What `mongorestore --drop` makes of it."""
    with world.client() as client:
        for name, raws in dump.items():
            collection = client[world.database][name]
            collection.drop()
            client[world.database].create_collection(name)
            if raws:
                collection.insert_many([RawBSONDocument(raw) for raw in raws])
    return world


def copied(world: World, dump: Dump) -> World:
    """The same under another name."""
    with world.client() as client:
        client.drop_database(f"{world.database}_b")
    return restore(replace(world, database=f"{world.database}_b"), dump)


def state(world: World) -> dict[str, Any]:
    """Everything but the lock, and whose it is."""
    found = {name: sorted(raws) for name, raws in dumped(world).items() if name != LOCK}
    return found | {PROGRESS: [{**decode(raw), "fence": 0} for raw in found[PROGRESS]]}


def refused(world: World, *commands: str) -> errors.DatabaseRestored:
    """The error of these commands, which write nothing."""
    before = state(world)
    found: list[errors.DatabaseRestored] = []
    for command in commands:
        error = getattr(world, command)().error
        planned = world.plan(direction=Direction(command)).refused
        assert isinstance(planned, errors.DatabaseRestored), f"plan of {command}"
        assert isinstance(error, errors.DatabaseRestored), command
        assert (error.code, error.exit_code, error.version) == ("GM808", 9, "0001")
        assert state(world) == before
        found.append(error)
    return found[-1]


def codes(world: World) -> list[str]:
    return [warning.code for warning in world.status().warnings]


@servers
@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_pass_goes_on_in_a_consistent_dump(world: World, elsewhere: bool) -> None:
    start(world, SETTLED)
    run_until(world, "up", 6)
    dump = dumped(world)
    succeeded(world.up())
    assert codes(world) == []
    world = (copied if elsewhere else restore)(world, dump)
    (warning,) = world.status().warnings
    assert "restored from a dump or copied after 0001 had begun" in warning.message
    succeeded(world.up())
    assert world.documents("c") == NEW[SETTLED]
    assert codes(world) == []
    succeeded(world.down())
    assert world.documents("c") == OLD


@servers
def test_or_is_taken_back_in_it(world: World) -> None:
    start(world, SETTLED)
    run_until(world, "up", 6)
    dump = dumped(world)
    succeeded(world.up())
    succeeded(restore(world, dump).down())
    assert world.documents("c") == OLD
    assert world.states() == ["pending"]


@servers
def test_a_pass_that_has_come_to_the_last_document_goes_on_whatever_it_does(world: World) -> None:
    start(world, COUNTING)
    run_until(world, "up", 12)
    restore(world, dumped(world))
    succeeded(world.up())
    assert world.documents("c") == NEW[COUNTING]


@servers
def test_what_counts_goes_on_when_somebody_has_said_that_the_dump_is_of_one_moment(world: World) -> None:
    start(world, COUNTING)
    run_until(world, "up", 6)
    restore(world, dumped(world))
    error = refused(world, "up", "down")
    assert "6 documents of c are not in the journal" in error.message
    assert "_id 6, 7, 8" in error.message
    with world.migrator() as migrator:
        assert migrator.repair(dry_run=True).restored == ("0001",)
        assert migrator.repair().restored == ("0001",)
        assert migrator.repair().empty
    assert codes(world) == []
    succeeded(world.up())
    assert world.documents("c") == NEW[COUNTING]
    succeeded(world.down())
    assert world.documents("c") == OLD


@servers
@pytest.mark.parametrize("source", [SETTLED, COUNTING], ids=["settled", "counting"])
@pytest.mark.parametrize("finished", [False, True])
def test_cursors_that_lie_are_not_believed(world: World, source: str, finished: bool) -> None:
    """The records are of an earlier moment than the documents."""
    start(world, source)
    run_until(world, "up", 3)
    records = dumped(world, documents=False)
    if finished:
        succeeded(world.up())
    else:
        run_until(world, "up", 9)
    world = copied(world, {**records, **dumped(world, records=False)})
    assert codes(world) == ["GM808"]
    error = refused(world, "up", "down")
    if source == SETTLED:
        assert ("9" if finished else "6") + " documents of c are not in the journal" in error.message
    with world.migrator() as migrator:
        planned = migrator.plan(direction=Direction.DOWN).refused
    assert planned is not None
    assert planned.message == error.message


@servers
@pytest.mark.parametrize("source", [SETTLED, COUNTING], ids=["settled", "counting"])
def test_documents_that_are_older_than_the_records_are_migrated_from_the_journal(
    world: World, source: str
) -> None:
    start(world, source)
    run_until(world, "up", 6)
    documents = dumped(world, records=False)
    run_until(world, "up", 12)
    world = copied(world, {**dumped(world, documents=False), **documents})
    succeeded(world.up())
    assert world.documents("c") == NEW[source]
    succeeded(world.down())
    assert world.documents("c") == OLD


@servers
def test_a_transform_that_counts_some_documents_only_is_not_taken_for_one_that_does_not(world: World) -> None:
    world.settings["batch_size"] = 3
    world.insert("c", [{"_id": i, "n": 0} for i in range(150)])
    world.write("0001_some.py", COUNTING.replace('d["price"] += 1000', 'd["n"] += d["_id"] >= 120'))
    run_until(world, "up", 122)
    records = dumped(world, documents=False)
    run_until(world, "up", 130)
    world = copied(world, {**records, **dumped(world, records=False)})
    refused(world, "up")


@servers
def test_a_way_back_that_was_cut_off_goes_on_when_somebody_has_said_so(world: World) -> None:
    start(world, SETTLED)
    succeeded(world.up())
    run_until(world, "down", 6)
    dump = dumped(world)
    succeeded(world.down())
    restore(world, dump)
    assert "its way back was cut off" in refused(world, "down", "up").message
    with world.migrator() as migrator:
        migrator.repair()
    succeeded(world.down())
    assert world.documents("c") == OLD


@servers
def test_a_collection_that_was_overwritten_is_warned_of(world: World) -> None:
    start(world, SETTLED)
    backup = dumped(world)
    succeeded(world.up())
    restore(world, {"c": backup["c"]})
    (warning,) = world.status().warnings
    assert warning.code == "GM808"
    assert "c was dropped and restored, or replaced, after 0001 had begun" in warning.message
    assert "verify" in warning.hint
    succeeded(world.down())
    assert world.documents("c") == OLD
    succeeded(world.up())
    assert world.documents("c") == NEW[SETTLED]
    assert codes(world) == []


@one_server
def test_what_a_sweep_had_seen_in_the_database_before_says_nothing_of_this_one(world: World) -> None:
    start(world, SETTLED)
    succeeded(world.up())
    world.insert("c", [{"_id": 20, "price": 20}])
    here = copied(world, dumped(world, records=False))
    succeeded(world.sweep())
    restore(here, dumped(world, documents=False))
    with here.migrator() as migrator:
        assert migrator.repair().restored == ("0001",)
    assert [each.changed for each in succeeded(here.sweep()).swept] == [1]


@servers
def test_nothing_is_reversed_that_may_be_older_than_the_pass(world: World) -> None:
    start(
        world,
        COUNTING.replace(
            "    operations", '    def back(d):\n        d["price"] -= 1000\n\n    operations'
        ).replace("count)]", "count, reverse=back)]"),
    )
    world.insert("c", [{"_id": 99, "price": 99}])
    backup = dumped(world)
    world.remove("c", 99)
    succeeded(world.up())
    restore(world, {"c": backup["c"]})
    succeeded(world.down())
    assert world.documents("c") == [*OLD, {"_id": 99, "price": 99}]


@servers
def test_what_migrations_do_to_collections_is_no_restore(world: World) -> None:
    start(world, SETTLED)
    world.write(
        "0002_moves.py",
        """
        from goaime_migrate import CreateCollection, DropCollection, RenameCollection
        operations = [RenameCollection("c", "d"), CreateCollection("c"), DropCollection("d"), CreateCollection("d")]
        """,
    )
    succeeded(world.up())
    assert codes(world) == []
    succeeded(world.down("base"))
    assert world.documents("c") == OLD


@servers
def test_a_renamed_collection_that_was_overwritten_is_warned_of_by_its_name(world: World) -> None:
    start(world, SETTLED)
    world.write("0002_moves.py", "from goaime_migrate import *\noperations = [RenameCollection('c', 'd')]\n")
    succeeded(world.up())
    restore(world, {"d": [encode(d) for d in OLD]})
    (warning,) = world.status().warnings
    assert warning.message.startswith("d was dropped")


@each_mode
def test_records_of_the_release_before_pin_nothing(world: World) -> None:
    start(world, SETTLED)
    succeeded(world.up())
    for record in world.documents(PROGRESS):
        for key in ("deployment", "uuid", "records", "restored"):
            record.pop(key)
        world.put(PROGRESS, encode(record))
    assert codes(world) == []
    succeeded(world.down())
    assert world.documents("c") == OLD


@one_server
def test_another_replica_set_is_told_by_its_id(world: World) -> None:
    start(world, SETTLED)
    succeeded(world.up())
    (record,) = world.documents(PROGRESS)
    name, _, identity = record["deployment"].partition("/")
    assert len(identity) == 24
    for deployment, warned in ((name, []), (f"{name}/{'0' * 24}", ["GM808"]), ("other", ["GM808"])):
        world.put(PROGRESS, encode({**record, "deployment": deployment}))
        assert codes(world) == warned
    assert decode(encode(record)) == record
