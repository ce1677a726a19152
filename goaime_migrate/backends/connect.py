"""Opening a database: a server by its connection string, or a dump directory."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Protocol

from goaime_migrate.backends.ports import RECORDS_NAME, Backend
from goaime_migrate.config import DUMP, Settings
from goaime_migrate.redaction import hide


def _tell_nobody(_: str) -> None:
    """For those who do not want to know what is waited for."""


class Deployment(Protocol):
    """Where databases are: a server, or the folder of a dump."""

    def names(self) -> list[str]:
        """The databases that there are, the server's own among them. Raises ServerUnreachable, FolderMissing."""

    def database(self, name: str | None, *, write: bool) -> Backend:
        """One of them, which need not be there yet; by default the only one, or the one that the uri names.

        Raises UsageError, ServerUnreachable, FolderMissing.
        """

    def close(self) -> None:
        """Let go of it; databases that are open stay so until they are closed."""


def deployment(settings: Settings, notify: Callable[[str], None] = _tell_nobody) -> Deployment:
    """What `settings.uri` names. Nothing is created. Raises UsageError.

    `notify` is told in one line when something is waited for. The drivers are imported by who needs them: a dump
    directory needs none. From here on no text of this process shows the password.
    """
    hide(settings.uri)
    if settings.uri.startswith(DUMP):
        from goaime_migrate.backends.embedded import Dump

        return Dump(Path(settings.uri.removeprefix(DUMP)), settings.records)
    from goaime_migrate.backends.server.connect import Server

    return Server.connect(settings, notify)


def open_database(place: Deployment, name: str | None, settings: Settings, *, write: bool) -> Backend:
    """A database, once it is clear that the records in it are ours. Raises as `Deployment.database`."""
    backend = place.database(name, write=write)
    if settings.records != RECORDS_NAME:
        try:
            backend.require_own_records()
        except BaseException:
            backend.close()
            raise
    return backend


def connect(settings: Settings, *, write: bool, notify: Callable[[str], None] = _tell_nobody) -> Backend:
    """Open the one database that the settings name. Raises UsageError, ServerUnreachable, FolderMissing."""
    with closing(deployment(settings, notify)) as place:
        return open_database(place, settings.database, settings, write=write)
