"""Runs that end before they begin: nothing to do, or what rules say would fail."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from goaime_migrate import planner, results
from goaime_migrate.errors import Interrupted
from goaime_migrate.errors.hint import Command, Hint
from goaime_migrate.results import Counts, Direction

if TYPE_CHECKING:
    from goaime_migrate.backends.ports import Backend
    from goaime_migrate.config import Settings
    from goaime_migrate.errors import Refused
    from goaime_migrate.events import Listener
    from goaime_migrate.ledger import Ledger
    from goaime_migrate.planner import Facts, Plan, UpPlan
    from goaime_migrate.results import RunResult


def nothing(plan: Plan) -> RunResult:
    """The result of a run that had nothing to do."""
    return results.RunResult(plan.direction, (), None, None, Counts(), (), (), 0.0, plan.message)


def stopped_waiting(signum: int) -> Interrupted:
    """The error of a `wait` that was asked to stop."""
    return Interrupted.by(
        signum, "stopped by {} while waiting; nothing was changed", Hint("{}", Command(("wait",)))
    )


def refusal(
    backend: Backend,
    facts: Facts,
    plan: UpPlan,
    settings: Settings,
    where: Mapping[str, Any] | None,
    listener: Listener,
) -> RunResult | None:
    """The result of an `up` that would fail for certain, by what the data of this moment say. Reads only.

    After a `down` that was cut off nothing is asked: what it has still to take back changes the answers.
    """
    from goaime_migrate.rules.refusal import refusal
    from goaime_migrate.rules.review import Review

    if planner.plan_rest(facts) is not None:
        return None
    error = refusal(Review(backend, facts, plan, settings, where, listener).early())
    return (
        None
        if error is None
        else results.RunResult(Direction.UP, (), error.version, error, Counts(), (), (), 0.0)
    )


def without_way_back(backend: Backend, facts: Facts, ledger: Ledger) -> Refused | None:
    """Why a `down` that was cut off cannot be finished, which `up` does first; None where it can, or there is none."""
    rest = planner.plan_rest(facts)
    if rest is None:
        return None
    from goaime_migrate.down.forecast import without_journal

    return without_journal(backend, facts, ledger, rest)
