"""The folder of a dump, with the databases in it."""

from __future__ import annotations

from pathlib import Path

from goaime_migrate.backends.dump import find_database
from goaime_migrate.backends.embedded.backend import EmbeddedBackend
from goaime_migrate.backends.ports import Backend


class Dump:
    """The databases of a dump. Each that is opened reads its own files, and they share one lock."""

    def __init__(self, root: Path, records: str) -> None:
        self._root = root
        self._records = records

    def names(self) -> list[str]:
        """The names of its folders. Raises FolderMissing, DumpUnreadable."""
        return find_database.databases(self._root)

    def database(self, name: str | None, *, write: bool) -> Backend:
        """One of them; where no name is given, the only one there is. Raises as `EmbeddedBackend.open`."""
        return EmbeddedBackend.open(self._root, name, write=write, records=self._records)

    def close(self) -> None:
        """Nothing is open that is not a database's."""
