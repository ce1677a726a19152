"""A journal of which something is missing, or is another's: it is said before anything is written, never guessed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from bson import encode

from goaime_migrate import errors
from goaime_migrate.backends.ports import JOURNAL, PROGRESS, RECORDS
from goaime_migrate.ledger import records
from goaime_migrate.results import Direction
from tests.integration.engines import dump, each_mode, one_server
from tests.world import World, succeeded

COUNT = """
    from goaime_migrate import TransformDocuments

    def count(d):
        d["n"] += 1000

    operations = [TransformDocuments("c", count)]
    """
LOOKED_UP = """
    from goaime_migrate import Lookup, TransformDocuments

    def name(d, users):
        d["name"] = users[d["_id"]]["name"]

    operations = [TransformDocuments("c", name, users=Lookup("users"))]
    """
FAILING = """
    from goaime_migrate import TransformDocuments

    def count(d):
        d["n"] += 1000
        d["m"] = 1 / (8 - d["_id"])

    operations = [TransformDocuments("c", count)]
    """


@pytest.fixture
def migrated(world: World) -> World:
    """Ten documents, migrated in four batches; what inserted documents would be is known."""
    world.settings["batch_size"] = 3
    world.insert("c", [{"_id": i, "n": i} for i in range(10)])
    world.write("0001_count.py", COUNT)
    succeeded(world.up())
    return world


def segments(world: World) -> list[dict[str, Any]]:
    """The records of the scan's segments, in order."""
    return sorted((d for d in world.documents(JOURNAL) if "2-scan" in d["_id"]), key=lambda d: str(d["_id"]))


def as_by_format_1(world: World) -> None:
    """Make the records what the release before has written."""
    fresh = {
        JOURNAL: ("raw", "digest", "unchanged", "written"),
        PROGRESS: ("written", "segments", "documents"),
    }
    for name in RECORDS:
        for record in world.documents(name):
            for key in fresh.get(name, ()):
                record.pop(key, None)
            world.put(name, encode({**record, "format": 1}))


def refuses(world: World, kind: type[errors.MigrateError]) -> errors.MigrateError:
    """The error of `down`, which has to be said by `plan` as well, with nothing written."""
    before = {name: world.raws(name) for name in ("c", *RECORDS) if not name.endswith("lock")}
    with world.migrator() as migrator:
        try:
            planned = migrator.plan(direction=Direction.DOWN).refused
        except errors.MigrateError as raised:
            planned = raised
    error = world.down().error
    assert {name: world.raws(name) for name in before} == before
    assert isinstance(planned, kind)
    assert isinstance(error, kind)
    assert error.message == planned.message
    return error


@each_mode
@pytest.mark.parametrize("formerly", [False, True], ids=["format 2", "format 1"])
@pytest.mark.parametrize(
    ("gone", "segments_gone", "documents_gone"),
    [(slice(None), 4, 10), (slice(0, 1), 1, 3), (slice(1, 3), 2, 6), (slice(3, None), 1, 1)],
    ids=["all", "first", "middle", "last"],
)
def test_what_is_missing_is_said_before_anything_is_given_back(
    migrated: World, gone: slice, segments_gone: int, documents_gone: int, formerly: bool
) -> None:
    if formerly:
        as_by_format_1(migrated)
    for record in segments(migrated)[gone]:
        migrated.remove(JOURNAL, record["_id"])
    error = refuses(migrated, errors.JournalIncomplete)
    assert (error.code, error.exit_code, error.version) == ("GM805", 9, "0001")
    assert "0001 over c" in error.message
    if not formerly:
        assert f"{segments_gone} of 4 segments are missing" in error.message
        assert f"{documents_gone} of 10 documents" in error.message
        (problem,) = migrated.status().problems
        assert (problem.code, problem.version, problem.message) == ("GM805", "0001", error.message)


@each_mode
def test_brought_back_from_a_backup_it_is_whole_again(migrated: World) -> None:
    backup = migrated.raws(JOURNAL)
    for record in segments(migrated)[1:3]:
        migrated.remove(JOURNAL, record["_id"])
    refuses(migrated, errors.JournalIncomplete)
    for raw in backup.values():
        migrated.put(JOURNAL, raw)
    assert migrated.status().problems == ()
    succeeded(migrated.down())
    assert migrated.documents("c") == [{"_id": i, "n": i} for i in range(10)]


def swap(field: str) -> Callable[[World], None]:
    def change(world: World) -> None:
        first, second, *_ = segments(world)
        first[field], second[field] = second[field], first[field]
        for record in (first, second):
            world.put(JOURNAL, encode(record))

    return change


