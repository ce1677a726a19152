"""A replica set: a batch is one transaction."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from bson.errors import BSONError
from pymongo.client_session import ClientSession
from pymongo.errors import OperationFailure, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference

from goaime_migrate.backends.ports import Changes, Collision, Committed, GuardFailed, Reader
from goaime_migrate.backends.server import updates, writes
from goaime_migrate.backends.server.change_stream import MongoChangeStream
from goaime_migrate.backends.server.driver_errors import (
    is_cache_full,
    message_of,
    too_large_for_cache,
    translate,
)
from goaime_migrate.backends.server.mongo import MongoBackend
from goaime_migrate.backends.server.reader import MongoReader
from goaime_migrate.backends.server.whole_writes import wholly
from goaime_migrate.errors import OperationFailed, Unrepresentable
from goaime_migrate.errors.hint import UP, Hint
from goaime_migrate.results import Document

if TYPE_CHECKING:
    from bson import Timestamp

TRIES = 3
"""How often a batch is tried before it is said to collide."""
PATIENCE_S = 60.0
"""How long failovers and unknown commit results are waited out."""
_LIFETIME_S = 60.0
"""How long a server lets a transaction be open, unless it is told otherwise."""
_APART = ("hidden", "secondaryDelaySecs", "slaveDelay")
"""What a member is configured as that no application reads from."""
_COMMIT_QUORUM = 9
"""The wire version of MongoDB 4.4, the first that can be told how many members must have built an index."""
_TRANSIENT = "TransientTransactionError"
_UNKNOWN = "UnknownTransactionCommitResult"
_WRITE_CONFLICT = 112


class TransactionalBackend(MongoBackend):
    """Reads first, then the decision, then all writes together and the commit: locks live for milliseconds."""

    def replication_lag(self) -> float | None:
        """By what the primary knows of its secondaries, those left out that are hidden, or late on purpose."""
        with self._guard():
            members = self._client.admin.command("replSetGetStatus")["members"]
            config = self._client.admin.command("replSetGetConfig")["config"]["members"]
        apart = {m["_id"] for m in config if any(map(m.get, _APART))}
        members = [m for m in members if m["_id"] not in apart]
        primary = next((m["optimeDate"] for m in members if m["stateStr"] == "PRIMARY"), None)
        behind = [m["optimeDate"] for m in members if m["stateStr"] == "SECONDARY" and m.get("health", 1)]
        return (
            None if primary is None else max(((primary - at).total_seconds() for at in behind), default=None)
        )

    def transaction_lifetime(self) -> float:
        """As the server is set; its default where this user may not ask."""
        name = "transactionLifetimeLimitSeconds"
        try:
            return float(self._client.admin.command({"getParameter": 1, name: 1})[name])
        except OperationFailure:
            return _LIFETIME_S
        except PyMongoError as error:
            raise translate(error, self._client) from error

    def open_transactions(self) -> list[str]:
        """By `$currentOp`; none where this user may not ask."""
        stages: list[Document] = [
            {"$currentOp": {"allUsers": True, "idleSessions": True}},
            {
                "$match": {
                    "transaction.timeOpenMicros": {"$exists": True},
                    "lsid.id": {"$ne": self._session.session_id["id"]},
                }
            },
            {"$sort": {"transaction.timeOpenMicros": -1}},
        ]
        try:
            return [_transaction(found) for found in self._client.admin.aggregate(stages)]
        except PyMongoError:
            return []

    def operation_time(self) -> Timestamp | None:
        """What the primary answers a ping with, in a session that knows of nothing earlier."""
        with self._guard(), self._client.start_session() as session:
            self._client.admin.command("ping", session=session)
            return session.operation_time

    def watch(
        self, collection: str, since: Timestamp, token: Document | None, sessions: Sequence[Document]
    ) -> MongoChangeStream:
        """A change stream that the server leaves the given sessions out of."""
        return MongoChangeStream(self._db[collection], since, token, sessions)

    def _index_quorum(self) -> dict[str, Any]:
        """A majority: by default the server waits for every voting member, even for one that is down."""
        known = self._client.admin.command("hello")["maxWireVersion"] >= _COMMIT_QUORUM
        return {"commitQuorum": "majority"} if known else {}

    def transact(self, work: Callable[[Reader], Changes]) -> Committed:
        """One transaction, tried again after write conflicts and through failovers."""
        collisions, tries, deadline = 0, 0, time.monotonic() + PATIENCE_S
        while True:
            try:
                self._by_parts(work)
                return Committed(retries=tries)
            except BSONError as error:
                raise OperationFailed(
                    f"the database holds what cannot be decoded: {error}",
                    hint=Hint("mend that document, then: {}", UP),
                ) from error
            except PyMongoError as error:
                if not error.has_error_label(_TRANSIENT) or time.monotonic() > deadline:
                    raise translate(error, self._client) from error
                tries += 1
                collided = isinstance(error, OperationFailure) and error.code == _WRITE_CONFLICT
                collisions += collided
                if collisions >= TRIES:
                    raise _collision(error) from error
                if not collided and tries - collisions == 1:
                    self.notify(f"the server does not answer; trying again for up to {PATIENCE_S:.0f} s")
                time.sleep(random.uniform(0, _pause(error, tries)))

    def _by_parts(self, work: Callable[[Reader], Changes]) -> None:
        """Try it once, and again with whole documents where a part of one cannot be written.

        A server logs how a part differs, and has no words for a name that comes back and stands twice within it. And an
        array that is set by a pipeline has its elements counted anew.
        """
        try:
            self._once(work)
        except Unrepresentable:
            self._once(work, whole=True)

    def _once(self, work: Callable[[Reader], Changes], *, whole: bool = False) -> None:
        session = self._session
        session.start_transaction(
            read_concern=ReadConcern("snapshot"),
            write_concern=self._db.write_concern,
            read_preference=ReadPreference.PRIMARY,
            max_commit_time_ms=30_000,
        )
        try:
            reader = MongoReader(self._db, session)
            changes = work(reader)
            if whole:
                changes = changes._replace(writes=wholly(reader, changes))
            self._apply(changes.last, session)
            self._apply(changes.first, session)
            if changes.sweep is not None:
                updates.sweep(self._db, changes.collection, changes.sweep, session)
            if changes.writes:
                bypass = self._bypasses_validation(changes)
                if writes.write(writes.Target(self._db, changes.collection, session, bypass), changes.writes):
                    raise GuardFailed(changes.collection)
        except BaseException:
            _abort(session)
            raise
        _commit(session)


def _collision(error: PyMongoError) -> Collision:
    """The error for a batch that collided each time it was tried."""
    if not isinstance(error, OperationFailure):
        return Collision(str(error))
    text = message_of(error)
    return Collision(text, too_large_for_cache(text) if is_cache_full(error) else None)


def _transaction(found: Document) -> str:
    """An open transaction, for people."""
    users = ", ".join(user["user"] for user in found.get("effectiveUsers", ()))
    parts = [
        f"of {found['appName']!r}" if found.get("appName") else "",
        f"of the user {users}" if users else "",
        f"from {found['client']}" if found.get("client") else "",
        f"open for {found['transaction']['timeOpenMicros'] / 1e6:.0f} s",
    ]
    return ", ".join(filter(None, parts))


def _pause(error: PyMongoError, tries: int) -> float:
    """Writers are evaded at once, a failover is given time."""
    if isinstance(error, OperationFailure) and error.code == _WRITE_CONFLICT:
        return 0.005 * tries
    return 0.1 * 2.0 ** min(tries, 5)


def _abort(session: ClientSession) -> None:
    if session.in_transaction:
        session.abort_transaction()


def _commit(session: ClientSession) -> None:
    """Commit, and where the answer got lost, ask again: a second commit of a committed transaction succeeds."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            session.commit_transaction()
            return
        except PyMongoError as error:
            if not error.has_error_label(_UNKNOWN) or time.monotonic() > deadline:
                raise
            time.sleep(random.uniform(0.05, 0.5))
