"""What is told afterwards: why a version has stopped, what is done by then, what the journal takes, what is promised."""

from __future__ import annotations

import pytest
from bson import decode, encode

from goaime_migrate import errors
from goaime_migrate.events import BatchCommitted, Event
from goaime_migrate.results import Counts, RunResult, State, VersionError
from tests.integration.engines import dump, each_mode, one_server, servers, two
from tests.world import World, succeeded

STOPS = """
    from goaime_migrate import *

    def count(d):
        d["n"] = int(d["n"]) + 1

    operations = [TransformDocuments("c", count)]
    """
OLD = "from goaime_migrate import *\noperations = [AddField('c', 'a', 1)]\n"


def stopped(world: World, *, at: int = 7, of: int = 10, batch: int = 1) -> None:
    """A database in which `up` has stopped at a document, with all before it migrated."""
    world.settings["batch_size"] = batch
    world.insert("c", [{"_id": i, "n": "x" if i == at else i} for i in range(of)])
    world.write("0001_count.py", STOPS)
    assert world.up().error is not None


@each_mode
def test_status_says_why_a_version_failed_and_what_is_done(world: World) -> None:
    stopped(world)
    (version,) = world.status().versions
    assert version.state is State.FAILED
    assert version.error is not None
    assert (version.error.code, version.error.id) == ("GM301", 7)
    assert "invalid literal" in version.error.message
    assert version.documents == Counts(matched=7, changed=7)


@each_mode
def test_history_says_why_and_how_long(world: World) -> None:
    stopped(world)
    with world.migrator() as migrator:
        (entry,) = migrator.history()
    assert entry.result == "failed"
    assert entry.error is not None
    assert entry.error.code == "GM301"
    assert "invalid literal" in entry.error.message
    assert entry.duration_s is not None


@two
def test_an_event_of_a_release_that_kept_no_reason_is_read(world: World) -> None:
    stopped(world)
    for document in world.raws("schema_versions_log").values():
        world.put("schema_versions_log", encode({k: v for k, v in decode(document).items() if k != "error"}))
    with world.migrator() as migrator:
        assert [entry.error for entry in migrator.history()] == [None]


@each_mode
def test_after_a_resume_this_run_and_the_whole_version_are_told_apart(world: World) -> None:
    stopped(world)
    again = world.up()
    assert again.documents == Counts()
    assert [(each.version, each.documents.matched) for each in again.in_all] == [("0001", 7)]
    world.change("c", 7, n=7)
    done = succeeded(world.up())
    assert done.documents == Counts(matched=3, changed=3)
    assert [(each.version, each.documents) for each in done.in_all] == [("0001", Counts(10, 10))]
    (version,) = world.status().versions
    assert (version.error, version.documents) == (None, Counts(10, 10))


@two
def test_one_run_has_nothing_to_tell_apart(world: World) -> None:
    world.insert("c", [{"_id": 1, "n": 1}])
    world.write("0001_count.py", STOPS)
    assert succeeded(world.up()).in_all == ()


TWO_STEPS = """
    from goaime_migrate import *

    def count(d):
        d["n"] = int(d["n"]) + 1

    def mark(d):
        if d["_id"] > 2:
            d["marked"] = True

    operations = [TransformDocuments("c", mark), TransformDocuments("c", count)]
    """


@each_mode
def test_a_document_that_two_operations_of_a_version_change_counts_once(world: World) -> None:
    world.settings["batch_size"] = 1
    world.insert("c", [{"_id": i, "n": "x" if i == 7 else i} for i in range(10)])
    world.write("0001_two.py", TWO_STEPS)
    assert [o.changed for o in world.plan(where={"_id": {"$lt": 7}}).steps[0].operations] == [4, 7]
    assert world.up().documents == Counts(7, 7)
    assert world.status().versions[0].documents == Counts(7, 7)
    world.change("c", 7, n=7)
    done = succeeded(world.up())
    assert [each.documents for each in done.in_all] == [Counts(10, 10)]
    assert world.status().versions[0].documents == Counts(10, 10)


TWO_PASSES = """
    from goaime_migrate import AddField, RenameField
    operations = [AddField("c", "k", 1), AddField("d", "k", 1)]
    """


