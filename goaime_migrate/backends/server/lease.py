"""The lease on a database: who may write, by the server's own clock, and what a former holder has left open.

It is taken, renewed and released by conditional updates of one document. Whoever takes it raises the fence, in it and
in every unfinished partition, so that a former holder that wakes up finds each door shut.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from pymongo.client_session import ClientSession
from pymongo.errors import DuplicateKeyError, ExecutionTimeout, OperationFailure, WTimeoutError

from goaime_migrate.backends.ports import LOCK, PROGRESS, LeaseRecord, Owner
from goaime_migrate.backends.server.client import NamedDatabase, SharedClient
from goaime_migrate.backends.server.driver_errors import translation
from goaime_migrate.backends.server.lease_record import (
    LOCK_ID,
    OF_THE_RUN,
    break_update,
    claim_update,
    free,
    is_same,
    lease_of,
    throttle_update,
    waiting_update,
    while_held,
)
from goaime_migrate.backends.server.reader import MongoReader
from goaime_migrate.errors import MigrateError
from goaime_migrate.results import Document

_CLAIM_MS = 1_000
_CONFIRMED_S = 30.0
"""How long a claim waits for a majority of the members."""
_TIME_LIMIT_EXCEEDED = 50
_OPEN_S = 180.0
"""How long a transaction that a dead run has left open is waited for; the server ends it after a minute or two."""
_SLOW_S = 2.0


class LeasedDatabase(MongoReader):
    """A database on a server, the session that a thread writes in, and the lease."""

    def __init__(self, client: SharedClient, name: str, records: str) -> None:
        super().__init__(NamedDatabase(client, name, records), guard=partial(translation, client))
        self.records = records
        self._client = client
        self._own: ClientSession | None = None
        self._said = False
        self.notify: Callable[[str], None] = lambda _: None
        """Told in one line when something is waited for."""

    @property
    def _session(self) -> ClientSession:
        """The one session that the batches of a thread run in."""
        if self._own is None:
            self._own = self._client.start_session(causal_consistency=False)
        return self._own

    def session_id(self) -> Document | None:
        """What `killSessions` needs to end the transaction that is open in it."""
        return dict(self._session.session_id)

    def read_lease(self) -> LeaseRecord | None:
        """By the server's clock. Raises DamagedRecord."""
        later = {"$gt": [{"$ifNull": ["$expires_at", False]}, "$$NOW"]}
        live = {"$and": [{"$eq": [{"$type": "$expires_at"}, "date"]}, later]}
        with self._guard():
            found = list(self._db[LOCK].aggregate([{"$match": {"_id": LOCK_ID}}, {"$set": {"live": live}}]))
        lease = lease_of(found[0]) if found else None
        return None if lease is None or lease.expires_at is None else lease

    def try_lease(self, owner: Owner, ttl_s: float, *, dead: LeaseRecord | None = None) -> LeaseRecord:
        """End what a former owner has left open, then claim. Raises DamagedRecord."""
        with self._guard():
            self._end_transactions_of_former_owner(dead)
            lease = self._claim(owner, ttl_s, dead)
            if lease.owner.run == owner.run:
                with self._renewing(lease, ttl_s):
                    self._raise_fence(lease.fence)
            return lease

    def _claim(self, owner: Owner, ttl_s: float, dead: LeaseRecord | None) -> LeaseRecord:
        """One claim. It does not wait for a frozen holder's transaction: that is ended once the lease has expired.

        Where this user may not end it (it is another user's, and takes a privilege), it is waited for then.

        The time limit of a claim counts the wait for a majority as well. A claim that was made but not confirmed in
        time is made again until it is: it finds itself the owner.
        """
        deadline = time.monotonic() + _CONFIRMED_S
        while True:
            with suppress(DuplicateKeyError):  # of two first claims one inserts, the other tries again
                try:
                    record = self._db[LOCK].find_one_and_update(
                        {"_id": LOCK_ID},
                        claim_update(owner, self.session_id(), ttl_s, dead),
                        upsert=True,
                        return_document=True,
                        maxTimeMS=_CLAIM_MS,
                    )
                    if record is not None:
                        return lease_of(record)
                except ExecutionTimeout:
                    held = self.read_lease()
                    if held is not None and held.live and not is_same(held, dead):
                        return held
                    if time.monotonic() > deadline - _CONFIRMED_S + _OPEN_S:
                        raise
                    self._say_that_it_waits()
                except WTimeoutError as error:
                    if error.code != _TIME_LIMIT_EXCEEDED or time.monotonic() > deadline:
                        raise

    def _end_transactions_of_former_owner(self, dead: LeaseRecord | None) -> None:
        """A holder that was killed while it wrote the lease still has it locked, and a claim would wait for that.

        Raises DamagedRecord.
        """
        stages: list[Document] = [{"$match": {"_id": LOCK_ID}}, {"$set": {"free": {"$or": free(dead)}}}]
        for record in self._db[LOCK].aggregate(stages):
            lease_of(record)
            if record["free"] and record.get("lsid"):
                self._end_transactions([record["lsid"]])

    def _raise_fence(self, fence: int) -> None:
        """End what a former holder left open, then shut it out of every partition of an unfinished pass."""
        parts = {"kind": "partition"}
        self._end_transactions(
            s for p in self._db[PROGRESS].find(parts, ["lsids"]) for s in p.get("lsids", ())
        )
        with self._saying_so_if_slow():
            self._db[PROGRESS].update_many(parts, {"$set": {"fence": fence}})

    def _known_fence(self) -> int:
        """The greatest that a partition has."""
        found = self._db[PROGRESS].find({"kind": "partition", "fence": {"$type": ["int", "long"]}}, ["fence"])
        return max((part["fence"] for part in found.sort("fence", -1).limit(1)), default=0)

    def end_transactions(self, sessions: Sequence[Document]) -> None:
        """By `killSessions`; without the privilege the next write waits."""
        with self._guard():
            self._end_transactions(sessions)

    def _end_transactions(self, ids: Iterable[Document]) -> None:
        """Free in a moment what a dead process has locked, which the server itself does after a minute."""
        sessions = list(ids)
        if sessions:
            with suppress(OperationFailure):  # without the privilege the next write waits
                self._client.admin.command("killSessions", sessions)

    @contextmanager
    def _renewing(self, lease: LeaseRecord, ttl_s: float) -> Iterator[None]:
        """Keep a lease that was just taken, however long a former holder's transaction has to be waited for."""
        enough = threading.Event()

        def renew() -> None:
            while not enough.wait(ttl_s / 3):
                with suppress(MigrateError):
                    self.renew_lease(lease, ttl_s)

        thread = threading.Thread(target=renew, daemon=True)
        thread.start()
        try:
            yield
        finally:
            enough.set()
            thread.join()

    @contextmanager
    def _saying_so_if_slow(self) -> Iterator[None]:
        timer = threading.Timer(_SLOW_S, self._say_that_it_waits)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _say_that_it_waits(self) -> None:
        """Say it once."""
        if not self._said:
            self._said = True
            self.notify(
                "an earlier run seems to have left a transaction open, which this user may not end: waiting until the "
                "server ends it, after a minute or two"
            )

    def renew_lease(self, lease: LeaseRecord, ttl_s: float) -> LeaseRecord | None:
        """So many seconds from now, by the server's clock. A record that is gone is put back. Raises DamagedRecord."""
        later: Document = {"expires_at": {"$add": ["$$NOW", int(ttl_s * 1000)]}}
        with self._guard():
            lock = self._db[LOCK]
            renewed = lock.find_one_and_update(while_held(lease), [{"$set": later}], return_document=True)
            if renewed is not None or lock.find_one({"_id": LOCK_ID}) is not None:
                return None if renewed is None else lease_of(renewed)
            owner = {name: {"$literal": value} for name, value in lease.owner._asdict().items()}
            mine = {
                **owner,
                "lsid": {"$literal": self.session_id()},
                "acquired_at": lease.acquired_at,
                "format": 1,
            }
            with suppress(
                DuplicateKeyError
            ):  # somebody has put one there meanwhile: this run's heartbeat, or another
                lock.update_one(while_held(lease), [{"$set": mine | later}], upsert=True)
            restored = lock.find_one(while_held(lease))
            return None if restored is None else lease_of(restored)

    def note_waiting(self, lease: LeaseRecord, reason: str | None) -> None:
        """In the lease's own record."""
        with self._guard():
            self._db[LOCK].update_one(while_held(lease), waiting_update(reason))

    def throttle_lease(self, lease: LeaseRecord, words: Mapping[str, Any]) -> LeaseRecord | None:
        """In the lease's own record, while it is live by the server's clock: in one update, whoever else tells it."""
        live = {**while_held(lease), "$expr": {"$gt": ["$expires_at", "$$NOW"]}}
        with self._guard():
            told = self._db[LOCK].find_one_and_update(live, throttle_update(words), return_document=True)
        return None if told is None else lease_of(told)

    def release_lease(self, lease: LeaseRecord) -> None:
        """Its record stays, for the sake of the fence."""
        with self._guard():
            self._db[LOCK].update_one(
                while_held(lease), {"$unset": dict.fromkeys(("expires_at", "lsid", *OF_THE_RUN), 1)}
            )

    def break_lease(self) -> None:
        """End the owner's transactions and raise the fence, in the lease and in every unfinished partition.

        Of a record that somebody has damaged nothing is needed: the fence is that of the partitions then.
        """
        with self._guard():
            former = self._db[LOCK].find_one({"_id": LOCK_ID}) or {}
            self._end_transactions(filter(None, [former.get("lsid")]))
            with self._saying_so_if_slow():
                record = self._db[LOCK].find_one_and_update(
                    {"_id": LOCK_ID}, break_update(self._known_fence() + 1), return_document=True
                )
            if record is not None:
                self._raise_fence(record["fence"])
