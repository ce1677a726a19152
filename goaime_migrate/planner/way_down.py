"""The way down: what to take back."""

from __future__ import annotations

from goaime_migrate.planner.facts import BASE, Facts
from goaime_migrate.planner.lost import lost_passes, lost_records
from goaime_migrate.planner.plan import DownPlan
from goaime_migrate.planner.reversible import check_ways_back
from goaime_migrate.planner.targets import resolve
from goaime_migrate.results import Direction, State


def plan_down(facts: Facts, target: str | None = None) -> DownPlan:
    """Versions to take back, highest first; the target stays. Raises UnknownTarget, Refused, HistoryError.

    What an earlier `down` has begun to take back is taken back, whatever the target.

    What is thereby proved: every one of them can be taken back, and all code that this needs is there as it was.
    """
    for lost in lost_records(facts):
        raise lost
    if not facts.versions:
        if target is not None:
            resolve(target, facts, Direction.DOWN)
        return DownPlan(BASE, (), "nothing is applied")
    goal = resolve("-1" if target is None else target, facts, Direction.DOWN)
    limit = 0 if goal == BASE else int(goal)
    wanted = _whole_passes(facts, {*_begun_versions(facts), *(v for v in facts.versions if int(v) > limit)})
    versions = tuple(sorted(wanted, key=int, reverse=True))
    if not versions:
        current = facts.recorded[-1]
        ahead = f"; to go forward: up {goal}" if limit > int(current) else ""
        return DownPlan(goal, (), f"already at {current}{ahead}")
    from goaime_migrate.planner.taking_back import down_groups

    check_ways_back(facts, versions)
    for gone in lost_passes(facts):
        if gone.version in versions:
            raise gone
    unstarted = tuple(v for v in versions if not any(o.started for o in facts.versions[v].operations))
    return DownPlan(goal, versions, groups=tuple(down_groups(facts, versions)), unstarted=unstarted)


def plan_rest(facts: Facts) -> DownPlan | None:
    """What is left of a `down` that was cut off; None where none was. Raises what `plan_down` does."""
    begun = _begun_versions(facts)
    if not begun:
        return None
    lowest = min(map(int, begun))
    below = [v for v in facts.recorded if int(v) < lowest]
    return plan_down(facts, below[-1] if below else BASE)


def _begun_versions(facts: Facts) -> list[str]:
    """The versions that an earlier `down` has begun to take back."""
    return [v for v, record in facts.versions.items() if record.state is State.REVERTING]


def _whole_passes(facts: Facts, versions: set[str]) -> set[str]:
    """With a member of an unfinished pass, all of them."""
    for p in facts.passes.values():
        if not p.finished and not versions.isdisjoint(p.versions):
            versions |= {v for v in p.versions if v in facts.versions}
    return versions
