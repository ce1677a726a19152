"""What to do, decided from three values: the files, the ledger and the target. Pure: nothing is read or written.

A plan is refused, in this order,
  - if the files are at odds with themselves or with the history: a file that does not load, two with one number, a
    gap, one that was edited, removed or added below the current version;
  - if the target names no version, or several;
  - if it lies inside an unfinished pass, or a member of that pass was edited after documents had been migrated;
  - on the way down: if a version has no way back, or its journal was pruned, or code is needed that is not there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Protocol

from goaime_migrate import results
from goaime_migrate.errors import (
    EditedMigration,
    HistoryError,
    Irreversible,
    JournalPruned,
    MissingMigration,
    OutOfOrder,
    PinnedPassEdited,
    Refused,
    UnknownTarget,
    VersionGap,
)
from goaime_migrate.migration import EMPTY, Migration, Operation
from goaime_migrate.redaction import redact
from goaime_migrate.results import Direction, State

BASE, HEAD = "base", "head"
_NUMBER = re.compile(r"[0-9]{1,9}")


class OperationFacts(Protocol):
    """What the ledger knows of an operation."""

    @property
    def text(self) -> str: ...
    @property
    def pass_id(self) -> str | None: ...
    @property
    def started(self) -> bool: ...
    @property
    def done(self) -> bool: ...
    @property
    def undo(self) -> Mapping[str, object] | None: ...


class VersionFacts(Protocol):
    """What the ledger knows of a version."""

    @property
    def version(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def state(self) -> State: ...
    @property
    def checksum(self) -> str: ...
    @property
    def rollback(self) -> str | None: ...
    @property
    def operations(self) -> Sequence[OperationFacts]: ...


class PassFacts(Protocol):
    """What the ledger knows of a pass."""

    @property
    def id(self) -> str: ...
    @property
    def collection(self) -> str: ...
    @property
    def steps(self) -> Sequence[tuple[str, int, str]]: ...
    @property
    def versions(self) -> Sequence[str]: ...
    @property
    def finished(self) -> bool: ...
    @property
    def committed(self) -> bool: ...
    @property
    def reverses(self) -> Sequence[bool]: ...


@dataclass(frozen=True)
class Facts:
    """The files and the history, side by side."""

    migrations: Sequence[Migration]
    file_problems: Sequence[HistoryError]
    versions: Mapping[str, VersionFacts]
    passes: Mapping[str, PassFacts]
    touched: frozenset[str]
    """Versions of which something may be in effect in the database."""
    unloaded: Mapping[str, str] = field(default_factory=dict)
    """The versions whose file does not load, with the name that it has."""

    @property
    def files(self) -> dict[str, Migration]:
        """The migrations by version; of two with one number that which was recorded."""
        found: dict[str, Migration] = {}
        for m in self.migrations:
            record = self.versions.get(m.version)
            if m.version not in found or (record is not None and record.name == m.name):
                found[m.version] = m
        return found

    @property
    def current(self) -> str | None:
        """The highest applied version."""
        return max((v for v, r in self.versions.items() if r.state is State.APPLIED), key=int, default=None)

    @property
    def head(self) -> str | None:
        """The newest file."""
        return max((*(m.version for m in self.migrations), *self.unloaded), key=int, default=None)

    @property
    def known(self) -> dict[str, str]:
        """Every version with its name, of files and of history, ascending."""
        recorded = {v: r.name for v, r in self.versions.items()}
        names = {**self.unloaded, **recorded, **{v: m.name for v, m in self.files.items()}}
        return dict(sorted(names.items(), key=lambda item: int(item[0])))


@dataclass(frozen=True)
class Plan:
    """What a command will do. `versions` in the order in which they are worked on."""

    direction: Direction
    target: str
    versions: tuple[str, ...]
    message: str = ""
    """Why there is nothing to do, where there is nothing."""


# --- history ---------------------------------------------------------------------------------------------------


def problems(facts: Facts) -> list[HistoryError]:
    """Every way in which files and history differ."""
    return [*_of_files(facts), *_edited(facts), *_missing(facts), *_out_of_order(facts)]


def _of_files(facts: Facts) -> Iterable[HistoryError]:
    """What the files alone say, and of their gaps those that something pending would have to be run across.

    A number that is recorded is no gap, it is an applied file that is gone.
    """
    broken = _broken(facts)
    ahead = max((int(v) for v in {*facts.files, *broken} - set(facts.versions)), default=0)
    behind = max(map(int, facts.versions), default=0)
    for problem in facts.file_problems:
        if not isinstance(problem, VersionGap) or problem.version is None:
            yield problem
        elif problem.version not in facts.versions and int(problem.version) < ahead:
            yield _below_applied(problem) if int(problem.version) < behind else problem


def _below_applied(gap: VersionGap) -> VersionGap:
    """The gap where later files are applied, which cannot get other numbers any more."""
    hint = f"put a migration that does nothing in its place: {gap.version}_{EMPTY}"
    return VersionGap(gap.message, version=gap.version, hint=hint)


def _broken(facts: Facts) -> set[str]:
    """The versions that have a file with a problem of its own."""
    return {p.version for p in facts.file_problems if p.version and not isinstance(p, VersionGap)}


def _edited(facts: Facts) -> Iterable[HistoryError]:
    for version, record in facts.versions.items():
        file = facts.files.get(version)
        if file is None or file.checksum == record.checksum or _takes_any_code(facts, record):
            continue
        if record.state is State.APPLIED:
            yield EditedMigration(
                f"{file.path.name} was edited after it had been applied "
                f"(applied {record.checksum}, now {file.checksum})",
                version=version,
                hint="restore the file and put the change into a new migration; or accept it: goaime-migrate repair",
            )
        else:
            yield PinnedPassEdited(
                f"{file.path.name} was edited after part of it had been applied",
                version=version,
                hint="take the half back: goaime-migrate down; or go on with the new code: goaime-migrate repair",
            )


def _takes_any_code(facts: Facts, record: VersionFacts) -> bool:
    """Whether it makes no difference what its file says now: nothing is in effect, or what is will be run anew.

    A version that was applied and did nothing would never be run again, whatever it is made to do.
    """
    if not record.operations:
        return record.state is not State.APPLIED
    if record.version not in facts.touched:
        return True
    return all(_starts_again(o) for o in record.operations if o.started)


def _starts_again(operation: OperationFacts) -> bool:
    """Whether it is a user's function that did not come to its end: whatever its file says now is run."""
    return _is_function(operation) and not operation.done


