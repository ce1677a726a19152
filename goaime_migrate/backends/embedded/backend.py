"""The embedded backend: a mongodump directory that is read, changed in memory, and saved as one generation.

One thread uses it. Reads see one generation of the directory. While the lease is not held, reading the versions
is where a newer one is looked for: whoever looks at a database begins with them, and the rest fits to them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from itertools import accumulate
from pathlib import Path
from typing import Any

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.dump import find_database, generation, snapshot
from goaime_migrate.backends.dump.lock import DirectoryLock
from goaime_migrate.backends.embedded import catalogue
from goaime_migrate.backends.embedded.batch import Batch
from goaime_migrate.backends.embedded.lease import FENCE, held_by
from goaime_migrate.backends.embedded.reads import DumpReader
from goaime_migrate.backends.embedded.store import Store
from goaime_migrate.backends.ports import (
    LOCK,
    PROGRESS,
    RECORDS,
    VERSIONS,
    Capabilities,
    Changes,
    Committed,
    LeaseRecord,
    Mode,
    Move,
    Owner,
    Put,
    Reader,
)
from goaime_migrate.errors import LeaseLost, Refused, SaveFailed
from goaime_migrate.results import Document

CAPABILITIES = Capabilities(
    mode=Mode.EMBEDDED,
    product="dump directory",
    transactions=True,
    change_streams=False,
    deltas=False,
    leases=False,
    schemas=False,
    server_code=False,
    workers=False,
)


class EmbeddedBackend(DumpReader):
    """One database of a dump directory."""

    def __init__(self, root: Path, database: str, *, write: bool) -> None:
        super().__init__(Store.open(root, database))
        self._root = root
        self._database = database
        self._write = write
        self._lock = DirectoryLock(root)
        self._lease: LeaseRecord | None = None
        self._unsaved: SaveFailed | None = None

    @classmethod
    def open(cls, path: Path, database: str | None, *, write: bool) -> EmbeddedBackend:
        """Open ``path/<database>``, or the only one there is if `database` is None.

        Nothing is written or locked yet; `write` allows the lease to be taken. A database that is named need
        not be there if the dump is empty. Raises FolderMissing, UsageError or DumpUnreadable.
        """
        return cls(path, find_database.database_in(path, database), write=write)

    @property
    def capabilities(self) -> Capabilities:
        return CAPABILITIES

    @property
    def database_name(self) -> str:
        return self._database

    @property
    def server(self) -> str:
        return f"dump:{self._root}"

    def find(self, collection: str, *args: Any, **options: Any) -> list[Document]:
        """As the protocol says. Reading the versions looks first whether another writer has saved meanwhile."""
        if collection == VERSIONS and self._lease is None and self._is_stale():
            self._reload()
        return super().find(collection, *args, **options)

    def end_transactions(self, sessions: Sequence[Document]) -> None:
        """Nothing: there are none."""

    def ids_apart(self, collection: str, distances: Sequence[int]) -> Iterator[bytes]:
        ids = [raw_bson.id_of(document) for document in self.documents(collection, fields=())]
        return (ids[place - 1] for place in accumulate(distances) if place <= len(ids))

    def replication_lag(self) -> float | None:
        return None

    def operation_time(self) -> Any:
        return None

    def feed(self, collection: str, since: Any, token: Document | None, sessions: Sequence[Document]) -> Any:
        return None

    def beside(self, notify: Callable[[str], None]) -> EmbeddedBackend:
        raise NotImplementedError("a dump directory is changed by one thread")

    def session_id(self) -> Document | None:
        """None: what a process that died had not saved is gone."""
        return None

    def prepare(self) -> None:
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

    @contextmanager
    def functions(self, *, write: bool) -> Iterator[Any]:
        """A mongomock database; with `write` its changes are kept, all of them, unless the body raises.

        What mongomock lacks is raised as MissingCapability, anything else that the body raises as it is.
        Leaving raises DuplicateKey, ResultTooLarge, InvalidResult or OperationFailed where the result cannot
        be stored.
        """
        from goaime_migrate.backends.embedded.user_database import UserDatabase, translated

        lens = UserDatabase(self._writing() if write else self._store, self._database)
        try:
            yield lens.database
        except NotImplementedError as error:
            told = translated(error)
            if told is error:
                raise
            raise told from error
        if write:
            lens.sync()

    def create_index(self, collection: str, keys: Sequence[tuple[str, Any]], options: Document) -> None:
        catalogue.create_index(self._writing(), collection, keys, options)

    def drop_index(self, collection: str, name: str) -> None:
        catalogue.drop_index(self._writing(), collection, name)

    def set_options(self, collection: str, options: Document) -> None:
        catalogue.set_options(self._writing(), collection, options)

    def create_collection(self, name: str, options: Document) -> None:
        catalogue.create(self._writing(), name, options)

    def rename_collection(self, old: str, new: str) -> None:
        catalogue.rename(self._writing(), old, new)

    def drop_collection(self, name: str) -> None:
        catalogue.drop(self._writing(), name)

    def _holder(self) -> LeaseRecord | None:
        pid = self._lock.holder_pid()
        return None if pid is None else held_by(pid)

    def read_lease(self) -> LeaseRecord | None:
        """Never locks, so it works on a read-only directory."""
        return self._lease or self._holder()

    def try_lease(
        self,
        owner: Owner,
        ttl_s: float,
        *,
        dead: LeaseRecord | None = None,
    ) -> LeaseRecord:
        """Lock the directory, finish what a killed writer left, and read everything.

        Where another process has the lock, its lease is returned: no run is known of it, and a pid of 0 says
        that it cannot be seen from here. Raises SaveFailed if the directory cannot be written to,
        DumpUnreadable if any file is damaged, MissingCapability if the file system has no locks, Refused if
        the dump was opened for reading.
        """
        if not self._write:
            raise Refused("the dump was opened for reading only")
        if self._lease is not None:
            return self._lease
        if not self._lock.acquire():
            return self._holder() or held_by(0)
        lease = LeaseRecord(owner, FENCE, acquired_at=self.now(), expires_at=None, live=True)
        try:
            self._take_over(lease)
        except BaseException:
            self._lock.release()
            raise
        self._lease = lease
        return lease

    def renew_lease(self, lease: LeaseRecord, ttl_s: float) -> bool:
        return self._is_mine(lease)

    def release_lease(self, lease: LeaseRecord) -> None:
        """Save, then unlock. Raises SaveFailed; the lock is given back even so."""
        if self._is_mine(lease):
            self._save_and_unlock()

    def break_lease(self) -> None:
        """Only the process itself can let go of its lock. Raises Refused saying which one it is."""
        holder = self.read_lease()
        if holder is None:
            return
        pid = holder.owner.pid
        who = f"process {pid}" if pid else "a process that cannot be seen from here"
        raise Refused(
            f"the dump is locked by {who}, and the lock ends when the process does",
            hint=f"end it: kill {pid}" if pid else "end it in the container or on the host where it runs",
        )

    def save(self) -> None:
        """Make everything that was committed the directory's new generation, if anything has changed.

        Raises SaveFailed, with the old generation as it was, or LeaseLost where the lease is not held.
        """
        put, remove = self._store.pending()
        if not put and not remove:
            return
        self._writing()
        try:
            generation.write(self._root, self._database, put, remove)
        except OSError as error:
            raise SaveFailed(
                f"{self._root} could not be written: {error.strerror or error}; the dump is as it was before",
                hint="free space or check the permissions, then run the command again",
            ) from error
        except generation.Unfinished as error:
            raise SaveFailed(
                f"{self._root} was saved, but not all files could be moved into place: {error}",
                hint="nothing is lost; goaime-migrate up finishes it, do not use the dump before",
            ) from error
        self._store.saved()

    def close(self) -> None:
        """Save if the lease is still held, unlock, and let go of all files.

        Raises SaveFailed, also where `release_lease` has raised it already: nobody shall miss it.
        """
        try:
            if self._lease is not None:
                self._save_and_unlock()
            elif self._unsaved is not None:
                raise self._unsaved
        finally:
            self._unsaved = None
            self._store.close()

    def _writing(self) -> Store:
        if self._lease is None:
            raise LeaseLost("the dump is not locked by this run", hint="another run may have it: try again")
        return self._store

    def _is_mine(self, lease: LeaseRecord) -> bool:
        return self._lease is not None and self._lease.owner.run == lease.owner.run

    def _take_over(self, lease: LeaseRecord) -> None:
        find_database.check_writable(self._root, self._database)
        try:
            generation.recover(self._root)
        except OSError as error:
            raise SaveFailed(f"{self._root} cannot be written to: {error.strerror or error}") from error
        self._reload()
        self._store.load_all()
        self._store.obtain(LOCK)
        batch = Batch(self._store)
        batch.add(Changes(first=[Put(LOCK, _record(lease)), *self._raised_fences()]))
        batch.commit()

    def _raised_fences(self) -> list[Move]:
        """What a run on a server left, where fences grow, goes on with the fence that is always here."""
        unfinished = self.find(PROGRESS, {"kind": "partition", "done": False, "fence": {"$ne": FENCE}})
        return [Move(PROGRESS, {"_id": each["_id"]}, {"fence": FENCE}) for each in unfinished]

    def _is_stale(self) -> bool:
        return snapshot.signature(self._root, self._database) != self._store.signature

    def _reload(self) -> None:
        fresh = Store.open(self._root, self._database)
        self._store.close()
        self._store = fresh

    def _save_and_unlock(self) -> None:
        try:
            self.save()
        except SaveFailed as error:
            self._unsaved = error
            raise
        finally:
            self._lease = None
            self._lock.release()


def _record(lease: LeaseRecord) -> Document:
    """The lease as records are guarded by it. It is never saved: the lock ends with the process."""
    owner = asdict(lease.owner)
    return {"_id": "lock", **owner, "fence": lease.fence, "acquired_at": lease.acquired_at, "format": 1}
