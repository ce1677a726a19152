"""Which operations are taken back together on the way down."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from goaime_migrate.errors import DamagedRecord
from goaime_migrate.errors.hint import FROM_BACKUP
from goaime_migrate.planner.groups import DownGroup, ForgetSteps, OperationRef, RestorePass, UndoChange
from goaime_migrate.planner.lost import lost_pass

if TYPE_CHECKING:
    from goaime_migrate.ledger import OperationRecord, PassRecord
    from goaime_migrate.planner.facts import Facts


def down_groups(facts: Facts, versions: Sequence[str]) -> Iterator[DownGroup]:
    """The operations of these versions that may be in effect, the last first."""
    way = _Way(facts)
    for pass_id, operations in groupby(
        _started_operations(facts, versions), lambda ref: _record_of(facts, ref).pass_id
    ):
        if pass_id is None:
            yield from map(way.undo, operations)
        elif pass_id in facts.passes:
            yield from way.parts(facts.passes[pass_id], list(operations))
        else:
            raise lost_pass(next(operations).version, pass_id)


def _started_operations(facts: Facts, versions: Sequence[str]) -> Iterator[OperationRef]:
    """The operations of these versions that may be in effect, those of each the last first."""
    for version in versions:
        operations = facts.versions[version].operations
        for index in reversed(range(len(operations))):
            if operations[index].started:
                yield OperationRef(version, index)


def _record_of(facts: Facts, ref: OperationRef) -> OperationRecord:
    return facts.versions[ref.version].operations[ref.number]


class _Way:
    """How it will stand when the next group is taken back: steps that are still in effect, names of collections."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._heirs = _heirs(facts)
        self._steps_left: dict[str, int] = {}
        """How many steps will be left of the passes of which some have been taken back."""
        self._today: dict[str, str] = {}
        """What collections are called today that will have another name by then."""

    def undo(self, ref: OperationRef) -> UndoChange:
        """A single operation, undone."""
        renames = renaming(ref.version, _record_of(self._facts, ref))
        if renames is not None:
            old, new = renames
            self._today[new] = self._today.get(old, old)
        return UndoChange((ref,), renames)

    def parts(self, record: PassRecord, operations: Sequence[OperationRef]) -> Iterator[DownGroup]:
        """Steps of one pass: first what an earlier `down` has begun to take back of them, then the rest.

        What is no step of the pass any more has been taken back, and has yet to be forgotten.
        """
        staying = {(v, i) for v, i, _ in record.steps[: record.target_level]}
        for stays in (False, True):
            part = tuple(ref for ref in operations if (ref in staying) is stays)
            if part:
                yield self._part(record, part)

    def _part(self, record: PassRecord, part: tuple[OperationRef, ...]) -> DownGroup:
        steps = record.steps[: self._steps_left.get(record.id)]
        if not steps:  # taken back whole before its last operation comes
            raise lost_pass(part[0].version, record.id)
        taken = set(part)
        level = next((n for n, (v, i, _) in enumerate(steps) if (v, i) in taken), None)
        if level is None:
            return ForgetSteps(part, record.id)
        self._steps_left[record.id] = level
        heir = self._heirs[record.id]
        if level:
            heir = record.id if any(record.reverses[:level]) else None
        today = self._today.get(record.writes, record.writes)
        return RestorePass(part, record.id, level, record.writes, today, heir)


def _heirs(facts: Facts) -> dict[str, str | None]:
    """For each pass the nearest beneath it, over the same documents, that has a `reverse=`.

    A collection may have been renamed in between: what is undone gives it another name for what is beneath.
    """
    nearest: dict[str, str | None] = {}  # by the name of the collection
    heirs: dict[str, str | None] = {}
    for version in facts.recorded:
        for operation in facts.versions[version].operations:
            if not operation.started:
                continue
            shared = facts.passes.get(operation.pass_id or "")
            if shared is None:
                renames = renaming(version, operation)
                if renames is not None:
                    nearest[renames[0]] = nearest.get(renames[1])
            elif shared.id not in heirs:
                heirs[shared.id] = nearest.get(shared.collection)
                if any(shared.reverses):
                    nearest[shared.collection] = shared.id
    return heirs


def renaming(version: str, operation: OperationRecord) -> tuple[str, str] | None:
    """What a collection is called until an operation is undone that has renamed it, and from then on."""
    undo = operation.undo
    if undo is None or undo.get("kind") != "rename_collection":
        return None
    old, new = undo.get("old"), undo.get("new")
    if not isinstance(old, str) or not isinstance(new, str):
        raise DamagedRecord(
            f"the record {version!r} of the versions is not one that this tool has written: "
            f"it renames {old!r:.100} to {new!r:.100}",
            version=version,
            hint=FROM_BACKUP,
        )
    return old, new
