"""A conflict names the version that wrote the field; a `down` that stops at one says what it has done."""

from __future__ import annotations

import pytest

from goaime_migrate import errors
from goaime_migrate.events import Event, StageFinished, StageStarted
from goaime_migrate.render import run, status
from goaime_migrate.render.style import Style
from goaime_migrate.results import Conflict, Direction, OnConflict, Progress
from tests.integration.engines import each_mode, two
from tests.world import World, succeeded

PLAIN = Style()
STEP = """
    from goaime_migrate import Lookup, TransformDocuments

    def step(d, users):
        {body}

    operations = [TransformDocuments("c", step, users=Lookup("users"))]
    """


@pytest.fixture
def fused(world: World) -> World:
    """Three versions, that are one pass over seven documents in batches of three; the second looks something up."""
    world.insert("users", [{"_id": 1, "name": "amy"}])
    world.insert("c", [{"_id": i, "n": i} for i in range(7)])
    world.settings["batch_size"] = 3
    bodies = ('d["one"] = 1', 'd["two"] = users[1]["name"]; d["n"] += 1', 'd["three"] = 3; d["n"] *= 2')
    for number, body in enumerate(bodies, 1):
        world.write(f"{number:04d}_step.py", STEP.format(body=body))
    succeeded(world.up())
    world.change("users", 1, name="bob")
    return world


@each_mode
def test_a_conflict_names_the_version_that_wrote_the_field(fused: World) -> None:
    for identity, field in enumerate(("one", "two", "three", "n"), 1):
        fused.change("c", identity, **{field: "theirs"})
    conflicts = succeeded(fused.down("base")).conflicts
    assert sorted(conflicts, key=lambda conflict: int(conflict.id)) == [
        Conflict("0001", "c", 1, ("one",)),
        Conflict("0002", "c", 2, ("two",)),
        Conflict("0003", "c", 3, ("three",)),
        Conflict("0003", "c", 4, ("n",)),
    ]


@two
def test_within_a_pass_only_versions_that_are_taken_back_are_named(fused: World) -> None:
    fused.change("c", 1, n="theirs")
    fused.change("c", 2, two="theirs")
    assert {c.id: c.version for c in succeeded(fused.down("1")).conflicts} == {1: "0003", 2: "0002"}


@two
def test_the_error_of_a_stop_names_it_too(fused: World) -> None:
    fused.change("c", 2, one="theirs")
    error = fused.down("base", OnConflict.STOP).error
    assert isinstance(error, errors.Conflicts)
    assert (error.version, error.id, error.field) == ("0001", 2, "one")


@two
@pytest.mark.parametrize("gone", [False, True])
def test_without_the_code_it_is_the_highest(fused: World, gone: bool) -> None:
    fused.change("c", 2, one="theirs")
    if gone:
        (fused.folder / "0003_step.py").unlink()
    else:
        fused.write("0002_step.py", STEP.format(body='d["two"] = 2'))
    assert [c.version for c in succeeded(fused.down("base")).conflicts] == ["0003"]


# --- stopped ---------------------------------------------------------------------------------------------------


@each_mode
def test_a_down_that_stops_says_what_it_has_taken_back_and_how_to_go_on(fused: World) -> None:
    fused.change("c", 1, n="theirs")
    result = fused.down("base", OnConflict.STOP)
    error = result.error
    assert isinstance(error, errors.Conflicts)
    assert (result.documents.matched, result.documents.changed) == (4, 4)
    assert "4 documents were taken back before, and kept so" in error.message
    assert "goaime-migrate down --on-conflict keep (or restore)" in error.hint
    assert run.run(result, PLAIN) == "no version was finished; 4 documents are taken back and kept so"

    found = fused.status()
    assert [str(version.state) for version in found.versions] == ["reverting"] * 3
    assert [version.progress for version in found.versions] == [Progress(4, 7, None, None)] * 3
    assert "4 of 7 (57%)" in status.status(found, PLAIN)
    assert "goaime-migrate down (goes on)" in " ".join(status.status(found, PLAIN).split())

    result = succeeded(fused.down("base"))
    assert (result.documents.matched, result.documents.conflicts) == (3, 1)
    assert [d["n"] for d in fused.documents("c")] == [0, "theirs", 2, 3, 4, 5, 6]


@two
def test_up_takes_the_rest_back_and_applies_it_again(fused: World) -> None:
    fused.change("c", 1, two="theirs")
    after = fused.documents("c")
    assert "goaime-migrate up" in str(getattr(fused.down("base", OnConflict.STOP).error, "hint", ""))
    result = fused.up()
    assert succeeded(result).versions == ("0001", "0002", "0003")
    assert [d["n"] for d in fused.documents("c")] == [d["n"] for d in after]


@two
def test_a_stop_within_a_pass_shows_how_far_it_has_come(fused: World) -> None:
    fused.change("c", 1, n="theirs")
    fused.down("2", OnConflict.STOP)
    assert [version.progress for version in fused.status().versions] == [
        None,
        None,
        Progress(4, 7, None, None),
    ]
    succeeded(fused.down("2"))
    assert fused.states() == ["applied", "applied", "pending"]


@two
def test_a_stop_before_anything_says_so(fused: World) -> None:
    fused.change("c", 6, n="theirs")
    result = fused.down("base", OnConflict.STOP)
    assert run.run(result, PLAIN) == "no version was taken back"
    assert "no document was taken back before" in str(result.error)


@two
def test_plan_foretells_that_it_stops(fused: World) -> None:
    fused.change("c", 6, n="theirs")
    fused.settings["on_conflict"] = OnConflict.STOP
    planned = fused.plan("base", direction=Direction.DOWN)
    assert isinstance(planned.refused, errors.Conflicts)
    assert (planned.refused.id, planned.refused.field) == (6, "n")
    fused.settings["on_conflict"] = OnConflict.RESTORE
    assert fused.plan("base", direction=Direction.DOWN).refused is None


# --- what is told on the way -----------------------------------------------------------------------------------


@two
def test_the_stages_of_a_version_with_several_operations_are_told_apart(world: World) -> None:
    world.insert("c", [{"_id": 1, "old": 1}])
    world.write(
        "0001_many.py",
        """
        from goaime_migrate import *
        operations = [
            UpdateDocuments("c", [{"$set": {"a": 1}}]), RenameField("c", "old", "new"), AddField("c", "n", 1)
        ]
        """,
    )
    texts: list[str] = []

    def note(event: Event) -> None:
        if isinstance(event, StageStarted | StageFinished):
            texts.append(event.text)

    with world.migrator(note) as migrator:
        succeeded(migrator.up())
        done = list(texts)
        succeeded(migrator.down())
    assert len(set(done)) == 2
    assert len(set(texts[len(done) :])) == 2
    assert all(text.startswith("undo: ") for text in texts[len(done) :])