@each_mode
def test_after_a_way_back_that_was_cut_off_this_run_and_the_whole_are_told_apart(world: World) -> None:
    world.settings["batch_size"] = 2
    world.insert("c", [{"_id": i} for i in range(10)])
    world.insert("d", [{"_id": i} for i in range(3)])
    world.write("0001_two.py", TWO_PASSES)
    succeeded(world.up())
    world.change("c", 9, k=9)
    runs = [interrupted_way_back(world, batches) for batches in (1, 4)]
    assert runs[0].in_all == ()
    last = succeeded(world.down())
    together = Counts()
    for run in (*runs, last):
        together += run.documents
    assert together == Counts(13, 12, 0, 1)
    assert 0 < last.documents.matched < 13
    assert [(each.version, each.documents) for each in last.in_all] == [("0001", together)]


@two
def test_one_way_back_has_nothing_to_tell_apart(world: World) -> None:
    world.insert("c", [{"_id": 1}])
    world.write("0001_two.py", TWO_PASSES)
    succeeded(world.up())
    assert succeeded(world.down()).in_all == ()


def interrupted_way_back(world: World, batches: int) -> RunResult:
    """A `down` that is asked to stop after so many batches."""
    seen: list[Event] = []

    def stop(event: Event) -> None:
        seen.extend([event] if isinstance(event, BatchCommitted) else [])
        if len(seen) == batches:
            migrator.interrupt()

    with world.migrator(stop) as migrator:
        result = migrator.down()
    assert isinstance(result.error, errors.Interrupted)
    return result


@each_mode
def test_a_way_back_that_stops_says_why(world: World) -> None:
    world.insert("c", [{"_id": 1}])
    world.write(
        "0001_function.py",
        "def up(db):\n    db.c.count_documents({})\ndef down(db):\n    raise ValueError('not now')\n",
    )
    succeeded(world.up())
    assert world.down().error is not None
    (version,) = world.status().versions
    assert version.state is State.REVERTING
    assert version.error is not None
    assert version.error == VersionError(version.error.code, version.error.message)
    assert "not now" in version.error.message
    with world.migrator() as migrator:
        last = migrator.history()[-1]
    assert (last.action, last.result) == ("down", "failed")
    assert last.error is not None
    assert "not now" in last.error.message
    assert last.duration_s is not None


@each_mode
def test_the_journal_takes_what_its_segments_do(world: World) -> None:
    world.settings["batch_size"] = 3
    world.insert("c", [{"_id": i, "text": "x" * 200 + str(i)} for i in range(10)])
    world.write("0001_a.py", OLD)
    world.write("0002_b.py", OLD.replace("'a'", "'b'"))
    assert world.status().journal_bytes == 0
    succeeded(world.up())
    status = world.status()
    kept = sum(len(d) for d in world.raws("schema_versions_journal").values())
    assert status.journal_bytes == kept > 0
    assert [v.journal_bytes for v in status.versions] == [kept, kept]  # one pass
    succeeded(world.down("base"))
    status = world.status()
    assert (status.journal_bytes, [v.journal_bytes for v in status.versions]) == (0, [0, 0])


@one_server
def test_the_journal_of_several_partitions_and_of_an_unfinished_pass_is_counted(world: World) -> None:
    stopped(world, at=4_400, of=4_500, batch=300)
    kept = sum(len(d) for d in world.raws("schema_versions_journal").values())
    assert world.status().journal_bytes == kept > 0


# --- promises ----------------------------------------------------------------------------------------------------

MODEL = """
    from pydantic import BaseModel
    from goaime_migrate import *

    class Fits(BaseModel):
        a: int

    """


@two
def test_promises_are_counted_and_versions_without_are_named(world: World) -> None:
    world.insert("c", [{"_id": i, "n": i} for i in range(5)])
    world.write("0001_plain.py", OLD)
    world.write(
        "0002_promise.py",
        MODEL
        + """
    def same(d): d["b"] = 2

    operations = [TransformDocuments("c", same, model=Fits, check=lambda d: [])]

    def verify(db): return []
    """,
    )
    world.write("0003_index.py", "from goaime_migrate import *\noperations = [CreateIndex('c', 'n')]\n")
    succeeded(world.up())
    found = world.verify()
    assert (found.promises, found.without_promise, found.checked) == (4, ("0003",), 5)
    assert (found.failures, found.stragglers, found.unchecked) == ((), (), ())


@two
def test_where_nothing_is_promised_nothing_is_said_to_be_kept(world: World) -> None:
    world.insert("c", [{"_id": 1, "n": 1}])
    world.write(
        "0001_count.py",
        """
    from goaime_migrate import *

    def count(d): d["n"] += 1

    operations = [TransformDocuments("c", count)]
    """,
    )
    succeeded(world.up())
    found = world.verify()
    assert (found.promises, found.without_promise, found.checked) == (0, ("0001",), 0)


