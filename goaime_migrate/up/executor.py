"""Walks a plan: opens and finishes passes, runs the other operations, keeps the ledger true, stops at the first failure.

How a version's state changes (the way back is in `reverter`):

  (nothing) -> running    the first of its operations is about to start
  running   -> applied    all its operations are done and its `verify` holds
  running   -> partial    the run was interrupted, failed elsewhere in the pass, or was a canary
  running   -> failed     one of its own operations stopped
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from goaime_migrate import ledger as records
from goaime_migrate.backends.ports import PROGRESS, Delete, Filter, RecordChange
from goaime_migrate.errors import (
    LeaseLost,
    MigrateError,
    MigrationFailed,
    Refused,
    ResultBreaksPromise,
    ServerUnreachable,
)
from goaime_migrate.events import Notice, StageFinished, StageStarted
from goaime_migrate.ledger import PassRecord
from goaime_migrate.migration import Migration
from goaime_migrate.operations import DocumentOperation, RunFunctions, StateOperation
from goaime_migrate.planner import Plan, stages
from goaime_migrate.results import Counts, State
from goaime_migrate.run import partitions
from goaime_migrate.run.collector import forget
from goaime_migrate.run.recorder import Recorder, findings, source_file, step_of
from goaime_migrate.run.run import Run
from goaime_migrate.run.work import Pool
from goaime_migrate.transform.counts import PassCounts
from goaime_migrate.transform.step import Step
from goaime_migrate.up import pass_ as walking

Group = Sequence[tuple[Migration, int]]
_CANARY = "only the canary is migrated; all others: goaime-migrate up; the canary back: goaime-migrate down"


def require_canary(groups: Sequence[Group]) -> None:
    """Refuse a plan of which some documents alone cannot be tried. Raises Refused."""
    operations = [m.operations[i] for group in groups for m, i in group]
    if len(groups) != 1 or not all(isinstance(o, DocumentOperation) for o in operations):
        raise Refused(
            "--where works on one pass over one collection; this plan has more than that",
            hint="apply what comes before the canary; then name its last version: goaime-migrate up TARGET --where …",
        )


class Executor:
    """One `up`, under the lease."""

    def __init__(self, book: Recorder, crew: Pool) -> None:
        self._book = book
        self._runner = book.runner
        self._crew = crew

    def run(self, plan: Plan, canary: Filter | None) -> None:
        """Apply the versions of the plan. Raises MigrateError with the state recorded."""
        self._book.forget_left_over()
        groups = self._groups(plan.versions)
        if canary is not None:
            require_canary(groups)
        self._finish_ready(plan.versions)
        for group in groups:
            self._runner.check()
            self._book.started = time.monotonic()
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
        done = {
            v: sum(o.done for o in self._book.versions[v].operations)
            for v in versions
            if v in self._book.versions
        }
        groups: list[Group] = []
        for p in self._book.passes.values():
            if not p.finished and set(p.versions) & set(versions):
                groups.append([(self._book.migrations[v], index) for v, index, _ in p.steps])
                done |= {v: index + 1 for v, index, _ in p.steps}
        return [*groups, *stages([self._book.migrations[v] for v in versions], done)]

    def _forget_empty_passes(self, versions: Sequence[str]) -> None:
        """A pass without a committed batch pins nothing: it is planned afresh."""
        empty = [p for p in self._book.passes.values() if not p.finished and not p.committed]
        changes: list[RecordChange] = []
        for p in empty:
            changes += records.delete_pass(p.id)
            del self._book.passes[p.id]
            for version, index, _ in p.steps:
                if version in self._book.versions:
                    record = self._book.versions[version].with_operation(index, pass_id=None, started=False)
                    self._book.versions[version] = record
                    changes.append(records.put_version(record))
        if changes:
            self._runner.record(*changes)

    # a pass

    def _pass(self, group: Group, canary: Filter | None) -> None:
        steps = [step_of(m, index) for m, index in group]
        if canary is None:
            self._summon(group, steps[0].collection)
        elif not walking.matches(self._runner.backend, steps, canary):
            self._runner.emit(
                Notice(f"no document of {steps[0].collection} matches --where: nothing was done")
            )
            return
        record = self._opened(group, steps, canary)
        self._runner.emit(
            StageStarted(
                "up", record.versions, _title(group), record.total, record.examined if record.committed else 0
            )
        )
        if record.upper is None and record.collection not in self._runner.backend.collections():
            self._runner.emit(Notice(f"there is no collection {record.collection!r}: nothing to change"))
        this = walking.Pass(self._runner, record, steps, self._crew)
        try:
            done = this.walk(canary_only=canary is not None)
        except MigrateError as error:
            self._stopped(record.versions, error, this)
            raise
        self._count(done)
        if canary is None:
            self._pass_done(record, this.counts())
        else:
            now, owner = self._runner.backend.now(), self._book.owner
            tried = [replace(self._book.versions[v], state=State.PARTIAL) for v in record.versions]
            self._book.put(tried, *(records.log(now, owner, "up", "canary", v) for v in record.versions))
            self._book.progress.warnings += this.counts().warning_counts()
        seconds = self._book.seconds
        self._runner.emit(
            StageFinished("up", record.versions, _title(group), done.examined, done.written, seconds)
        )
        if canary is not None:
            self._runner.emit(Notice(_CANARY))

    def _summon(self, group: Group, collection: str) -> None:
        """Let other processes get ready for a large pass, while it is being opened here."""
        backend = self._runner.backend
        known = self._unfinished([m.version for m, _ in group])
        if known is None:
            walking.require_capable(backend, collection)
            count = partitions.wanted(backend, collection)
        else:
            count = len(partitions.left(backend, known))
        self._crew.prepare(count, [source_file(m) for m, _ in group])

    def _unfinished(self, versions: Sequence[str]) -> PassRecord | None:
        """The unfinished pass of exactly these versions."""
        return next(
            (p for p in self._book.passes.values() if not p.finished and set(p.versions) == set(versions)),
            None,
        )

    def _opened(self, group: Group, steps: Sequence[Step], canary: Filter | None) -> PassRecord:
        """The unfinished pass of this group, or a new one, its members recorded as running."""
        versions = tuple(dict.fromkeys(m.version for m, _ in group))
        known = self._unfinished(versions)
        if known is not None:
            if canary is not None:
                raise Refused(
                    "an unfinished pass is in the way of a canary",
                    hint="finish it: goaime-migrate up; or take it back: goaime-migrate down",
                )
            known = replace(known, run_at=self._runner.backend.now(), run_from=known.examined)
            self._book.passes[known.id] = known
            begun = [self._book.begun(self._book.migrations[v]) for v in versions]
            self._book.put(begun, records.put_pass(known))
            self._runner.emit(Notice(f"resuming the pass over {known.collection} where it stopped"))
            return known
        pins = [(m.version, index, m.checksum) for m, index in group]
        try:
            record = walking.open_pass(self._runner, steps, pins, canary)
        except MigrationFailed as error:
            self._book.put(self._book.begun(self._book.migrations[v]) for v in versions)
            self._stopped(versions, error, None)
            raise
        for m, index in group:
            self._book.versions[m.version] = self._book.begun(m).with_operation(
                index, pass_id=record.id, started=True
            )
        self._book.passes[record.id] = record
        self._runner.record(
            records.put_pass(record), *(records.put_version(self._book.versions[v]) for v in versions)
        )
        return record

    def _pass_done(self, record: PassRecord, tally: PassCounts) -> None:
        """The walk is over: counts and warnings go to the versions, the partitions are not needed any more.

        Without transactions the order matters: a finished pass has versions that know it, and an unfinished one has
        its partitions, or it would be walked again from the beginning.
        """
        record = walking.finish(record)
        self._book.passes[record.id] = record
        fresh = [v for v, index, _ in record.steps if not self._book.versions[v].operations[index].done]
        for position, (version, index, _) in enumerate(record.steps):
            if version in fresh:
                of = self._book.versions[version]
                counts = (of.documents or Counts()) + tally.counts(position)
                self._book.versions[version] = replace(of.with_operation(index, done=True), documents=counts)
        for version in dict.fromkeys(fresh):
            mine = tuple(w for w in tally.warning_counts() if w.version == version)
            of = self._book.versions[version]
            self._book.versions[version] = replace(of, warnings=(*of.warnings, *mine))
            self._book.progress.warnings += mine
        self._runner.record(
            *(records.put_version(self._book.timed(self._book.versions[v])) for v in record.versions),
            records.put_pass(record),
            Delete(PROGRESS, {"pass": record.id, "kind": "partition"}),
            *forget(record.id),
        )

    def _count(self, tally: PassCounts) -> None:
        self._book.progress.documents += tally.total()

    # any other operation

    def _state_operation(self, migration: Migration, index: int, operation: StateOperation) -> None:
        version = migration.version
        self._runner.emit(StageStarted("up", (version,), operation.describe(), None))
        record = self._book.begun(migration)
        try:
            undo = record.operations[index].undo or operation.prepare(self._runner.backend, version)
            self._book.put([record.with_operation(index, started=True, undo=undo)])
            self._runner.lease.renew()
            operation.apply(self._runner.backend, undo)
        except MigrateError as error:
            if isinstance(error, MigrationFailed | Refused) and not self._left_traces(operation):
                self._book.versions[version] = record
            self._stopped((version,), error.at(version), None)
            raise
        self._book.put([self._book.timed(self._book.versions[version].with_operation(index, done=True))])
        seconds = self._book.seconds
        self._runner.emit(StageFinished("up", (version,), operation.describe(), 0, 0, seconds))

    def _left_traces(self, operation: StateOperation) -> bool:
        """Whether an operation that was refused may have changed something: a user's function on a real server."""
        return isinstance(operation, RunFunctions) and self._runner.backend.capabilities.server_code

    # versions

    def _finish_ready(self, versions: Sequence[str]) -> None:
        """Versions whose operations are all done become applied, in order, if their own `verify` holds."""
        for version in versions:
            migration = self._book.migrations[version]
            record = self._book.versions.get(version)
            if record is None and not migration.operations:
                record = self._book.begun(migration)
            if record is None or not all(o.done for o in record.operations):
                return
            if record.state is State.APPLIED:
                continue
            try:
                check_statement(self._runner, migration)
            except MigrateError as error:
                self._stopped((version,), error, None)
                raise
            now = self._runner.backend.now()
            applied = replace(record, state=State.APPLIED, applied_at=now, error=None)
            entry = records.log(now, self._book.owner, "up", "applied", version, record.duration_s)
            self._book.put([applied], entry)
            self._book.progress.versions.append(version)

    def _stopped(self, versions: Sequence[str], error: MigrateError, this: walking.Pass | None) -> None:
        """Record where and why a run stopped, unless it is this run no more."""
        if isinstance(error, ServerUnreachable):
            error.hint = "bring the server back, then: goaime-migrate up, which goes on after the last batch that is kept"
            return
        if isinstance(error, LeaseLost):
            return
        failed = isinstance(error, MigrationFailed)
        culprit = (error.version or versions[-1]) if failed else None
        if failed:
            error.at(versions[-1])
        if this is not None:
            self._count_partly(this)
        untouched = (
            [] if failed else [v for v in versions if v in self._book.versions and self._is_untouched(v)]
        )
        for version in untouched:
            del self._book.versions[version]
        changed = [
            replace(
                self._book.versions[v],
                state=State.FAILED if v == culprit else State.PARTIAL,
                error=records.error_record(error) if v == culprit else None,
                duration_s=round(self._book.versions[v].duration_s + self._book.seconds, 3),
            )
            for v in versions
            if v in self._book.versions
        ]
        now = self._runner.backend.now
        result = "failed" if failed else "interrupted"
        with suppress(Exception):  # whatever its record meets, the error itself matters more
            entry = records.log(now(), self._book.owner, "up", result, culprit or versions[-1])
            self._book.put(changed, *map(records.delete_version, untouched), entry)

    def _is_untouched(self, version: str) -> bool:
        return not any(o.started or o.done for o in self._book.versions[version].operations)

    def _count_partly(self, this: walking.Pass) -> None:
        with suppress(MigrateError):
            tally = this.counts()
            self._book.progress.documents += tally.total()
            self._book.progress.warnings += tally.warning_counts()


def check_statement(runner: Run, migration: Migration) -> None:
    """Run a migration's own `verify(db)`. Raises PromiseFailed with its first findings."""
    found = findings(runner.backend, migration)
    if found:
        raise ResultBreaksPromise(
            f"verify of {migration.label} does not hold: {found[0]}",
            version=migration.version,
            detail="\n".join(found[:10]),
            hint="correct the data or the migration, then: goaime-migrate up",
        )


def _title(group: Group) -> str:
    first, index = group[0]
    operation = first.operations[index]
    return operation.describe() if len(group) == 1 else f"{operation.collection}, {len(group)} steps"
