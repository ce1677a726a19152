"""The way down: what to take back, and what that needs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import takewhile

from goaime_migrate.errors import (
    EditedMigration,
    Irreversible,
    JournalPruned,
    MissingMigration,
)
from goaime_migrate.planner.facts import BASE, Facts, PassFacts, is_function, starts_again
from goaime_migrate.planner.plan import Plan
from goaime_migrate.planner.targets import resolve
from goaime_migrate.results import Direction, State


def plan_down(facts: Facts, target: str | None = None) -> Plan:
    """Versions to take back, highest first; the target stays. Raises UnknownTarget, Refused, HistoryError.

    What an earlier `down` has begun to take back is taken back, whatever the target.

    What is thereby proved: every one of them can be taken back, and all code that this needs is there as it was.
    """
    if not facts.versions:
        if target is not None:
            resolve(target, facts, Direction.DOWN)
        return Plan(Direction.DOWN, BASE, (), "nothing is applied")
    goal = resolve("-1" if target is None else target, facts, Direction.DOWN)
    limit = 0 if goal == BASE else int(goal)
    begun = {v for v, r in facts.versions.items() if r.state is State.REVERTING}
    versions = _whole_passes(facts, begun | {v for v in facts.versions if int(v) > limit})
    plan = Plan(Direction.DOWN, goal, tuple(sorted(versions, key=int, reverse=True)))
    if not plan.versions:
        current = max(facts.versions, key=int)
        ahead = f"; to go forward: up {goal}" if limit > int(current) else ""
        return Plan(Direction.DOWN, goal, (), f"already at {current}{ahead}")
    for version in plan.versions:
        _check_way_back(facts, version, plan.versions)
    return plan


def _whole_passes(facts: Facts, versions: set[str]) -> set[str]:
    """With a member of an unfinished pass, all of them."""
    for p in facts.passes.values():
        if not p.finished and versions & set(p.versions):
            versions |= set(p.versions) & set(facts.versions)
    return versions


def _check_way_back(facts: Facts, version: str, reverting: Sequence[str]) -> None:
    record, file = facts.versions[version], facts.files.get(version)
    if record.rollback == "pruned":
        raise JournalPruned(
            f"the journal of {version} ({record.name}) was pruned: it cannot be taken back",
            version=version,
            hint="write a new migration that changes the documents forward",
        )
    ran = version in facts.touched and any(o.started for o in record.operations)  # it was not only stamped
    if file is not None and not file.reversible and ran:
        raise Irreversible(
            f"{file.label} has no way back: it defines up(db) and no down(db)",
            version=version,
            hint="define down(db) in it, then: goaime-migrate repair; or write a new migration that changes "
            "things forward",
        )
    for needed, checksum in _code_needed(facts, version, reverting):
        _check_code(facts, needed, checksum)


def _code_needed(facts: Facts, version: str, reverting: Sequence[str]) -> Iterable[tuple[str, str | None]]:
    """Versions whose code taking this one back needs: its own functions, and the steps that stay in a shared pass.

    Each with the checksum that it must have, or None where any will do.
    """
    record = facts.versions[version]
    for operation in record.operations:
        if is_function(operation) and operation.started:
            yield version, None if starts_again(operation) else record.checksum
        shared = facts.passes.get(operation.pass_id or "")
        if shared is not None and shared.committed:
            if version in _reversing(shared):
                yield version, record.checksum
            if not set(shared.versions) & set(facts.versions) <= set(reverting):
                yield from ((v, checksum) for v, _, checksum in shared.steps)


def _reversing(shared: PassFacts) -> Iterable[str]:
    """The versions whose `reverse=` takes back what was born since: from the last step down to one that has none."""
    steps = zip(reversed(shared.steps), reversed(shared.reverses), strict=False)
    return [version for (version, _, _), _ in takewhile(lambda step: step[1], steps)]


def _check_code(facts: Facts, version: str, checksum: str | None) -> None:
    file = facts.files.get(version)
    if file is None:
        broken = next((p for p in facts.file_problems if p.version == version), None)
        raise broken or MissingMigration(
            f"taking this back needs the code of {version}, and its file is gone",
            version=version,
            hint="restore the file, then try again; or go further back: goaime-migrate down base",
        )
    if checksum not in (None, file.checksum):
        raise EditedMigration(
            f"taking this back needs the code of {file.path.name} as it was applied, and it was edited",
            version=version,
            hint="restore the file, then try again; or accept it as it is now: goaime-migrate repair",
        )
