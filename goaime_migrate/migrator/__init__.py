"""The facade: every command is one method. Typed results; nothing is printed and nothing exits.

What only some commands need is imported by them, so that `status` starts quickly.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from goaime_migrate import planner, results
from goaime_migrate.backends.ports import Backend
from goaime_migrate.config import Settings
from goaime_migrate.errors import MigrateError, Refused
from goaime_migrate.errors.hint import DOWN, UP, Hint
from goaime_migrate.ledger import Ledger
from goaime_migrate.migrator.beforehand import nothing, refusal, stopped_waiting, without_way_back
from goaime_migrate.migrator.inquiry import Inquiry
from goaime_migrate.migrator.listening import Teller, command
from goaime_migrate.migrator.lock_holder import LockHolder
from goaime_migrate.migrator.past import Past
from goaime_migrate.migrator.project import init, new
from goaime_migrate.migrator.pruner import Pruner
from goaime_migrate.migrator.sources import Sources
from goaime_migrate.migrator.sweeping import Sweeping
from goaime_migrate.planner import DownPlan, Facts, Plan, UpPlan
from goaime_migrate.results import Direction, OnConflict, State

if TYPE_CHECKING:
    from goaime_migrate.events import Listener
    from goaime_migrate.run.run import Run

__all__ = ["Migrator", "init", "new"]

_POLL_S = 0.5
_Result = TypeVar("_Result")
_Plan = TypeVar("_Plan", bound=Plan)


class Migrator(Inquiry, LockHolder, Past, Pruner, Sweeping):
    """One project's migrations and one database. Use it as a context manager.

    Every method may raise a MigrateError. `up` and `down` return a RunResult with `error` set where they had already
    begun to change the database, and where rules say that `up` would fail. `on_event` is told what they do while they
    do it, from several threads; it must not raise.
    """

    def __init__(
        self, settings: Settings, on_event: Listener | None = None, *, common: Sources | None = None
    ) -> None:
        """`common`: what it shares with others, as `Databases` has it."""
        self._settings = settings
        self._listener = Teller(on_event)
        self._signal: int | None = None
        self._now: Run | None = None
        self._sources = Sources(settings, self._listener, common)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the database."""
        self._sources.close()

    def interrupt(self, signum: int = 0) -> None:
        """Ask a run to stop after its batch, or when the user's function that is running has come to its end.

        `signum`: the signal that asks for it, if one does; the error names it.

        May be called from a signal handler, or from any thread. `up` and `down` then return a result whose error is
        `Interrupted`; the next `up` (or `down`) goes on from there. `wait` raises it.
        """
        self._signal = signum

    @property
    def function(self) -> str:
        """The user's function that is running, "up(db)" say; empty while the run works in batches."""
        return "" if self._now is None else self._now.function

    # reading ---------------------------------------------------------------------------------------------------

    @command
    def status(self) -> results.StatusResult:
        """Every version with its state. Read-only."""
        return self._standing()

    def _standing(self) -> results.StatusResult:
        backend = self._sources.backend(write=False)
        from goaime_migrate.status import standing  # not needed where no server answers

        facts, ledger = self._sources.facts(backend)
        return standing(backend, facts, ledger)

    @command
    def plan(
        self,
        target: str | None = None,
        *,
        direction: Direction = Direction.UP,
        where: Mapping[str, Any] | None = None,
    ) -> results.PlanResult:
        """What `up` or `down` would do, tried on real documents. Read-only."""
        backend = self._sources.backend(write=False)
        facts, ledger = self._sources.facts(backend)
        try:
            plan_of = planner.plan_up if direction is Direction.UP else planner.plan_down
            plan: UpPlan | DownPlan = plan_of(facts, target)
        except MigrateError as error:
            return results.PlanResult.unmade(direction, target, error)
        if isinstance(plan, DownPlan):
            from goaime_migrate.down import forecast as down

            return down.forecast(backend, facts, ledger, plan, self._settings.on_conflict)
        cut_off = without_way_back(backend, facts, ledger)
        if cut_off is not None:
            return results.PlanResult.unmade(direction, plan.target, cut_off)
        from goaime_migrate.up import forecast as up

        return up.forecast(backend, facts, plan, where, self._settings, self._listener)

    @command
    def verify(self, *, sample: int | None = None, superseded: bool = False) -> results.VerifyResult:
        """Every promise of the applied versions, over every document or a sample. Read-only.

        `superseded`: also those that newer versions say to replace.
        """
        from goaime_migrate.verify import verifier

        backend = self._sources.backend(write=False)
        facts, ledger = self._sources.facts(backend)
        return verifier.verify(backend, facts, ledger, sample, superseded, self._listener)

    @command
    def wait(self, timeout_s: float) -> results.StatusResult:
        """Wait until nothing is pending, or the time is over; how it stands then. Read-only.

        Raises Interrupted within a second after `interrupt`.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            if self._signal is not None:
                raise stopped_waiting(self._signal)
            status = self._standing()
            if not (status.pending or status.problems) or time.monotonic() >= deadline:
                return status
            time.sleep(min(_POLL_S, max(0.0, deadline - time.monotonic())))

    @command
    def lint(self) -> results.LintResult:
        """Problems in the files alone; no database is opened."""
        from goaime_migrate.rules.files import lint, problems

        files = self._sources.files
        found = lint(files.migrations, files.unloaded, self._settings.lint_after or 0)
        broken = [error.problem() for error in (*files.problems, *files.warnings)]
        return results.LintResult(files.files, (*broken, *problems(found)), found)

    # writing ---------------------------------------------------------------------------------------------------

    @command
    def up(self, target: str | None = None, *, where: Mapping[str, Any] | None = None) -> results.RunResult:
        """Apply all pending versions, or up to and including the target."""

        def carry_out(run: Run, facts: Facts, ledger: Ledger, plan: UpPlan) -> results.RunResult:
            rest = planner.plan_rest(facts)
            if rest is not None:  # a `down` that was cut off is finished before anything is applied again
                reverted = self._revert(run, facts, ledger, rest, OnConflict.KEEP)
                if reverted.error is not None:
                    return replace(reverted, direction=Direction.UP, versions=())
                facts, ledger = self._sources.facts(run.backend)
                plan = planner.plan_up(facts, plan.target)
            return self._apply(run, facts, ledger, plan, where)

        def refuses(backend: Backend, facts: Facts, plan: UpPlan) -> results.RunResult | None:
            return refusal(backend, facts, plan, self._settings, where, self._listener)

        return self._run("up", lambda facts: planner.plan_up(facts, target), carry_out, refuses)

    @command
    def down(
        self, target: str | None = None, *, on_conflict: OnConflict = OnConflict.KEEP
    ) -> results.RunResult:
        """Take back the highest version that is not pending, or all above the target."""

        def carry_out(run: Run, facts: Facts, ledger: Ledger, plan: DownPlan) -> results.RunResult:
            return self._revert(run, facts, ledger, plan, on_conflict)

        return self._run("down", lambda facts: planner.plan_down(facts, target), carry_out)

    def _run(
        self,
        name: str,
        plan_of: Callable[[Facts], _Plan],
        carry_out: Callable[[Run, Facts, Ledger, _Plan], results.RunResult],
        refuses: Callable[[Backend, Facts, _Plan], results.RunResult | None] = lambda *_: None,
    ) -> results.RunResult:
        """Plan; where there is something to do, plan again under the lease and carry that out.

        What is refused is refused before the lease is taken; while another run has it, what that finds is half done.
        """
        backend = self._sources.backend(write=True)
        facts, _ = self._sources.facts(backend)
        plan = plan_of(facts)
        if not plan.versions:
            return nothing(plan)
        lease = backend.read_lease()
        busy = lease is not None and lease.live
        if not busy and (found := refuses(backend, facts, plan)) is not None:
            return found

        def work(run: Run) -> results.RunResult:
            facts, ledger = self._sources.facts(backend)
            plan = plan_of(facts)
            if not plan.versions:
                return nothing(plan)
            found = refuses(backend, facts, plan) if busy else None
            return found or carry_out(run, facts, ledger, plan)

        return self._under_the_lease(backend, work, name)

    def _apply(
        self, run: Run, facts: Facts, ledger: Ledger, plan: UpPlan, where: Mapping[str, Any] | None
    ) -> results.RunResult:
        from goaime_migrate.up import executor
        from goaime_migrate.workers.pool import open_pool

        with open_pool(self._settings, self._listener) as pool:
            return executor.apply(run, facts, ledger, plan, pool, where)

    def _revert(
        self, run: Run, facts: Facts, ledger: Ledger, plan: DownPlan, on_conflict: OnConflict
    ) -> results.RunResult:
        from goaime_migrate.down import reverter

        return reverter.take_back(run, facts, ledger, plan, on_conflict)

    @command
    def stamp(self, target: str, *, dry_run: bool = False) -> results.StampResult:
        """Record versions as applied without running them."""
        from goaime_migrate.run.recorder import Recorder

        backend = self._sources.backend(write=not dry_run)
        facts, _ = self._sources.facts(backend)
        plan = planner.plan_up(facts, target)
        if any(r.state is not State.APPLIED for r in facts.versions.values()):
            raise Refused("an unfinished version is in the way", hint=Hint("{}, or {}", UP, DOWN))
        if dry_run or not plan.versions:
            return results.StampResult(plan.versions)

        def work(run: Run) -> results.StampResult:
            facts, ledger = self._sources.facts(backend)
            plan = planner.plan_up(facts, target)
            Recorder(run, facts.files, ledger).stamp(plan.versions)
            return results.StampResult(plan.versions)

        return self._under_the_lease(backend, work)

    @command
    def repair(self, *, dry_run: bool = False) -> results.RepairResult:
        """Accept edited files, drop the records of removed ones, and let those of renumbered ones follow them."""
        from goaime_migrate.run.recorder import Recorder
        from goaime_migrate.run.restored import accept

        backend = self._sources.backend(write=not dry_run)
        found = self._sources.repairs(backend)[0]
        if dry_run or found.empty:
            return found

        def work(run: Run) -> results.RepairResult:
            found, facts, ledger = self._sources.repairs(backend)
            Recorder(run, facts.files, ledger).repair(found)
            accept(run, self._sources.facts(backend)[1])
            return found

        return self._under_the_lease(backend, work)

    def _under_the_lease(self, backend: Backend, work: Callable[[Run], _Result], name: str = "up") -> _Result:
        from goaime_migrate.run import lock
        from goaime_migrate.run.brake import Options
        from goaime_migrate.run.run import Run

        settings = self._settings
        options = Options(settings.batch_size, settings.max_rate, settings.max_lag)
        if settings.max_lag is not None:
            backend.replication_lag()  # refused now, where it cannot be seen
        with lock.hold(backend, settings.lock_timeout, self._listener) as lease:
            backend.prepare()
            self._now = Run(backend, lease, self._listener, options, lambda: self._signal, name)
            return work(self._now)
