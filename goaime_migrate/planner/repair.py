"""What `repair` can accept."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from goaime_migrate import results
from goaime_migrate.errors import Refused
from goaime_migrate.errors.hint import DOWN, Hint
from goaime_migrate.migration import Operation
from goaime_migrate.planner.facts import Facts
from goaime_migrate.planner.history import edited_problems, missing_problems
from goaime_migrate.planner.lost import lost_records
from goaime_migrate.planner.renumbered import new_numbers, renumbered_problems
from goaime_migrate.redaction import redact
from goaime_migrate.results import State

if TYPE_CHECKING:
    from goaime_migrate.ledger import OperationRecord, VersionRecord


def repairs(facts: Facts) -> results.RepairResult:
    """What `repair` would do: versions whose edited file it accepts, whose record it drops, or gives another number.

    Raises Refused where an unfinished version could not go on from where it stopped, and where a record would have
    to be given to a file that is another migration. Raises DamagedRecord where records are gone.
    """
    for lost in lost_records(facts):
        raise lost
    for problem in renumbered_problems(facts):
        if new_numbers(facts) is None:
            raise Refused(problem.message, version=problem.version, hint=Hint("{}", problem.hint))
    edited = [p.version for p in edited_problems(facts) if p.version is not None]
    missing = [p.version for p in missing_problems(facts) if p.version is not None]
    for version in missing:
        if version in facts.unfinished:
            raise _cannot_repair(f"the file of {version} is gone, and its pass is unfinished", version)
    for version in edited:
        if facts.versions[version].state is not State.APPLIED:
            _check_continues(facts, version)
    numbers = {**(new_numbers(facts) or {}), **_half_renumbered(facts, missing)}
    dropped = tuple(v for v in missing if v not in numbers)
    return results.RepairResult(
        tuple(edited), dropped, tuple(results.Renumbering(*each) for each in numbers.items())
    )


def _half_renumbered(facts: Facts, missing: Iterable[str]) -> dict[str, str]:
    """Records that have been given another number already, and were to be removed when that run was killed."""
    twins = {_identity(r): v for v, r in facts.versions.items() if v not in missing}
    found = {v: twins.get(_identity(facts.versions[v])) for v in missing}
    return {v: twin for v, twin in found.items() if twin is not None}


def _identity(record: VersionRecord) -> tuple[object, ...]:
    """What no two records have in common."""
    passes = tuple(o.pass_id for o in record.operations if o.pass_id is not None)
    return (record.name, record.checksum, passes) if passes else (record.version,)


def _check_continues(facts: Facts, version: str) -> None:
    """What has begun must still be there, at its place."""
    record, file = facts.versions[version], facts.code[version]
    for index, begun in enumerate(record.operations):
        if begun.started and not (
            index < len(file.operations) and _same_operation(facts, begun, file.operations[index])
        ):
            raise _cannot_repair(
                f"{file.path.name} does not have any more what was half applied: {begun.text}", version
            )


def _same_operation(facts: Facts, begun: OperationRecord, now: Operation) -> bool:
    shared = facts.passes.get(begun.pass_id or "")
    if shared is not None and now.fusion is not None:
        return now.collection == shared.collection
    return redact(now.describe()) == redact(begun.text)  # it was recorded without secrets


def _cannot_repair(message: str, version: str) -> Refused:
    return Refused(message, version=version, hint=Hint("restore the file; or take the half back: {}", DOWN))
