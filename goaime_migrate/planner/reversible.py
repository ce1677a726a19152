"""Whether versions can be taken back: each has a way back, and all code that this needs is there as it was."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import takewhile
from typing import TYPE_CHECKING

from goaime_migrate.errors import EditedMigration, Irreversible, JournalPruned, MissingMigration
from goaime_migrate.errors.hint import DOWN, REPAIR, Hint
from goaime_migrate.planner.facts import Facts, is_function, starts_again

if TYPE_CHECKING:
    from goaime_migrate.ledger import OperationRecord, PassRecord


def check_ways_back(facts: Facts, reverting: Sequence[str]) -> None:
    """Refuse versions that cannot all be taken back, the highest first. Raises Refused, HistoryError."""
    code = _Code(facts, reverting)
    for version in reverting:
        _check_way_back(facts, version)
        for operation in facts.versions[version].operations:
            for needed, checksum in code.needed(version, operation):
                check_code(facts, needed, checksum)


def _check_way_back(facts: Facts, version: str) -> None:
    record, file = facts.versions[version], facts.code.get(version)
    if record.rollback:
        raise JournalPruned(
            f"{version} ({record.name}) cannot be taken back: {record.pruned_by}",
            version=version,
            hint=Hint(
                "go back no further than to it: {}; or write a new migration that changes the documents forward",
                DOWN.to(version),
            ),
        )
    ran = any(
        is_function(o) and o.started for o in record.operations
    )  # it was neither stamped nor something else
    if file is not None and not file.reversible and ran:
        raise Irreversible(
            f"{file.label} has no way back: it defines up(db) and no down(db)",
            version=version,
            hint=Hint(
                "define down(db) in it, then: {}; or write a new migration that changes things forward",
                REPAIR,
            ),
        )


class _Code:
    """The code that taking back needs: a version's own functions, and the steps that stay in a shared pass."""

    def __init__(self, facts: Facts, reverting: Sequence[str]) -> None:
        self._facts = facts
        self._reverting = frozenset(reverting)
        self._reversing: dict[str, frozenset[str]] = {}

    def needed(self, version: str, operation: OperationRecord) -> Iterable[tuple[str, str | None]]:
        """Versions whose code an operation needs, with the checksum that each must have; None where any will do."""
        checksum = self._facts.versions[version].checksum
        if is_function(operation) and operation.started:
            yield version, None if starts_again(operation) else checksum
        shared = self._facts.passes.get(operation.pass_id or "")
        if shared is None or not shared.committed:
            return
        seen = shared.id in self._reversing
        if not seen:
            self._reversing[shared.id] = _reversing(shared)
        if version in self._reversing[shared.id]:
            yield version, checksum
        if not seen and not self._goes_whole(shared):
            yield from ((v, of_step) for v, _, of_step in shared.steps)

    def _goes_whole(self, shared: PassRecord) -> bool:
        """Whether no step of a pass stays in effect; what `repair` has dropped does not count."""
        return all(v in self._reverting for v in shared.versions if v in self._facts.versions)


def _reversing(shared: PassRecord) -> frozenset[str]:
    """The versions whose `reverse=` takes back what was inserted since: from the last step down to one without."""
    steps = zip(reversed(shared.steps), reversed(shared.reverses), strict=False)
    return frozenset(version for (version, _, _), _ in takewhile(lambda step: step[1], steps))


def check_code(facts: Facts, version: str, checksum: str | None) -> None:
    """Refuse to do without the code of a version, or with another. Raises MissingMigration, EditedMigration."""
    file = facts.code.get(version)
    if file is None:
        broken = next((p for p in facts.file_problems if p.version == version), None)
        record = facts.versions.get(version)
        named = f"{version}_{record.name}" if record else version
        raise broken or MissingMigration(
            f"taking this back needs the code of {named}, and no file has it",
            version=version,
            hint=Hint("restore the file, then try again; or go further back: {}", DOWN.to("base")),
        )
    if checksum not in (None, file.checksum):
        raise EditedMigration(
            f"taking this back needs the code of {file.path.name} as it was applied, and it was edited",
            version=version,
            hint=Hint("restore the file, then try again; or accept it as it is now: {}", REPAIR),
        )
