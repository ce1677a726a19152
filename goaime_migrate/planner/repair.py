"""What `repair` can accept."""

from __future__ import annotations

from goaime_migrate import results
from goaime_migrate.errors import Refused
from goaime_migrate.migration import Operation
from goaime_migrate.planner.facts import Facts, OperationFacts
from goaime_migrate.planner.history import edited_problems, missing_problems
from goaime_migrate.redaction import redact
from goaime_migrate.results import State


def repairs(facts: Facts) -> results.RepairResult:
    """What `repair` would do: versions whose edited file it accepts, and those whose record it drops.

    Raises Refused where an unfinished version could not go on from where it stopped.
    """
    edited = [p.version for p in edited_problems(facts) if p.version is not None]
    missing = [p.version for p in missing_problems(facts) if p.version is not None]
    for version in missing:
        if version in facts.unfinished:
            raise _cannot_repair(f"the file of {version} is gone, and its pass is unfinished", version)
    for version in edited:
        if facts.versions[version].state is not State.APPLIED:
            _check_continues(facts, version)
    return results.RepairResult(tuple(edited), tuple(missing))


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
