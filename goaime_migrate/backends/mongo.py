"""What both kinds of server have in common: reads, the lease, the catalogue."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from itertools import groupby
from typing import Any, Self

from pymongo import IndexModel, MongoClient, ReplaceOne
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import (
    CollectionInvalid,
    DuplicateKeyError,
    ExecutionTimeout,
    OperationFailure,
    PyMongoError,
    WTimeoutError,
)

from goaime_migrate.backends import raw
from goaime_migrate.backends.base import (
    JOURNAL,
    LOCK,
    PROGRESS,
    RECORDS,
    Capabilities,
    Changes,
    CollectionInfo,
    Delete,
    Filter,
    GuardFailed,
    LeaseRecord,
    Move,
    Owner,
    Put,
    RecordChange,
)
from goaime_migrate.backends.faults import DUPLICATE_KEY, translate, translated
from goaime_migrate.backends.reader import MongoReader
from goaime_migrate.backends.typed import COUNT, MOMENT, TEXT, Kinds, checked, optional, reading
from goaime_migrate.errors import DuplicateKey, MigrateError
from goaime_migrate.results import Document

_LOCK_ID = "lock"
_CLAIM_MS = 1_000
_CONFIRMED_S = 30.0
"""How long a claim waits for a majority of the members."""
_TIME_LIMIT_EXCEEDED = 50
_LEASE: dict[str, Kinds] = {
    **dict.fromkeys(("run", "who", "host", "boot", "started"), TEXT),
    **dict.fromkeys(("pid", "fence"), COUNT),
    **dict.fromkeys(("acquired_at", "expires_at"), optional(MOMENT)),
}
_OPEN_S = 180.0
"""How long a transaction that a dead run has left open is waited for; the server ends it after a minute or two."""
_SLOW_S = 2.0


class MongoBackend(MongoReader):
    """A database on a server."""

    def __init__(
        self, client: MongoClient[Document], name: str, server: str, capabilities: Capabilities
    ) -> None:
        super().__init__(Database(client, name, codec_options=raw.OPTIONS))
        self._client = client
        self._own: ClientSession | None = None
        self._beside: list[MongoBackend] = []
        self._said = False
        self.database_name = name
        self.server = server
        self.capabilities = capabilities
        self.notify: Callable[[str], None] = lambda _: None
        """Told in one line when something is waited for."""

    @property
    def _session(self) -> ClientSession:
        """The one session that the batches of a thread run in."""
        if self._own is None:
            self._own = self._client.start_session(causal_consistency=False)
        return self._own

    def beside(self, notify: Callable[[str], None]) -> Self:
        other = type(self)(self._client, self.database_name, self.server, self.capabilities)
        other.notify = notify
        self._beside.append(other)
        return other

    def session_id(self) -> Document | None:
        """What `killSessions` needs to end the transaction that is open in it."""
        return dict(self._session.session_id)

    def replication_lag(self) -> float | None:
        return None

    def operation_time(self) -> Any:
        return None

    def feed(self, collection: str, since: Any, token: Document | None, sessions: Sequence[Document]) -> Any:
        return None

    def now(self) -> datetime:
        with translated():
            local: datetime = self._client.admin.command("hello")["localTime"]
            return local.replace(tzinfo=UTC)

    def prepare(self) -> None:
        with translated():
            existing = set(self._db.list_collection_names())
            for name in RECORDS:
                if name not in existing:
                    with suppress(CollectionInvalid):
                        self._db.create_collection(name)
            self._db[JOURNAL].create_index("ids", sparse=True)

    # reads -----------------------------------------------------------------------------------------------------

    def documents(self, *args: Any, **kwargs: Any) -> list[bytes]:
        with translated():
            return super().documents(*args, **kwargs)

    def find(self, *args: Any, **kwargs: Any) -> list[Document]:
        with translated():
            return super().find(*args, **kwargs)

    def by_ids(self, *args: Any, **kwargs: Any) -> list[bytes]:
        with translated():
            return super().by_ids(*args, **kwargs)

    def lookup(self, *args: Any, **kwargs: Any) -> list[Document]:
        with translated():
            return super().lookup(*args, **kwargs)

    def pipeline(self, *args: Any, **kwargs: Any) -> list[bytes]:
        with translated():
            return super().pipeline(*args, **kwargs)

    def count(self, collection: str, where: Filter | None = None, *, limit: int = 0) -> int:
        with translated():
            if not where and not limit:
                return self._db[collection].estimated_document_count()
            options: dict[str, Any] = {"limit": limit} if limit else {}
            return self._db[collection].count_documents(where or {}, **options)

    def last_id(self, collection: str) -> bytes | None:
        with translated():
            batches = self._db[collection].find_raw_batches({}, {"_id": 1}, sort=[("_id", -1)], limit=1)
            found = list(raw.split_all(batches))
        return found[0] if found else None

    def sample(self, collection: str, size: int, where: Filter | None = None) -> list[bytes]:
        if self.count(collection, where, limit=size + 1) <= size:
            return self.documents(collection, where=where)
        stages: list[Document] = [{"$match": dict(where)}] if where else []
        with translated():
            batches = self._db[collection].aggregate_raw_batches([*stages, {"$sample": {"size": size}}])
            return list(raw.split_all(batches))

    def ids_apart(self, collection: str, distances: Sequence[int]) -> Iterator[bytes]:
        last: bytes | None = None
        for distance in distances:
            skip = distance if last else distance - 1  # a scan from the last one on begins with it
            with translated():
                cursor = self._db[collection].find_raw_batches(
                    {}, {"_id": 1}, hint=[("_id", 1)], skip=skip, limit=1
                )
                if last is not None:
                    cursor.min([("_id", raw.id_value(last))])
                last = next(raw.split_all(cursor), None)
            if last is None:
                return
            yield last

    # records ---------------------------------------------------------------------------------------------------

    def _apply(self, changes: Sequence[RecordChange], session: ClientSession | None) -> None:
        """In the order given, since without transactions it matters; neighbouring puts go together."""
        for (kind, collection), together in groupby(changes, lambda c: (type(c), c.collection)):
            if kind is Put:
                puts = [c.document for c in together if isinstance(c, Put)]
                requests = [ReplaceOne({"_id": put["_id"]}, put, upsert=True) for put in puts]
                self._db[collection].bulk_write(requests, session=session)
            else:
                self._apply_singly(together, session)

    def _apply_singly(self, changes: Iterable[RecordChange], session: ClientSession | None) -> None:
        for change in changes:
            match change:
                case Move(collection, filter, values):
                    moved = self._db[collection].update_one(filter, {"$set": values}, session=session)
                    if moved.matched_count != 1:
                        raise GuardFailed(collection)
                case Delete(collection, filter):
                    self._db[collection].delete_many(filter, session=session)

    # the lease -------------------------------------------------------------------------------------------------

    def read_lease(self) -> LeaseRecord | None:
        alive = {"$gt": [{"$ifNull": ["$expires_at", False]}, "$$NOW"]}
        typed = {"$and": [{"$eq": [{"$type": "$expires_at"}, "date"]}, alive]}
        with translated():
            found = list(self._db[LOCK].aggregate([{"$match": {"_id": _LOCK_ID}}, {"$set": {"live": typed}}]))
        return _lease(found[0]) if found and found[0].get("expires_at") else None

    def try_lease(self, owner: Owner, ttl_s: float, *, dead: LeaseRecord | None = None) -> LeaseRecord:
        with translated():
            for record in self._db[LOCK].find({"_id": _LOCK_ID}):
                _lease(record)
            self._end_transactions_of_former_owner(dead)
            lease = self._claim(owner, ttl_s, dead)
            if lease.owner.run == owner.run:
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
                        {"_id": _LOCK_ID},
                        _claim(owner, self.session_id(), ttl_s, dead),
                        upsert=True,
                        return_document=True,
                        maxTimeMS=_CLAIM_MS,
                    )
                    if record is not None:
                        return _lease(record)
                except ExecutionTimeout:
                    held = self.read_lease()
                    if held is not None and held.live and not _same(held, dead):
                        return held
                    if time.monotonic() > deadline - _CONFIRMED_S + _OPEN_S:
                        raise
                    self._say_that_it_waits()
                except WTimeoutError as error:
                    if error.code != _TIME_LIMIT_EXCEEDED or time.monotonic() > deadline:
                        raise

    def _end_transactions_of_former_owner(self, dead: LeaseRecord | None) -> None:
        """A holder that was killed while it wrote the lease still has it locked, and a claim would wait for that."""
        free = {"$match": {"_id": _LOCK_ID, "$expr": {"$or": _free(dead)}}}
        self._end_transactions(r["lsid"] for r in self._db[LOCK].aggregate([free]) if r.get("lsid"))

    def _raise_fence(self, fence: int) -> None:
        """End what a former holder left open, then shut it out of every partition of an unfinished pass."""
        parts = {"kind": "partition"}
        self._end_transactions(
            s for p in self._db[PROGRESS].find(parts, ["lsids"]) for s in p.get("lsids", ())
        )
        with self._saying_so_if_slow():
            self._db[PROGRESS].update_many(parts, {"$set": {"fence": fence}})

    def end_transactions(self, sessions: Sequence[Document]) -> None:
        with translated():
            self._end_transactions(sessions)

    def _end_transactions(self, ids: Iterable[Document]) -> None:
        """Free in a moment what a dead process has locked, which the server itself does after a minute."""
        sessions = list(ids)
        if sessions:
            with suppress(OperationFailure):  # without the privilege the next write waits
                self._client.admin.command("killSessions", sessions)

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

    def renew_lease(self, lease: LeaseRecord, ttl_s: float) -> bool:
        later = {"$set": {"expires_at": {"$add": ["$$NOW", int(ttl_s * 1000)]}}}
        with translated():
            return self._db[LOCK].update_one(lease_filter(lease), [later]).matched_count == 1

    def release_lease(self, lease: LeaseRecord) -> None:
        with translated():
            self._db[LOCK].update_one(lease_filter(lease), {"$unset": {"expires_at": 1, "lsid": 1}})

    def break_lease(self) -> None:
        with translated():
            former = self._db[LOCK].find_one({"_id": _LOCK_ID}) or {}
            self._end_transactions(filter(None, [former.get("lsid")]))
            with self._saying_so_if_slow():
                record = self._db[LOCK].find_one_and_update(
                    {"_id": _LOCK_ID},
                    {"$inc": {"fence": 1}, "$unset": {"expires_at": 1, "lsid": 1}, "$set": {"run": ""}},
                    return_document=True,
                )
            if record is not None:
                self._raise_fence(record["fence"])

    # users' code and the catalogue -----------------------------------------------------------------------------

    @contextmanager
    def functions(self, *, write: bool) -> Iterator[Any]:
        yield self._client[self.database_name]

    def collections(self) -> dict[str, CollectionInfo]:
        with translated():
            listed = list(self._db.list_collections())
        return {
            info["name"]: CollectionInfo(
                info["name"],
                info.get("type", "collection"),
                info.get("options", {}),
                _uuid(info),
            )
            for info in listed
            if info["name"] not in RECORDS and not info["name"].startswith("system.")
        }

    def indexes(self, collection: str) -> list[Document]:
        with translated():
            return [
                dict(index) | {"key": dict(index["key"])} for index in self._db[collection].list_indexes()
            ]

    def create_index(self, collection: str, keys: Sequence[tuple[str, Any]], options: Document) -> None:
        try:
            self._db[collection].create_indexes([IndexModel(list(keys), **options)], **self._index_quorum())
        except PyMongoError as error:
            if isinstance(error, OperationFailure) and error.code == DUPLICATE_KEY:
                raise self._equal(collection, options["name"], error.details or {}) from error
            raise translate(error) from error

    def _equal(self, collection: str, index: str, details: Mapping[str, Any]) -> MigrateError:
        """The error for two documents that a unique index cannot both hold."""
        key: Document = dict(details.get("keyValue") or {})
        found = self._db[collection].find_raw_batches(key, {"_id": 1}, sort=[("_id", 1)], limit=2)
        ids = [raw.id_value(document) for document in raw.split_all(found)] if key else []
        which = f"the documents {ids[0]!r} and {ids[1]!r} have" if len(ids) == 2 else "two documents have"
        return DuplicateKey(
            f"{collection}: {which} the same key {key} in the unique index {index!r}",
            hint="make the values differ in an earlier migration, then: goaime-migrate up",
            id=ids[-1] if ids else None,
            field=next(iter(key), None),
            detail=str(details.get("errmsg", "")),
        )

    def _index_quorum(self) -> dict[str, Any]:
        """Which members must have built an index before it counts."""
        return {}

    def drop_index(self, collection: str, name: str) -> None:
        with translated():
            self._db[collection].drop_index(name)

    def set_options(self, collection: str, options: Document) -> None:
        with translated():
            self._db.command("collMod", collection, **options)

    def create_collection(self, name: str, options: Document) -> None:
        with translated():
            self._db.create_collection(name, **options)

    def _bypasses_validation(self, changes: Changes) -> bool:
        """Whether to ask the server not to validate: that takes a privilege, so only where there is a validator."""
        if not changes.bypass_validation:
            return False
        listed = self._db.list_collections(filter={"name": changes.collection})
        return any(info.get("options", {}).get("validator") for info in listed)

    def rename_collection(self, old: str, new: str) -> None:
        with translated():
            self._db[old].rename(new)

    def drop_collection(self, name: str) -> None:
        with translated():
            self._db[name].drop()

    def close(self) -> None:
        for session in [backend._own for backend in (self, *self._beside)]:
            with suppress(PyMongoError):
                if session is not None:
                    session.end_session()
        self._client.close()


def _uuid(info: Mapping[str, Any]) -> bytes | None:
    identity = info.get("info", {}).get("uuid")
    return None if identity is None else bytes(getattr(identity, "bytes", identity))


def lease_filter(lease: LeaseRecord) -> Document:
    """Matches the lease while it is still this one."""
    return {"_id": _LOCK_ID, "run": lease.owner.run, "fence": lease.fence}


def _same(lease: LeaseRecord, dead: LeaseRecord | None) -> bool:
    return dead is not None and (lease.owner.run, lease.fence) == (dead.owner.run, dead.fence)


def _free(dead: LeaseRecord | None) -> list[Document]:
    """Whether the lease may be taken, by the server's own clock; one of these has to hold."""
    free: list[Document] = [
        {"$ne": [{"$type": "$expires_at"}, "date"]},
        {"$lte": ["$expires_at", "$$NOW"]},
    ]
    if dead is not None:
        free.append({"$and": [{"$eq": ["$run", dead.owner.run]}, {"$eq": ["$fence", dead.fence]}]})
    return free


