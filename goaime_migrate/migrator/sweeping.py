"""What is done after `up`, while old releases of the application are still there."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from goaime_migrate import results
from goaime_migrate.backends.ports import Backend
from goaime_migrate.events import Listener
from goaime_migrate.migrator.sources import Sources
from goaime_migrate.migrator.told import command

if TYPE_CHECKING:
    from goaime_migrate.run.run import Run

_Result = TypeVar("_Result")


class Sweeping(ABC):
    """The method of the facade that sweeps."""

    _sources: Sources
    _listener: Listener

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

    @abstractmethod
    def _under_the_lease(self, backend: Backend, work: Callable[[Run], _Result], name: str) -> _Result:
        """Do this work while nobody else may write."""
