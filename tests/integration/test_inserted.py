"""Documents inserted after `up`: taken back as far as there are reverses, never further, and counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from bson import encode

from goaime_migrate import errors
from goaime_migrate.backends.ports import PROGRESS
from goaime_migrate.journal.kinds import Kind
from goaime_migrate.results import Direction, RunResult
from tests.integration.engines import each_mode, one_server, two
from tests.world import World, succeeded

STEP = """
    from goaime_migrate import TransformDocuments

    def forth(d):
        d["trace"] = [*d.get("trace", []), {number}]

    def back(d):
        assert d["trace"][-1] == {number}, d
        d["trace"] = d["trace"][:-1]

    operations = [TransformDocuments("c", forth{options})]
    """
FILTER = 'where={"trace": {"$ne": "no"}}'


def write(world: World, *reverses: bool, where: str = "") -> None:
    """One version for each; whether it has a `reverse=`."""
    for number, has in enumerate(reverses, 1):
        options = "".join(f", {each}" for each in ("reverse=back" if has else "", where) if each)
        world.write(f"{number:04d}_step.py", STEP.format(number=number, options=options))


def trace(world: World, identity: Any) -> list[int]:
    """What is in effect in a document."""
    return next(d["trace"] for d in world.documents("c") if d["_id"] == identity)


def bear(world: World, *identities: Any, level: int = 3) -> None:
    """What the application does after `up`: insert documents in the shape of a level."""
    for identity in identities:
        world.put("c", encode({"_id": identity, "trace": list(range(1, level + 1))}))


def of_inserted(result: RunResult) -> tuple[int, int, Sequence[str]]:
    """The counts of a result: taken back, left, and for want of which versions' reverse."""
    return result.born - result.left, result.left, result.without_reverse


def down(world: World, target: str | None = None) -> tuple[int, int, Sequence[str]]:
    """The counts of a `down`, which are those that were forecast."""
    preview = world.plan(target, direction=Direction.DOWN).preview
    result = succeeded(world.down(target))
    assert preview is not None
    assert (preview.born, preview.left, preview.without_reverse) == (
        result.born,
        result.left,
        result.without_reverse,
    )
    return of_inserted(result)


@pytest.fixture
def three(world: World) -> World:
    """Seven documents, in batches of three."""
    world.insert("c", [{"_id": i, "trace": []} for i in range(7)])
    world.settings["batch_size"] = 3
    return world


@each_mode
def test_of_a_shared_pass_only_the_steps_that_are_taken_back_need_a_reverse(three: World) -> None:
    write(three, False, False, True)
    succeeded(three.up())
    bear(three, -1, 3.5, 100)
    assert down(three, "2") == (3, 0, ())
    assert [trace(three, i) for i in (-1, 3.5, 100)] == [[1, 2]] * 3
    assert down(three, "base") == (0, 3, ("0002",))
    assert [trace(three, i) for i in (-1, 3.5, 100)] == [[1, 2]] * 3
    assert all(trace(three, i) == [] for i in range(7))


@each_mode
def test_a_document_stays_at_the_first_step_without_a_reverse(three: World) -> None:
    write(three, True, False, True)
    succeeded(three.up())
    bear(three, -1, 3.5, 100)
    assert down(three, "base") == (0, 3, ("0002",))
    assert [trace(three, i) for i in (-1, 3.5, 100)] == [[1, 2]] * 3
    assert set(three.states()) == {"pending"}


@each_mode
def test_no_reverse_runs_on_what_an_earlier_down_has_left(three: World) -> None:
    write(three, True, False, True)
    succeeded(three.up())
    bear(three, 3.5)
    assert down(three) == (1, 0, ())
    bear(three, 4.5, level=2)
    assert down(three) == (0, 2, ("0002",))
    bear(three, 100, level=1)
    assert down(three) == (1, 2, ("0002",))
    assert [trace(three, i) for i in (3.5, 4.5, 100)] == [[1, 2], [1, 2], []]


