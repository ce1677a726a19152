"""A project's files and its database, each opened when it is first needed."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from goaime_migrate import ledger, planner
from goaime_migrate.backends.connect import Deployment, deployment, open_database
from goaime_migrate.backends.ports import Backend
from goaime_migrate.config import Settings
from goaime_migrate.errors import InvalidConfiguration, UsageError
from goaime_migrate.journal.lost import lost_versions
from goaime_migrate.ledger import Ledger
from goaime_migrate.loader import MigrationFiles, load
from goaime_migrate.planner import Facts

if TYPE_CHECKING:
    from goaime_migrate.events import Listener
    from goaime_migrate.results import RepairResult


class Sources:
    """What a command works from. Those of several databases share the files and the server."""

    def __init__(self, settings: Settings, listener: Listener, common: Sources | None = None) -> None:
        self._settings = settings
        self._listener = listener
        self._common = common
        self._open: dict[bool, Backend] = {}
        self._told: set[str] = set()

    @cached_property
    def files(self) -> MigrationFiles:
        """The migration files."""
        if self._common is not None:
            return self._common.files
        settings = self._settings
        return load(settings.migrations, settings.prepend_sys_path, settings.records)

    def backend(self, *, write: bool) -> Backend:
        """The database, opened once for reading and once for writing. Raises MigrateError."""
        if several := self._settings.databases:
            raise UsageError(
                f"this works on one database at a time, and several are named: {', '.join(several)}",
                hint="choose one: --database NAME",
            )
        if write not in self._open:
            settings = self._settings
            self._open[write] = open_database(self.deployment, settings.database, settings, write=write)
        return self._open[write]

    @cached_property
    def deployment(self) -> Deployment:
        """Where the databases are, opened once. Raises UsageError."""
        if self._common is not None:
            return self._common.deployment
        return deployment(self._settings, self._tell)

    @property
    def database(self) -> str:
        """The name of the database; empty before it is open."""
        return next((backend.database_name for backend in self._open.values()), "")

    def asked_for(self, why: str) -> Backend:
        """The database, for what could do without one for long. Raises InvalidConfiguration where none is named."""
        if not self._settings.uri:
            raise InvalidConfiguration(
                f"{why} needs the database, and there is no uri",
                hint="--uri mongodb://HOST, or --uri dump:PATH",
            )
        return self.backend(write=False)

    def _tell(self, text: str) -> None:
        """Tell it once, however often the database is opened."""
        from goaime_migrate.events import Notice

        if text not in self._told:
            self._told.add(text)
            self._listener(Notice(text))

    def facts(self, backend: Backend) -> tuple[Facts, Ledger]:
        """Files and history, side by side; and the history as it was read now. Raises NewerFormat, DamagedRecord."""
        files, history = self.files, ledger.read(backend)
        pending = any(m.version not in history.versions for m in files.migrations)
        facts = Facts(
            files.migrations,
            files.problems,
            history.versions,
            history.passes,
            frozenset(v for v in history.versions if history.committed(v)),
            files.unloaded,
            files.warnings,
            lost_versions(backend, history, pending=pending),
        )
        return facts, history

    @property
    def files_alone(self) -> Facts:
        """The files with no history beside them."""
        files = self.files
        return Facts(files.migrations, files.problems, {}, {}, frozenset(), files.unloaded, files.warnings)

    def repairs(self, backend: Backend) -> tuple[RepairResult, Facts, Ledger]:
        """What `repair` would do, and what that was found from. Raises what `facts` and `planner.repairs` do."""
        from goaime_migrate.run.restored import moved_versions

        facts, history = self.facts(backend)
        restored = moved_versions(history, backend.origin())
        return replace(planner.repairs(facts), restored=restored), facts, history

    def close(self) -> None:
        """Let go of the database, and of the server unless others share it."""
        with ExitStack() as stack:
            if self._common is None and (opened := vars(self).pop("deployment", None)) is not None:
                stack.callback(opened.close)
            while self._open:
                stack.callback(self._open.popitem()[1].close)
