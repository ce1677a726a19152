"""What is asked before a migration is applied: a document tried, all rehearsed on a copy, and whether all is well."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from goaime_migrate import results
from goaime_migrate.config import Settings
from goaime_migrate.errors import MigrateError, UsageError
from goaime_migrate.migrator.listening import Teller, command
from goaime_migrate.migrator.sources import Sources


class Inquiry:
    """The methods of the facade that tell beforehand. They read, and take no lock."""

    _sources: Sources
    _settings: Settings
    _listener: Teller
    _signal: int | None

    @command
    def try_(
        self,
        version: str,
        document: Mapping[str, Any] | None = None,
        *,
        where: Mapping[str, Any] | None = None,
        collection: str | None = None,
    ) -> results.TryResult:
        """One document through one version, operation by operation. Read-only.

        It is either `document`, as the version will meet it, or the first of the database that matches `where`; that one
        goes through the pending versions before it first. `collection`: whose it is, where the version has several.
        """
        from goaime_migrate.up import trial

        if (document is None) == (where is None):
            raise UsageError(
                "one document is tried: which one?",
                hint="say just one of --id JSON, --where JSON, --doc FILE",
            )
        if document is not None:
            return trial.try_given(
                self._sources.files_alone,
                version,
                dict(document),
                collection,
                lambda: self._sources.asked_for(f"to try {version} on this document"),
            )
        backend = self._sources.backend(write=False)
        facts, _ = self._sources.facts(backend)
        return trial.try_stored(backend, facts, version, where or {}, collection)

    @command
    def rehearse(
        self, target: str | None = None, *, sample: int | None = results.REHEARSED, memory: bool = False
    ) -> results.RehearsalResult:
        """Carry the pending versions out on a copy, up and down and up, and compare. The database is only read.

        `sample`: so many documents a collection, with all that they look up; None for all. `memory`: the copy is one of
        the embedded engine, not a database beside the other one.
        """
        from goaime_migrate import planner
        from goaime_migrate.rehearse import Extent, Rehearsal

        source = self._sources.backend(write=False)
        facts, ledger = self._sources.facts(source)
        plan = planner.plan_up(facts, target)
        rehearsal = Rehearsal(
            source,
            facts,
            ledger,
            plan,
            self._settings,
            self._listener,
            lambda: self._signal,
            self._sources.facts,
        )
        return rehearsal.give(Extent(sample, memory))

    @command
    def blame(self, collection: str, id: Any) -> results.BlameResult:
        """Which versions changed this document, when, who ran them, and how. Read-only.

        Raises UnknownDocument, JournalIncomplete, DamagedRecord.
        """
        from goaime_migrate import blame

        backend = self._sources.backend(write=False)
        return blame.blame(blame.subject(backend, *self._sources.facts(backend), collection, id))

    @command
    def as_of(self, collection: str, id: Any, version: str) -> results.AsOfResult:
        """This document as it was before a version. Read-only.

        Raises what `blame` does, UnknownTarget, and JournalPruned, MissingMigration or EditedMigration where that cannot
        be told.
        """
        from goaime_migrate import blame, planner
        from goaime_migrate.blame.as_of import as_of

        backend = self._sources.backend(write=False)
        facts, ledger = self._sources.facts(backend)
        before = planner.resolve(version, facts, results.Direction.UP)
        lowest = before if before != planner.BASE else "0"
        return as_of(blame.subject(backend, facts, ledger, collection, id), lowest)

    @command
    def doctor(self) -> results.DoctorResult:
        """What would make a command fail later, check by check. Read-only.

        Its `error` is set where the database, its records or the files could not be read.
        """
        from goaime_migrate import doctor

        try:
            backend = self._sources.backend(write=False)
            facts, ledger = self._sources.facts(backend)
        except MigrateError as error:
            return doctor.checkup_without_database(self._settings, error)
        return doctor.checkup(backend, facts, ledger, self._settings, self._listener)