def _is_function(operation: OperationFacts) -> bool:
    return operation.undo is not None and operation.undo.get("kind") == "function"


def _missing(facts: Facts) -> Iterable[HistoryError]:
    for version, record in facts.versions.items():
        if version not in facts.files and version not in _broken(facts):
            below = max((v for v in facts.versions if int(v) < int(version)), key=int, default=BASE)
            highest = all(int(v) <= int(version) for v in facts.versions)
            down = "goaime-migrate down" if highest else f"goaime-migrate down {below}"
            drop = "" if _unfinished(facts, version) else "; or drop its record: goaime-migrate repair"
            yield MissingMigration(
                f"{version} ({record.name}) is {record.state} in the database, but its file is gone",
                version=version,
                hint=f"restore the file; or take it back: {down}{drop}",
            )


def _out_of_order(facts: Facts) -> Iterable[HistoryError]:
    """A migration that does nothing can do it late."""
    highest = max(map(int, facts.versions), default=0)
    for m in facts.migrations:
        if m.operations and m.version not in facts.versions and int(m.version) < highest:
            yield OutOfOrder(
                f"{m.path.name} is not applied, but {highest:04d} is: it was added below the current version",
                version=m.version,
                hint="give it the next free number, higher than every applied version",
            )


# --- targets ---------------------------------------------------------------------------------------------------


def resolve(text: str, facts: Facts, direction: Direction) -> str:
    """The version that a target names, or `base`. Raises UnknownTarget.

    "0003", "3", a unique part of a name, `head`, `base`, or +N / -N: N steps in the command's direction.
    """
    wanted = text.strip()
    if not wanted:
        raise _unknown(text, facts)
    if wanted in (BASE, "0"):
        return BASE
    if wanted == HEAD:
        return facts.head or BASE
    if wanted[:1] in ("+", "-") and _NUMBER.fullmatch(wanted[1:]):
        return _steps(int(wanted[1:]), facts, direction)
    if _NUMBER.fullmatch(wanted):
        return _numbered(wanted, facts)
    stem = wanted.removesuffix(".py")
    matches = [v for v, name in facts.known.items() if stem in f"{v}_{name}"]
    exact = [v for v, name in facts.known.items() if stem in (name, f"{v}_{name}")]
    if len(exact) == 1 or len(matches) == 1:
        return (exact if len(exact) == 1 else matches)[0]
    if matches:
        listed = ", ".join(f"{v}_{facts.known[v]}" for v in matches)
        raise UnknownTarget(f"{text!r} names several versions: {listed}", hint="use the number")
    raise _unknown(text, facts)


def _steps(count: int, facts: Facts, direction: Direction) -> str:
    if direction is Direction.UP:
        ahead = _ahead(facts)
        return ahead[min(count, len(ahead)) - 1] if count and ahead else facts.current or BASE
    behind = sorted(facts.versions, key=int)
    return behind[-count - 1] if count < len(behind) else BASE


def _ahead(facts: Facts) -> list[str]:
    """Versions that `up` would still work on."""
    return [m.version for m in facts.migrations if not _is_applied(m.version, facts)]


def _is_applied(version: str, facts: Facts) -> bool:
    return version in facts.versions and facts.versions[version].state is State.APPLIED


