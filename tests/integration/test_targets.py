"""Where `up` and `down` go, and what they say when there is nothing to do."""

from __future__ import annotations

import pytest

from goaime_migrate.errors import (
    Interrupted,
    Irreversible,
    JournalPruned,
    MigrateError,
    MissingMigration,
    Refused,
    TransformFailed,
    UnknownTarget,
)
from goaime_migrate.events import Event, StageFinished, StageStarted
from goaime_migrate.results import State
from tests.integration.engines import dump, each_mode, two
from tests.world import World, succeeded

SOURCE = """
    from goaime_migrate import TransformDocuments

    def transform(d):
        d["{field}"] = {value}

    operations = [TransformDocuments("{collection}", transform)]
    """
FAILING = """
    from goaime_migrate import TransformDocuments

    def transform(d):
        if d["_id"] == {at}:
            raise ValueError("no")
        d["{field}"] = 1

    operations = [TransformDocuments("{collection}", transform)]
    """


@pytest.fixture
def four(world: World) -> World:
    """Four migrations, each adding a field: two fused pairs on two collections."""
    for collection in ("c", "d"):
        world.insert(collection, [{"_id": i, "n": i} for i in range(3)])
    for number, (name, collection) in enumerate(
        [("alpha", "c"), ("beta", "c"), ("gamma", "d"), ("delta", "d")], 1
    ):
        world.write(f"000{number}_{name}.py", SOURCE.format(field=name, value=number, collection=collection))
    return world


def refusal(world: World, target: str | None = None, *, down: bool = False) -> MigrateError:
    with pytest.raises(MigrateError) as caught:
        if down:
            world.down(target)
        else:
            world.up(target)
    return caught.value


def applied(world: World) -> int:
    states = world.states()
    count = states.count("applied")
    assert states == ["applied"] * count + ["pending"] * (len(states) - count)
    return count


@dump
@pytest.mark.parametrize(
    ("start", "target", "reached"),
    [
        (0, None, 4),
        (0, "0003", 3),
        (0, "3", 3),
        (0, "gamma", 3),
        (0, "gam", 3),
        (0, "0003_gamma", 3),
        (0, "head", 4),
        (1, "+2", 3),
        (1, "-2", 3),
        (1, "+9", 4),
    ],
)
def test_up_goes_to_the_target(four: World, start: int, target: str | None, reached: int) -> None:
    if start:
        four.up(str(start))
    succeeded(four.up(target))
    assert applied(four) == reached


@dump
@pytest.mark.parametrize(
    ("target", "reached"),
    [(None, 3), ("0002", 2), ("2", 2), ("beta", 2), ("base", 0), ("+2", 2), ("-3", 1), ("+9", 0), ("0", 0)],
)
def test_down_goes_to_the_target_and_leaves_it_applied(four: World, target: str | None, reached: int) -> None:
    four.up()
    succeeded(four.down(target))
    assert applied(four) == reached


@two
def test_up_to_a_passed_target_says_where_it_is_and_how_to_go_back(four: World) -> None:
    four.up()
    result = succeeded(four.up("2"))
    assert result.versions == ()
    assert result.message == "already at 0004; to go back: down 0002"
    assert applied(four) == 4


@dump
def test_up_with_nothing_pending_says_where_it_is(four: World) -> None:
    four.up()
    assert four.up().message == "already at 0004"
    assert four.up("head").message == "already at 0004"


@dump
def test_down_with_nothing_applied_says_so(four: World) -> None:
    assert succeeded(four.down()).message == "nothing is applied"
    assert succeeded(four.down("base")).versions == ()


@dump
def test_a_project_without_migrations_has_nothing_to_do(world: World) -> None:
    assert succeeded(world.up()).message == "there are no migrations"
    assert world.status().head is None


@dump
@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("0009", "there is no version '0009'; the versions are 0001 to 0004"),
        ("nowhere", "there is no version 'nowhere'"),
        ("", "there is no version ''"),
        ("ta", "'ta' names several versions: 0002_beta, 0004_delta"),
    ],
)
def test_a_target_that_is_none_or_several_is_refused(
    four: World, target: str, message: str, down: bool
) -> None:
    four.up("2")
    error = refusal(four, target, down=down)
    assert isinstance(error, UnknownTarget)
    assert error.exit_code == 2
    assert message in error.message
    assert error.hint


