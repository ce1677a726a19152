"""The way up: what to apply, and which operations run as one pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from goaime_migrate.errors import Refused
from goaime_migrate.errors.hint import DOWN, UP, Hint
from goaime_migrate.migration import Migration, Operation
from goaime_migrate.planner.facts import BASE, HEAD, Facts
from goaime_migrate.planner.history import problems
from goaime_migrate.planner.lost import lost_passes
from goaime_migrate.planner.plan import NewPass, OperationRef, PinnedPass, StateChange, UpGroup, UpPlan
from goaime_migrate.planner.targets import resolve, unapplied
from goaime_migrate.results import Direction

if TYPE_CHECKING:
    from goaime_migrate.ledger import PassRecord


def plan_up(facts: Facts, target: str | None = None) -> UpPlan:
    """Pending versions up to and including the target. Raises HistoryError, UnknownTarget, Refused.

    What is thereby proved: the files are whole, in order, and every applied one is what was applied.
    """
    for problem in problems(facts):
        raise problem
    for gone in lost_passes(facts):
        if gone.version in unapplied(facts):
            raise gone
    goal = resolve(HEAD if target is None else target, facts, Direction.UP)
    limit = 0 if goal == BASE else int(goal)
    versions = tuple(v for v in unapplied(facts) if int(v) <= limit)
    _refuse_splitting(facts, limit)
    if not versions:
        return UpPlan(goal, (), _nothing_up(facts, limit, goal))
    empty = tuple(p.id for p in facts.passes.values() if not p.finished and not p.committed)
    return UpPlan(goal, versions, groups=_groups(facts, versions), empty=empty)


def require_canary(plan: UpPlan, files: Mapping[str, Migration]) -> None:
    """Refuse a plan of which some documents alone cannot be tried. Raises Refused."""
    if any(isinstance(group, PinnedPass) for group in plan.groups):
        raise Refused(
            "an unfinished pass is in the way of a canary",
            hint=Hint("finish it: {}; or take it back: {}", UP, DOWN),
        )
    for version, number in (ref for group in plan.groups for ref in group.operations):
        operation = files[version].operations[number]
        if operation.walks and not operation.selective:
            raise Refused(
                f"--where chooses documents of a collection, and {operation.describe()} walks over none",
                hint=Hint("apply it as a whole: {}", UP.to(version)),
            )
    if len(plan.groups) != 1 or isinstance(plan.groups[0], StateChange):
        raise Refused(
            "--where works on one pass over one collection; this plan has more than that",
            hint=Hint(
                "apply what comes before the canary; then name its last version: {}",
                UP.to("TARGET", "--where", "…"),
            ),
        )


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


def _groups(facts: Facts, versions: Sequence[str]) -> tuple[UpGroup, ...]:
    """What is left to do of these versions: first an unfinished pass exactly as it was pinned, then the rest."""
    done = {v: sum(o.done for o in facts.versions[v].operations) for v in versions if v in facts.versions}
    pinned: list[UpGroup] = []
    wanted = set(versions)
    for p in facts.passes.values():
        if _goes_on(p) and not wanted.isdisjoint(p.versions):
            operations = tuple(OperationRef(version, index) for version, index, _ in p.steps)
            pinned.append(PinnedPass(operations, p.id))
            done |= {version: index + 1 for version, index in operations}
    return (*pinned, *fused([facts.files[v] for v in versions], done))


def _goes_on(record: PassRecord) -> bool:
    """Whether `up` goes on with a pass: some of its documents are migrated, and `down` has not begun with it."""
    return not record.finished and record.committed and record.target_level is None


def fused(migrations: Sequence[Migration], done: Mapping[str, int]) -> list[UpGroup]:
    """The operations of these migrations in order; those that walk over the same documents together.

    `done` says for a version how many of its operations are done already. Fused are consecutive document operations
    on one collection with the same filter, whose lookups read no collection that the group writes.
    """
    groups: list[tuple[type[NewPass | StateChange], list[OperationRef]]] = []
    last: Operation | None = None
    for m in migrations:
        start = done.get(m.version, 0)
        for index, operation in enumerate(m.operations[start:], start):
            ref = OperationRef(m.version, index)
            if last is not None and _fuses(last, operation):
                groups[-1][1].append(ref)
            else:
                groups.append((NewPass if operation.walks else StateChange, [ref]))
            last = operation
    return [kind(tuple(operations)) for kind, operations in groups]


def _fuses(last: Operation, operation: Operation) -> bool:
    return (
        operation.fusion is not None
        and last.fusion == operation.fusion
        and last.collection == operation.collection
        and operation.collection not in operation.reads | last.reads
    )
