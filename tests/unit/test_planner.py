"""Facts in, a plan or a precise refusal out. No database and no files."""

from __future__ import annotations

from pathlib import Path

import pytest

from goaime_migrate.errors import (
    EditedMigration,
    HistoryError,
    Irreversible,
    JournalPruned,
    LoadFailed,
    MissingMigration,
    OutOfOrder,
    PinnedPassEdited,
    Refused,
    UnknownTarget,
    VersionGap,
)
from goaime_migrate.migration import Migration
from goaime_migrate.planner import Facts, plan_down, plan_up, problems, repairs, resolve
from goaime_migrate.results import Direction, State
from tests.unit.histories import DoneOp, Op, Pass, Record, facts, file, refusal

# --- targets ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("direction", Direction)
@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("0003", "0003"),
        ("3", "0003"),
        (" 0003 ", "0003"),
        ("compute_analytics", "0003"),
        ("0003_compute_analytics", "0003"),
        ("0003_compute_analytics.py", "0003"),
        ("0003_comp", "0003"),
        ("analyt", "0003"),
        ("head", "0004"),
        ("base", "base"),
        ("0", "base"),
    ],
)
def test_a_target_may_be_written_in_many_ways(text: str, version: str, direction: Direction) -> None:
    assert resolve(text, facts(4, 2), direction) == version


@pytest.mark.parametrize(
    ("text", "applied", "up", "down"),
    [
        ("+1", 2, "0003", "0001"),
        ("-1", 2, "0003", "0001"),
        ("+2", 2, "0004", "base"),
        ("+9", 2, "0004", "base"),
        ("-9", 4, "0004", "base"),
        ("+1", 0, "0001", "base"),
        ("+0", 2, "0002", "0002"),
    ],
)
def test_steps_go_in_the_direction_of_the_command(text: str, applied: int, up: str, down: str) -> None:
    assert resolve(text, facts(4, applied), Direction.UP) == up
    assert resolve(text, facts(4, applied), Direction.DOWN) == down


def test_a_number_wins_over_a_part_of_a_name() -> None:
    files = [file("0001", name="fix_3"), file("0002"), file("0003")]
    assert resolve("3", facts(files), Direction.UP) == "0003"


def test_a_whole_name_wins_over_a_part_of_another() -> None:
    files = [file("0001", name="add_user"), file("0002", name="add_user_id")]
    assert resolve("add_user", facts(files), Direction.UP) == "0001"


def test_a_version_whose_file_is_gone_can_be_named() -> None:
    assert resolve("5", facts(4, 4, records=[Record("0005", "gone")]), Direction.DOWN) == "0005"


@pytest.mark.parametrize("text", ["0009", "9", "nothing", "", "  ", "+x", "-", "headless"])
def test_a_target_that_is_nothing_is_refused_with_what_there_is(text: str) -> None:
    error = refusal(resolve, text, facts(4), Direction.UP)
    assert isinstance(error, UnknownTarget)
    assert error.exit_code == 2
    assert error.message == f"there is no version {text!r}; the versions are 0001 to 0004"
    assert error.hint == "see them: goaime-migrate status"


def test_a_target_without_any_migration_is_refused() -> None:
    assert (
        refusal(resolve, "1", facts(0), Direction.UP).message
        == "there is no version '1'; there are no migrations"
    )


def test_a_target_that_is_several_versions_is_refused_with_their_names() -> None:
    error = refusal(resolve, "_", facts(2), Direction.UP)
    assert isinstance(error, UnknownTarget)
    assert error.message == "'_' names several versions: 0001_link_users, 0002_enrich_problems"
    assert error.hint == "use the number"


