"""Walks a plan down: restores what passes have changed, undoes other operations, stops at the first failure.

What is taken back together, and in which order, is the plan's; how a version's state changes is in `run.states`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from goaime_migrate.backends.ports import VERSIONS, Backend
from goaime_migrate.backends.record_fields import reading
from goaime_migrate.down.code import decisions, reverse_chain, undoing
from goaime_migrate.down.decisions import Outcome
from goaime_migrate.down.inserted import InsertedTotals
from goaime_migrate.down.recorder import DownRecorder
from goaime_migrate.down.restore import Restore
from goaime_migrate.errors import (
    Conflicts,
    DuplicateKey,
    Interrupted,
    LeaseLost,
    MigrateError,
    MigrationFailed,
    ServerUnreachable,
)
from goaime_migrate.errors.hint import DOWN, UP, Hint
from goaime_migrate.events import Notice, StageFinished, StageStarted
from goaime_migrate.journal import audit
from goaime_migrate.ledger import Ledger, PassRecord
from goaime_migrate.migration import Migration
from goaime_migrate.operations import RunFunctions
from goaime_migrate.operations.undoing import undo_operation
from goaime_migrate.planner import DownPlan, Facts
from goaime_migrate.planner.groups import DownGroup, ForgetSteps, RestorePass, UndoChange
from goaime_migrate.results import Counts, Direction, OnConflict, RunResult
from goaime_migrate.run import created
from goaime_migrate.run.code import steps_at_hand
from goaime_migrate.run.ground import require_collection
from goaime_migrate.run.origin import why_moved
from goaime_migrate.run.preflight import require_down
from goaime_migrate.run.restored import require_decided, take_over
from goaime_migrate.run.result import result_of
from goaime_migrate.run.run import Run


def take_back(
    run: Run, facts: Facts, ledger: Ledger, plan: DownPlan, on_conflict: OnConflict = OnConflict.KEEP
) -> RunResult:
    """Take the versions of a plan back, under the lease; what stops that is the result's error."""
    recorder = DownRecorder(run, facts.code, ledger)
    reverter = Reverter(recorder)
    result = result_of(Direction.DOWN, recorder, lambda: reverter.revert(plan, on_conflict))
    inserted = reverter.inserted.total
    return replace(
        result,
        born=inserted.taken_back + inserted.left,
        left=inserted.left,
        without_reverse=inserted.without_reverse,
        erased=tuple(reverter.found.erased),
    )


