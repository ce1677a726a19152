"""Plain `up(db)` and `down(db)`, and `verify(db)`: the whole API for people who come from other tools."""

from __future__ import annotations

import pytest

from goaime_migrate import errors
from goaime_migrate.events import Event, Notice
from goaime_migrate.results import State
from tests.conftest import EMBEDDED
from tests.integration.engines import dump, each_mode, servers, two
from tests.world import World, succeeded

PLAIN = """
    def up(db):
        db.c.update_many({}, {"$inc": {"n": 1000}})
        db.log.insert_one({"_id": 1, "text": "up"})

    def down(db):
        db.c.update_many({}, {"$inc": {"n": -1000}})
        db.log.drop()
    """


@pytest.fixture
def numbers(world: World) -> World:
    world.insert("c", [{"_id": i, "n": i} for i in range(3)])
    return world


def values(world: World) -> list[int]:
    return [d["n"] for d in world.documents("c")]


@each_mode
def test_functions_run_up_and_down(numbers: World) -> None:
    before = numbers.raws("c")
    numbers.write("0001_plain.py", PLAIN)
    assert succeeded(numbers.up()).versions == ("0001",)
    assert values(numbers) == [1000, 1001, 1002]
    assert numbers.documents("log") == [{"_id": 1, "text": "up"}]
    assert succeeded(numbers.down()).versions == ("0001",)
    assert numbers.raws("c") == before
    assert numbers.states() == ["pending"]


@two
def test_functions_run_once(numbers: World) -> None:
    numbers.write("0001_plain.py", PLAIN)
    succeeded(numbers.up())
    succeeded(numbers.up())
    assert values(numbers) == [1000, 1001, 1002]


@two
def test_functions_stand_between_operations(numbers: World) -> None:
    before = numbers.raws("c")
    add = "from goaime_migrate import *\noperations = [AddField('c', '{0}', 1)]\n"
    numbers.write("0001_add.py", add.format("a"))
    numbers.write("0002_plain.py", PLAIN)
    numbers.write("0003_add.py", add.format("b"))
    assert succeeded(numbers.up()).versions == ("0001", "0002", "0003")
    assert numbers.documents("c")[0] == {"_id": 0, "n": 1000, "a": 1, "b": 1}
    succeeded(numbers.down("base"))
    assert numbers.raws("c") == before


@each_mode
def test_a_function_that_raises_names_its_own_line_and_what_it_left(numbers: World) -> None:
    numbers.write(
        "0001_plain.py",
        """
        def up(db):
            db.c.update_one({"_id": 0}, {"$set": {"n": 5}})
            helper(db)

        def helper(db):
            raise ValueError("no")

        def down(db):
            db.c.update_one({"_id": 0}, {"$set": {"n": 0}})
        """,
    )
    error = numbers.up().error
    assert isinstance(error, errors.FunctionFailed)
    assert (error.code, error.exit_code, error.version) == ("GM310", 1, "0001")
    assert "up(db) raised ValueError: no" in error.message
    assert "helper(db)" in error.detail
    assert 'raise ValueError("no")' in error.detail
    assert "goaime_migrate" not in error.detail
    assert numbers.status().versions[0].state is State.FAILED
    kept = numbers.kind != EMBEDDED
    assert ("stays written" in error.message) == kept
    assert values(numbers) == [5 if kept else 0, 1, 2]

    succeeded(numbers.down())
    assert values(numbers) == [0, 1, 2]
    assert numbers.states() == ["pending"]


@two
@pytest.mark.parametrize("error", ["asyncio.CancelledError", "GeneratorExit", "SystemExit"])
def test_whatever_a_function_raises_is_its_failure(numbers: World, error: str) -> None:
    numbers.write("0001_plain.py", f"import asyncio\ndef up(db): raise {error}\ndef down(db): ...")
    assert isinstance(numbers.up().error, errors.FunctionFailed)
    assert numbers.states() == ["failed"]


@each_mode
def test_a_function_that_failed_is_corrected_and_run_again(numbers: World) -> None:
    numbers.write("0001_plain.py", "def up(db): raise ValueError('no')\ndef down(db): ...")
    assert numbers.up().error is not None
    numbers.write("0001_plain.py", PLAIN)
    assert numbers.status().problems == ()
    succeeded(numbers.up())
    assert values(numbers) == [1000, 1001, 1002]
    succeeded(numbers.down())
    assert values(numbers) == [0, 1, 2]


@servers
def test_a_function_without_a_way_back_that_failed_is_not_taken_back_by_forgetting_it(numbers: World) -> None:
    numbers.write(
        "0001_plain.py", "def up(db):\n    db.c.delete_one({'_id': 0})\n    raise ValueError('no')\n"
    )
    assert numbers.up().error is not None
    with pytest.raises(errors.Irreversible):
        numbers.down()
    numbers.write(
        "0001_plain.py",
        "def up(db): raise ValueError('no')\ndef down(db): db.c.insert_one({'_id': 0, 'n': 0})",
    )
    succeeded(numbers.down())
    assert values(numbers) == [0, 1, 2]


