"""What is done about the run that holds the lock: it is shown, slowed down, or shut out."""

from __future__ import annotations

from goaime_migrate import results
from goaime_migrate.backends.ports import Backend
from goaime_migrate.errors import DamagedRecord, NothingRuns, UsageError
from goaime_migrate.errors.hint import STATUS, UP, Hint
from goaime_migrate.ledger import read as read_ledger
from goaime_migrate.migrator.listening import Teller, command
from goaime_migrate.migrator.sources import Sources
from goaime_migrate.results import State
from goaime_migrate.results.holdup import FASTEST


class LockHolder:
    """The methods of the facade that are about a run of somebody else."""

    _sources: Sources
    _listener: Teller

    @command
    def unlock(self, *, force: bool = False) -> results.UnlockResult:
        """Show the lease; with `force`, end it and shut its holder out, whatever its record says."""
        from goaime_migrate.status import lock_status

        backend = self._sources.backend(write=force)
        try:
            record, there = (found := backend.read_lease()), found is not None
        except DamagedRecord:
            if not force:
                raise
            record, there = None, True
        if force:
            backend.break_lease()
        return results.UnlockResult(lock_status(record), force and there)

    @command
    def throttle(
        self, *, paused: bool | None = None, max_rate: float | None = None
    ) -> results.ThrottleResult:
        """Tell the run that holds the lock how fast to go; it hears of it within seconds, and it ends with that run.

        `max_rate` (documents a second) counts in place of what the run was started with; `paused` makes it wait, and go
        on. What is not given stays as it is; where neither is given, the run goes as fast as it was started. Raises
        NothingRuns.
        """
        from goaime_migrate.status import lock_status

        if max_rate is not None and not 0 < max_rate <= FASTEST:  # nor is NaN
            raise UsageError(
                f"{max_rate:g} is no rate: it has to be more than 0, and at most {FASTEST:,}",
                hint="to stop a run for a while: --pause",
            )
        backend = self._sources.backend(write=False)
        lease = backend.read_lease()
        lock = lock_status(lease)
        if lease is None or lock is None or not lock.live:
            raise _nothing_runs()
        given = {"paused": paused, "max_rate": None if max_rate is None else float(max_rate)}
        told = backend.throttle_lease(lease, {name: word for name, word in given.items() if word is not None})
        if told is None:
            raise _nothing_runs()
        return results.ThrottleResult(
            told.throttle, lock_status(backend.read_lease()), self._unpaced(backend)
        )

    def _unpaced(self, backend: Backend) -> tuple[str, ...]:
        """The versions whose operation that is under way has no batches."""
        return tuple(
            record.version
            for record in read_ledger(backend).versions.values()
            if record.state is State.RUNNING
            and any(o.started and not o.done and o.pass_id is None for o in record.operations)
        )


def _nothing_runs() -> NothingRuns:
    return NothingRuns(
        "nothing runs on this database that could be slowed down",
        hint=Hint("see how it stands: {}; to begin at a rate: {}", STATUS, UP.to("--max-rate", "N")),
    )
