"""Walks a plan up: opens and finishes passes, runs the other operations, stops at the first failure.

What runs together, and in which order, is the plan's; how a version's state changes is in `run.states`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import nullcontext, suppress
from itertools import takewhile

from goaime_migrate.backends.ports import Filter
from goaime_migrate.errors import (
    LeaseLost,
    MigrateError,
    MigrationFailed,
    Refused,
    ResultBreaksPromise,
    ServerUnreachable,
)
from goaime_migrate.errors.hint import DOWN, UP, Hint
from goaime_migrate.events import Notice, StageFinished, StageStarted
from goaime_migrate.journal import audit
from goaime_migrate.ledger import Ledger, PassRecord
from goaime_migrate.migration import Migration
from goaime_migrate.operations import RunFunctions, StateOperation
from goaime_migrate.planner import Facts, UpPlan
from goaime_migrate.planner.fusion import require_canary
from goaime_migrate.planner.groups import NewPass, PinnedPass, StateChange, UpGroup
from goaime_migrate.results import Direction, Document, RunResult, State
from goaime_migrate.run import created, partitions, restored
from goaime_migrate.run.code import findings, source_file, step_of
from goaime_migrate.run.preflight import require_up
from goaime_migrate.run.result import result_of
from goaime_migrate.run.run import Run
from goaime_migrate.run.work import Pool
from goaime_migrate.transform.step import Step
from goaime_migrate.up import pass_ as walking
from goaime_migrate.up.capable import require_capable
from goaime_migrate.up.parallel_scan import shares
from goaime_migrate.up.recorder import UpRecorder

_SERVER_BACK = Hint("bring the server back, then: {}, which goes on after the last batch that is kept", UP)
_CANARY = Hint("only the canary is migrated; all others: {}; the canary back: {}", UP, DOWN)


def apply(
    run: Run, facts: Facts, ledger: Ledger, plan: UpPlan, pool: Pool, canary: Filter | None = None
) -> RunResult:
    """Apply the versions of a plan, under the lease; what stops that is the result's error."""
    recorder = UpRecorder(run, facts.files, ledger)
    executor = Executor(recorder, pool)
    return result_of(Direction.UP, recorder, lambda: executor.apply(plan, canary))