@each_mode
def test_a_down_that_raises_leaves_the_version_reverting_and_can_be_tried_again(numbers: World) -> None:
    broken = PLAIN.replace("db.log.drop()", "db.log.drop(); raise ValueError('no')")
    numbers.write("0001_plain.py", broken)
    succeeded(numbers.up())
    error = numbers.down().error
    assert isinstance(error, errors.FunctionFailed)
    assert "down(db) raised ValueError: no" in error.message
    assert numbers.states() == ["reverting"]
    numbers.write("0001_plain.py", PLAIN.replace('{"$inc": {"n": -1000}}', '{"$set": {"n": 0}}'))
    assert numbers.status().problems[0].code in ("GM201", "GM208")
    with numbers.migrator() as migrator:
        migrator.repair()
    succeeded(numbers.down())
    assert values(numbers) == [0, 0, 0]
    assert numbers.states() == ["pending"]


@dump
def test_what_a_dump_cannot_do_is_said_with_a_way_out(numbers: World) -> None:
    before = numbers.raws("c")
    numbers.write("0001_plain.py", "def up(db):\n    with db.client.start_session(): ...\n")
    error = numbers.up().error
    assert isinstance(error, errors.MissingCapability)
    assert error.exit_code == 9
    assert "mongorestore" in error.hint
    assert numbers.raws("c") == before
    assert numbers.states() == ["pending"]


@two
def test_a_function_without_a_way_back_that_was_only_stamped_can_be_unstamped(numbers: World) -> None:
    before = numbers.raws("c")
    numbers.write("0001_plain.py", "def up(db): db.c.drop()\n")
    with numbers.migrator() as migrator:
        assert migrator.stamp("head").recorded == ("0001",)
    assert numbers.states() == ["applied"]
    assert succeeded(numbers.down()).versions == ("0001",)
    assert numbers.states() == ["pending"]
    assert numbers.raws("c") == before


# --- verify(db) ------------------------------------------------------------------------------------------------

CHECKED = """
    from goaime_migrate import AddField

    operations = [AddField("c", "m", 1)]

    def verify(db):
        {body}
    """


@each_mode
def test_a_statement_that_holds_lets_the_version_be_applied(numbers: World) -> None:
    numbers.write(
        "0001_add.py", CHECKED.format(body='return [] if db.c.count_documents({"m": 1}) == 3 else ["no"]')
    )
    succeeded(numbers.up())
    assert numbers.verify().failures == ()
    numbers.change("c", 1, m=2)
    assert [(f.version, f.reason) for f in numbers.verify().failures] == [("0001", "no")]


@each_mode
@pytest.mark.parametrize(
    ("body", "finding"),
    [
        ('yield "too few"', "too few"),
        ('assert False, "too few"', "AssertionError: too few"),
        ('raise SystemExit("too few")', "SystemExit: too few"),
        ('raise GeneratorExit("too few")', "GeneratorExit: too few"),
    ],
)
def test_a_statement_that_does_not_hold_fails_the_version(numbers: World, body: str, finding: str) -> None:
    before = numbers.raws("c")
    numbers.write("0001_add.py", CHECKED.format(body=body))
    error = numbers.up().error
    assert isinstance(error, errors.ResultBreaksPromise)
    assert (error.exit_code, error.version) == (1, "0001")
    assert f"verify of 0001_add does not hold: {finding}" in error.message
    assert numbers.states() == ["failed"]
    succeeded(numbers.down())
    assert numbers.raws("c") == before


@two
def test_a_statement_is_tried_again_by_the_next_up(numbers: World) -> None:
    numbers.write(
        "0001_add.py", CHECKED.format(body='return [] if db.c.count_documents({"ok": 1}) else ["no"]')
    )
    assert numbers.up().error is not None
    numbers.change("c", 0, ok=1)
    assert succeeded(numbers.up()).versions == ("0001",)
    assert numbers.documents("c")[0] == {"_id": 0, "n": 0, "m": 1, "ok": 1}


@dump
def test_a_statement_writes_nothing(numbers: World) -> None:
    numbers.write("0001_add.py", CHECKED.format(body="db.c.delete_many({})"))
    succeeded(numbers.up())
    assert len(numbers.documents("c")) == 3


@two
def test_a_promise_that_was_superseded_is_not_checked_again(numbers: World) -> None:
    numbers.write(
        "0001_add.py", CHECKED.format(body='return [] if not db.d.count_documents({}) else ["old"]')
    )
    numbers.write(
        "0002_more.py",
        "from goaime_migrate import *\nsupersedes = ['0001']\noperations = [AddField('d', 'm', 1)]\n",
    )
    succeeded(numbers.up())
    numbers.insert("d", [{"_id": 1}])
    found = numbers.verify()
    assert (found.failures, found.superseded) == ((), ("0001",))
    whole = numbers.verify(superseded=True)
    assert ([failure.reason for failure in whole.failures], whole.superseded) == (["old"], ())


