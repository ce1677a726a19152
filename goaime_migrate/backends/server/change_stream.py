"""What others write to a collection while a pass walks over it: a change stream without the pass's own writes.

The filter on the session makes the server drop the pass's transactions before it builds an event of each; only
`_id`s are asked for, so that a write costs the server a microsecond or two.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from bson import Timestamp
from pymongo.change_stream import CollectionChangeStream
from pymongo.collection import Collection
from pymongo.errors import OperationFailure, PyMongoError

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import TAIL
from goaime_migrate.backends.ports.change_stream import CollectionGone, HistoryLost, Portion
from goaime_migrate.backends.server.driver_errors import translate
from goaime_migrate.results import Document

_AWAIT_MS = 30
_PORTION_S = 0.1
_PORTION_BYTES = 4 * 1024 * 1024
"""Of ids, which are stored in one record."""
_LOST = {136, 260, 280, 286}
"""CappedPositionLost, InvalidResumeToken, ChangeStreamFatalError, ChangeStreamHistoryLost."""
_ENDED = {"drop", "rename", "dropDatabase", "invalidate"}
_TIMESTAMP = "82"
"""The first byte of a resume token: a timestamp of eight bytes follows."""


class MongoChangeStream:
    """A change stream that opens with its first read. Used by one thread."""

    def __init__(
        self,
        collection: Collection[Document],
        since: Timestamp,
        token: Document | None,
        sessions: Sequence[Document],
    ) -> None:
        self._collection = collection
        self._since = since
        self._token = token
        self._pipeline: list[dict[str, Any]] = [
            {"$match": {"lsid.id": {"$nin": [session["id"] for session in sessions]}}},
            {"$project": {"operationType": 1, "documentKey": 1, "clusterTime": 1}},
        ]
        self._stream: CollectionChangeStream[Document] | None = None

    def read(self) -> Portion:
        """Wait a moment for writes. Raises HistoryLost, CollectionGone, ServerUnreachable."""
        try:
            stream = self._open()
            ids = self._events(stream)
            token = stream.resume_token
        except OperationFailure as error:
            if error.code in _LOST or error.has_error_label("NonResumableChangeStreamError"):
                raise HistoryLost(str(error)) from error
            raise translate(error, self._collection.database.client) from error
        except PyMongoError as error:
            raise translate(error, self._collection.database.client) from error
        return Portion(ids, None if token is None else dict(token), self._time(token))

    def _open(self) -> CollectionChangeStream[Document]:
        if self._stream is None:
            start: dict[str, Any] = (
                {"resume_after": self._token} if self._token else {"start_at_operation_time": self._since}
            )
            self._stream = self._collection.watch(self._pipeline, max_await_time_ms=_AWAIT_MS, **start)
        return self._stream

    def _events(self, stream: CollectionChangeStream[Document]) -> list[bytes]:
        """The events of a moment: while there are more, the place in history has to move on all the same."""
        ids: list[bytes] = []
        size = 0
        until = time.monotonic() + _PORTION_S
        while (event := stream.try_next()) is not None:
            if event["operationType"] in _ENDED:
                raise CollectionGone(event["operationType"], event["clusterTime"])
            if "documentKey" in event:
                ids.append(raw_bson.encode({"_id": event["documentKey"]["_id"]}))
                size += len(ids[-1])
            if time.monotonic() >= until or size >= _PORTION_BYTES:
                break
        return ids

    def _time(self, token: Any) -> Timestamp:
        """The cluster time of a resume token; the beginning while there is none yet."""
        data = str(token["_data"]) if token else ""
        if data[:2] != _TIMESTAMP:
            return self._since
        return Timestamp(int(data[2:10], 16), int(data[10:18], 16))

    def store(self, record: Document) -> None:
        """Keep ids and token, so that a later run need not read this part of history again."""
        try:
            self._collection.database[TAIL].insert_one(record)
        except PyMongoError as error:
            raise translate(error, self._collection.database.client) from error

    def close(self) -> None:
        """End the stream."""
        if self._stream is not None:
            with suppress(PyMongoError):
                self._stream.close()
