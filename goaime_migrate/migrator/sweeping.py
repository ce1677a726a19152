"""What is done after `up`, while old releases of the application are still there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from goaime_migrate import results
from goaime_migrate.migrator.listening import command
from goaime_migrate.migrator.under_lease import UnderLease

if TYPE_CHECKING:
    from goaime_migrate.run.run import Run


class Sweeping(UnderLease):
    """The method of the facade that sweeps."""

    @command
    def sweep(
        self, target: str | None = None, *, dry_run: bool = False, follow: float | None = None
    ) -> results.SweepResult:
        """Apply the versions up to the target, which are applied, once more to what was written in an old shape since.

        `follow`: stay until for so many seconds nothing was written in an old shape.
        """
        from goaime_migrate.sweep import sweeper
        from goaime_migrate.sweep.chains import to_sweep

        backend = self._sources.backend(write=not dry_run)
        facts, ledger = self._sources.facts(backend)
        if dry_run:
            return sweeper.preview(backend, facts, ledger, target, self._listener)
        if not to_sweep(facts, ledger, target):
            return results.SweepResult((), 0)

        def work(run: Run) -> results.SweepResult:
            facts, ledger = self._sources.facts(backend)
            return sweeper.sweep(run, facts, ledger, target, follow)

        return self._under_the_lease(backend, work, "sweep")