# --- up --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "target", "versions"),
    [
        (facts(4, 0), None, ("0001", "0002", "0003", "0004")),
        (facts(4, 2), None, ("0003", "0004")),
        (facts(4, 0), "2", ("0001", "0002")),
        (facts(4, 1), "+1", ("0002",)),
        (facts(4, 1, records=[Record("0002", state=State.PARTIAL)]), "2", ("0002",)),
        (facts(4, 1, records=[Record("0002", state=State.FAILED)]), None, ("0002", "0003", "0004")),
        (facts(4, 1, records=[Record("0002", state=State.RUNNING)]), None, ("0002", "0003", "0004")),
        (facts(4, 1, records=[Record("0002", state=State.REVERTING)]), "2", ("0002",)),
    ],
)
def test_up_takes_what_is_not_applied_up_to_the_target(
    given: Facts, target: str | None, versions: tuple[str, ...]
) -> None:
    plan = plan_up(given, target)
    assert plan.versions == versions
    assert plan.message == ""


@pytest.mark.parametrize(
    ("given", "target", "message"),
    [
        (facts(0), None, "there are no migrations"),
        (facts(4, 4), None, "already at 0004"),
        (facts(4, 4), "head", "already at 0004"),
        (facts(4, 4), "4", "already at 0004"),
        (facts(4, 4), "2", "already at 0004; to go back: down 0002"),
        (facts(4, 4), "base", "already at 0004; to go back: down base"),
        (facts(4, 0), "base", "already at base"),
    ],
)
def test_up_with_nothing_to_do_says_where_it_is(given: Facts, target: str | None, message: str) -> None:
    plan = plan_up(given, target)
    assert plan.versions == ()
    assert plan.message == message


FAILED = LoadFailed("0002_x.py, line 1: no", version="0002")


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        pytest.param(
            facts(1, broken=[FAILED]), LoadFailed, "0002_x.py, line 1: no", id="a file that does not load"
        ),
        pytest.param(
            facts([file("0001", "other"), file("0002", "new")], 1),
            EditedMigration,
            "0001_link_users.py was edited after it had been applied (applied same, now other)",
            id="edited",
        ),
        pytest.param(
            facts([file("0001")], 2),
            MissingMigration,
            "0002 (enrich_problems) is applied in the database, but its file is gone",
            id="missing",
        ),
        pytest.param(
            facts(3, records=[Record("0001"), Record("0003")]),
            OutOfOrder,
            "0002_enrich_problems.py is not applied, but 0003 is: it was added below the current version",
            id="added below",
        ),
        pytest.param(
            facts([file("0001", "other")], records=[Record("0001", state=State.PARTIAL)]),
            PinnedPassEdited,
            "0001_link_users.py was edited after part of it had been applied",
            id="half applied and edited",
        ),
    ],
)
def test_up_is_refused_where_files_and_history_differ(
    given: Facts, kind: type[HistoryError], message: str
) -> None:
    for target in (None, "1"):
        error = refusal(plan_up, given, target)
        assert type(error) is kind
        assert error.message == message
        assert error.exit_code == 4
    assert [p.problem().message for p in problems(given)] == [message]


@pytest.mark.parametrize(
    ("gone", "down"), [("0001", "down base;"), ("0002", "down 0001;"), ("0003", "down;")]
)
def test_the_way_to_take_a_version_back_whose_file_is_gone_goes_as_far_as_it_must(
    gone: str, down: str
) -> None:
    files = [file(f"000{n}") for n in (1, 2, 3) if f"000{n}" != gone]
    (problem,) = problems(facts(files, 3))
    assert f"take it back: goaime-migrate {down}" in problem.problem().hint


def test_a_version_that_is_half_applied_and_edited_has_two_ways_on() -> None:
    given = facts([file("0001", "other")], records=[Record("0001", state=State.FAILED)])
    hint = refusal(plan_up, given).hint
    assert "goaime-migrate down" in hint
    assert "goaime-migrate repair" in hint


def test_an_edited_file_of_which_nothing_is_in_effect_is_simply_taken() -> None:
    given = facts([file("0001", "other")], records=[Record("0001", state=State.FAILED)], touched=set())
    assert plan_up(given).versions == ("0001",)


def gap(version: str) -> VersionGap:
    return VersionGap(f"there is no file for {version}", version=version, hint="as the files alone tell")


def test_a_number_that_is_missing_and_recorded_is_the_missing_applied_file() -> None:
    given = facts([file("0001"), file("0003")], 3, broken=[gap("0002")])
    error = refusal(plan_up, given)
    assert isinstance(error, MissingMigration)
    assert error.version == "0002"
    assert "goaime-migrate repair" in error.hint
    assert [type(p) for p in problems(given)] == [MissingMigration]
    assert repairs(given).dropped == ("0002",)


