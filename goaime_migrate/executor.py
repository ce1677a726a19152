"""Walks a plan: opens and finishes passes, runs the other operations, keeps the ledger true, stops at the first failure.

Every change of state in `schema_versions` is made here, each together with the lease's guard:

  (nothing) -> running    the first of its operations is about to start
  running   -> applied    all its operations are done and its `verify` holds
  running   -> partial    the run was interrupted, failed elsewhere in the pass, or was a canary
  running   -> failed     one of its own operations stopped
  any       -> reverting  `down` is about to take back the first of its operations
  reverting -> (nothing)  none of its operations is in effect any more
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from goaime_migrate import ledger as records
from goaime_migrate.backends.base import PROGRESS, Delete, Filter, RecordChange
from goaime_migrate.engine import up as walking
from goaime_migrate.engine.chain import Chain, Step
from goaime_migrate.engine.journal import Kind, clear, drop_kind
from goaime_migrate.engine.restore import Judge, Restore
from goaime_migrate.engine.runner import Runner
from goaime_migrate.engine.tail import forget
from goaime_migrate.engine.tally import Tally
from goaime_migrate.errors import LeaseLost, MigrateError, MigrationFailed, PromiseFailed, Refused
from goaime_migrate.events import Notice, StageFinished, StageStarted
from goaime_migrate.ledger import Ledger, OperationRecord, PassRecord, VersionRecord
from goaime_migrate.migration import Migration
from goaime_migrate.operations import DocumentOperation, RunFunctions, StateOperation, revert
from goaime_migrate.planner import Plan, stages
from goaime_migrate.results import Conflict, Counts, OnConflict, RepairResult, State, WarningCount

Group = Sequence[tuple[Migration, int]]


@dataclass
class Progress:
    """What a run has achieved so far; a failure leaves it as it stands."""

    versions: list[str] = field(default_factory=list)
    documents: Counts = Counts()
    conflicts: list[Conflict] = field(default_factory=list)
    warnings: list[WarningCount] = field(default_factory=list)
    born: int = 0


class Executor:
    """One run of one plan, under the lease."""

    def __init__(self, runner: Runner, migrations: Mapping[str, Migration], ledger: Ledger) -> None:
        self._runner = runner
        self._migrations = migrations
        self._versions = dict(ledger.versions)
        self._passes = dict(ledger.passes)
        self._owner = runner.lease.record.owner
        self._started = time.monotonic()
        self.progress = Progress()

    # up --------------------------------------------------------------------------------------------------------

    def up(self, plan: Plan, canary: Filter | None) -> None:
        """Apply the versions of the plan. Raises MigrateError with the state recorded."""
        groups = self._groups(plan.versions)
        if canary is not None:
            self._require_canary(groups)
        self._finish_ready(plan.versions)
        for group in groups:
            self._runner.check()
            self._started = time.monotonic()
            operation = group[0][0].operations[group[0][1]]
            if isinstance(operation, DocumentOperation):
                self._pass(group, canary)
            elif isinstance(operation, StateOperation):
                self._state_operation(group[0][0], group[0][1], operation)
            if canary is None:
                self._finish_ready(plan.versions)

    def _groups(self, versions: Sequence[str]) -> list[Group]:
        """What is left to do: first an unfinished pass exactly as it was pinned, then the rest."""
        self._forget_empty_passes(versions)
        done = {v: sum(o.done for o in self._versions[v].operations) for v in versions if v in self._versions}
        groups: list[Group] = []
        for p in self._passes.values():
            if not p.finished and set(p.versions) & set(versions):
                groups.append([(self._migrations[v], index) for v, index, _ in p.steps])
                done |= {v: index + 1 for v, index, _ in p.steps}
        return [*groups, *stages([self._migrations[v] for v in versions], done)]

    def _forget_empty_passes(self, versions: Sequence[str]) -> None:
        """A pass without a committed batch pins nothing: it is planned afresh."""
        empty = [p for p in self._passes.values() if not p.finished and not p.committed]
        changes: list[RecordChange] = []
        for p in empty:
            changes += records.delete_pass(p.id)
            del self._passes[p.id]
            for version, index, _ in p.steps:
                if version in self._versions:
                    record = self._versions[version].with_operation(index, pass_id=None, started=False)
                    self._versions[version] = record
                    changes.append(records.put_version(record))
        if changes:
            self._runner.record(*changes)

    def _require_canary(self, groups: Sequence[Group]) -> None:
        operations = [m.operations[i] for group in groups for m, i in group]
        if len(groups) != 1 or not all(isinstance(o, DocumentOperation) for o in operations):
            raise Refused(
                "--where works on one pass over one collection; this plan has more than that",
                hint="name the last version of the canary: goaime-migrate up TARGET --where …",
            )

    # a pass

    def _pass(self, group: Group, canary: Filter | None) -> None:
        steps = [step_of(m, index) for m, index in group]
        record = self._opened(group, steps, canary)
        self._runner.emit(
            StageStarted(
                "up", record.versions, _title(group), record.total, record.examined if record.committed else 0
            )
        )
        this = walking.Pass(self._runner, record, steps)
        try:
            done = this.run(canary_only=canary is not None)
        except MigrateError as error:
            self._stopped(record.versions, error, this)
            raise
        self._count(done)
        if canary is None:
            self._pass_done(record, this.tally())
        else:
            self._put(replace(self._versions[v], state=State.PARTIAL) for v in record.versions)
            self.progress.warnings += this.tally().warning_counts()
        seconds = time.monotonic() - self._started
        self._runner.emit(
            StageFinished("up", record.versions, _title(group), done.examined, done.written, seconds)
        )

    def _opened(self, group: Group, steps: Sequence[Step], canary: Filter | None) -> PassRecord:
        """The unfinished pass of this group, or a new one, its members recorded as running."""
        versions = tuple(dict.fromkeys(m.version for m, _ in group))
        known = next(
            (p for p in self._passes.values() if not p.finished and set(p.versions) == set(versions)), None
        )
        if known is not None:
            if canary is not None:
                raise Refused(
                    "an unfinished pass is in the way of a canary",
                    hint="finish it: goaime-migrate up; or take it back: goaime-migrate down",
                )
            self._put(
                replace(self._begun(self._migrations[v]), checksum=self._migrations[v].checksum)
                for v in versions
            )
            self._runner.emit(Notice(f"resuming the pass over {known.collection} where it stopped"))
            return known
        pins = [(m.version, index, m.checksum) for m, index in group]
        try:
            record = walking.opened(self._runner.backend, steps, pins, canary)
        except MigrationFailed as error:
            self._put(self._begun(self._migrations[v]) for v in versions)
            self._stopped(versions, error, None)
            raise
        for m, index in group:
            self._versions[m.version] = self._begun(m).with_operation(index, pass_id=record.id, started=True)
        self._passes[record.id] = record
        self._runner.record(
            records.put_pass(record), *(records.put_version(self._versions[v]) for v in versions)
        )
        return record

    def _pass_done(self, record: PassRecord, tally: Tally) -> None:
        """The walk is over: counts and warnings go to the versions, the partitions are not needed any more."""
        record = walking.finished(record)
        self._passes[record.id] = record
        for position, (version, index, _) in enumerate(record.steps):
            of = self._versions[version]
            counts = (of.documents or Counts()) + tally.counts(position)
            self._versions[version] = replace(of.with_operation(index, done=True), documents=counts)
        for version in record.versions:
            mine = tuple(w for w in tally.warning_counts() if w.version == version)
            of = self._versions[version]
            self._versions[version] = replace(of, warnings=(*of.warnings, *mine))
            self.progress.warnings += mine
        self._runner.record(
            records.put_pass(record),
            Delete(PROGRESS, {"pass": record.id, "kind": "partition"}),
            forget(record.id),
            *(records.put_version(self._timed(self._versions[v])) for v in record.versions),
        )

    def _count(self, tally: Tally) -> None:
        self.progress.documents += tally.total()

    # any other operation

    def _state_operation(self, migration: Migration, index: int, operation: StateOperation) -> None:
        version = migration.version
        self._runner.emit(StageStarted("up", (version,), operation.describe(), None))
        record = self._begun(migration)
        try:
            undo = record.operations[index].undo or operation.prepare(self._runner.backend, version)
            self._put([record.with_operation(index, started=True, undo=undo)])
            self._runner.lease.renew()
            operation.apply(self._runner.backend, undo)
        except MigrateError as error:
            if isinstance(error, MigrationFailed | Refused) and not self._left_traces(operation):
                self._versions[version] = record
            self._stopped((version,), error.at(version), None)
            raise
        self._put([self._timed(self._versions[version].with_operation(index, done=True))])
        seconds = time.monotonic() - self._started
        self._runner.emit(StageFinished("up", (version,), operation.describe(), 0, 0, seconds))

    def _left_traces(self, operation: StateOperation) -> bool:
        """Whether an operation that was refused may have changed something: a user's function on a real server."""
        return isinstance(operation, RunFunctions) and self._runner.backend.capabilities.server_code

    # versions

    def _begun(self, migration: Migration) -> VersionRecord:
        """The version as running; a new record where it was pending."""
        known = self._versions.get(migration.version)
        if known is not None:
            texts = tuple(
                replace(o, text=of.describe())
                for o, of in zip(known.operations, migration.operations, strict=False)
            )
            fresh = tuple(OperationRecord(of.describe()) for of in migration.operations[len(texts) :])
            return replace(
                known,
                name=migration.name,
                description=migration.description,
                checksum=migration.checksum,
                state=State.RUNNING,
                error=None,
                operations=texts + fresh,
            )
        return VersionRecord(
            version=migration.version,
            name=migration.name,
            description=migration.description,
            state=State.RUNNING,
            checksum=migration.checksum,
            operations=tuple(OperationRecord(of.describe()) for of in migration.operations),
            started_at=self._runner.backend.now(),
            actor=records.actor(self._owner),
        )

    def _timed(self, record: VersionRecord) -> VersionRecord:
        """The record with the time of this stage added to its duration."""
        timed = replace(record, duration_s=round(record.duration_s + time.monotonic() - self._started, 3))
        self._versions[record.version] = timed
        return timed

    def _put(self, changed: Iterable[VersionRecord], *more: RecordChange) -> None:
        listed = list(changed)
        self._versions |= {record.version: record for record in listed}
        self._runner.record(*(records.put_version(record) for record in listed), *more)

    def _finish_ready(self, versions: Sequence[str]) -> None:
        """Versions whose operations are all done become applied, if their own `verify` holds."""
        for version in versions:
            record = self._versions.get(version)
            if record is None or record.state is State.APPLIED or not all(o.done for o in record.operations):
                continue
            migration = self._migrations[version]
            try:
                check_statement(self._runner, migration)
            except MigrateError as error:
                self._stopped((version,), error, None)
                raise
            now = self._runner.backend.now()
            applied = replace(record, state=State.APPLIED, applied_at=now, error=None)
            entry = records.log(now, self._owner, "up", "applied", version, record.duration_s)
            self._put([applied], entry)
            self.progress.versions.append(version)

    def _stopped(self, versions: Sequence[str], error: MigrateError, this: walking.Pass | None) -> None:
        """Record where and why a run stopped, unless it is this run no more."""
        if isinstance(error, LeaseLost):
            return
        failed = isinstance(error, MigrationFailed)
        culprit = (error.version or versions[-1]) if failed else None
        if failed:
            error.at(versions[-1])
        if this is not None:
            self._count_partly(this)
        untouched = [] if failed else [v for v in versions if v in self._versions and self._is_untouched(v)]
        for version in untouched:
            del self._versions[version]
        changed = [
            replace(
                self._versions[v],
                state=State.FAILED if v == culprit else State.PARTIAL,
                error=records.error_record(error) if v == culprit else None,
                duration_s=round(self._versions[v].duration_s + time.monotonic() - self._started, 3),
            )
            for v in versions
            if v in self._versions
        ]
        now = self._runner.backend.now
        result = "failed" if failed else "interrupted"
        with suppress(MigrateError):  # the error itself matters more than its record
            entry = records.log(now(), self._owner, "up", result, culprit or versions[-1])
            self._put(changed, *map(records.delete_version, untouched), entry)

    def _is_untouched(self, version: str) -> bool:
        return not any(o.started or o.done for o in self._versions[version].operations)

    def _count_partly(self, this: walking.Pass) -> None:
        with suppress(MigrateError):
            tally = this.tally()
            self.progress.documents += tally.total()
            self.progress.warnings += tally.warning_counts()

    # down ------------------------------------------------------------------------------------------------------

    def down(self, plan: Plan, on_conflict: OnConflict) -> None:
        """Take the versions of the plan back. Raises MigrateError with the state recorded."""
        for group in reverse_groups(self._versions, plan.versions):
            self._runner.check()
            self._started = time.monotonic()
            versions = tuple(dict.fromkeys(version for version, _ in group))
            self._put(replace(self._versions[v], state=State.REVERTING) for v in versions)
            try:
                self._take_back(group, on_conflict)
            except MigrateError as error:
                self._log_failed_down(versions[0], error)
                raise
            self._taken_back(group)
        self._drop_empty(plan.versions)

    def _take_back(self, group: Sequence[tuple[str, int]], on_conflict: OnConflict) -> None:
        version, index = group[0]
        operation = self._versions[version].operations[index]
        if operation.pass_id is not None:
            if operation.pass_id in self._passes:
                self._restore(self._passes[operation.pass_id], group, on_conflict)
            return
        self._runner.emit(StageStarted("down", (version,), f"undo: {operation.text}", None))
        self._runner.lease.renew()
        undo = operation.undo or {"kind": "nothing"}
        if undo["kind"] == "function":
            function = self._migrations[version].operations[index]
            assert isinstance(function, RunFunctions)
            function.revert(self._runner.backend)
        else:
            revert(self._runner.backend, undo)
        seconds = time.monotonic() - self._started
        self._runner.emit(StageFinished("down", (version,), f"undo: {operation.text}", 0, 0, seconds))

    def _restore(self, record: PassRecord, group: Sequence[tuple[str, int]], on_conflict: OnConflict) -> None:
        target = level_below(record, group)
        versions = tuple(dict.fromkeys(version for version, _ in group))
        title = f"restore {record.collection}"
        self._runner.emit(StageStarted("down", versions, title, None))
        self._runner.record(records.put_pass(replace(record, target_level=target, finished=record.finished)))
        restore = Restore(
            self._runner,
            record,
            target,
            judge(record, self._migrations, target, versions[0], on_conflict),
            versions,
            reverse_chain(record, self._migrations, target),
        )
        outcome = restore.run()
        self.progress.documents += outcome.counts()
        self.progress.conflicts += outcome.conflicts
        self.progress.born += outcome.born
        counts = outcome.counts()
        self._runner.emit(
            StageFinished(
                "down", versions, title, counts.matched, counts.changed, time.monotonic() - self._started
            )
        )

    def _taken_back(self, group: Sequence[tuple[str, int]]) -> None:
        """Record that these operations are not in effect any more; versions without any are pending again."""
        pass_id = self._versions[group[0][0]].operations[group[0][1]].pass_id
        for version, index in group:
            self._versions[version] = self._versions[version].with_operation(
                index, pass_id=None, undo=None, started=False, done=False
            )
        changes: list[RecordChange] = list(self._lowered(pass_id, group))
        for version in dict.fromkeys(version for version, _ in group):
            changes += self._pending_or_less(version)
        self._runner.record(*changes)
        if pass_id is not None and pass_id not in self._passes:
            clear(self._runner.backend, pass_id)

    def _pending_or_less(self, version: str) -> list[RecordChange]:
        record = self._versions[version]
        if any(o.started for o in record.operations):
            return [records.put_version(record)]
        del self._versions[version]
        self.progress.versions.append(version)
        seconds = round(time.monotonic() - self._started, 3)
        entry = records.log(self._runner.backend.now(), self._owner, "down", "reverted", version, seconds)
        return [records.delete_version(version), entry]

    def _lowered(self, pass_id: str | None, group: Sequence[tuple[str, int]]) -> list[RecordChange]:
        """The changes for the pass: gone, or with fewer steps."""
        record = self._passes.pop(pass_id or "", None)
        if record is None:
            return []
        target = level_below(record, group)
        if target == 0:
            return list(records.delete_pass(record.id))
        fewer = replace(record, steps=record.steps[:target], level=target, target_level=None, finished=True)
        self._passes[record.id] = fewer
        return [
            records.put_pass(fewer),
            Delete(PROGRESS, {"pass": record.id, "kind": "partition"}),
            drop_kind(record.id, Kind.BORN),
        ]

    def _drop_empty(self, versions: Sequence[str]) -> None:
        """Versions of which nothing had been started, a failed first batch for one."""
        left = [
            v
            for v in versions
            if v in self._versions and not any(o.started for o in self._versions[v].operations)
        ]
        for version in left:
            self._runner.record(*self._pending_or_less(version))

    # records alone ---------------------------------------------------------------------------------------------

    def stamp(self, versions: Sequence[str]) -> None:
        """Record versions as applied without running them."""
        now = self._runner.backend.now()
        changes: list[RecordChange] = []
        for version in versions:
            record = self._begun(self._migrations[version])
            done = tuple(replace(o, done=True) for o in record.operations)
            stamped = replace(record, state=State.APPLIED, applied_at=now, operations=done)
            changes += [
                records.put_version(stamped),
                records.log(now, self._owner, "stamp", "applied", version),
            ]
        self._runner.record(*changes)

    def repair(self, found: RepairResult) -> None:
        """Accept edited files, and drop the records of versions whose file was removed."""
        now = self._runner.backend.now()
        changes: list[RecordChange] = []
        for version in found.accepted:
            file = self._migrations[version]
            changes.append(records.put_version(replace(self._versions[version], checksum=file.checksum)))
            changes.append(records.log(now, self._owner, "repair", "accepted", version))
            changes += [records.put_pass(p) for p in self._repinned(version, file.checksum)]
        for version in found.dropped:
            changes.append(records.delete_version(version))
            changes.append(records.log(now, self._owner, "repair", "dropped", version))
        self._runner.record(*changes)

    def _repinned(self, version: str, checksum: str) -> list[PassRecord]:
        """The passes of an edited version, pinned to its new code."""
        changed = []
        for p in self._passes.values():
            if version in p.versions:
                steps = tuple((v, i, checksum if v == version else c) for v, i, c in p.steps)
                self._passes[p.id] = replace(p, steps=steps)
                changed.append(self._passes[p.id])
        return changed

    def _log_failed_down(self, version: str, error: MigrateError) -> None:
        if isinstance(error, LeaseLost):
            return
        result = "failed" if isinstance(error, MigrationFailed) else "interrupted"
        with suppress(MigrateError):
            self._runner.record(records.log(self._runner.backend.now(), self._owner, "down", result, version))


