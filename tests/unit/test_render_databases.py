"""What is said of one of several databases, in a line."""

from __future__ import annotations

from goaime_migrate import errors
from goaime_migrate.render import doctor, plan, pruning
from goaime_migrate.render.databases import Row, databases
from goaime_migrate.render.style import Style
from goaime_migrate.results import (
    Check,
    CheckStatus,
    Direction,
    ErasedDocument,
    OperationPlan,
    PlanResult,
    Predicted,
    PruneResult,
    StepPlan,
)
from goaime_migrate.results.databases import DatabaseResult, DatabasesResult


def test_what_was_pruned_or_erased_is_told_and_not_the_note_below_it() -> None:
    pruned = PruneResult(pruned=("0001", "0002"), freed_bytes=2_100, notes=("compact gives it back",))
    assert pruning.brief(pruned, would=False) == (
        "0001-0002 pruned: they can be taken back no more; freed 2.1 kB"
    )
    erased = PruneResult(erased=ErasedDocument("people", 7, ("0001",)), notes=("it is in people",))
    assert pruning.brief(erased, would=True).startswith("people 7 would be erased from what 0001 has kept")
    nothing = PruneResult(erased=ErasedDocument("people", 7, ()), notes=("it is in people",))
    assert pruning.brief(nothing, would=False) == "nothing is kept of people 7"


def test_a_change_counts_once_a_version_and_so_it_is_called() -> None:
    operation = OperationPlan("transform", "c", 60, 60, 0)
    steps = tuple(StepPlan(version, "x", (operation,), (), False, ()) for version in ("0001", "0002"))
    result = PlanResult(Direction.UP, "0002", steps, Predicted(0.0, 0, 0), None)
    assert plan.brief(result) == "apply 0001-0002, 120 changes to documents"


def test_what_an_error_of_doctor_stands_for_is_shown_with_its_remedy() -> None:
    failed = [Check("privileges", CheckStatus.ERROR, "may not update", "grant readWrite")]
    error = errors.NotReady("1 check found what would make a command fail: privileges", hint="do it")
    shown = databases([Row("a", "", "", error, doctor.evidence(failed))], (), Style())
    assert "privileges; privileges: may not update; do: grant readWrite" in " ".join(shown.split())


def test_the_next_command_does_not_forget_those_that_were_not_begun() -> None:
    error = errors.TransformFailed("it raises", hint="correct it", version="0001")
    found: DatabasesResult[None] = DatabasesResult((DatabaseResult("a", None, error),), ("b", "c"))
    assert found.error is not None
    assert str(found.error.hint) == "correct it; then the same command again, for those that were not begun"