def test_a_gap_below_what_is_applied_is_none_any_more() -> None:
    given = facts(
        [file("0001"), file("0003")], records=[Record("0001"), Record("0003")], broken=[gap("0002")]
    )
    assert problems(given) == []
    assert plan_up(given).message == "already at 0003"


@pytest.mark.parametrize("state", [State.PARTIAL, State.FAILED, State.REVERTING])
def test_a_gap_below_what_has_begun_is_none_any_more(state: State) -> None:
    records = [Record("0001"), Record("0003", state=state)]
    assert problems(facts([file("0001"), file("0003")], records=records, broken=[gap("0002")])) == []


@pytest.mark.parametrize(
    "pending",
    [
        pytest.param(facts([file("0001"), file("0003")], 1, broken=[gap("0002")]), id="pending"),
        pytest.param(
            facts([file("0001")], 1, broken=[gap("0002"), LoadFailed("0003_x.py: no", version="0003")]),
            id="pending, and does not load",
        ),
    ],
)
def test_a_gap_below_what_is_pending_is_refused(pending: Facts) -> None:
    error = refusal(plan_up, pending)
    assert isinstance(error, VersionGap)
    assert error.hint == "as the files alone tell"


def test_nobody_is_told_to_renumber_what_is_applied() -> None:
    records = [Record("0001"), Record("0003")]
    given = facts([file("0001"), file("0003"), file("0004")], records=records, broken=[gap("0002")])
    error = refusal(plan_up, given)
    assert isinstance(error, VersionGap)
    assert "renumber" not in error.hint
    assert "operations = []" in error.hint


def test_a_migration_that_does_nothing_may_take_a_number_below_the_current_version() -> None:
    empty = Migration("0002", "removed", "", "same", Path("0002_removed.py"), ())
    given = facts([file("0001"), empty, file("0003")], records=[Record("0001"), Record("0003")])
    assert plan_up(given).versions == ("0002",)


def test_a_migration_that_did_nothing_cannot_be_filled_later() -> None:
    records = [Record("0001"), Record("0002", operations=())]
    given = facts([file("0001"), file("0002", "other")], records=records, touched={"0001"})
    assert isinstance(refusal(plan_up, given), EditedMigration)


def test_a_file_that_does_not_load_is_not_also_missing() -> None:
    given = facts([file("0001")], 2, broken=[FAILED])
    assert [type(p) for p in problems(given)] == [LoadFailed]


@pytest.mark.parametrize("target", ["1", "2"])
def test_a_target_inside_an_unfinished_pass_is_refused(target: str) -> None:
    records = [Record(v, state=State.PARTIAL) for v in ("0001", "0002", "0003")]
    unfinished = Pass("p", ("0001", "0002", "0003"), finished=False)
    error = refusal(plan_up, facts(4, records=records, passes=[unfinished]), target)
    assert type(error) is Refused
    assert error.exit_code == 9
    assert "lies inside an unfinished pass over 0001 to 0003" in error.message
    assert "goaime-migrate up 0003" in error.hint
    assert "goaime-migrate down" in error.hint


@pytest.mark.parametrize("target", ["3", "4", None])
def test_a_target_at_or_after_the_end_of_an_unfinished_pass_is_not(target: str | None) -> None:
    records = [Record(v, state=State.PARTIAL) for v in ("0001", "0002", "0003")]
    unfinished = Pass("p", ("0001", "0002", "0003"), finished=False)
    assert plan_up(facts(4, records=records, passes=[unfinished]), target).versions[:3] == (
        "0001",
        "0002",
        "0003",
    )


def test_a_pass_of_which_no_batch_was_committed_binds_nobody() -> None:
    records = [Record(v, state=State.FAILED) for v in ("0001", "0002")]
    empty = Pass("p", ("0001", "0002"), finished=False, committed=False)
    given = facts(2, records=records, passes=[empty], touched=set())
    assert plan_up(given, "1").versions == ("0001",)