def check_statement(runner: Runner, migration: Migration) -> None:
    """Run a migration's own `verify(db)`. Raises PromiseFailed with its first findings."""
    if migration.verify is None:
        return
    with runner.backend.functions(write=False) as database:
        try:
            findings = [str(finding) for finding in migration.verify(database) or ()]
        except Exception as error:  # a statement says no by raising, with whatever it likes
            findings = [f"{type(error).__name__}: {error}"]
    if findings:
        raise PromiseFailed(
            f"verify of {migration.label} does not hold: {findings[0]}",
            version=migration.version,
            detail="\n".join(findings[:10]),
            hint="correct the data or the migration, then: goaime-migrate up",
        )


def step_of(migration: Migration, index: int) -> Step:
    """A document operation as the engine runs it."""
    operation = migration.operations[index]
    assert isinstance(operation, DocumentOperation)
    return operation.step(migration.version, str(migration.path))


def _title(group: Group) -> str:
    first, index = group[0]
    operation = first.operations[index]
    return operation.describe() if len(group) == 1 else f"{operation.collection}, {len(group)} steps"


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


def level_below(record: PassRecord, group: Sequence[tuple[str, int]]) -> int:
    """How many steps of a pass stay in effect when these operations are taken back."""
    taken = set(group)
    return min(i for i, (version, index, _) in enumerate(record.steps) if (version, index) in taken)


def judge(
    record: PassRecord,
    migrations: Mapping[str, Migration],
    target: int,
    version: str,
    on_conflict: OnConflict,
) -> Judge:
    """Who decides what each document becomes; with the chains to replay where steps stay in effect."""
    replay: tuple[Chain, Chain] | None = None
    if target:
        steps = [step_of(migrations[v], index) for v, index, _ in record.steps]
        whole = walking.chain_of(record.id, steps)
        replay = (walking.chain_of(record.id, steps[:target]), whole)
    return Judge(record, version, on_conflict, replay)


def reverse_chain(record: PassRecord, migrations: Mapping[str, Migration], target: int) -> Chain | None:
    """The chain that takes born documents back, where every step in question has a `reverse=`."""
    if not record.reverse:
        return None
    steps = [step_of(migrations[v], index) for v, index, _ in record.steps[target:]]
    return walking.chain_of(record.id, [step.reversed() for step in reversed(steps)])
