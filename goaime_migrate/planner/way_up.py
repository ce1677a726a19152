"""The way up: what to apply."""

from __future__ import annotations

from goaime_migrate.errors import Refused
from goaime_migrate.errors.hint import DOWN, UP, Hint
from goaime_migrate.planner.facts import BASE, HEAD, Facts
from goaime_migrate.planner.history import problems
from goaime_migrate.planner.lost import lost_passes
from goaime_migrate.planner.plan import UpPlan
from goaime_migrate.planner.targets import resolve, unapplied_versions
from goaime_migrate.results import Direction


def plan_up(facts: Facts, target: str | None = None) -> UpPlan:
    """Pending versions up to and including the target. Raises HistoryError, UnknownTarget, Refused.

    What is thereby proved: the files are whole, in order, and every applied one is what was applied.
    """
    for problem in problems(facts):
        raise problem
    for gone in lost_passes(facts):
        if gone.version in unapplied_versions(facts):
            raise gone
    goal = resolve(HEAD if target is None else target, facts, Direction.UP)
    limit = 0 if goal == BASE else int(goal)
    versions = tuple(v for v in unapplied_versions(facts) if int(v) <= limit)
    _refuse_splitting(facts, limit)
    if not versions:
        return UpPlan(goal, (), _nothing_up(facts, limit, goal))
    from goaime_migrate.planner.fusion import up_groups

    empty = tuple(p.id for p in facts.passes.values() if not p.finished and not p.committed)
    return UpPlan(goal, versions, groups=up_groups(facts, versions), empty=empty)


def _nothing_up(facts: Facts, limit: int, goal: str) -> str:
    if not facts.migrations:
        return "there are no migrations"
    current = facts.current or BASE
    passed = facts.current is not None and limit < int(facts.current)
    return f"already at {current}" + (f"; to go back: down {goal}" if passed else "")


def _refuse_splitting(facts: Facts, limit: int) -> None:
    for p in facts.passes.values():
        if p.finished or not p.committed:
            continue
        numbers = [int(v) for v in p.versions]
        if min(numbers) <= limit < max(numbers):
            raise Refused(
                f"{limit:04d} lies inside an unfinished pass over {p.versions[0]} to {p.versions[-1]}, "
                "whose documents are migrated together",
                hint=Hint("finish it: {}; or take it back: {}", UP.to(p.versions[-1]), DOWN),
            )
