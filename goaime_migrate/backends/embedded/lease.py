"""The lease on a dump: the lock of its directory, which needs no expiry, since the kernel ends it with its process.

Whoever has it is the one writer. Reads see one generation of the directory. While the lease is not held, reading the
versions is where a newer one is looked for: whoever looks at a database begins with them, and the rest fits to them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from goaime_migrate.backends.dump import find_database, generation, snapshot, throttle
from goaime_migrate.backends.dump.lock import DirectoryLock, user_of
from goaime_migrate.backends.embedded.batch import Batch
from goaime_migrate.backends.embedded.reads import DumpReader
from goaime_migrate.backends.embedded.store import Store
from goaime_migrate.backends.ports import (
    LOCK,
    PAUSED,
    PROGRESS,
    VERSIONS,
    Changes,
    Filter,
    LeaseRecord,
    Move,
    Owner,
    Put,
    Sort,
)
from goaime_migrate.errors import LeaseLost, Refused, SaveFailed
from goaime_migrate.errors.hint import UP, Hint
from goaime_migrate.results import Document

FENCE = 1
"""No writer can outlive its lock, so nothing has to be fenced off."""


class LeasedDump(DumpReader):
    """A dump, its lease, and what is committed under it until it is saved."""

    def __init__(self, root: Path, database: str, records: str, *, write: bool) -> None:
        self._root = root
        self._database = database
        self._write = write
        self._lock = DirectoryLock(root)
        if write:
            self._finish_what_was_left()
        super().__init__(Store.open(root, database, records))
        self.records = records
        self._lease: LeaseRecord | None = None
        self._unsaved: SaveFailed | None = None

    def find(
        self,
        collection: str,
        filter: Filter,
        *,
        sort: Sort = (),
        limit: int = 0,
        fields: Sequence[str] | None = None,
    ) -> list[Document]:
        """As the protocol says. Reading the versions looks first whether another writer has saved meanwhile."""
        if collection == VERSIONS and self._lease is None and self._is_stale():
            self._reload()
        return super().find(collection, filter, sort=sort, limit=limit, fields=fields)

    def _holder(self) -> LeaseRecord | None:
        pid = self._lock.holder_pid()
        return None if pid is None else self._with_throttle(lease_of(pid))

    def _with_throttle(self, lease: LeaseRecord) -> LeaseRecord:
        """The lease with what its owner was told; one that is paused waits for nothing else."""
        told = throttle.read(self._root)
        if told is None:
            return lease._replace(throttle=None)
        from goaime_migrate.results import Waiting

        waiting = Waiting(PAUSED, told.at) if told.throttle.paused else None
        return lease._replace(throttle=told.throttle, waiting=waiting)

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
            return self._holder() or lease_of(0)
        lease = LeaseRecord(owner, FENCE, acquired_at=self.now(), expires_at=None, live=True)
        try:
            self._take_over(lease)
        except BaseException:
            self._lock.release()
            raise
        self._lease = lease
        return lease

    def renew_lease(self, lease: LeaseRecord, ttl_s: float) -> LeaseRecord | None:
        """Nothing has to be put off: a lock has no expiry."""
        return self._with_throttle(lease) if self._is_mine(lease) else None

    def throttle_lease(self, lease: LeaseRecord, words: Mapping[str, Any]) -> LeaseRecord | None:
        """In a file beside the database's folder. Raises SaveFailed, or Refused where its owner cannot be seen."""
        if not lease.owner.pid:
            raise Refused(
                "the dump is locked by a process that cannot be seen from here",
                hint="throttle it in the container or on the host where it runs",
            )
        throttle.tell(self._root, words)
        if self._lock.holder_pid() == lease.owner.pid:
            return self._with_throttle(lease)
        throttle.remove(self._root)  # nobody else is left to do it
        return None

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
        except generation.NotInPlace as error:
            raise SaveFailed(
                f"{self._root} was saved, but not all files could be moved into place: {error}",
                hint=Hint("nothing is lost; {} finishes it, do not use the dump before", UP),
            ) from error
        self._store.mark_saved()

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

    def _finish_what_was_left(self) -> None:
        """Whoever may write does it at once: a run that finds nothing to do never takes the lease.

        While another process has the lock it is that one's own.
        """
        tidy = generation.is_tidy(self._root) and not throttle.is_there(self._root)
        if not tidy and self._lock.acquire():
            try:
                self._recover()
            finally:
                self._lock.release()

    def _recover(self) -> None:
        find_database.check_writable(self._root, self._database)
        try:
            generation.recover(self._root)
            throttle.remove(self._root)
        except OSError as error:
            raise SaveFailed(
                f"what a run that was cut off has left in {self._root} cannot be finished: "
                f"{error.strerror or error}",
                hint=Hint("check the permissions and the space on the disk, then: {}", UP),
            ) from error

    def _take_over(self, lease: LeaseRecord) -> None:
        self._recover()
        self._reload()
        self._store.load_all()
        self._store.obtain(LOCK)
        batch = Batch(self._store)
        batch.add(Changes(first=[Put(LOCK, _record(lease)), *self._raise_fences()]))
        batch.commit()

    def _raise_fences(self) -> list[Move]:
        """What a run on a server left, where fences grow, goes on with the fence that is always here."""
        unfinished = self.find(PROGRESS, {"kind": "partition", "done": False, "fence": {"$ne": FENCE}})
        return [Move(PROGRESS, {"_id": each["_id"]}, {"fence": FENCE}) for each in unfinished]

    def _is_stale(self) -> bool:
        return snapshot.signature(self._root, self._database) != self._store.signature

    def _reload(self) -> None:
        fresh = Store.open(self._root, self._database, self.records)
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
            with suppress(SaveFailed):  # the next writer removes it
                throttle.remove(self._root)
            self._lock.release()


def _record(lease: LeaseRecord) -> Document:
    """The lease as records are guarded by it. It is never saved: the lock ends with the process."""
    owner = lease.owner._asdict()
    return {"_id": "lock", **owner, "fence": lease.fence, "acquired_at": lease.acquired_at, "format": 1}


def lease_of(pid: int) -> LeaseRecord:
    """A lease of a process of this host, whose run is not known; a pid of 0 cannot be seen from here.

    Neither boot nor start time are given: nobody has to find out whether the process is gone, as its lock
    would be.
    """
    owner = Owner(run="", who=user_of(pid), host=os.uname().nodename, pid=pid, boot="", started="")
    return LeaseRecord(owner, FENCE, acquired_at=None, expires_at=None, live=True)
