"""Opening a database: a server by its connection string, or a dump directory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from goaime_migrate.backends.ports import Backend
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
    if settings.uri.startswith(DUMP):
        from goaime_migrate.backends.embedded import EmbeddedBackend

        return EmbeddedBackend.open(Path(settings.uri.removeprefix(DUMP)), settings.database, write=write)
    from goaime_migrate.backends.server.connect import open_server

    return open_server(settings, write=write, notify=notify)