def _claim(
    owner: Owner, lsid: Document | None, ttl_s: float, dead: LeaseRecord | None
) -> list[Mapping[str, Any]]:
    """The update that takes the lease if it is free, and else changes nothing."""
    mine: Document = {
        "run": {"$literal": owner.run},
        "who": {"$literal": owner.who},
        "host": {"$literal": owner.host},
        "pid": owner.pid,
        "boot": {"$literal": owner.boot},
        "started": {"$literal": owner.started},
        "lsid": {"$literal": lsid},
        "fence": {"$add": [{"$ifNull": ["$fence", 0]}, 1]},
        "acquired_at": "$$NOW",
        "expires_at": {"$add": ["$$NOW", int(ttl_s * 1000)]},
        "format": 1,
    }
    chosen = {name: {"$cond": ["$free", value, f"${name}"]} for name, value in mine.items()}
    return [{"$set": {"free": {"$or": _free(dead)}}}, {"$set": chosen}, {"$unset": "free"}]


def _lease(record: Document) -> LeaseRecord:
    """The lease from its record. Raises DamagedRecord."""
    with reading(LOCK, record.get("_id")):
        absent: Document = {name: "" if str in kinds else None for name, kinds in _LEASE.items()}
        known = checked({**absent, "pid": 0, "fence": 0, "live": True, **record}, _LEASE)
        names = ("run", "who", "host", "pid", "boot", "started")
        return LeaseRecord(
            Owner(*(known[name] for name in names)),
            known["fence"],
            _utc(known["acquired_at"]),
            _utc(known["expires_at"]),
            bool(known["live"]),
        )


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.replace(tzinfo=UTC)
