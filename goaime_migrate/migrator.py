"""The facade: every command is one method. Typed results; nothing is printed and nothing exits.

What only some commands need is imported by them, so that `status` starts quickly.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from goaime_migrate import ledger, planner, results
from goaime_migrate.backends.connect import connect
from goaime_migrate.backends.ports import Backend
from goaime_migrate.config import Settings
from goaime_migrate.errors import LeaseLost, MigrateError, MigrationFailed, Refused
from goaime_migrate.ledger import Ledger
from goaime_migrate.loader import MigrationFiles, load
from goaime_migrate.planner import Facts, Plan
from goaime_migrate.results import Counts, Direction, OnConflict, State
from goaime_migrate.status import lock_status, standing

if TYPE_CHECKING:
    from goaime_migrate.down.inserted import InsertedTotals
    from goaime_migrate.events import Listener
    from goaime_migrate.results import (
        HistoryEntry,
        InitResult,
        LintResult,
        NewResult,
        PlanResult,
        RepairResult,
        RunResult,
        StampResult,
        StatusResult,
        UnlockResult,
        VerifyResult,
    )
    from goaime_migrate.run.recorder import Recorder
    from goaime_migrate.run.run import Run

__all__ = ["Migrator", "init", "new"]

_POLL_S = 0.5
_Result = TypeVar("_Result")


def init(folder: Path) -> InitResult:
    """Write a first configuration and a folder for the migrations; what is there already is left alone."""
    from goaime_migrate import scaffold

    return scaffold.init(folder)


def new(settings: Settings, name: str, kind: str) -> NewResult:
    """Write the next migration file from a template."""
    from goaime_migrate import scaffold

    return scaffold.new(settings, name, kind)


class Migrator:
    """One project's migrations and one database. Use it as a context manager.

    Every method may raise a MigrateError. `up` and `down` return a RunResult with `error` set where they had already
    begun to change the database.
    """

    def __init__(self, settings: Settings, listener: Listener | None = None) -> None:
        self._settings = settings
        self._listener: Listener = listener or (lambda _: None)
        self._signal: int | None = None
        self._open: dict[bool, Backend] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the database."""
        with ExitStack() as stack:
            while self._open:
                stack.callback(self._open.popitem()[1].close)

    def interrupt(self, signum: int) -> None:
        """Ask a run to stop after its batch. May be called from a signal handler."""
        self._signal = signum

    # reading ---------------------------------------------------------------------------------------------------

    def status(self) -> StatusResult:
        """Every version with its state. Read-only."""
        backend = self._backend(write=False)
        facts, book = self._facts(backend)
        return standing(backend, facts, book)

    def plan(
        self,
        target: str | None = None,
        *,
        direction: Direction = Direction.UP,
        where: Mapping[str, Any] | None = None,
    ) -> PlanResult:
        """What `up` or `down` would do, tried on real documents. Read-only."""
        backend = self._backend(write=False)
        facts, book = self._facts(backend)
        try:
            plan = self._planned(facts, direction, target)
        except MigrateError as error:
            return results.PlanResult(direction, target, (), results.Predicted(0.0, 0, 0), error)
        if direction is Direction.UP:
            from goaime_migrate.up import forecast as up

            return up.forecast(backend, facts, book, plan, where, self._settings, self._listener)
        from goaime_migrate.down import forecast as down

        return down.forecast(backend, facts, book, plan)

    def verify(self, *, sample: int | None = None, superseded: bool = False) -> VerifyResult:
        """Every promise of the applied versions, over every document or a sample. Read-only.

        `superseded`: also those that newer versions say to replace.
        """
        from goaime_migrate.verify import verifier

        backend = self._backend(write=False)
        facts, book = self._facts(backend)
        return verifier.verify(backend, facts, book, sample, superseded, self._listener)

    def history(self) -> tuple[HistoryEntry, ...]:
        """The log, oldest first. Read-only."""
        return ledger.history(self._backend(write=False))

    def wait(self, timeout_s: float) -> StatusResult:
        """Wait until nothing is pending, or the time is over; how it stands then. Read-only."""
        deadline = time.monotonic() + timeout_s
        while True:
            status = self.status()
            if not (status.pending or status.problems) or time.monotonic() >= deadline:
                return status
            time.sleep(min(_POLL_S, max(0.0, deadline - time.monotonic())))

    def lint(self) -> LintResult:
        """Problems in the files alone; no database is opened."""
        from goaime_migrate.lint import lint

        files = self._catalogue
        problems = [error.problem() for error in files.problems]
        return results.LintResult(files.files, (*problems, *lint(files.migrations, files.unloaded)))

    # writing ---------------------------------------------------------------------------------------------------

    def up(self, target: str | None = None, *, where: Mapping[str, Any] | None = None) -> RunResult:
        """Apply all pending versions, or up to and including the target."""
        backend = self._backend(write=True)
        plan = self._planned(self._facts(backend)[0], Direction.UP, target)
        if not plan.versions:
            return _nothing(plan)
        from goaime_migrate.run.recorder import Recorder
        from goaime_migrate.up.executor import Executor
        from goaime_migrate.workers.pool import open_pool

        def work(runner: Run) -> RunResult:
            facts, book = self._facts(backend)
            plan = self._planned(facts, Direction.UP, target)
            if not plan.versions:
                return _nothing(plan)
            if any(r.state is State.REVERTING for r in book.versions.values()):
                undone = self._finish_reverting(runner, facts, book)
                if undone.error is not None:
                    return replace(undone, direction=Direction.UP, versions=())
                facts, book = self._facts(backend)
            recorder = Recorder(runner, facts.files, book)
            with open_pool(self._settings, self._listener) as workers:
                executor = Executor(recorder, workers)
                return _run(Direction.UP, recorder, lambda: executor.run(plan, where))

        return self._under_the_lease(backend, work)

    def down(self, target: str | None = None, *, on_conflict: OnConflict = OnConflict.KEEP) -> RunResult:
        """Take back the highest version that is not pending, or all above the target."""
        backend = self._backend(write=True)
        plan = self._planned(self._facts(backend)[0], Direction.DOWN, target)
        if not plan.versions:
            return _nothing(plan)
        from goaime_migrate.down.reverter import Reverter
        from goaime_migrate.run.recorder import Recorder

        def work(runner: Run) -> RunResult:
            facts, book = self._facts(backend)
            plan = self._planned(facts, Direction.DOWN, target)
            if not plan.versions:
                return _nothing(plan)
            recorder = Recorder(runner, facts.files, book)
            reverter = Reverter(recorder)
            return _run(Direction.DOWN, recorder, lambda: reverter.run(plan, on_conflict), reverter.inserted)

        return self._under_the_lease(backend, work, "down")

    def _finish_reverting(self, runner: Run, facts: Facts, book: Ledger) -> RunResult:
        """A `down` that was cut off is finished before anything is applied again."""
        from goaime_migrate.down.reverter import Reverter
        from goaime_migrate.run.recorder import Recorder

        versions = [v for v, r in book.versions.items() if r.state is State.REVERTING]
        lowest = min(map(int, versions))
        below = [v for v in book.versions if int(v) < lowest]
        plan = planner.plan_down(facts, below[-1] if below else planner.BASE)
        recorder = Recorder(runner, facts.files, book)
        reverter = Reverter(recorder)
        return _run(Direction.DOWN, recorder, lambda: reverter.run(plan, OnConflict.KEEP), reverter.inserted)

    def unlock(self, *, force: bool = False) -> UnlockResult:
        """Show the lease; with `force`, end it and shut its holder out."""
        backend = self._backend(write=force)
        record = backend.read_lease()
        if force:
            backend.break_lease()
        return results.UnlockResult(lock_status(record), force and record is not None)

    def stamp(self, target: str, *, dry_run: bool = False) -> StampResult:
        """Record versions as applied without running them."""
        from goaime_migrate.run.recorder import Recorder

        backend = self._backend(write=not dry_run)
        facts, _ = self._facts(backend)
        plan = planner.plan_up(facts, target)
        if facts.touched - set(facts.versions) or any(
            r.state is not State.APPLIED for r in facts.versions.values()
        ):
            raise Refused(
                "an unfinished version is in the way", hint="goaime-migrate up, or goaime-migrate down"
            )
        if dry_run or not plan.versions:
            return results.StampResult(plan.versions)

        def work(runner: Run) -> StampResult:
            facts, book = self._facts(backend)
            plan = planner.plan_up(facts, target)
            Recorder(runner, facts.files, book).stamp(plan.versions)
            return results.StampResult(plan.versions)

        return self._under_the_lease(backend, work)

    def repair(self, *, dry_run: bool = False) -> RepairResult:
        """Accept edited files, and drop the records of versions whose file was removed."""
        from goaime_migrate.run.recorder import Recorder

        backend = self._backend(write=not dry_run)
        facts, _ = self._facts(backend)
        found = planner.repairs(facts)
        if dry_run or not (found.accepted or found.dropped):
            return found

        def work(runner: Run) -> RepairResult:
            facts, book = self._facts(backend)
            found = planner.repairs(facts)
            Recorder(runner, facts.files, book).repair(found)
            return found

        return self._under_the_lease(backend, work)

    # the parts -------------------------------------------------------------------------------------------------

    @cached_property
    def _catalogue(self) -> MigrationFiles:
        return load(self._settings.migrations)

    def _backend(self, *, write: bool) -> Backend:
        """The database, opened once for reading and once for writing."""
        if write not in self._open:
            self._open[write] = connect(self._settings, write=write, notify=self._notify)
        return self._open[write]

    def _notify(self, text: str) -> None:
        from goaime_migrate.events import Notice

        self._listener(Notice(text))

    def _facts(self, backend: Backend) -> tuple[Facts, Ledger]:
        """Files and history, side by side."""
        catalogue = self._catalogue
        book = ledger.read(backend)
        touched = frozenset(v for v in book.versions if book.committed(v))
        facts = Facts(
            catalogue.migrations,
            catalogue.problems,
            book.versions,
            book.passes,
            touched,
            catalogue.unloaded,
        )
        return facts, book

    def _planned(self, facts: Facts, direction: Direction, target: str | None) -> Plan:
        return (
            planner.plan_up(facts, target) if direction is Direction.UP else planner.plan_down(facts, target)
        )

    def _under_the_lease(
        self, backend: Backend, work: Callable[[Run], _Result], command: str = "up"
    ) -> _Result:
        from goaime_migrate.run import lock
        from goaime_migrate.run.run import Options, Run

        settings = self._settings
        options = Options(settings.batch_size, settings.max_rate, settings.max_lag)
        with lock.held(backend, settings.lock_timeout, self._listener) as lease:
            backend.prepare()
            return work(Run(backend, lease, self._listener, options, lambda: self._signal, command))