# --- down ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "target", "versions"),
    [
        (facts(4, 4), None, ("0004",)),
        (facts(4, 4), "2", ("0004", "0003")),
        (facts(4, 4), "base", ("0004", "0003", "0002", "0001")),
        (facts(4, 4), "-2", ("0004", "0003")),
        (facts(4, 1), None, ("0001",)),
        *[
            (facts(4, 2, records=[Record("0003", state=s)]), None, ("0003",))
            for s in State
            if s != State.PENDING
        ],
        (facts(4, 2, records=[Record("0003", state=State.FAILED)]), "1", ("0003", "0002")),
        (facts(1, 2), None, ("0002",)),
    ],
)
def test_down_takes_back_the_highest_or_all_above_the_target(
    given: Facts, target: str | None, versions: tuple[str, ...]
) -> None:
    assert plan_down(given, target).versions == versions


@pytest.mark.parametrize(
    ("given", "target", "message"),
    [
        (facts(4, 0), None, "nothing is applied"),
        (facts(4, 0), "base", "nothing is applied"),
        (facts(4, 3), "3", "already at 0003"),
        (facts(4, 3), "head", "already at 0003; to go forward: up 0004"),
    ],
)
def test_down_with_nothing_to_do_says_where_it_is(given: Facts, target: str | None, message: str) -> None:
    plan = plan_down(given, target)
    assert (plan.versions, plan.message) == ((), message)


def test_down_refuses_an_unknown_target_even_where_nothing_is_applied() -> None:
    assert isinstance(refusal(plan_down, facts(4, 0), "9"), UnknownTarget)


def test_what_a_way_down_has_begun_with_is_taken_back_whatever_the_target() -> None:
    records = [Record(v, state=State.REVERTING) for v in ("0002", "0003")]
    given = facts(4, 1, records=records)
    assert [plan_down(given, target).versions for target in (None, "2", "3")] == 3 * [("0003", "0002")]


def test_an_unfinished_pass_is_taken_back_whole() -> None:
    records = [Record(v, state=State.PARTIAL) for v in ("0002", "0003")]
    unfinished = Pass("p", ("0002", "0003"), finished=False)
    assert plan_down(facts(4, 1, records=records, passes=[unfinished])).versions == ("0003", "0002")


def test_down_past_a_version_without_a_way_back_is_refused() -> None:
    files = [file("0001"), file("0002", "same", Op(reversible=False)), file("0003")]
    function = DoneOp(undo={"kind": "function"})
    given = facts(files, 3, records=[Record("0002", operations=[function])])
    error = refusal(plan_down, given, "base")
    assert isinstance(error, Irreversible)
    assert (error.version, error.exit_code) == ("0002", 9)
    assert "has no way back" in error.message
    assert plan_down(given).versions == ("0003",)


def test_a_version_without_a_way_back_of_which_nothing_is_in_effect_can_be_forgotten() -> None:
    files = [file("0001", "same", Op(reversible=False))]
    given = facts(
        files, records=[Record("0001", state=State.FAILED, operations=[DoneOp(started=False)])], touched=set()
    )
    assert plan_down(given).versions == ("0001",)


def test_down_of_a_version_whose_journal_was_pruned_is_refused() -> None:
    error = refusal(
        plan_down, facts(2, 1, records=[Record("0002", "enrich_problems", rollback="pruned")]), "base"
    )
    assert isinstance(error, JournalPruned)
    assert (
        error.message == "0002 (enrich_problems) cannot be taken back: its journal was lost with the records"
    )
    assert error.exit_code == 9


def test_an_edited_or_removed_file_does_not_stop_down_where_its_code_is_not_needed() -> None:
    whole = Pass("p", ("0001",))
    record = Record("0001", operations=[DoneOp(pass_id="p")])
    assert plan_down(facts([file("0001", "other")], records=[record], passes=[whole])).versions == ("0001",)
    assert plan_down(facts(0, records=[record], passes=[whole])).versions == ("0001",)