class Reverter:
    """One `down`, under the lease."""

    def __init__(self, recorder: DownRecorder) -> None:
        self._recorder = recorder
        self._run = recorder.run
        self.inserted = InsertedTotals()
        self.found = Outcome()

    def revert(self, plan: DownPlan, on_conflict: OnConflict) -> None:
        """Take the versions of the plan back. Raises MigrateError with the state recorded.

        Before anything is written all that is to be given back is looked at.
        """
        recorder = self._recorder
        require_journals(self._run.backend, plan, recorder.passes, recorder.migrations)
        require_down(self._run.backend, plan, recorder.versions, recorder.passes)
        self._take_over(plan)
        recorder.forget_left_over()
        for group in plan.groups:
            self._run.check()
            self._recorder.start_group()
            self._recorder.start_versions(group.versions)
            try:
                self._take_back(group, on_conflict)
            except MigrateError as error:
                if not isinstance(error, LeaseLost | ServerUnreachable):
                    if isinstance(error, MigrationFailed):
                        error.at(group.versions[0])
                    self._recorder.stop(group.versions, error)
                raise _with_what_is_done(error, self._recorder.totals.documents) from error.__cause__
            self._recorder.finish_group(group)
        self._recorder.forget_versions(plan.unstarted)

    def _take_over(self, plan: DownPlan) -> None:
        """Bind passes to the database as it is now, where it was restored since: that this is safe is proved.

        What the journal of a finished one does not know may be older than the pass: no `reverse=` is called for it.
        """
        origin = self._run.backend.origin()
        for pass_id in restored_passes(plan):
            record = self._recorder.passes[pass_id]
            text = why_moved(record, origin)
            if text and record.finished:
                self._recorder.passes[pass_id] = replace(record, complete=False)
                self._run.emit(Notice(f"{text}: documents that its journal does not know stay as they are"))
            elif text:
                steps = steps_at_hand(record, self._recorder.migrations)
                self._recorder.passes[pass_id] = take_over(self._run, record, steps)

    def _take_back(self, group: DownGroup, on_conflict: OnConflict) -> None:
        match group:
            case RestorePass():
                self._restore(group, on_conflict)
            case UndoChange():
                self._undo(group)
            case ForgetSteps():
                pass  # an earlier `down` has done it

    def _undo(self, group: UndoChange) -> None:
        ((version, index),) = group.operations
        operation = self._recorder.versions[version].operations[index]
        title = undoing(operation)
        undo = operation.undo or {"kind": "nothing"}
        function = "down(db)" if undo.get("kind") == "function" else ""
        self._run.emit(StageStarted("down", (version,), title, None, function=function))
        self._run.lease.renew()
        if function:
            with self._recorder.outliving(version, "down"):
                self._function(version, index).revert(self._run.backend)
        else:
            with reading(VERSIONS, version):
                undo_operation(self._run.backend, undo)
        if group.renames is not None:
            self.inserted.rename(*group.renames)
        self._run.emit(StageFinished("down", (version,), title, 0, 0, self._recorder.seconds))

    def _function(self, version: str, index: int) -> RunFunctions:
        with reading(VERSIONS, version):
            function = self._recorder.migrations[version].operations[index]
            if not isinstance(function, RunFunctions):
                raise TypeError(f"operation {index} is no function")
            return function

    def _restore(self, group: RestorePass, on_conflict: OnConflict) -> None:
        record, migrations = self._recorder.passes[group.pass_id], self._recorder.migrations
        require_collection(self._run.backend, record)
        title = self._title(group)
        self._run.emit(
            StageStarted("down", group.versions, title, None, record.taken_back, collection=record.collection)
        )
        self._recorder.start_pass(record, group.level)
        restore = Restore(
            self._run,
            record,
            group.level,
            decisions(record, migrations, group.level, group.versions[0], on_conflict),
            group.versions,
            reverse_chain(record, migrations, group.level, group.heir),
        )
        try:
            restore.take_back()
            if group.level == 0:
                created.drop(self._run, record)
        finally:
            self._recorder.count(group.versions, restore.outcome.counts(), restore.before)
            self.found.add(restore.outcome)
            self._recorder.totals.conflicts = self.found.conflicts
            self._recorder.totals.more_conflicts = self.found.more_conflicts
            self._recorder.totals.warnings += restore.told.warning_counts()
            self.inserted.note(record.collection, restore.inserted)
        done = restore.outcome.counts()
        seconds = self._recorder.seconds
        self._run.emit(StageFinished("down", group.versions, title, done.matched, done.changed, seconds))

    def _title(self, group: RestorePass) -> str:
        version, index = group.operations[0]
        if len(group.operations) == 1:
            return f"undo: {self._recorder.versions[version].operations[index].text}"
        return f"undo: {group.collection}, {len(group.operations)} steps"


def restored_passes(plan: DownPlan) -> list[str]:
    """The passes that a plan gives back from their journals, in its order."""
    return list(dict.fromkeys(group.pass_id for group in plan.groups if isinstance(group, RestorePass)))


def require_journals(
    backend: Backend, plan: DownPlan, passes: Mapping[str, PassRecord], migrations: Mapping[str, Migration]
) -> None:
    """Refuse to begin where anything that a plan is to give back is not there, is damaged, or of another database.

    Raises JournalIncomplete, DamagedRecord, NewerFormat, DatabaseRestored.
    """
    for pass_id in restored_passes(plan):
        record = passes[pass_id]
        audit.require_whole(backend, record)
        if not record.finished or record.target_level is not None:
            require_decided(backend, record, steps_at_hand(record, migrations), DOWN)


def _with_what_is_done(error: MigrateError, done: Counts) -> MigrateError:
    """The error, saying what on the way back it has not stopped, and the command that does the rest."""
    kept = done.changed + done.unchanged
    if isinstance(error, Conflicts):
        were = "1 document was" if kept == 1 else f"{kept:,} documents were"
        before = f"{were} taken back before, and kept so" if kept else "no document was taken back before"
        return Conflicts(
            f"{error.message}; {before}",
            version=error.version,
            id=error.id,
            field=error.field,
            hint=error.hint,
            detail=error.detail,
        )
    if isinstance(error, Interrupted):
        return error.advise(Hint("{}", DOWN))
    if isinstance(error, DuplicateKey):
        return error.advise(Hint("make the values of these documents differ in the database, then: {}", DOWN))
    return error if DOWN in error.hint.commands else error.advise(error.hint.instead(UP, DOWN))