def _nothing(plan: Plan) -> RunResult:
    """The result of a run that had nothing to do."""
    return results.RunResult(plan.direction, (), None, None, Counts(), (), (), 0.0, plan.message)


def _run(
    direction: Direction, recorder: Recorder, work: Callable[[], None], inserted: InsertedTotals | None = None
) -> RunResult:
    """What a run did, whether it came to its end or not."""
    started, error, done = time.monotonic(), None, recorder.progress
    try:
        work()
    except MigrateError as caught:
        error = _reason(caught, recorder.runner)
    births = None if inserted is None else inserted.total
    return results.RunResult(
        direction=direction,
        versions=tuple(done.versions),
        failed=error.version if isinstance(error, MigrationFailed) else None,
        error=error,
        documents=done.documents,
        conflicts=tuple(done.conflicts),
        warnings=tuple(done.warnings),
        duration_s=round(time.monotonic() - started, 3),
        born=births.taken_back + births.left if births else 0,
        left=births.left if births else 0,
        without_reverse=births.without_reverse if births else (),
    )


def _reason(error: MigrateError, runner: Run) -> MigrateError:
    """Why a run stopped: what fails when the lock is lost may fail for what another run has done since."""
    if isinstance(error, MigrationFailed):
        try:
            runner.lease.renew()
        except LeaseLost as lost:
            return lost
        except MigrateError:
            pass  # it cannot be asked
    return error
