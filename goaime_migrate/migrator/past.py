"""What was done to a database."""

from __future__ import annotations

from goaime_migrate import ledger, results
from goaime_migrate.migrator.listening import Teller, command
from goaime_migrate.migrator.sources import Sources


class Past:
    """The methods of the facade that tell afterwards. They read, and take no lock."""

    _sources: Sources
    _listener: Teller

    @command
    def history(self) -> tuple[results.HistoryEntry, ...]:
        """The log, oldest first. Read-only."""
        return ledger.history(self._sources.backend(write=False))

    @command
    def report(self) -> results.ReportResult:
        """How the database stands, its whole log, and a few documents of each pass before and after. Read-only."""
        from goaime_migrate.report import report

        backend = self._sources.backend(write=False)
        return report(backend, *self._sources.facts(backend))