class Executor:
    """One `up`, under the lease."""

    def __init__(self, recorder: UpRecorder, pool: Pool) -> None:
        self._recorder = recorder
        self._run = recorder.run
        self._pool = pool

    def apply(self, plan: UpPlan, canary: Filter | None) -> None:
        """Apply the versions of the plan. Raises MigrateError with the state recorded."""
        self._recorder.forget_left_over()
        for pass_id in plan.empty:
            created.drop(self._run, self._recorder.passes[pass_id])
        self._recorder.forget_passes(plan.empty)
        if canary is not None:
            require_canary(plan, self._recorder.migrations)
        require_up(self._run.backend, plan, self._recorder.migrations, self._recorder.versions)
        waiting, ahead = deque(plan.versions), deque(plan.groups)
        self._finish_ready(waiting, ahead)
        while ahead:
            group = ahead.popleft()
            self._run.check()
            self._recorder.start_group()
            match group:
                case StateChange():
                    self._change_state(group)
                case NewPass() | PinnedPass():
                    self._pass(group, canary)
            if canary is None:
                self._finish_ready(waiting, ahead)

    # a pass

    def _pass(self, group: NewPass | PinnedPass, canary: Filter | None) -> None:
        steps = [step_of(self._recorder.migrations[v], index) for v, index in group.operations]
        if canary is None:
            self._summon(group, steps)
        elif not walking.matches(self._run.backend, steps, canary):
            self._run.emit(Notice(f"no document of {steps[0].collection} matches --where: nothing was done"))
            return
        record = self._open(group, steps, canary)
        title, examined = self._title(group), record.examined if record.committed else 0
        self._run.emit(
            StageStarted("up", record.versions, title, record.total, examined, collection=record.collection)
        )
        if record.upper is None and record.collection not in self._run.backend.collections():
            self._run.emit(Notice(f"there is no collection {record.collection!r}: nothing to change"))
        this = walking.Pass(self._run, record, steps, self._pool)
        try:
            total = this.walk(canary_only=canary is not None)
        except MigrateError as error:
            self._stop(record.versions, error, this)
            raise
        done = this.by_this_run(total)
        self._recorder.totals.documents += done.total()
        if canary is None:
            finished = walking.finish(self._run.backend, record, this.watched)
            self._recorder.finish_pass(finished, total)
        else:
            self._recorder.finish_canary(record, total)
        seconds = self._recorder.seconds
        self._run.emit(
            StageFinished("up", record.versions, title, done.examined, done.total().changed, seconds)
        )
        if canary is not None:
            self._run.emit(Notice(_CANARY))

    def _summon(self, group: NewPass | PinnedPass, steps: Sequence[Step]) -> None:
        """Let other processes get ready for a large pass, while it is being opened here."""
        backend, collection = self._run.backend, steps[0].collection
        if isinstance(group, PinnedPass):
            record = self._recorder.passes[group.pass_id]
            documents, count = record.total or 0, len(partitions.partitions_left(backend, record))
        else:
            require_capable(backend, collection)
            documents = partitions.count_documents(backend, steps[0])
            count = partitions.count_wanted(backend, steps, documents)
        files = [source_file(self._recorder.migrations[v]) for v, _ in group.operations]
        self._pool.prepare(count, shares(backend.capabilities, steps, documents, count), files)

    def _open(self, group: NewPass | PinnedPass, steps: Sequence[Step], canary: Filter | None) -> PassRecord:
        """The unfinished pass of this group, or a new one, its versions recorded as running."""
        if isinstance(group, PinnedPass):
            known = self._recorder.passes[group.pass_id]
            audit.require_whole(self._run.backend, known)
            self._recorder.passes[group.pass_id] = restored.take_over(self._run, known, steps)
            record = self._recorder.resume_pass(group.pass_id)
            self._run.emit(Notice(f"resuming the pass over {record.collection} where it stopped"))
            return record
        migrations = self._recorder.migrations
        pins = [(version, index, migrations[version].checksum) for version, index in group.operations]
        try:
            record = walking.open_pass(self._run, steps, pins, canary)
        except MigrationFailed as error:
            self._recorder.put(self._recorder.running(migrations[v]) for v in group.versions)
            self._stop(group.versions, error)
            raise
        self._recorder.open_pass(record)
        return record

    def _title(self, group: NewPass | PinnedPass) -> str:
        version, index = group.operations[0]
        operation = self._recorder.migrations[version].operations[index]
        steps = len(group.operations)
        return operation.describe() if steps == 1 else f"{operation.collection}, {steps} steps"

    # any other operation

    def _change_state(self, group: StateChange) -> None:
        ((version, index),) = group.operations
        migration, backend = self._recorder.migrations[version], self._run.backend
        operation = migration.operations[index]
        assert isinstance(operation, StateOperation)
        function = "up(db)" if isinstance(operation, RunFunctions) else ""
        text, collection = operation.describe(), operation.collection or ""
        self._run.emit(StageStarted("up", (version,), text, None, function=function, collection=collection))
        record = self._recorder.running(migration)
        undo = record.operations[index].undo
        try:
            undo = undo or operation.prepare(backend, version)
            self._recorder.put([record.with_operation(index, started=True, undo=undo)])
            self._run.lease.renew()
            with self._recorder.outliving(version, "up") if function else nullcontext():
                operation.apply(backend, undo)
        except MigrateError as error:
            if isinstance(error, MigrationFailed | Refused) and not self._left_traces(
                operation, version, undo
            ):
                self._recorder.versions[version] = record
            self._stop((version,), error.at(version))
            raise
        self._recorder.finish_operation(version, index)
        self._run.emit(StageFinished("up", (version,), text, 0, 0, self._recorder.seconds))

    def _left_traces(self, operation: StateOperation, version: str, undo: Document | None) -> bool:
        """Whether an operation that failed may have changed something: it would be undone in another way now.

        What a user's function has done on a real server cannot be seen.
        """
        if undo is None:
            return False
        if isinstance(operation, RunFunctions):
            return self._run.backend.capabilities.server_code
        try:
            return operation.prepare(self._run.backend, version) != undo
        except MigrateError:
            return True

    # versions

    def _finish_ready(self, waiting: deque[str], ahead: Iterable[UpGroup]) -> None:
        """Versions whose operations are all done become applied, in order, if their own `verify` holds.

        Without transactions a run can be killed when its versions know that a pass is over and the pass does not: that
        one is ahead again, before all others, and they wait for it.
        """
        pinned = takewhile(lambda group: isinstance(group, PinnedPass), ahead)
        held = {version for group in pinned for version in group.versions}
        while waiting and waiting[0] not in held:
            migration = self._recorder.migrations[waiting[0]]
            record = self._recorder.versions.get(waiting[0])
            if record is None and not migration.operations:
                record = self._recorder.running(migration)
            if record is None or not all(o.done for o in record.operations):
                return
            waiting.popleft()
            if record.state is State.APPLIED:
                continue
            try:
                check_statement(self._run, migration)
            except MigrateError as error:
                self._stop((migration.version,), error)
                raise
            self._recorder.apply(record)

    # a run that stops

    def _stop(self, versions: Sequence[str], error: MigrateError, this: walking.Pass | None = None) -> None:
        """Record where and why a run stopped, unless it is this run no more."""
        if isinstance(error, ServerUnreachable):
            error.advise(_SERVER_BACK)
            return
        if isinstance(error, LeaseLost):
            return
        if isinstance(error, MigrationFailed):
            error.at(versions[-1])
        if this is not None:
            self._count_partly(this)
        self._recorder.stop(versions, error)

    def _count_partly(self, this: walking.Pass) -> None:
        with suppress(MigrateError):
            counts = this.counts()
            self._recorder.totals.documents += this.by_this_run(counts).total()
            self._recorder.totals.warnings += counts.warning_counts()
            self._recorder.count_partly(this.record, counts)


def check_statement(run: Run, migration: Migration) -> None:
    """Run a migration's own `verify(db)`. Raises ResultBreaksPromise with its first findings."""
    found = findings(run.backend, migration)
    if found:
        raise ResultBreaksPromise(
            f"verify of {migration.label} does not hold: {found[0]}",
            version=migration.version,
            detail="\n".join(found[:10]),
            hint=Hint("correct the data or the migration, then: {}", UP),
        )