@two
@pytest.mark.parametrize("kind", ["coroutine", "generator"])
def test_a_function_that_turns_out_to_have_done_nothing_is_not_applied(numbers: World, kind: str) -> None:
    body = {"coroutine": "async def later(): pass", "generator": "def later(): yield"}[kind]
    numbers.write("0001_late.py", f"def up(db):\n    {body}\n    return later()\n")
    error = numbers.up().error
    assert isinstance(error, errors.FunctionFailed)
    assert f"it returned a {kind}, so that nothing was run" in error.message
    assert numbers.states() == ["failed"]


@two
def test_a_text_is_one_finding(numbers: World) -> None:
    numbers.write(
        "0001_promise.py",
        """
        from goaime_migrate import TransformDocuments

        operations = [TransformDocuments("c", lambda d: None, check=lambda d: "n: bad" * (d["n"] == 7))]

        def verify(db):
            return "bad" if db.c.count_documents({"n": 8}) else ""
        """,
    )
    succeeded(numbers.up())
    numbers.change("c", 1, n=7)
    numbers.change("c", 2, n=8)
    failures = numbers.verify().failures
    assert [(f.id, f.field, f.reason) for f in failures] == [(None, None, "bad"), (1, "n", "n: bad")]


DROPS = {
    "the database": "db.client.drop_database(db.name)",
    "every collection": "[db.drop_collection(n) for n in db.list_collection_names()]",
    "the documents of all": "[db[n].delete_many({}) for n in db.list_collection_names()]",
    "the versions": "db.schema_versions.drop()",
    "the lock": "db.schema_versions_lock.drop()",
    "the passes": "db.schema_versions_progress.drop()",
}
WIPING = """
    def up(db):
        {drop}
        db.ran.update_one({{"_id": 1}}, {{"$inc": {{"n": 1}}}}, upsert=True)

    def down(db):
        {drop}
    """


@each_mode
@pytest.mark.parametrize("drop", DROPS.values(), ids=DROPS)
def test_a_function_that_drops_the_records_is_recorded_and_not_run_again(numbers: World, drop: str) -> None:
    add = "from goaime_migrate import *\noperations = [AddField('c', 'new', 1)]\n"
    numbers.write("0001_add.py", add)
    numbers.write("0002_wipe.py", WIPING.format(drop=drop))
    numbers.write("0003_add.py", add.replace("new", "newer"))
    told: list[Event] = []
    with numbers.migrator(told.append) as migrator:
        assert succeeded(migrator.up()).versions == ("0001", "0002", "0003")
        assert migrator.up().versions == ()
    assert numbers.states() == ["applied"] * 3
    assert [d["n"] for d in numbers.documents("ran")] == [1]
    if numbers.kind != EMBEDDED and "lock" not in drop:
        assert sum("written anew" in e.text for e in told if isinstance(e, Notice)) == 1
    assert succeeded(numbers.down("0001")).versions == ("0003", "0002")
    assert numbers.states() == ["applied", "pending", "pending"]


@servers
def test_a_server_that_goes_while_a_function_runs_is_no_failure_of_it(numbers: World) -> None:
    body = """
    from pathlib import Path
    from pymongo.errors import AutoReconnect

    def goes(db):
        mark = Path(__file__).with_suffix(".gone")
        if not mark.exists():
            mark.touch()
            raise AutoReconnect("connection closed")
        mark.unlink()

    up = lambda db: goes(db)
    down = lambda db: goes(db)
    """
    numbers.write("0001_goes.py", body)
    for run, name in ((numbers.up, "up"), (numbers.down, "down")):
        error = run().error
        assert isinstance(error, errors.ServerUnreachable)
        assert error.exit_code == 8
        assert "connection closed" in error.message
        assert numbers.states() == ["partial" if name == "up" else "reverting"]
        succeeded(run())


@servers
def test_a_function_that_drops_the_records_and_raises_is_recorded_as_failed(numbers: World) -> None:
    numbers.write(
        "0001_wipe.py", "def up(db):\n    db.client.drop_database(db.name)\n    raise ValueError('no')\n"
    )
    for _ in range(2):
        assert isinstance(numbers.up().error, errors.FunctionFailed)
        assert numbers.states() == ["failed"]


@servers
def test_what_is_gone_with_the_records_is_not_said_to_come_back(numbers: World) -> None:
    numbers.write("0001_add.py", "from goaime_migrate import *\noperations = [AddField('c', 'new', 1)]\n")
    numbers.write("0002_wipe.py", WIPING.format(drop=DROPS["every collection"]))
    succeeded(numbers.up())
    succeeded(numbers.down())
    with pytest.raises(errors.JournalPruned, match="its journal was lost with the records"):
        numbers.down()
