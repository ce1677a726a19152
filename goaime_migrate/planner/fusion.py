"""Which operations run as one pass on the way up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from goaime_migrate.errors import Refused
from goaime_migrate.errors.hint import DOWN, UP, Hint
from goaime_migrate.planner.groups import NewPass, OperationRef, PinnedPass, StateChange, UpGroup

if TYPE_CHECKING:
    from goaime_migrate.ledger import PassRecord
    from goaime_migrate.migration import Migration, Operation
    from goaime_migrate.planner.facts import Facts
    from goaime_migrate.planner.plan import UpPlan


def up_groups(facts: Facts, versions: Sequence[str]) -> tuple[UpGroup, ...]:
    """What is left to do of these versions: first an unfinished pass exactly as it was pinned, then the rest."""
    done = {v: sum(o.done for o in facts.versions[v].operations) for v in versions if v in facts.versions}
    pinned: list[UpGroup] = []
    wanted = set(versions)
    for p in facts.passes.values():
        if _goes_on(p) and not wanted.isdisjoint(p.versions):
            operations = tuple(OperationRef(version, index) for version, index, _ in p.steps)
            pinned.append(PinnedPass(operations, p.id))
            done |= {version: index + 1 for version, index in operations}
    return (*pinned, *fuse([facts.files[v] for v in versions], done))


def _goes_on(record: PassRecord) -> bool:
    """Whether `up` goes on with a pass: some of its documents are migrated, and `down` has not begun with it."""
    return not record.finished and record.committed and record.target_level is None


def fuse(migrations: Sequence[Migration], done: Mapping[str, int]) -> list[UpGroup]:
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


def require_canary(plan: UpPlan, files: Mapping[str, Migration]) -> None:
    """Refuse a plan of which some documents alone cannot be tried. Raises Refused."""
    begun = [v for group in plan.groups if isinstance(group, PinnedPass) for v in group.versions]
    if begun:
        raise Refused(
            f"an unfinished pass is in the way of a canary: {', '.join(begun)} "
            f"{'are' if begun[1:] else 'is'} begun, and not finished",
            hint=Hint("{} completes it, {} takes it back; then begin the canary", UP, DOWN),
        )
    if len(plan.groups) != 1 or isinstance(plan.groups[0], StateChange):
        raise Refused(
            "--where works on one pass over one collection, and this plan is not one",
            hint=_where_a_canary_goes(plan.groups, files),
        )
    ((version, number), *_) = plan.groups[0].operations
    operation = files[version].operations[number]
    if not operation.selective:
        raise Refused(
            f"--where chooses documents of a collection, and {operation.describe()} walks over none",
            hint=Hint("apply it as a whole: {}", UP.to(version)),
        )


def _where_a_canary_goes(groups: Sequence[UpGroup], files: Mapping[str, Migration]) -> Hint:
    """The target that is a single pass: the versions that have the first one to themselves, once the rest is applied."""
    for place, group in enumerate(groups):
        version, number = group.operations[0]
        others = {v for other in groups if other is not group for v in other.versions}
        shared = [v in others for v in group.versions]
        own = group.versions[: shared.index(True) if True in shared else None]
        if own and not isinstance(group, StateChange) and files[version].operations[number].selective:
            canary = UP.to(own[-1], "--where", "…")
            if not place:
                return Hint("name the last version of the pass: {}", canary)
            before = UP.to(groups[place - 1].versions[-1])
            return Hint("apply what comes before: {}; then the canary: {}", before, canary)
    return Hint(
        "no version of it is one pass by itself: apply it as a whole, {}, or put the pass that is to be tried into a "
        "version of its own",
        UP,
    )
