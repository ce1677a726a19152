"""What both kinds of server have in common: reads and records."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any, Self

from pymongo import InsertOne, ReplaceOne
from pymongo.client_session import ClientSession
from pymongo.errors import BulkWriteError, ConnectionFailure, OperationFailure, PyMongoError

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import (
    JOURNAL,
    PROGRESS,
    RECORDS_NAME,
    Add,
    Capabilities,
    Changes,
    Committed,
    Delete,
    Filter,
    GuardFailed,
    Move,
    Need,
    Put,
    Reader,
    RecordChange,
    Write,
)
from goaime_migrate.backends.server import privileges, writes
from goaime_migrate.backends.server.client import SharedClient
from goaime_migrate.backends.server.driver_errors import translate, without_operations
from goaime_migrate.backends.server.reader import id_range
from goaime_migrate.backends.server.survey import ServerSurvey
from goaime_migrate.errors import MissingCapability
from goaime_migrate.results import Document

if TYPE_CHECKING:
    from bson import Timestamp

    from goaime_migrate.backends.ports.change_stream import ChangeStream
    from goaime_migrate.backends.server.checkup import ServerCheckup


_IS_THERE = 48
"""NamespaceExists."""


class MongoBackend(ServerSurvey, ABC):
    """A database on a server; how its batches are made safe is for the two that derive from it."""

    def __init__(
        self,
        client: SharedClient,
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

    def load(self, collection: str, documents: Sequence[bytes]) -> None:
        """By insertions outside of a session."""
        loaded = Changes(
            collection=collection,
            writes=[Write(raw_bson.id_of(d), None, d) for d in documents],
            bypass_validation=True,
        )
        with self._guard():
            bypass = self._bypasses_validation(loaded)
            writes.write(writes.Target(self._db, collection, None, bypass), loaded.writes)

    def beside(self, notify: Callable[[str], None]) -> Self:
        """The same connections, in a session of its own."""
        other = type(self)(self._client, self.database_name, self.server, self.capabilities, self.records)
        other.notify = notify
        self._beside.append(other)
        return other

    def replication_lag(self) -> float | None:
        """None: without a replica set there are no replicas."""
        return None

    def require_actions(self, needs: Sequence[Need]) -> None:
        """By `connectionStatus`; where no passwords are asked for everybody may do everything."""
        if not any(need.actions for need in needs):
            return
        with self._guard():
            answer = self._client.admin.command("connectionStatus", showPrivileges=True)
        lacking = list(privileges.denials(self.database_name, needs, answer))
        if lacking:
            raise privileges.missing(lacking[0], self._client, lacking)

    def checkup(self) -> ServerCheckup:
        """Of the primary."""
        from goaime_migrate.backends.server.checkup import ServerCheckup

        return ServerCheckup(self._client, self.database_name)

    def transaction_lifetime(self) -> float:
        """0: without a replica set there are no transactions."""
        return 0.0

    def open_transactions(self) -> list[str]:
        """None without a replica set."""
        return []

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
        with self._guard():
            local: datetime = self._client.admin.command("hello")["localTime"]
            return local.replace(tzinfo=UTC)

    def prepare(self) -> None:
        """Make them beforehand: older servers make none within a transaction."""
        with self._guard():
            self._through_failovers(self._make_records)

    def _make_records(self) -> None:
        """With an index the server makes its collection as well."""
        self._db[JOURNAL].create_index("ids", sparse=True)
        self._db[PROGRESS].create_index("pass", sparse=True)
        existing = set(self._db.list_collection_names())
        for name in self._own_names():
            if name not in existing:
                try:
                    self._db.create_collection(name, check_exists=False)
                except OperationFailure as error:
                    if error.code != _IS_THERE:  # somebody else has made it meanwhile
                        raise

    # reads -----------------------------------------------------------------------------------------------------

    def count(self, collection: str, where: Filter | None = None, *, limit: int = 0) -> int:
        """An estimate where there is neither filter nor limit: it may be off after a crash of the server."""
        with self._guard():
            if not where and not limit:
                return self._db[collection].estimated_document_count()
            options: dict[str, Any] = {"limit": limit} if limit else {}
            return self._db[collection].count_documents(where or {}, **options)

    def last_id(self, collection: str) -> bytes | None:
        """By the index on `_id`."""
        with self._guard():
            batches = self._db[collection].find_raw_batches({}, {"_id": 1}, sort=[("_id", -1)], limit=1)
            found = list(raw_bson.split_all(batches))
        return found[0] if found else None

    def sample(self, collection: str, size: int, where: Filter | None = None) -> list[bytes]:
        """By `$sample`, which a collection that is not larger does not need."""
        if self.count(collection, where, limit=size + 1) <= size:
            return self.documents(collection, where=where)
        stages: list[Document] = [{"$match": dict(where)}] if where else []
        with self._guard():
            batches = self._db[collection].aggregate_raw_batches([*stages, {"$sample": {"size": size}}])
            return list(raw_bson.split_all(batches))

    def if_stored(
        self, collection: str, document: bytes, where: Filter | None, stages: Sequence[Document]
    ) -> bytes | None:
        """By an aggregation that begins with any document of the collection and puts this one in its place."""
        instead: list[Document] = [
            {"$limit": 1},
            {"$replaceWith": {"$literal": raw_bson.raw_document(document)}},
        ]
        match: list[Document] = [{"$match": dict(where)}] if where else []
        with self._guard():
            batches = self._db[collection].aggregate_raw_batches([*instead, *match, *stages])
            found = next(raw_bson.split_all(batches), None)
        if found is None and not self.count(collection, limit=1):
            raise MissingCapability(
                f"what only the server computes can be tried once {collection} holds a document, and it holds none",
                hint="insert one into a copy of the database and try it there",
            )
        return found

    def ids_apart(self, collection: str, distances: Sequence[int]) -> Iterator[bytes]:
        """By the index on `_id` alone."""
        last: bytes | None = None
        for distance in distances:
            with self._guard():
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
            if issubclass(kind, Put):
                puts = [c.document for c in together if isinstance(c, Put)]
                add = kind is Add and session is not None  # within a transaction, and much the quicker
                requests = [
                    InsertOne(p) if add else ReplaceOne({"_id": p["_id"]}, p, upsert=True) for p in puts
                ]
                try:
                    self._db[collection].bulk_write(requests, session=session)
                except BulkWriteError as error:
                    raise without_operations(error) from None
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

    # users' code -------------------------------------------------------------------------------------------

    @contextmanager
    def functions(self, *, write: bool) -> Iterator[Any]:
        """The driver's own database, with the driver's own options: what users write, they write themselves.

        Where the server is gone that is no failure of theirs. Raises ServerUnreachable.
        """
        try:
            yield self._client[self.database_name]
        except ConnectionFailure as error:
            raise translate(error, self._client) from error

    def _bypasses_validation(self, changes: Changes) -> bool:
        """Whether to ask the server not to validate: that takes a privilege, so only where there is a validator."""
        if not changes.bypass_validation:
            return False
        listed = self._db.list_collections(filter={"name": changes.collection})
        return any(info.get("options", {}).get("validator") for info in listed)

    def close(self) -> None:
        """End all sessions, those of other threads too, then the client with its connections."""
        for session in [backend._own for backend in (self, *self._beside)]:
            with suppress(PyMongoError):
                if session is not None:
                    session.end_session()
        self._client.let_go()
