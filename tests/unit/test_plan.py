"""What a plan says is done together, on the way up and on the way down, with exact values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from goaime_migrate.errors import DamagedRecord, Refused
from goaime_migrate.migration import Migration
from goaime_migrate.planner import DownPlan, Facts, UpPlan, plan_down, plan_rest, plan_up, problems, repairs
from goaime_migrate.planner.fusion import require_canary
from goaime_migrate.planner.groups import (
    DownGroup,
    ForgetSteps,
    NewPass,
    OperationRef,
    PinnedPass,
    RestorePass,
    StateChange,
    UndoChange,
    UpGroup,
)
from goaime_migrate.results import Direction, State
from tests.unit.histories import DoneOp, Op, Pass, Record, facts, file, refusal


def refs(*texts: str) -> tuple[OperationRef, ...]:
    """Operations from "0001" (its first) or "0001:1" (its second)."""
    parts = (text.partition(":") for text in texts)
    return tuple(OperationRef(version, int(number or 0)) for version, _, number in parts)


def new(*operations: str) -> NewPass:
    return NewPass(refs(*operations))


def pinned(pass_id: str, *operations: str) -> PinnedPass:
    return PinnedPass(refs(*operations), pass_id)


def change(operation: str) -> StateChange:
    return StateChange(refs(operation))


def restore(
    pass_id: str,
    level: int,
    *operations: str,
    collection: str = "c",
    today: str = "c",
    heir: str | None = None,
) -> RestorePass:
    return RestorePass(refs(*operations), pass_id, level, collection, today, heir)


def undo(operation: str, renames: tuple[str, str] | None = None) -> UndoChange:
    return UndoChange(refs(operation), renames)


# --- up: what is fused -----------------------------------------------------------------------------------------

INDEX = Op(fusion=None, walks=False)
PIPELINE = Op(fusion=None)


@pytest.mark.parametrize(
    ("migrations", "groups"),
    [
        pytest.param(
            [file("0001"), file("0002"), file("0003")],
            [new("0001", "0002", "0003")],
            id="neighbours on one collection share a pass",
        ),
        pytest.param(
            [file("0001", "same", Op("a"), Op("b")), file("0002", "same", Op("b"))],
            [new("0001"), new("0001:1", "0002")],
            id="operations of one migration may share a pass with the next",
        ),
        pytest.param(
            [file("0001"), file("0002", "same", Op("d")), file("0003")],
            [new("0001"), new("0002"), new("0003")],
            id="another collection ends a pass",
        ),
        pytest.param(
            [file("0001"), file("0002", "same", INDEX), file("0003")],
            [new("0001"), change("0002"), new("0003")],
            id="an index, a validator, a function end a pass and are in none",
        ),
        pytest.param(
            [file("0001", "same", INDEX, INDEX)],
            [change("0001"), change("0001:1")],
            id="changes of state are made one by one",
        ),
        pytest.param(
            [file("0001"), file("0002", "same", PIPELINE), file("0003", "same", PIPELINE)],
            [new("0001"), new("0002"), new("0003")],
            id="a pipeline is a pass that shares with nobody",
        ),
        pytest.param(
            [file("0001"), file("0002", "same", Op(fusion=b"where")), file("0003")],
            [new("0001"), new("0002"), new("0003")],
            id="another where= ends a pass, and so does none",
        ),
        pytest.param(
            [
                file("0001"),
                file("0002", "same", Op(fusion=b"where")),
                file("0003", "same", Op(fusion=b"where")),
            ],
            [new("0001"), new("0002", "0003")],
            id="another where= ends a pass, the same may share one",
        ),
        pytest.param(
            [file("0001"), file("0002", "same", Op(reads=frozenset({"c"}))), file("0003")],
            [new("0001"), new("0002"), new("0003")],
            id="a lookup in the collection that the pass writes ends it",
        ),
        pytest.param(
            [
                file("0001", "same", Op(reads=frozenset({"u"}))),
                file("0002", "same", Op(reads=frozenset({"p"}))),
            ],
            [new("0001", "0002")],
            id="lookups in other collections may share a pass",
        ),
        pytest.param(
            [file("0001"), Migration("0002", "empty", "", "same", file("0002").path, ()), file("0003")],
            [new("0001", "0003")],
            id="a migration that does nothing is in no group",
        ),
    ],
)
def test_what_is_fused(migrations: Sequence[Migration], groups: Sequence[UpGroup]) -> None:
    assert plan_up(facts(migrations)).groups == tuple(groups)


# --- up: what is left, and what is pinned ----------------------------------------------------------------------

HALF = DoneOp(pass_id="p", done=False)
UNDONE = DoneOp(started=False, done=False)


def begun(version: str, *operations: DoneOp, state: State = State.PARTIAL) -> Record:
    return Record(version, state=state, operations=operations or (HALF,))


@pytest.mark.parametrize(
    ("given", "groups", "empty"),
    [
        pytest.param(facts(4, 2), [new("0003", "0004")], [], id="what is applied is left out"),
        pytest.param(
            facts(
                [file("0001", "same", Op("a"), Op("b")), file("0002", "same", Op("b"))],
                records=[begun("0001", DoneOp(pass_id="a"), UNDONE)],
                passes=[Pass("a", ["0001"])],
            ),
            [new("0001:1", "0002")],
            [],
            id="operations that are done are left out",
        ),
        pytest.param(
            facts(
                3,
                records=[begun("0001"), begun("0002")],
                passes=[Pass("p", ["0001", "0002"], finished=False)],
            ),
            [pinned("p", "0001", "0002"), new("0003")],
            [],
            id="an unfinished pass is gone on with as it was pinned: no new file joins it",
        ),
        pytest.param(
            facts(
                [file("0001", "same", Op(), Op("d")), file("0002", "same", Op("d"))],
                records=[begun("0001", HALF, UNDONE)],
                passes=[Pass("p", ["0001"], finished=False)],
            ),
            [pinned("p", "0001"), new("0001:1", "0002")],
            [],
            id="what comes after it in the same version is planned anew",
        ),
        pytest.param(
            facts(
                2,
                records=[begun("0001", state=State.FAILED)],
                passes=[Pass("p", ["0001"], finished=False, committed=False)],
            ),
            [new("0001", "0002")],
            ["p"],
            id="a pass without a committed batch pins nothing and is forgotten",
        ),
        pytest.param(
            facts(
                2,
                records=[begun("0001", state=State.REVERTING)],
                passes=[Pass("p", ["0001"], finished=False, target_level=0)],
            ),
            [new("0001", "0002")],
            [],
            id="a pass that down has begun with is not gone on with",
        ),
        pytest.param(
            facts(1, records=[Record("0001", state=State.FAILED)]),
            [],
            [],
            id="a version of which everything is done has nothing left but its verify",
        ),
    ],
)
def test_what_is_left_to_do(given: Facts, groups: Sequence[UpGroup], empty: Sequence[str]) -> None:
    plan = plan_up(given)
    assert plan.groups == tuple(groups)
    assert plan.empty == tuple(empty)


def test_the_groups_end_at_the_target() -> None:
    assert plan_up(facts(4), "2") == UpPlan("0002", ("0001", "0002"), groups=(new("0001", "0002"),))


def test_a_plan_is_a_value() -> None:
    plan = plan_up(facts(1))
    assert plan == UpPlan("0001", ("0001",), groups=(NewPass((OperationRef("0001", 0),)),))
    assert plan.direction is Direction.UP
    assert plan_down(facts(1, 1)).direction is Direction.DOWN


def test_a_group_names_each_of_its_versions_once() -> None:
    assert new("0001", "0001:1", "0002").versions == ("0001", "0002")


@pytest.mark.parametrize(
    ("given", "refused"),
    [
        pytest.param(facts(2), False, id="one pass"),
        pytest.param(facts([file("0001", "same", INDEX)]), True, id="a change of state"),
        pytest.param(facts([file("0001", "same", Op("a"), Op("b"))]), True, id="two passes"),
        pytest.param(facts(1, records=[Record("0001", state=State.FAILED)]), True, id="nothing is left"),
    ],
)
def test_a_canary_is_tried_on_one_pass(given: Facts, refused: bool) -> None:
    plan = plan_up(given)
    if refused:
        error = refusal(require_canary, plan, given.files)
        assert type(error) is Refused
        assert error.message.startswith("--where works on one pass over one collection")
    else:
        require_canary(plan, given.files)


def test_an_unfinished_pass_is_in_the_way_of_a_canary() -> None:
    given = facts(1, records=[begun("0001")], passes=[Pass("p", ["0001"], finished=False)])
    error = refusal(require_canary, plan_up(given), given.files)
    assert type(error) is Refused
    assert error.message == "an unfinished pass is in the way of a canary: 0001 is begun, and not finished"
    assert (
        error.hint
        == "goaime-migrate up completes it, goaime-migrate down takes it back; then begin the canary"
    )


WHERE = "--where …"
OTHER, INSERT = Op("e"), Op(selective=False, fusion=None)


@pytest.mark.parametrize(
    ("migrations", "hint"),
    [
        pytest.param(
            [file("0001"), file("0002"), file("0003", "same", INDEX)],
            f"name the last version of the pass: goaime-migrate up 0002 {WHERE}",
            id="the pass comes first",
        ),
        pytest.param(
            [file("0001", "same", INDEX), file("0002"), file("0003", "same", OTHER)],
            f"apply what comes before: goaime-migrate up 0001; then the canary: goaime-migrate up 0002 {WHERE}",
            id="something comes before",
        ),
        pytest.param(
            [file("0001"), file("0002", "same", Op(), INDEX)],
            f"name the last version of the pass: goaime-migrate up 0001 {WHERE}",
            id="a version that has more than its part of the pass",
        ),
        pytest.param(
            [file("0001", "same", INDEX, Op()), file("0002"), file("0003", "same", OTHER)],
            f"apply what comes before: goaime-migrate up 0002; then the canary: goaime-migrate up 0003 {WHERE}",
            id="a pass that begins within a version",
        ),
        pytest.param(
            [file("0001", "same", INSERT), file("0002")],
            f"apply what comes before: goaime-migrate up 0001; then the canary: goaime-migrate up 0002 {WHERE}",
            id="a pass over no documents comes before",
        ),
        pytest.param(
            [file("0001", "same", Op(), OTHER)],
            "no version of it is one pass by itself: apply it as a whole, goaime-migrate up, or put the pass that is "
            "to be tried into a version of its own",
            id="one version, two passes",
        ),
    ],
)
def test_where_a_canary_goes_is_said(migrations: Sequence[Migration], hint: str) -> None:
    given = facts(migrations)
    error = refusal(require_canary, plan_up(given), given.files)
    assert error.message == "--where works on one pass over one collection, and this plan is not one"
    assert error.hint == hint


def test_the_target_that_is_named_for_a_canary_is_one() -> None:
    given = facts([file("0001", "same", INDEX), file("0002"), file("0003"), file("0004", "same", INDEX)])
    assert "up 0003 --where" in refusal(require_canary, plan_up(given), given.files).hint
    given = facts(given.migrations, 1)
    require_canary(plan_up(given, "0003"), given.files)


# --- down ------------------------------------------------------------------------------------------------------

RENAME = {"kind": "rename_collection", "old": "new", "new": "c"}
"""Recorded by an operation that has renamed c to new."""


def walked(version: str, pass_id: str = "p", state: State = State.APPLIED) -> Record:
    return Record(version, state=state, operations=[DoneOp(pass_id=pass_id)])


def changed(version: str, undo: dict[str, Any] | None = None) -> Record:
    return Record(version, operations=[DoneOp(undo=undo or {"kind": "nothing"})])


ALL = ("0001", "0002", "0003")
FUSED = [walked(v) for v in ALL]


@pytest.mark.parametrize(
    ("given", "target", "groups"),
    [
        pytest.param(
            facts(3, records=FUSED, passes=[Pass("p", ALL)]),
            "base",
            [restore("p", 0, "0003", "0002", "0001")],
            id="the steps of one pass together, the last first",
        ),
        pytest.param(
            facts(3, records=FUSED, passes=[Pass("p", ALL)]),
            "1",
            [restore("p", 1, "0003", "0002")],
            id="down into a pass: to the level that stays",
        ),
        pytest.param(
            facts(
                2,
                records=[walked("0001", "p"), walked("0002", "q")],
                passes=[Pass("p", ["0001"]), Pass("q", ["0002"])],
            ),
            "base",
            [restore("q", 0, "0002"), restore("p", 0, "0001")],
            id="two passes one after the other",
        ),
        pytest.param(
            facts(
                3,
                records=[walked("0001", "p"), changed("0002"), changed("0003")],
                passes=[Pass("p", ["0001"])],
            ),
            "base",
            [undo("0003"), undo("0002"), restore("p", 0, "0001")],
            id="other operations are undone one by one",
        ),
        pytest.param(
            facts(
                [file("0001", "same", Op(), INDEX, Op())],
                records=[Record("0001", operations=[DoneOp(pass_id="p"), DoneOp(), DoneOp(pass_id="q")])],
                passes=[Pass("p", ["0001"]), Pass("q", ["0001"], steps=[("0001", 2, "same")])],
            ),
            None,
            [restore("q", 0, "0001:2"), undo("0001:1"), restore("p", 0, "0001")],
            id="those of one version in reverse",
        ),
        pytest.param(
            facts(1, records=[Record("0001", state=State.FAILED, operations=[DoneOp(), UNDONE])]),
            None,
            [undo("0001")],
            id="what has not started is not taken back",
        ),
        pytest.param(
            facts(
                3,
                records=[walked(v, state=State.REVERTING) for v in ALL],
                passes=[Pass("p", ALL, target_level=1)],
            ),
            "base",
            [restore("p", 1, "0003", "0002"), restore("p", 0, "0001")],
            id="first the part that an earlier down has begun with, then the rest",
        ),
        pytest.param(
            facts(
                3,
                records=[walked(v, state=State.REVERTING) for v in ALL],
                passes=[Pass("p", ["0001", "0002"])],
            ),
            "base",
            [ForgetSteps(refs("0003"), "p"), restore("p", 0, "0002", "0001")],
            id="what is no step any more has been taken back and is forgotten",
        ),
        pytest.param(
            facts(2, records=[walked("0001", "p"), walked("0002", "p")], passes=[Pass("p", ["0002"])]),
            "base",
            [ForgetSteps(refs("0001"), "p"), restore("p", 0, "0002")],
            id="records that contradict each other",
        ),
    ],
)
def test_what_is_taken_back_together(given: Facts, target: str | None, groups: Sequence[DownGroup]) -> None:
    assert plan_down(given, target).groups == tuple(groups)


TWO = [walked("0001", "low"), walked("0002", "high")]


def reversing(pass_id: str, *versions: str, reverses: Sequence[bool] = (), collection: str = "c") -> Pass:
    return Pass(pass_id, versions, reverses=reverses or [True] * len(versions), collection=collection)


@pytest.mark.parametrize(
    ("given", "target", "groups"),
    [
        pytest.param(
            facts(2, records=TWO, passes=[reversing("low", "0001"), Pass("high", ["0002"])]),
            None,
            [restore("high", 0, "0002", heir="low")],
            id="the pass beneath, though it stays",
        ),
        pytest.param(
            facts(2, records=TWO, passes=[Pass("low", ["0001"], reverses=[False]), Pass("high", ["0002"])]),
            None,
            [restore("high", 0, "0002")],
            id="none that has no reverse=",
        ),
        pytest.param(
            facts(
                3,
                records=[walked("0001", "low"), walked("0002", "plain"), walked("0003", "high")],
                passes=[reversing("low", "0001"), Pass("plain", ["0002"]), reversing("high", "0003")],
            ),
            "base",
            [
                restore("high", 0, "0003", heir="low"),
                restore("plain", 0, "0002", heir="low"),
                restore("low", 0, "0001"),
            ],
            id="the nearest that has one",
        ),
        pytest.param(
            facts(2, records=TWO, passes=[reversing("low", "0001", collection="d"), Pass("high", ["0002"])]),
            None,
            [restore("high", 0, "0002")],
            id="none over other documents",
        ),
        pytest.param(
            facts(3, records=FUSED, passes=[reversing("p", *ALL, reverses=[False, True, True])]),
            "2",
            [restore("p", 2, "0003", heir="p")],
            id="the pass itself, if steps with a reverse= stay",
        ),
        pytest.param(
            facts(3, records=FUSED, passes=[reversing("p", *ALL, reverses=[False, True, True])]),
            "1",
            [restore("p", 1, "0003", "0002")],
            id="nobody, if those that stay have none",
        ),
        pytest.param(
            facts(
                3,
                records=[walked("0001", "low"), changed("0002", RENAME), walked("0003", "high")],
                passes=[reversing("low", "0001"), Pass("high", ["0003"], collection="new")],
            ),
            None,
            [restore("high", 0, "0003", collection="new", today="new", heir="low")],
            id="over the same documents under an older name",
        ),
        pytest.param(
            facts(
                3,
                records=[walked("0001", "low"), changed("0002", RENAME), walked("0003", "high")],
                passes=[reversing("low", "0001", collection="new"), Pass("high", ["0003"], collection="new")],
            ),
            None,
            [restore("high", 0, "0003", collection="new", today="new")],
            id="not over others that had the name before",
        ),
    ],
)
def test_who_is_told_of_documents_that_are_left(
    given: Facts, target: str | None, groups: Sequence[DownGroup]
) -> None:
    assert plan_down(given, target).groups == tuple(groups)


def test_collections_have_the_names_that_they_will_have_by_then() -> None:
    again = {"kind": "rename_collection", "old": "newest", "new": "new"}
    records = [walked("0001", "low"), changed("0002", RENAME), walked("0003", "mid"), changed("0004", again)]
    passes = [Pass("low", ["0001"]), Pass("mid", ["0003"], collection="new")]
    assert plan_down(facts(4, records=records, passes=passes), "base").groups == (
        undo("0004", ("newest", "new")),
        restore("mid", 0, "0003", collection="new", today="newest"),
        undo("0002", ("new", "c")),
        restore("low", 0, "0001", collection="c", today="newest"),
    )


def test_an_unfinished_pass_is_taken_back_together() -> None:
    records = [walked(v, state=State.PARTIAL) for v in ("0002", "0003")]
    given = facts(4, 1, records=records, passes=[Pass("p", ("0002", "0003"), finished=False)])
    assert plan_down(given).groups == (restore("p", 0, "0003", "0002"),)


def test_versions_of_which_nothing_was_started_are_forgotten_afterwards() -> None:
    failed = Record("0003", state=State.FAILED, operations=[UNDONE])
    stamped = Record("0002", operations=[DoneOp(started=False)])
    given = facts(3, records=[changed("0001"), stamped, failed])
    assert plan_down(given, "base") == DownPlan(
        "base", ("0003", "0002", "0001"), groups=(undo("0001"),), unstarted=("0003", "0002")
    )


def test_a_pass_whose_record_is_gone_is_refused_with_all_that_is_above_it() -> None:
    given = facts(2, records=[walked("0001", "gone"), changed("0002")])
    error = refusal(plan_down, given, "base")
    assert (error.code, error.version) == ("GM805", "0001")
    assert error.message.startswith("the record of the pass gone is gone, in which 0001 was applied")
    assert plan_down(given).groups == (undo("0002"),)
    assert plan_up(given).versions == ()


def test_an_unfinished_pass_whose_record_is_gone_is_not_begun_anew() -> None:
    given = facts(1, records=[walked("0001", "gone", state=State.PARTIAL)])
    assert refusal(plan_up, given).code == "GM805"


def test_versions_that_have_run_and_have_no_record_are_neither_applied_nor_taken_back() -> None:
    given = replace(facts(2, records=[changed("0002")]), lost={"0001": "its pass p is still recorded"})
    for call in (plan_up, plan_down, repairs):
        error = refusal(call, given)
        assert isinstance(error, DamagedRecord)
        assert (error.version, "its pass p is still recorded" in error.message) == ("0001", True)


@pytest.mark.parametrize(
    "damage", [{"old": "a"}, {"new": "b"}, {"old": 1, "new": "b"}, {"old": "a", "new": []}]
)
def test_a_record_of_a_renaming_that_says_no_names_is_refused(damage: Mapping[str, object]) -> None:
    given = facts(1, records=[changed("0001", {"kind": "rename_collection", **damage})])
    error = refusal(plan_down, given)
    assert isinstance(error, DamagedRecord)
    assert "the record '0001' of the versions is not one that this tool has written" in error.message


# --- what is left of a way down --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "versions"),
    [
        pytest.param(
            facts(4, 1, records=[walked("0002", state=State.REVERTING)], passes=[Pass("p", ["0002"])]),
            ("0002",),
            id="what was begun",
        ),
        pytest.param(
            facts(4, records=[walked("0001", state=State.REVERTING)], passes=[Pass("p", ["0001"])]),
            ("0001",),
            id="the first of all",
        ),
        pytest.param(
            facts(4, 1, records=[Record("0002", state=State.REVERTING), Record("0003")]),
            ("0003", "0002"),
            id="and all above",
        ),
    ],
)
def test_the_rest_of_a_way_down(given: Facts, versions: tuple[str, ...]) -> None:
    plan = plan_rest(given)
    assert plan is not None
    assert plan.versions == versions


def test_there_is_no_rest_where_none_was_cut_off() -> None:
    assert plan_rest(facts(4, 3)) is None
    assert plan_rest(facts(4)) is None


# --- many versions ---------------------------------------------------------------------------------------------


class Counted(dict[str, Any]):
    """A history that counts how often it is walked through."""

    walks = 0

    def __iter__(self) -> Iterator[str]:
        self.walks += 1
        return super().__iter__()

    def items(self) -> Any:
        self.walks += 1
        return super().items()

    def values(self) -> Any:
        self.walks += 1
        return super().values()


def walks(count: int, *, gone: bool) -> tuple[int, int]:
    """How often versions and passes are walked through to plan with so many versions, each with a pass."""
    versions = [f"{number:04d}" for number in range(1, count + 1)]
    records = Counted({v: Record(v, f"m{v}", operations=[DoneOp(pass_id=v)]) for v in versions})
    passes = Counted({v: Pass(v, [v], reverses=[True]) for v in versions})
    files = [] if gone else [file(v, name=f"m{v}") for v in versions]
    given = Facts(files, (), records, passes, frozenset(versions))
    assert len(problems(given)) == (count if gone else 0)
    if not gone:
        assert plan_up(given).versions == ()
        assert len(plan_down(given, "base").groups) == count
    return records.walks, passes.walks


@pytest.mark.parametrize("gone", [False, True])
def test_a_long_history_is_walked_through_no_more_often_than_a_short_one(gone: bool) -> None:
    assert walks(400, gone=gone) == walks(4, gone=gone)