@two
def test_no_reverse_runs_on_what_a_higher_pass_has_left(three: World) -> None:
    write(three, True)
    succeeded(three.up())
    bear(three, 3.5, level=1)
    write(three, True, False)
    succeeded(three.up())
    bear(three, 4.5, 5.5, level=2)
    write(three, True, False, True)
    succeeded(three.up())
    bear(three, 6.5, level=3)
    assert down(three, "base") == (1, 3, ("0002",))
    assert [trace(three, i) for i in (3.5, 4.5, 5.5, 6.5)] == [[], [1, 2], [1, 2], [1, 2]]


@two
def test_what_was_left_is_known_from_one_down_to_the_next(three: World) -> None:
    for reverses in ((True,), (True, False), (True, False, True)):
        write(three, *reverses)
        succeeded(three.up())
    bear(three, 6.5)
    assert [down(three) for _ in range(3)] == [(1, 0, ()), (0, 1, ("0002",)), (0, 1, ("0002",))]
    assert trace(three, 6.5) == [1, 2]


@two
def test_what_was_left_stays_left_after_there_and_back_again(three: World) -> None:
    write(three, True, False)
    succeeded(three.up())
    bear(three, 3.5, level=2)
    assert down(three) == (0, 1, ("0002",))
    succeeded(three.up())
    bear(three, 4.5, level=2)
    assert down(three) == (0, 1, ("0002",))
    assert down(three) == (0, 2, ("0002",))
    assert [trace(three, i) for i in (3.5, 4.5)] == [[1, 2], [1, 2]]


@two
def test_each_document_counts_once_however_many_operations_leave_it(three: World) -> None:
    three.write(
        "0001_many.py",
        """
        from goaime_migrate import *
        operations = [
            UpdateDocuments("c", [{"$set": {"a": 1}}]),
            UpdateDocuments("c", [{"$set": {"b": 1}}]),
            AddField("d", "n", 1),
        ]
        """,
    )
    three.insert("d", [{"_id": 1}])
    succeeded(three.up())
    bear(three, 100, 101)
    three.put("d", encode({"_id": 2, "n": 1}))
    assert down(three) == (1, 2, ("0001",))


@two
def test_with_a_filter_and_one_reverse_the_journal_knows_what_was_left_out(three: World) -> None:
    three.put("c", encode({"_id": 2.5, "trace": "no"}))
    write(three, False, True, where=FILTER)
    succeeded(three.up())
    bear(three, 3.5, level=2)
    assert down(three) == (1, 0, ())
    assert down(three) == (0, 1, ("0001",))
    assert [d["trace"] for d in three.documents("c") if d["_id"] in (2.5, 3.5)] == ["no", [1]]


@two
def test_the_code_of_a_step_whose_reverse_is_out_of_reach_is_not_needed(three: World) -> None:
    write(three, True, False, True)
    succeeded(three.up())
    bear(three, 3.5)
    (three.folder / "0001_step.py").write_text('"""Edited."""\noperations = []\n')
    assert down(three, "base") == (0, 1, ("0002",))


@two
def test_a_reverse_that_fails_ends_the_run_and_the_next_goes_on(three: World) -> None:
    write(three, True, False, True)
    succeeded(three.up())
    bear(three, 3.5)
    three.put("c", encode({"_id": 100, "trace": [1]}))
    assert isinstance(three.down("base").error, errors.TransformFailed)
    bear(three, 100)
    assert down(three, "base") == (0, 2, ("0002",))
    assert [trace(three, i) for i in (3.5, 100)] == [[1, 2], [1, 2]]


@one_server
def test_what_was_left_is_noted_under_the_pass_that_is_taken_back_next(three: World) -> None:
    for reverses in ((True,), (True, False)):
        write(three, *reverses)
        succeeded(three.up())
    bear(three, 3.5, level=2)
    succeeded(three.down())
    (record,) = three.documents(PROGRESS)
    kinds = {d["kind"] for d in three.documents("schema_versions_journal") if d["pass"] == record["_id"]}
    assert kinds == {str(Kind.SCAN), str(Kind.LEFT)}
    succeeded(three.down())
    assert three.documents("schema_versions_journal") == []