VALIDATOR = MODEL.rstrip() + "\n\n    operations = [SetValidator('c', Fits{0})]\n"


@servers
@pytest.mark.parametrize("options", ["", ", level='moderate'", ", action='warn'"])
def test_documents_that_a_validator_would_refuse_break_a_promise(world: World, options: str) -> None:
    world.insert("c", [{"_id": i, "a": "x" if i < 3 else i} for i in range(8)])
    world.write("0001_validate.py", VALIDATOR.format(options))
    succeeded(world.up())
    found = world.verify()
    assert [(f.version, f.collection, f.id) for f in found.failures] == [("0001", "c", i) for i in range(3)]
    assert "validator" in found.failures[0].reason
    assert (found.promises, found.without_promise, found.checked) == (1, (), 8)
    assert len(world.verify(sample=100).failures) == 3


@one_server
def test_a_validator_counts_where_it_is_by_now_and_as_the_last_has_set_it(world: World) -> None:
    world.insert("c", [{"_id": 1, "a": "x"}])
    world.insert("gone", [{"_id": 1, "a": "x"}])
    world.write("0001_validate.py", VALIDATOR.format(""))
    world.write("0002_rename.py", "from goaime_migrate import *\noperations = [RenameCollection('c', 'd')]\n")
    world.write("0003_validate.py", VALIDATOR.format("").replace("'c'", "'gone'"))
    world.write("0004_drop.py", "from goaime_migrate import *\noperations = [DropCollection('gone')]\n")
    succeeded(world.up())
    found = world.verify()
    assert [(f.version, f.collection) for f in found.failures] == [("0001", "d")]
    assert (found.promises, found.without_promise) == (1, ("0002", "0004"))
    world.write("0005_off.py", VALIDATOR.format(", level='off'").replace("'c'", "'d'"))
    succeeded(world.up())
    found = world.verify()
    assert (found.promises, found.failures, found.without_promise) == (0, (), ("0002", "0004", "0005"))


@dump
def test_a_validator_that_cannot_be_evaluated_is_said_to_be_unchecked(world: World) -> None:
    world.insert("c", [{"_id": 1, "a": "x"}])
    world.write("0001_validate.py", VALIDATOR.format(""))
    succeeded(world.up())
    found = world.verify()
    assert (found.promises, found.failures, found.without_promise) == (0, (), ())
    assert [(each.version, each.collection) for each in found.unchecked] == [("0001", "c")]
    assert "$jsonSchema" in found.unchecked[0].reason


# --- after a plain function nothing is foreseen ------------------------------------------------------------------


@two
def test_what_a_function_names_cannot_be_foreseen_and_is_no_failure_of_plan(world: World) -> None:
    world.insert("c", [{"_id": 1, "price": "a lot"}])
    world.insert("other", [{"_id": 1}])
    world.write("0001_function.py", "def up(db):\n    db.c.update_many({}, {'$set': {'n': 1}})\n")
    world.write("0002_count.py", STOPS)
    world.write("0003_other.py", OLD.replace("'c'", "'other'"))
    plan = world.plan()
    assert plan.refused is None
    _, second, third = plan.steps
    assert [(o.matched, o.changed) for o in second.operations] == [(None, None)]
    assert any("up(db) of 0001" in note and "cannot be foreseen" in note for note in second.notes)
    assert [(o.matched, o.changed) for o in third.operations] == [(1, 1)]
    assert any("up(db) of 0001" in note for note in third.notes)
    assert plan.unforeseen == ("0002",)
    succeeded(world.up())


@two
def test_a_function_may_mend_what_it_does_not_name(world: World) -> None:
    world.insert("c", [{"_id": 1, "n": "x"}])
    world.write("0001_function.py", "def up(db):\n    db[chr(99)].update_many({}, {'$set': {'n': 1}})\n")
    world.write("0002_count.py", STOPS)
    plan = world.plan()
    assert plan.refused is None
    assert any("cannot be foreseen" in note for note in plan.steps[1].notes)


@two
def test_before_a_function_plan_stops_where_up_would(world: World) -> None:
    world.insert("c", [{"_id": 1, "n": "x"}])
    world.write("0001_count.py", STOPS)
    world.write("0002_function.py", "def up(db):\n    pass\n")
    assert world.plan().refused is not None
