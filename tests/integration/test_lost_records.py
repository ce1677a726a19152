"""Records that were removed by hand, or not restored with the others: refused before anything is written."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from goaime_migrate import errors
from goaime_migrate.backends.ports import JOURNAL, LOG, PROGRESS, RECORDS, VERSIONS
from goaime_migrate.results import Check, CheckStatus, Direction
from tests.integration.engines import each_mode, two
from tests.world import World, succeeded

COUNT = """
    from goaime_migrate import TransformDocuments

    def count(d):
        d["n"] += 1000
        {more}

    operations = [TransformDocuments("c", count)]
    """
FUNCTION = """
    def up(db):
        db.c.update_many({}, {"$inc": {"n": 1}})

    def down(db):
        db.c.update_many({}, {"$inc": {"n": -1}})
    """
OTHER = """
    from goaime_migrate import AddField
    operations = [AddField("other", "k", 1)]
    """


@pytest.fixture
def migrated(world: World) -> World:
    """Two versions in one pass over `c`, and one over another collection."""
    world.settings["batch_size"] = 3
    world.insert("c", [{"_id": i, "n": i} for i in range(7)])
    world.insert("other", [{"_id": 1}])
    for version in ("0001", "0002"):
        world.write(f"{version}_count_{version}.py", COUNT.format(more=f'd["v{version}"] = 1'))
    world.write("0003_other.py", OTHER)
    succeeded(world.up())
    return world


def lose(world: World, collection: str, *identities: str) -> None:
    """Remove these records of a collection, or all of them."""
    for record in world.documents(collection):
        if not identities or record["_id"] in identities:
            world.remove(collection, record["_id"])


def kept(world: World) -> dict[str, dict[bytes, bytes]]:
    return {name: world.raws(name) for name in ("c", "other", *RECORDS) if not name.endswith("lock")}


def refused(call: Callable[[], object]) -> errors.MigrateError:
    try:
        error = getattr(call(), "error", None)
    except errors.MigrateError as raised:
        return raised
    assert isinstance(error, errors.MigrateError)
    return error


def doctors(world: World) -> Check:
    with world.migrator() as migrator:
        return next(check for check in migrator.doctor().checks if check.name == "records")


def refuses_all(world: World, *versions: str) -> errors.MigrateError:
    """Every command that would change something says that the records of these versions are gone, and changes nothing."""
    before = kept(world)
    problems = world.status().problems
    assert [(p.code, p.version) for p in problems if p.code == "GM210"] == [("GM210", v) for v in versions]
    with world.migrator() as migrator:
        told = [
            migrator.plan().refused,
            migrator.plan(direction=Direction.DOWN).refused,
            migrator.plan("base", direction=Direction.DOWN).refused,
            *(
                refused(call)
                for call in (migrator.up, migrator.down, lambda: migrator.down("base"), migrator.repair)
            ),
            refused(lambda: migrator.stamp("3")),
        ]
    assert {(type(e), e and e.message) for e in told} == {(errors.DamagedRecord, problems[0].message)}
    assert kept(world) == before
    check = doctors(world)
    assert (check.status, check.message) == (CheckStatus.ERROR, problems[0].message)
    error = told[0]
    assert error is not None
    return error


@each_mode
def test_versions_without_a_record_that_passes_name_are_not_pending(migrated: World) -> None:
    lose(migrated, VERSIONS)
    error = refuses_all(migrated, "0001", "0002", "0003")
    assert (error.code, error.exit_code, error.version) == ("GM210", 4, "0001")
    assert "0001 has run here, and its record is gone: its pass 0001-0002-" in error.message
    assert error.message.endswith(" over c is still recorded")
    assert error.hint.startswith("restore all collections of the records together")
    assert "goaime-migrate stamp VERSION" in error.hint


@each_mode
@pytest.mark.parametrize("gone", ["0001", "0002", "0003"])
def test_nor_is_one_of_several(migrated: World, gone: str) -> None:
    lose(migrated, VERSIONS, gone)
    refuses_all(migrated, gone)


@two
def test_nor_are_those_of_which_only_a_journal_is_left(migrated: World) -> None:
    for collection in (VERSIONS, PROGRESS, LOG):
        lose(migrated, collection)
    error = refuses_all(migrated, "0001", "0002", "0003")
    assert "the journal of its pass 0001-0002-" in error.message


@two
def test_nor_is_one_that_only_the_log_knows(migrated: World) -> None:
    migrated.write("0004_function.py", FUNCTION)
    succeeded(migrated.up())
    lose(migrated, VERSIONS, "0004")
    error = refuses_all(migrated, "0004")
    assert error.message == "0004 has run here, and its record is gone: the log has it as applied"


@two
def test_an_unfinished_one_is_not_begun_again(world: World) -> None:
    world.settings["batch_size"] = 2
    world.insert("c", [{"_id": i, "n": i} for i in range(5)])
    world.write("0001_count.py", COUNT.format(more='d["m"] = 1 / (4 - d["_id"])'))
    assert world.up().error is not None
    lose(world, VERSIONS)
    before = world.raws("c")
    assert isinstance(refused(world.up), errors.DamagedRecord)
    assert world.raws("c") == before


@two
def test_what_repair_has_dropped_is_not_lost(migrated: World) -> None:
    (migrated.folder / "0003_other.py").unlink()
    with migrated.migrator() as migrator:
        assert migrator.repair().dropped == ("0003",)
    assert migrated.status().problems == ()
    assert succeeded(migrated.down("base")).versions == ("0002", "0001")


@two
def test_what_was_taken_back_is_not_lost(migrated: World) -> None:
    succeeded(migrated.down("base"))
    assert migrated.status().problems == ()
    assert succeeded(migrated.up()).versions == ("0001", "0002", "0003")


@each_mode
@pytest.mark.parametrize("journals", [False, True], ids=["passes", "passes and journals"])
def test_passes_without_a_record_are_told_before_anything_is_taken_back(
    migrated: World, journals: bool
) -> None:
    lose(migrated, PROGRESS)
    if journals:
        lose(migrated, JOURNAL)
    before, problems = kept(migrated), migrated.status().problems
    assert [(p.code, p.version) for p in problems] == [("GM805", v) for v in ("0001", "0002", "0003")]
    for target in (None, "base"):
        planned = migrated.plan(target, direction=Direction.DOWN).refused
        error = refused(partial(migrated.down, target))
        assert planned is not None
        assert (error.code, error.exit_code, error.message) == ("GM805", 9, planned.message)
        assert "the record of the pass 000" in error.message
    assert kept(migrated) == before
    check = doctors(migrated)
    assert (check.status, check.message) == (CheckStatus.ERROR, problems[0].message)
    assert migrated.up().message == "already at 0003"


@two
def test_what_is_above_a_lost_pass_can_be_taken_back(migrated: World) -> None:
    lose(migrated, PROGRESS, *(p["_id"] for p in migrated.documents(PROGRESS) if "0002" in p["_id"]))
    assert succeeded(migrated.down("0002")).versions == ("0003",)
    error = refused(migrated.down)
    assert error.code == "GM805"
    assert error.hint.endswith("go back no further than: goaime-migrate down 0002")


@two
def test_an_unfinished_pass_without_a_record_is_not_walked_again(world: World) -> None:
    world.settings["batch_size"] = 2
    world.insert("c", [{"_id": i, "n": i} for i in range(5)])
    world.write("0001_count.py", COUNT.format(more='d["m"] = 1 / (4 - d["_id"])'))
    assert world.up().error is not None
    lose(world, PROGRESS)
    before = kept(world)
    assert refused(world.up).code == "GM805"
    planned = world.plan().refused
    assert planned is not None
    assert planned.code == "GM805"
    assert kept(world) == before
