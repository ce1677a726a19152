"""Takes versions back: restores what passes have changed, undoes the other operations, stops at the first failure.

any       -> reverting  the first of its operations is about to be taken back
reverting -> (nothing)  none of its operations is in effect any more
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from goaime_migrate import ledger as records
from goaime_migrate.backends.ports import PROGRESS, VERSIONS, Backend, Delete, RecordChange
from goaime_migrate.backends.record_fields import reading
from goaime_migrate.down.decisions import Attribution, Decisions
from goaime_migrate.down.inserted import InsertedTotals, ReverseChain
from goaime_migrate.down.restore import Restore
from goaime_migrate.errors import (
    CollectionChanged,
    Conflicts,
    DamagedRecord,
    Interrupted,
    LeaseLost,
    MigrateError,
    MigrationFailed,
    ServerUnreachable,
)
from goaime_migrate.events import StageFinished, StageStarted
from goaime_migrate.journal import segments
from goaime_migrate.journal.segments import Kind, clear, drop_kind
from goaime_migrate.ledger import PassRecord, VersionRecord
from goaime_migrate.migration import Migration
from goaime_migrate.operations import RunFunctions, revert
from goaime_migrate.planner import Plan
from goaime_migrate.results import Counts, OnConflict, State
from goaime_migrate.run.collector import forget
from goaime_migrate.run.recorder import Recorder, step_of
from goaime_migrate.transform.chain import Chain
from goaime_migrate.transform.pipeline import chain_of
from goaime_migrate.transform.step import Step


class Reverter:
    """One `down`, under the lease."""

    def __init__(self, book: Recorder) -> None:
        self._book = book
        self._runner = book.runner
        self.inserted = InsertedTotals()
        self._spent: dict[str, float] = {}
        """Seconds that the ways back of each version have taken so far."""

    def run(self, plan: Plan, on_conflict: OnConflict) -> None:
        """Take the versions of the plan back. Raises MigrateError with the state recorded."""
        self._book.forget_left_over()
        groups = reverse_groups(self._book.versions, plan.versions)
        for group in (
            part for whole in groups for part in parts_of(self._book.versions, self._book.passes, whole)
        ):
            self._runner.check()
            self._book.started = time.monotonic()
            versions = tuple(dict.fromkeys(version for version, _ in group))
            self._book.put(replace(self._book.versions[v], state=State.REVERTING) for v in versions)
            try:
                self._take_back(group, on_conflict)
            except MigrateError as error:
                _say_how_to_go_on(error, self._book.progress.documents)
                if not isinstance(error, LeaseLost | ServerUnreachable):
                    result = "failed" if isinstance(error, MigrationFailed) else "interrupted"
                    self._book.log("down", result, versions[0])
                raise
            for version in versions:
                self._spent[version] = self._spent.get(version, 0.0) + self._book.seconds
            self._taken_back(group)
        self._drop_empty(plan.versions)

    def _take_back(self, group: Sequence[tuple[str, int]], on_conflict: OnConflict) -> None:
        version, index = group[0]
        operation = self._book.versions[version].operations[index]
        if operation.pass_id is not None:
            if operation.pass_id not in self._book.passes:
                raise DamagedRecord(
                    f"the record of the pass {operation.pass_id!r}, in which {version} was applied, is gone",
                    version=version,
                    hint="restore the schema_versions collections from a backup",
                )
            record = self._book.passes[operation.pass_id]
            if level_below(record, group) < len(record.steps):
                self._restore(record, group, on_conflict)
            return
        self._runner.emit(StageStarted("down", (version,), f"undo: {operation.text}", None))
        self._runner.lease.renew()
        undo = operation.undo or {"kind": "nothing"}
        if undo.get("kind") == "function":
            with reading(VERSIONS, version):
                function = self._book.migrations[version].operations[index]
                if not isinstance(function, RunFunctions):
                    raise TypeError(f"operation {index} is no function")
            function.revert(self._runner.backend)
        else:
            with reading(VERSIONS, version):
                revert(self._runner.backend, undo)
            old = str(undo.get("old"))
            self.inserted.renamed(old, renamed(undo, old) or old)
        seconds = self._book.seconds
        self._runner.emit(StageFinished("down", (version,), f"undo: {operation.text}", 0, 0, seconds))

    def _restore(self, record: PassRecord, group: Sequence[tuple[str, int]], on_conflict: OnConflict) -> None:
        _require_collection(self._runner.backend, record)
        target = level_below(record, group)
        versions = tuple(dict.fromkeys(version for version, _ in group))
        title = self._title(record, group)
        self._runner.emit(StageStarted("down", versions, title, None))
        begun = replace(
            record, target_level=target, run_at=self._runner.backend.now(), run_from=record.taken_back
        )
        self._runner.record(records.put_pass(begun))
        restore = Restore(
            self._runner,
            record,
            target,
            judge(record, self._book.migrations, target, versions[0], on_conflict),
            versions,
            way(record, self._book.migrations, target, self._heir(record, target)),
        )
        try:
            restore.take_back()
        finally:
            self._book.progress.documents += restore.outcome.counts()
            self._book.progress.conflicts += restore.outcome.conflicts
            self.inserted.note(record.collection, restore.inserted)
        counts = restore.outcome.counts()
        self._runner.emit(
            StageFinished("down", versions, title, counts.matched, counts.changed, self._book.seconds)
        )

    def _title(self, record: PassRecord, group: Sequence[tuple[str, int]]) -> str:
        version, index = group[0]
        if len(group) == 1:
            return f"undo: {self._book.versions[version].operations[index].text}"
        return f"undo: {record.collection}, {len(group)} steps"

    def _heir(self, record: PassRecord, target: int) -> str | None:
        """The pass with a `reverse=` that is taken back after this one: itself, if some of its steps stay."""
        staying = record.down_to(target)
        if target:
            return record.id if any(staying.reverses) else None
        for lower in beneath(self._book.versions, self._book.passes, record):
            if any(lower.reverses):
                return lower.id
        return None

    def _taken_back(self, group: Sequence[tuple[str, int]]) -> None:
        """Record that these operations are not in effect any more; versions without any are pending again."""
        pass_id = self._book.versions[group[0][0]].operations[group[0][1]].pass_id
        for version, index in group:
            self._book.versions[version] = self._book.versions[version].with_operation(
                index, pass_id=None, undo=None, started=False, done=False
            )
        changes: list[RecordChange] = []
        for version in dict.fromkeys(version for version, _ in group):
            changes += self._pending_or_less(version)
        lowered = self._lowered(pass_id, group)
        if pass_id in self._book.passes:
            self._runner.record(*lowered, *changes)  # a pass never has a step whose version is gone
        else:
            self._runner.record(*changes, *lowered)  # a version never names a pass that is gone
        if pass_id is not None and pass_id not in self._book.passes:
            clear(self._runner.backend, pass_id)

    def _pending_or_less(self, version: str) -> list[RecordChange]:
        record = self._book.versions[version]
        if any(o.started for o in record.operations):
            return [records.put_version(record)]
        del self._book.versions[version]
        self._book.progress.versions.append(version)
        seconds = round(self._spent.get(version, 0.0), 3)
        entry = records.log(
            self._runner.backend.now(), self._book.owner, "down", "reverted", version, seconds
        )
        return [records.delete_version(version), entry]

    def _lowered(self, pass_id: str | None, group: Sequence[tuple[str, int]]) -> list[RecordChange]:
        """The changes for the pass: gone, or with fewer steps."""
        record = self._book.passes.pop(pass_id or "", None)
        if record is None:
            return []
        target = level_below(record, group)
        if target == 0:
            return [*records.delete_pass(record.id), *forget(record.id)]
        fewer = replace(record.down_to(target), finished=True, taken_back=0, to_take_back=None)
        self._book.passes[record.id] = fewer
        return [
            records.put_pass(fewer),
            Delete(PROGRESS, {"pass": record.id, "kind": "partition"}),
            drop_kind(record.id, Kind.INSERTED),
            *forget(record.id),
        ]

    def _drop_empty(self, versions: Sequence[str]) -> None:
        """Versions of which nothing had been started, a failed first batch for one."""
        left = [
            v
            for v in versions
            if v in self._book.versions and not any(o.started for o in self._book.versions[v].operations)
        ]
        for version in left:
            self._runner.record(*self._pending_or_less(version))


def _require_collection(backend: Backend, record: PassRecord) -> None:
    """Refuse to take back into nothing: documents that are not there would count as deleted. Raises CollectionChanged."""
    if record.collection not in backend.collections() and segments.count(backend, record.id):
        raise CollectionChanged(
            f"there is no collection {record.collection}, and the journal has documents for it",
            version=record.versions[-1],
            hint="bring the collection back (empty, if its documents are gone for good), then: goaime-migrate down",
        )


def reverse_groups(
    versions: Mapping[str, VersionRecord], order: Sequence[str]
) -> list[list[tuple[str, int]]]:
    """The started operations of these versions, last first; those of one pass together."""
    groups: list[list[tuple[str, int]]] = []
    previous: str | None = None
    for version in order:
        operations = versions[version].operations
        for index in reversed(range(len(operations))):
            if not operations[index].started:
                continue
            current = operations[index].pass_id
            if current is not None and current == previous:
                groups[-1].append((version, index))
            else:
                groups.append([(version, index)])
            previous = current
    return groups


def parts_of(
    versions: Mapping[str, VersionRecord], passes: Mapping[str, PassRecord], group: list[tuple[str, int]]
) -> list[list[tuple[str, int]]]:
    """The group; or first what an earlier `down` has begun to take back of it, then the rest.

    What is no step of the pass any more has been taken back, and has yet to be forgotten.
    """
    version, index = group[0]
    record = passes.get(versions[version].operations[index].pass_id or "")
    if record is None:
        return [group]
    staying = {(v, i) for v, i, _ in record.steps[: record.target_level]}
    both = [[o for o in group if o not in staying], [o for o in group if o in staying]]
    return [part for part in both if part]


def beneath(
    versions: Mapping[str, VersionRecord], passes: Mapping[str, PassRecord], record: PassRecord
) -> Iterator[PassRecord]:
    """The passes over the same documents that are taken back after this one, whatever their collection was called."""
    name: str | None = None
    for group in reverse_groups(versions, sorted(versions, key=int, reverse=True)):
        version, index = group[0]
        operation = versions[version].operations[index]
        found = passes.get(operation.pass_id or "")
        if found is not None and found.id == record.id:
            name = record.collection
        elif found is not None and found.collection == name:
            yield found
        elif (new := renamed(operation.undo, name)) is not None:
            name = new


def renamed(undo: Mapping[str, Any] | None, name: str | None) -> str | None:
    """What a collection is called once an operation has been undone that has renamed it."""
    with reading(VERSIONS, "operations"):
        if undo is not None and undo.get("kind") == "rename_collection" and undo["old"] == name:
            return str(undo["new"])
    return None


def level_below(record: PassRecord, group: Sequence[tuple[str, int]]) -> int:
    """How many steps of a pass stay in effect when these operations are taken back; all, if they have been already."""
    taken = set(group)
    steps = enumerate(record.steps)
    return min((i for i, (v, index, _) in steps if (v, index) in taken), default=len(record.steps))


def judge(
    record: PassRecord,
    migrations: Mapping[str, Migration],
    target: int,
    version: str,
    on_conflict: OnConflict,
) -> Decisions:
    """Who decides what each document becomes; with the chains to replay where steps stay in effect."""
    replay: tuple[Chain, Chain] | None = None
    if target:
        steps = _steps(record, migrations)
        whole = chain_of(record.id, steps)
        replay = (chain_of(record.id, steps[:target]), whole)
    author = Attribution(version)
    if _has_authors(record, migrations, target):
        chains = [chain_of(record.id, [step]) for step in _steps(record, migrations)]
        author = Attribution(version, chains, len(chains) - target)
    return Decisions(record, author, on_conflict, replay)


def _has_authors(record: PassRecord, migrations: Mapping[str, Migration], target: int) -> bool:
    """Whether it can be found out which of several versions has written a field."""
    return len({version for version, _, _ in record.steps[target:]}) > 1 and _at_hand(record, migrations)


def _at_hand(record: PassRecord, migrations: Mapping[str, Migration]) -> bool:
    """Whether the code of a pass is there as it was when it was applied."""
    return all(v in migrations and migrations[v].checksum == checksum for v, _, checksum in record.steps)


def _steps(record: PassRecord, migrations: Mapping[str, Migration], level: int = 0) -> list[Step]:
    """The steps of a pass above a level."""
    return [step_of(migrations[version], index) for version, index, _ in record.steps[level:]]


def way(
    record: PassRecord, migrations: Mapping[str, Migration], target: int, heir: str | None
) -> ReverseChain:
    """How far documents that were born since can be taken back: down to the target, or a step without `reverse=`."""
    flags = zip(record.steps, record.reverses, strict=True)
    has = [flag and version in migrations for (version, _, _), flag in flags]
    lacking = [position for position in range(target, len(has)) if not has[position]]
    level = lacking[-1] + 1 if lacking else target
    steps = _steps(record, migrations, level)
    chain = chain_of(record.id, [step.reversed() for step in reversed(steps)]) if steps else None
    return ReverseChain(chain, record.steps[level - 1][0] if lacking else None, heir)


def _say_how_to_go_on(error: MigrateError, done: Counts) -> None:
    """What an error on the way back has not stopped, and the command that does the rest."""
    kept = done.changed + done.unchanged
    if isinstance(error, Conflicts):
        were = "1 document was" if kept == 1 else f"{kept:,} documents were"
        before = f"{were} taken back before, and kept so" if kept else "no document was taken back before"
        error.message = f"{error.message}; {before}"
        error.args = (error.message,)
    elif isinstance(error, Interrupted):
        error.hint = "goaime-migrate down"