NEEDS_CODE = [
    pytest.param([Record("0001", operations=[DoneOp(undo={"kind": "function"})])], [], None, id="down(db)"),
    pytest.param(
        [Record("0001", operations=[DoneOp(pass_id="p")])],
        [Pass("p", ("0001",), reverses=[True])],
        None,
        id="reverse=",
    ),
    pytest.param(
        [Record(v, operations=[DoneOp(pass_id="p")]) for v in ("0001", "0002")],
        [Pass("p", ("0001", "0002"))],
        "1",
        id="replay",
    ),
]


@pytest.mark.parametrize(("records", "passes", "target"), NEEDS_CODE)
def test_an_edited_file_stops_down_where_its_code_is_needed(
    records: list[Record], passes: list[Pass], target: str | None
) -> None:
    given = facts([file("0001", "other"), file("0002", "new")], records=records, passes=passes)
    error = refusal(plan_down, given, target)
    assert isinstance(error, EditedMigration)
    assert error.version == "0001"
    assert "restore the file" in error.hint
    assert "goaime-migrate repair" in error.hint


@pytest.mark.parametrize(("records", "passes", "target"), NEEDS_CODE)
def test_a_removed_file_stops_down_where_its_code_is_needed(
    records: list[Record], passes: list[Pass], target: str | None
) -> None:
    error = refusal(
        plan_down,
        facts([file("0002", "same" if target else "other")], records=records, passes=passes),
        target,
    )
    assert isinstance(error, MissingMigration)
    assert error.version == "0001"
    assert "restore the file" in error.hint


def test_a_file_that_does_not_load_is_named_where_down_needs_it() -> None:
    broken = LoadFailed("0001_x.py, line 1: no", version="0001")
    records = [Record("0001", operations=[DoneOp(undo={"kind": "function"})])]
    assert refusal(plan_down, facts(0, records=records, broken=[broken])) is broken


def test_a_shared_pass_whose_other_members_were_dropped_by_repair_needs_no_code() -> None:
    record = Record("0001", operations=[DoneOp(pass_id="p")])
    given = facts(1, records=[record], passes=[Pass("p", ("0001", "0002"))])
    assert plan_down(given).versions == ("0001",)


def test_a_function_that_failed_and_was_corrected_is_simply_taken() -> None:
    halfway = DoneOp(undo={"kind": "function"}, done=False)
    given = facts([file("0001", "other")], records=[Record("0001", state=State.FAILED, operations=[halfway])])
    assert plan_up(given).versions == ("0001",)
    assert plan_down(given).versions == ("0001",)


# --- repair ----------------------------------------------------------------------------------------------------


def test_repair_accepts_edited_files_and_drops_what_removed_ones_left() -> None:
    found = repairs(facts([file("0001", "other"), file("0002")], 3))
    assert (found.accepted, found.dropped) == (("0001",), ("0003",))


def test_repair_finds_nothing_where_nothing_is_wrong() -> None:
    found = repairs(facts(4, 2))
    assert (found.accepted, found.dropped) == ((), ())


def test_repair_does_not_drop_a_member_of_an_unfinished_pass() -> None:
    records = [
        Record(v, state=State.PARTIAL, operations=[DoneOp(pass_id="p", done=False)]) for v in ("0001", "0002")
    ]
    unfinished = Pass("p", ("0001", "0002"), finished=False)
    error = refusal(repairs, facts([file("0001")], records=records, passes=[unfinished]))
    assert type(error) is Refused
    assert error.version == "0002"
    assert "goaime-migrate down" in error.hint


@pytest.mark.parametrize(
    "edited",
    [
        pytest.param((Op(collection="d"),), id="another collection"),
        pytest.param((Op(fusion=None, text="create an index"),), id="another kind of operation"),
    ],
)
def test_repair_does_not_accept_code_that_cannot_go_on_where_the_old_stopped(edited: tuple[Op, ...]) -> None:
    records = [Record("0001", state=State.PARTIAL, operations=[DoneOp(pass_id="p", done=False)])]
    unfinished = Pass("p", ("0001",), finished=False)
    error = refusal(repairs, facts([file("0001", "other", *edited)], records=records, passes=[unfinished]))
    assert type(error) is Refused
    assert "goaime-migrate down" in error.hint