def _numbered(text: str, facts: Facts) -> str:
    for version in facts.known:
        if int(version) == int(text):
            return version
    raise _unknown(text, facts)


def _unknown(text: str, facts: Facts) -> UnknownTarget:
    known = list(facts.known)
    span = f"; the versions are {known[0]} to {known[-1]}" if known else "; there are no migrations"
    return UnknownTarget(f"there is no version {text!r}{span}", hint="see them: goaime-migrate status")


# --- plans -----------------------------------------------------------------------------------------------------


def plan_up(facts: Facts, target: str | None = None) -> Plan:
    """Pending versions up to and including the target. Raises HistoryError, UnknownTarget, Refused.

    What is thereby proved: the files are whole, in order, and every applied one is what was applied.
    """
    for problem in problems(facts):
        raise problem
    goal = resolve(HEAD if target is None else target, facts, Direction.UP)
    limit = 0 if goal == BASE else int(goal)
    versions = tuple(v for v in _ahead(facts) if int(v) <= limit)
    _refuse_splitting(facts, limit)
    if versions:
        return Plan(Direction.UP, goal, versions)
    return Plan(Direction.UP, goal, (), _nothing_up(facts, limit, goal))


def _nothing_up(facts: Facts, limit: int, goal: str) -> str:
    if not facts.migrations:
        return "there are no migrations"
    current = facts.current or BASE
    passed = facts.current is not None and limit < int(facts.current)
    return f"already at {current}" + (f"; to go back: down {goal}" if passed else "")


def _refuse_splitting(facts: Facts, limit: int) -> None:
    for p in facts.passes.values():
        numbers = [int(v) for v in p.versions]
        if not p.finished and p.committed and min(numbers) <= limit < max(numbers):
            raise Refused(
                f"{limit:04d} lies inside an unfinished pass over {p.versions[0]} to {p.versions[-1]}, "
                "whose documents are migrated together",
                hint=f"finish it: goaime-migrate up {p.versions[-1]}; or take it back: goaime-migrate down",
            )


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
        if _is_function(operation) and operation.started:
            yield version, None if _starts_again(operation) else record.checksum
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


def repairs(facts: Facts) -> results.RepairResult:
    """What `repair` would do: versions whose edited file it accepts, and those whose record it drops.

    Raises Refused where an unfinished version could not go on from where it stopped.
    """
    edited = [p.version for p in _edited(facts) if p.version is not None]
    missing = [p.version for p in _missing(facts) if p.version is not None]
    for version in missing:
        if _unfinished(facts, version):
            raise _cannot_repair(f"the file of {version} is gone, and its pass is unfinished", version)
    for version in edited:
        if facts.versions[version].state is not State.APPLIED:
            _check_continues(facts, version)
    return results.RepairResult(tuple(edited), tuple(missing))


def _unfinished(facts: Facts, version: str) -> bool:
    """Whether a version is a member of a pass that has begun and not come to its end."""
    return any(not p.finished and p.committed and version in p.versions for p in facts.passes.values())


def _check_continues(facts: Facts, version: str) -> None:
    """What has begun must still be there, at its place."""
    record, file = facts.versions[version], facts.files[version]
    for index, begun in enumerate(record.operations):
        if begun.started and not (
            index < len(file.operations) and _same_operation(facts, begun, file.operations[index])
        ):
            raise _cannot_repair(
                f"{file.path.name} does not have any more what was half applied: {begun.text}", version
            )


def _same_operation(facts: Facts, begun: OperationFacts, now: Operation) -> bool:
    shared = facts.passes.get(begun.pass_id or "")
    if shared is not None and now.fusion is not None:
        return now.collection == shared.collection
    return redact(now.describe()) == redact(begun.text)  # it was recorded without secrets


def _cannot_repair(message: str, version: str) -> Refused:
    return Refused(
        message, version=version, hint="restore the file; or take the half back: goaime-migrate down"
    )


# --- stages ----------------------------------------------------------------------------------------------------


def stages(migrations: Sequence[Migration], start: Mapping[str, int]) -> list[list[tuple[Migration, int]]]:
    """The operations of these migrations in order, grouped: those of one group run as one pass.

    `start` says for a version how many of its operations are done already. Fused are consecutive document operations
    on one collection with the same filter, whose lookups read no collection that the group writes.
    """
    groups: list[list[tuple[Migration, int]]] = []
    for m in migrations:
        for index in range(start.get(m.version, 0), len(m.operations)):
            if groups and _fuses(groups[-1], m, index):
                groups[-1].append((m, index))
            else:
                groups.append([(m, index)])
    return groups


def _fuses(group: Sequence[tuple[Migration, int]], migration: Migration, index: int) -> bool:
    last_migration, last_index = group[-1]
    last, operation = last_migration.operations[last_index], migration.operations[index]
    return (
        operation.fusion is not None
        and last.fusion == operation.fusion
        and last.collection == operation.collection
        and operation.collection not in operation.reads | last.reads
    )