def under_another_key(world: World) -> None:
    """One segment in the place of another."""
    first, second, *_ = segments(world)
    world.put(JOURNAL, encode({**first, "_id": second["_id"]}))


def emptied(world: World) -> None:
    last = segments(world)[-1]
    world.put(JOURNAL, encode({**last, "parts": 0}))


def endless(world: World) -> None:
    last = segments(world)[-1]
    world.put(JOURNAL, encode({**last, "parts": 2**31}))


@each_mode
@pytest.mark.parametrize("formerly", [False, True], ids=["format 2", "format 1"])
@pytest.mark.parametrize(
    "change",
    [swap("data"), under_another_key, emptied, endless],
    ids=["swapped", "under another key", "no parts", "endless parts"],
)
def test_a_segment_is_bound_to_its_head(
    migrated: World, change: Callable[[World], None], formerly: bool
) -> None:
    if formerly:
        as_by_format_1(migrated)
    change(migrated)
    error = refuses(migrated, errors.DamagedRecord)
    assert "0001" in error.message
    assert JOURNAL in error.message


@dump
@pytest.mark.parametrize("field", ["after", "upto", "level", "documents", "raw", "digest", "written"])
def test_so_is_every_field_of_it(migrated: World, field: str) -> None:
    first, *_ = segments(migrated)
    other = {"after": encode({"_id": 0}), "upto": None, "digest": b"0123456789abcdef"}.get(field, 2)
    migrated.put(JOURNAL, encode({**first, field: other}))
    refuses(migrated, errors.DamagedRecord)


@each_mode
def test_a_journal_of_format_1_still_goes_down(migrated: World) -> None:
    as_by_format_1(migrated)
    assert migrated.status().problems == ()
    succeeded(migrated.down())
    assert migrated.documents("c") == [{"_id": i, "n": i} for i in range(10)]
    assert migrated.states() == ["pending"]


@each_mode
def test_a_pass_that_format_1_began_goes_on(world: World) -> None:
    world.settings["batch_size"] = 3
    world.insert("c", [{"_id": i, "n": i} for i in range(10)])
    world.write("0001_fail.py", FAILING)
    assert world.up().error is not None
    as_by_format_1(world)
    world.write("0001_fail.py", FAILING.replace("8 -", "80 -"))
    with world.migrator() as migrator:
        migrator.repair()
    succeeded(world.up())
    assert world.status().problems == ()
    world.remove(JOURNAL, segments(world)[1]["_id"])
    refuses(world, errors.JournalIncomplete)


@each_mode
def test_a_release_of_format_1_refuses_what_is_written_now(
    migrated: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "FORMAT", 1)
    for command in (migrated.status, migrated.up, migrated.down):
        with pytest.raises(errors.NewerFormat, match="format 2"):
            command()


@each_mode
def test_up_does_not_go_on_with_an_incomplete_journal(world: World) -> None:
    world.settings["batch_size"] = 3
    world.insert("c", [{"_id": i, "n": i} for i in range(10)])
    world.write("0001_fail.py", FAILING)
    assert world.up().error is not None
    world.remove(JOURNAL, segments(world)[0]["_id"])
    before = world.raws("c")
    assert [problem.code for problem in world.status().problems] == ["GM805"]
    error = world.up().error
    assert isinstance(error, errors.JournalIncomplete)
    assert world.raws("c") == before


@each_mode
def test_a_frozen_lookup_is_bound_to_its_head_too(world: World) -> None:
    world.settings["batch_size"] = 3
    world.insert("c", [{"_id": i, "n": i} for i in range(7)])
    world.insert("users", [{"_id": i, "name": str(i)} for i in range(7)])
    world.write("0001_name.py", LOOKED_UP)
    succeeded(world.up())
    first, second, *_ = (d for d in world.documents(JOURNAL) if d.get("kind") == "lookup")
    world.put(JOURNAL, encode({**first, "data": second["data"]}))
    refuses(world, errors.DamagedRecord)


@one_server
def test_the_segments_of_the_tail_are_counted_too(world: World) -> None:
    world.settings["batch_size"] = 3
    world.insert("c", [{"_id": i, "n": i} for i in range(10)])
    world.write("0001_count.py", COUNT)

    def write_behind(event: Any) -> None:
        if getattr(event, "done", None) == 6:
            world.put("c", encode({"_id": -1, "n": 51}))

    with world.migrator(write_behind) as migrator:
        succeeded(migrator.up())
    assert world.status().problems == ()
    (tail,) = [d for d in world.documents(JOURNAL) if "3-tail" in d["_id"]]
    world.remove(JOURNAL, tail["_id"])
    error = refuses(world, errors.JournalIncomplete)
    assert "1 of 5 segments are missing" in error.message