@each_mode
def test_down_without_a_target_takes_back_one_at_a_time(four: World) -> None:
    before = four.raws("c"), four.raws("d")
    four.up()
    for left in (3, 2, 1, 0):
        assert succeeded(four.down()).versions == (f"000{left + 1}",)
        assert applied(four) == left
    assert (four.raws("c"), four.raws("d")) == before


@each_mode
def test_a_version_taken_back_is_in_the_log_alone_and_its_file_may_go(four: World) -> None:
    four.up()
    four.down()

    assert [d["_id"] for d in four.documents("schema_versions")] == ["0001", "0002", "0003"]
    with four.migrator() as migrator:
        entries = [(e.version, e.action, e.result) for e in migrator.history()]
    assert entries[-1] == ("0004", "down", "reverted")
    (four.folder / "0004_delta.py").unlink()
    assert four.status().problems == ()
    assert four.up().message == "already at 0003"


@two
def test_the_log_says_how_long_all_the_ways_back_of_a_version_took(world: World) -> None:
    world.insert("c", [{"_id": i} for i in range(200)])
    world.write(
        "0001_several.py",
        """
        from goaime_migrate import AddField, UpdateDocuments

        operations = [AddField("c", "a", 1), UpdateDocuments("c", [{"$set": {"b": 1}}])]
        """,
    )
    succeeded(world.up())
    seen: list[Event] = []
    with world.migrator(seen.append) as migrator:
        succeeded(migrator.down())
        logged = migrator.history()[-1].duration_s

    passes = [event.seconds for event in seen if isinstance(event, StageFinished)]
    assert len(passes) == 2
    assert logged is not None
    assert logged >= round(sum(passes), 3)


# --- states between pending and applied ------------------------------------------------------------------------


@pytest.fixture
def stopped(four: World) -> World:
    """0001 and 0002 are applied; the shared pass of 0003 and 0004 stopped in 0004 after its first batch."""
    four.settings["batch_size"] = 1
    four.write("0004_delta.py", FAILING.format(at=1, field="delta", collection="d"))
    result = four.up()
    assert result.failed == "0004"
    assert isinstance(result.error, TransformFailed)
    return four


@each_mode
def test_members_of_a_stopped_pass_are_partial_and_the_culprit_failed(stopped: World) -> None:
    assert stopped.states() == ["applied", "applied", "partial", "failed"]
    status = stopped.status()
    assert status.current == "0002"
    assert status.pending == ("0003", "0004")
    assert status.versions[2].progress is not None
    assert (status.versions[2].progress.done, status.versions[2].progress.total) == (1, 3)


@each_mode
def test_down_takes_an_unfinished_pass_back_whole(stopped: World) -> None:
    result = succeeded(stopped.down())
    assert result.versions == ("0004", "0003")
    assert applied(stopped) == 2
    assert all("gamma" not in d and "delta" not in d for d in stopped.documents("d"))


@two
def test_a_target_inside_an_unfinished_pass_is_refused(stopped: World) -> None:
    error = refusal(stopped, "3")
    assert isinstance(error, Refused)
    assert error.exit_code == 9
    assert "0003 lies inside an unfinished pass over 0003 to 0004" in error.message
    assert stopped.states() == ["applied", "applied", "partial", "failed"]


@two
def test_down_to_a_target_inside_an_unfinished_pass_takes_all_of_it_back(stopped: World) -> None:
    succeeded(stopped.down("3"))
    assert applied(stopped) == 2


@dump
def test_a_version_that_was_never_started_is_simply_forgotten(four: World) -> None:
    four.write("0001_alpha.py", FAILING.format(at=0, field="alpha", collection="c"))
    assert four.up("1").failed == "0001"
    assert four.states() == ["failed", "pending", "pending", "pending"]
    assert succeeded(four.down()).versions == ("0001",)
    assert four.documents("schema_versions") == []


