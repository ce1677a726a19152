"""A mongodump directory that is read, changed in memory, and saved as one generation. One thread uses it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.dump import find_database
from goaime_migrate.backends.embedded import catalogue
from goaime_migrate.backends.embedded.batch import Batch
from goaime_migrate.backends.embedded.lease import LeasedDump
from goaime_migrate.backends.embedded.survey import DumpSurvey
from goaime_migrate.backends.ports import (
    RECORDS,
    RECORDS_NAME,
    Backend,
    Capabilities,
    Changes,
    Committed,
    LeaseRecord,
    Mode,
    Need,
    Reader,
    Write,
    require_own,
)
from goaime_migrate.config import DUMP
from goaime_migrate.results import Document

if TYPE_CHECKING:
    from bson import Timestamp

CAPABILITIES = Capabilities(
    mode=Mode.EMBEDDED,
    product="dump directory",
    transactions=True,
    change_streams=False,
    deltas=False,
    leases=False,
    server_code=False,
    workers=False,
    validators=False,
)


class EmbeddedBackend(DumpSurvey, LeasedDump):
    """One database of a dump directory."""

    @classmethod
    def open(
        cls, path: Path, database: str | None, *, write: bool, records: str = RECORDS_NAME
    ) -> EmbeddedBackend:
        """Open ``path/<database>``, or the only one there is if `database` is None.

        `write` allows the lease to be taken, and finishes or undoes what a killed writer has left; nothing else is
        written or locked yet. A database that is named need not be there if the dump is empty. Raises FolderMissing,
        UsageError, DumpUnreadable, NewerFormat, SaveFailed.
        """
        return cls(path, find_database.database_in(path, database), records, write=write)

    @property
    def capabilities(self) -> Capabilities:
        """The same for every dump."""
        return CAPABILITIES

    @property
    def database_name(self) -> str:
        """The name of its folder within the dump."""
        return self._database

    @property
    def server(self) -> str:
        """``dump:PATH``, as it was opened."""
        return f"{DUMP}{self._root}"

    def end_transactions(self, sessions: Sequence[Document]) -> None:
        """Nothing: there are none."""

    def note_waiting(self, lease: LeaseRecord, reason: str | None) -> None:
        """Nobody else can look while the directory is locked."""

    def checkup(self) -> None:
        """None: there is no server."""

    def transaction_lifetime(self) -> float:
        """There are no transactions."""
        return 0.0

    def open_transactions(self) -> list[str]:
        """There are no transactions."""
        return []

    def require_actions(self, needs: Sequence[Need]) -> None:
        """Whoever may write the directory may do all."""

    def replication_lag(self) -> None:
        """None: there are no replicas."""

    def operation_time(self) -> None:
        """None: nobody else writes."""

    def watch(
        self, collection: str, since: Timestamp, token: Document | None, sessions: Sequence[Document]
    ) -> None:
        """None: nobody else writes."""

    def beside(self, notify: Callable[[str], None]) -> Backend:
        """Never asked of a database without the capability `workers`."""
        raise NotImplementedError("a dump directory is changed by one thread")

    def session_id(self) -> None:
        """None: what a process that died had not saved is gone."""

    def require_own_records(self) -> None:
        """By the first document of each that is there."""
        require_own(self, catalogue.every_collection(self._store), self.records)

    def prepare(self) -> None:
        """Raises LeaseLost where the lease is not held."""
        for name in RECORDS:
            self._writing().obtain(name)

    def transact(self, work: Callable[[Reader], Changes]) -> Committed:
        """As the protocol says. Validators are not checked: they are for the server that restores the dump.

        Raises LeaseLost where the lease is not held.
        """
        batch = Batch(self._writing())
        batch.add(work(self))
        batch.commit()
        return Committed()

    def load(self, collection: str, documents: Sequence[bytes]) -> None:
        """As any batch."""
        writes = [Write(raw_bson.id_of(document), None, document) for document in documents]
        self.transact(lambda _: Changes(collection=collection, writes=writes))

    @contextmanager
    def functions(self, *, write: bool) -> Iterator[Any]:
        """A mongomock database; with `write` its changes are kept, all of them, unless the body raises.

        What mongomock lacks is raised as MissingCapability, anything else that the body raises as it is.
        Leaving raises DuplicateKey, ResultTooLarge, InvalidResult or OperationFailed where the result cannot
        be stored.
        """
        from goaime_migrate.backends.embedded.user_database import WorkingCopy, lack_of

        copy = WorkingCopy(self._writing() if write else self._store, self._database)
        try:
            yield copy.database
        except NotImplementedError as error:
            lack = lack_of(error)
            if lack is None:
                raise
            raise lack from error
        if write:
            copy.write_back()

    def create_index(self, collection: str, keys: Sequence[tuple[str, Any]], options: Document) -> None:
        """Raises OperationFailed where another index is in the way, or DuplicateKey."""
        catalogue.create_index(self._writing(), collection, keys, options)

    def drop_index(self, collection: str, name: str) -> None:
        """Raises OperationFailed if there is none of this name, or if it is the one on `_id`."""
        catalogue.drop_index(self._writing(), collection, name)

    def set_options(self, collection: str, options: Document) -> None:
        """Into the metadata. Raises OperationFailed if there is no such collection."""
        catalogue.set_options(self._writing(), collection, options)

    def create_collection(self, name: str, options: Document) -> None:
        """Raises OperationFailed, or MissingCapability for a time-series collection."""
        catalogue.create(self._writing(), name, options)

    def rename_collection(self, old: str, new: str) -> None:
        """Its files get the new name as well. Raises OperationFailed."""
        catalogue.rename(self._writing(), old, new)

    def drop_collection(self, name: str) -> None:
        """Its files go when the dump is saved; nothing happens if there is none."""
        catalogue.drop(self._writing(), name)

    def drop_database(self) -> None:
        """The lock of the directory, which is the lease, stays."""
        for name in list(self._writing().collections):
            catalogue.drop(self._writing(), name)
