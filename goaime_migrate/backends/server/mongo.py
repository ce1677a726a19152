"""What both kinds of server have in common: reads, records, the catalogue."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any, Self

from pymongo import IndexModel, MongoClient, ReplaceOne
from pymongo.client_session import ClientSession
from pymongo.errors import CollectionInvalid, OperationFailure, PyMongoError

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import (
    JOURNAL,
    PROGRESS,
    RECORDS,
    RECORDS_NAME,
    Capabilities,
    Changes,
    CollectionInfo,
    Committed,
    Delete,
    Filter,
    GuardFailed,
    Move,
    Put,
    Reader,
    RecordChange,
    name_of,
    require_own,
)
from goaime_migrate.backends.server.driver_errors import DUPLICATE_KEY, translate, translation
from goaime_migrate.backends.server.lease import LeasedDatabase
from goaime_migrate.backends.server.reader import id_range
from goaime_migrate.errors import DuplicateKey, MigrateError
from goaime_migrate.errors.hint import UP, Hint
from goaime_migrate.results import Document

if TYPE_CHECKING:
    from bson import Timestamp

    from goaime_migrate.backends.ports.change_stream import ChangeStream


class MongoBackend(LeasedDatabase, ABC):
    """A database on a server; how its batches are made safe is for the two that derive from it."""

    def __init__(
        self,
        client: MongoClient[Document],
        name: str,
        server: str,
        capabilities: Capabilities,
        records: str = RECORDS_NAME,
    ) -> None:
        super().__init__(client, name, records)
        self._beside: list[MongoBackend] = []
        self.database_name = name
        self.server = server
        self.capabilities = capabilities

    @abstractmethod
    def transact(self, work: Callable[[Reader], Changes]) -> Committed:
        """One unit of work, as `Writer` says."""

    def beside(self, notify: Callable[[str], None]) -> Self:
        """The same connections, in a session of its own."""
        other = type(self)(self._client, self.database_name, self.server, self.capabilities, self._records)
        other.notify = notify
        self._beside.append(other)
        return other

    def replication_lag(self) -> float | None:
        """None: without a replica set there are no replicas."""
        return None

    def operation_time(self) -> Timestamp | None:
        """None: without a replica set there are no change streams."""
        return None

    def watch(
        self, collection: str, since: Timestamp, token: Document | None, sessions: Sequence[Document]
    ) -> ChangeStream | None:
        """None: without a replica set there are no change streams."""
        return None

    def now(self) -> datetime:
        """What the server says to a hello."""
        with translation():
            local: datetime = self._client.admin.command("hello")["localTime"]
            return local.replace(tzinfo=UTC)

    def prepare(self) -> None:
        """Make them beforehand: older servers make none within a transaction."""
        with translation():
            existing = set(self._db.list_collection_names())
            for name in self._own_names():
                if name not in existing:
                    with suppress(CollectionInvalid):
                        self._db.create_collection(name)
            self._db[JOURNAL].create_index("ids", sparse=True)
            self._db[PROGRESS].create_index("pass", sparse=True)

    def _own_names(self) -> list[str]:
        return [name_of(each, self._records) for each in RECORDS]

    # reads -----------------------------------------------------------------------------------------------------

    def count(self, collection: str, where: Filter | None = None, *, limit: int = 0) -> int:
        """An estimate where there is neither filter nor limit: it may be off after a crash of the server."""
        with translation():
            if not where and not limit:
                return self._db[collection].estimated_document_count()
            options: dict[str, Any] = {"limit": limit} if limit else {}
            return self._db[collection].count_documents(where or {}, **options)

    def last_id(self, collection: str) -> bytes | None:
        """By the index on `_id`."""
        with translation():
            batches = self._db[collection].find_raw_batches({}, {"_id": 1}, sort=[("_id", -1)], limit=1)
            found = list(raw_bson.split_all(batches))
        return found[0] if found else None

    def sample(self, collection: str, size: int, where: Filter | None = None) -> list[bytes]:
        """By `$sample`, which a collection that is not larger does not need."""
        if self.count(collection, where, limit=size + 1) <= size:
            return self.documents(collection, where=where)
        stages: list[Document] = [{"$match": dict(where)}] if where else []
        with translation():
            batches = self._db[collection].aggregate_raw_batches([*stages, {"$sample": {"size": size}}])
            return list(raw_bson.split_all(batches))

    def ids_apart(self, collection: str, distances: Sequence[int]) -> Iterator[bytes]:
        """By the index on `_id` alone."""
        last: bytes | None = None
        for distance in distances:
            with translation():
                last = next(raw_bson.split_all(self._count_off(collection, last, distance)), None)
            if last is None:
                return
            yield last

    def _count_off(self, collection: str, last: bytes | None, distance: int) -> Any:
        """A cursor with the one `_id` that comes so many after `last`: by the bounds of a scan, the quickest way.

        The driver sends such a bound decoded and encoded again. One that does not survive that is compared instead.
        """
        options: dict[str, Any] = {"hint": [("_id", 1)], "limit": 1}
        ids = self._db[collection]
        bound = None if last is None else {"_id": raw_bson.id_value(last)}
        if bound is not None and raw_bson.encode(bound) == last:
            # The scan begins with `last` itself.
            return ids.find_raw_batches({}, {"_id": 1}, skip=distance, **options).min(list(bound.items()))
        where = id_range(last, None)
        return ids.find_raw_batches(where, {"_id": 1}, sort=[("_id", 1)], skip=distance - 1, **options)

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

    # users' code and the catalogue -----------------------------------------------------------------------------

    @contextmanager
    def functions(self, *, write: bool) -> Iterator[Any]:
        """The driver's own database, with the driver's own options: what users write, they write themselves."""
        yield self._client[self.database_name]

    def collections(self) -> dict[str, CollectionInfo]:
        """All but the tool's and the server's own."""
        ours = self._own_names()
        return {
            n: info for n, info in self._listed().items() if n not in ours and not n.startswith("system.")
        }

    def require_own_records(self) -> None:
        """By one list, and the first document of each that is there."""
        require_own(self, self._listed(), self._records)

    def _listed(self) -> dict[str, CollectionInfo]:
        with translation():
            listed = list(self._db.list_collections())
        return {
            info["name"]: CollectionInfo(
                info["name"],
                info.get("type", "collection"),
                info.get("options", {}),
                _uuid(info),
            )
            for info in listed
        }

    def indexes(self, collection: str) -> list[Document]:
        """As `listIndexes` gives them."""
        with translation():
            return [
                dict(index) | {"key": dict(index["key"])} for index in self._db[collection].list_indexes()
            ]

    def create_index(self, collection: str, keys: Sequence[tuple[str, Any]], options: Document) -> None:
        """Raises DuplicateKey naming two documents that a unique index cannot both hold."""
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
        ids = [raw_bson.id_value(document) for document in raw_bson.split_all(found)] if key else []
        which = f"the documents {ids[0]!r} and {ids[1]!r} have" if len(ids) == 2 else "two documents have"
        return DuplicateKey(
            f"{collection}: {which} the same key {key} in the unique index {index!r}",
            hint=Hint("make the values differ in an earlier migration, then: {}", UP),
            id=ids[-1] if ids else None,
            field=next(iter(key), None),
            detail=str(details.get("errmsg", "")),
        )

    def _index_quorum(self) -> dict[str, Any]:
        """Which members must have built an index before it counts."""
        return {}

    def drop_index(self, collection: str, name: str) -> None:
        """Raises OperationFailed where the collection has none of this name."""
        with translation():
            self._db[collection].drop_index(name)

    def set_options(self, collection: str, options: Document) -> None:
        """By `collMod`, which takes the role dbAdmin."""
        with translation():
            self._db.command("collMod", collection, **options)

    def create_collection(self, name: str, options: Document) -> None:
        """Raises OperationFailed if the name is taken."""
        with translation():
            self._db.create_collection(name, **options)

    def _bypasses_validation(self, changes: Changes) -> bool:
        """Whether to ask the server not to validate: that takes a privilege, so only where there is a validator."""
        if not changes.bypass_validation:
            return False
        listed = self._db.list_collections(filter={"name": changes.collection})
        return any(info.get("options", {}).get("validator") for info in listed)

    def rename_collection(self, old: str, new: str) -> None:
        """Raises OperationFailed if either name does not allow it."""
        with translation():
            self._db[old].rename(new)

    def drop_collection(self, name: str) -> None:
        """Nothing happens if there is none."""
        with translation():
            self._db[name].drop()

    def close(self) -> None:
        """End all sessions, those of other threads too, then the client with its connections."""
        for session in [backend._own for backend in (self, *self._beside)]:
            with suppress(PyMongoError):
                if session is not None:
                    session.end_session()
        self._client.close()


def _uuid(info: Mapping[str, Any]) -> bytes | None:
    identity = info.get("info", {}).get("uuid")
    return None if identity is None else bytes(getattr(identity, "bytes", identity))