@dump
def test_new_files_do_not_join_a_pass_that_has_begun(stopped: World) -> None:
    stopped.write("0005_more.py", SOURCE.format(field="more", value=5, collection="d"))
    stopped.write("0004_delta.py", FAILING.format(at=1, field="delta", collection="d"))
    stopped.change("d", 1, _id=7)  # the document in the way is gone
    result = succeeded(stopped.up())
    assert result.versions == ("0003", "0004", "0005")
    passes = [d for d in stopped.documents("schema_versions_progress") if d["kind"] == "pass"]
    assert sorted([s["version"] for s in p["steps"]] for p in passes) == [
        ["0001", "0002"],
        ["0003", "0004"],
        ["0005"],
    ]


@dump
def test_up_finishes_a_down_that_was_cut_off_before_it_applies_anything(four: World) -> None:
    four.settings["batch_size"] = 1
    before = four.raws("d")
    four.up()
    succeeded(four.down("3"))

    def stop(event: Event) -> None:
        if isinstance(event, StageStarted):
            migrator.interrupt(15)

    with four.migrator(stop) as migrator:
        error = migrator.down().error
    assert isinstance(error, Interrupted)
    assert (error.exit_code, error.hint) == (128 + 15, "goaime-migrate down")
    assert four.states()[2] == "reverting"

    result = succeeded(four.up())

    assert set(result.versions) == {"0003", "0004"}
    assert applied(four) == 4
    succeeded(four.down("2"))
    assert four.raws("d") == before


# --- what cannot be taken back ---------------------------------------------------------------------------------


@each_mode
def test_down_past_a_version_without_a_way_back_is_refused_before_anything_is_touched(four: World) -> None:
    four.write("0005_more.py", "def up(db): db.c.insert_one({'_id': 9})")
    four.write("0006_last.py", SOURCE.format(field="last", value=6, collection="c"))
    succeeded(four.up())
    before = four.raws("c")

    error = refusal(four, "2", down=True)

    assert isinstance(error, Irreversible)
    assert (error.exit_code, error.version) == (9, "0005")
    assert four.raws("c") == before
    assert applied(four) == 6
    succeeded(four.down())
    assert applied(four) == 5


@dump
def test_a_way_back_may_be_added_and_accepted(four: World) -> None:
    four.write("0005_more.py", "def up(db): db.c.insert_one({'_id': 9})")
    four.up()
    four.write("0005_more.py", "def up(db): ...\ndef down(db): db.c.delete_one({'_id': 9})")
    assert "goaime-migrate repair" in refusal(four, down=True).hint
    with four.migrator() as migrator:
        assert migrator.repair().accepted == ("0005",)
    succeeded(four.down())
    assert applied(four) == 4
    assert 9 not in [d["_id"] for d in four.documents("c")]


@two
def test_a_removed_file_does_not_stop_down_where_the_journal_is_enough(four: World) -> None:
    before = four.raws("c"), four.raws("d")
    four.up()
    for path in four.folder.glob("*.py"):
        path.unlink()
    assert [p.code for p in four.status().problems] == ["GM202"] * 4
    succeeded(four.down("base"))
    assert (four.raws("c"), four.raws("d")) == before


@two
def test_an_edited_file_does_not_stop_down_where_the_journal_is_enough(four: World) -> None:
    before = four.raws("d")
    four.up()
    four.write("0004_delta.py", SOURCE.format(field="other", value=0, collection="d"))
    four.write("0003_gamma.py", SOURCE.format(field="other", value=0, collection="d"))
    succeeded(four.down("2"))
    assert four.raws("d") == before


@dump
def test_a_removed_file_stops_down_where_its_code_has_to_be_replayed(four: World) -> None:
    four.up()
    (four.folder / "0004_delta.py").unlink()
    error = refusal(four, down=True)
    assert isinstance(error, MissingMigration)
    assert (error.exit_code, error.version) == (4, "0004")
    succeeded(four.down("2"))
    assert four.states()[:3] == ["applied", "applied", "pending"]


@dump
def test_a_pruned_journal_stops_down(four: World) -> None:
    four.up()
    record = four.documents("schema_versions")[3]
    four.change("schema_versions", record["_id"], rollback="pruned")
    error = refusal(four, down=True)
    assert isinstance(error, JournalPruned)
    assert error.exit_code == 9


@dump
def test_a_version_that_is_running_without_a_live_lease_is_shown_as_partial(four: World) -> None:
    four.up("1")
    four.change("schema_versions", "0001", state="running")
    assert four.status().versions[0].state is State.PARTIAL
