"""Opening a database: a server by its connection string, or a dump directory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from goaime_migrate.backends.ports import RECORDS_NAME, Backend
from goaime_migrate.config import DUMP, Settings
from goaime_migrate.redaction import hide


def _tell_nobody(_: str) -> None:
    """For those who do not want to know what is waited for."""


def connect(settings: Settings, *, write: bool, notify: Callable[[str], None] = _tell_nobody) -> Backend:
    """Open what `settings.uri` names. Nothing is created. Raises UsageError, ServerUnreachable, FolderMissing.

    `notify` is told in one line when something is waited for. The drivers are imported by who needs them:
    a dump directory needs none. From here on no text of this process shows the password.
    """
    hide(settings.uri)
    backend = _open(settings, write=write, notify=notify)
    if settings.records != RECORDS_NAME:
        try:
            backend.require_own_records()
        except BaseException:
            backend.close()
            raise
    return backend


def _open(settings: Settings, *, write: bool, notify: Callable[[str], None]) -> Backend:
    if settings.uri.startswith(DUMP):
        from goaime_migrate.backends.embedded import EmbeddedBackend

        path = Path(settings.uri.removeprefix(DUMP))
        return EmbeddedBackend.open(path, settings.database, write=write, records=settings.records)
    from goaime_migrate.backends.server.connect import open_server

    return open_server(settings, write=write, notify=notify)
