"""What others write while a walk goes on: ids, read from the change stream as they come, to be looked at again.

The collector runs during the walk, since the walk itself may push the oplog round. It stores what it reads, with the
place in history up to which that is all, and never acts.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from bson import Timestamp

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import TAIL, Delete, Put, Reader, RecordChange
from goaime_migrate.backends.ports.change_stream import ChangeStream, CollectionGone, HistoryLost
from goaime_migrate.backends.record_fields import NESTED, optional, reading, require_kinds
from goaime_migrate.errors import CollectionChanged, MigrateError
from goaime_migrate.errors.hint import DOWN, UP, Hint
from goaime_migrate.ledger import FORMAT
from goaime_migrate.results import Document
from goaime_migrate.run.lock import Lease
from goaime_migrate.run.run import Run

SMALL = 500
"""A round of so few ids is the last one: what is written after its beginning counts as written after the walk."""
_PAUSE_S = 0.25
"""Between two looks while nobody waits: each has the server look through all that the walk itself has written."""
_SHRINKING = 0.75
"""Rounds that grow no smaller than this end as well: the application writes as fast as it can be followed."""


_LEFT = "left"
_TOGETHER = 5000
"""How many ids that are to be looked at again are kept in one record."""


@dataclass(frozen=True)
class StreamPosition:
    """A position in the change stream: a cluster time, and the token with which it goes on there."""

    at: Timestamp
    token: Document | None = None


class HistoryGone(Exception):
    """What others have written is not known, for a reason: every document has to be looked at."""


class Collector(threading.Thread):
    """Reads the change stream of one walk; `walk` names it in what is stored."""

    def __init__(
        self,
        stream: ChangeStream,
        lease: Lease,
        walk: str,
        since: Timestamp,
        left_over: list[bytes],
        begun: Timestamp,
        collection: str = "the collection",
    ) -> None:
        super().__init__(name="collector", daemon=True)
        self._stream = stream
        self._lease = lease
        self._walk = walk
        self._begun = begun
        self._collection = collection
        self._run = uuid.uuid4().hex
        self._enough = threading.Event()
        self._awaited = threading.Event()
        self._lock = threading.Lock()
        self._ids: dict[bytes, None] = dict.fromkeys(left_over)
        self._stored = 0
        self._at = StreamPosition(since)
        """Up to there everything has been collected."""
        self.failure: Exception | None = None
        self.caught_up: StreamPosition | None = None
        """Up to there everything has been handed out."""

    def run(self) -> None:
        """Collect until told that it is enough."""
        try:
            while not self._enough.is_set():
                if not self._portion():
                    self._awaited.wait(_PAUSE_S)
        except (HistoryLost, CollectionGone, MigrateError) as error:
            self.failure = error
        finally:
            self._stream.close()

    def _portion(self) -> bool:
        """Whether anything was written."""
        portion = self._stream.read()
        self._lease.check()  # whoever was frozen too long leaves no record behind
        with self._lock:
            fresh = [i for i in portion.ids if i not in self._ids]
            self._ids |= dict.fromkeys(portion.ids)
        position = StreamPosition(portion.at, portion.token)
        if fresh:
            self._stored += 1
            self._stream.store(_record(self._walk, f"{self._run}/{self._stored:08d}", position, fresh))
        if portion.at >= self._at.at:
            self._at = position
        return bool(portion.ids)

    def rounds(self, run: Run) -> Iterator[list[bytes]]:
        """Everything up to now, round after round. Raises HistoryGone, CollectionChanged and what `check` raises."""
        previous: int | None = None
        while True:
            self._catch_up(run)
            ids = self._take()
            yield ids
            if len(ids) <= SMALL or (previous is not None and len(ids) > _SHRINKING * previous):
                return
            previous = len(ids)

    def portion(self, run: Run) -> list[bytes]:
        """What has been collected since the last time; nothing is waited for. Raises as `rounds` does."""
        run.check()
        self._require_well()
        return self._take()

    def _take(self) -> list[bytes]:
        self.caught_up = self._at
        with self._lock:
            ids, self._ids = list(self._ids), {}
        return ids

    def _catch_up(self, run: Run) -> None:
        """Wait until everything up to now has been collected."""
        now = run.backend.operation_time()
        self._awaited.set()
        while self._at.at < now and self.failure is None:
            run.check()
            time.sleep(0.02)
        self._awaited.clear()
        self._require_well()

    def _require_well(self) -> None:
        """Raise what has stopped the collecting, if anything has."""
        match self.failure:
            case CollectionGone(at=at) if at <= self._begun:
                raise HistoryGone("it has been dropped or renamed since")
            case CollectionGone():
                raise CollectionChanged(
                    f"{self._collection} was dropped or renamed while it was worked on",
                    hint=Hint("bring the collection back, then: {}; or: {}", UP, DOWN),
                )
            case HistoryLost():
                raise HistoryGone("the oplog does not reach back so far")
            case MigrateError():
                raise self.failure

    def stop(self) -> None:
        """Stop reading."""
        self._enough.set()
        self._awaited.set()
        if self.is_alive():
            self.join(timeout=10)


def start(
    run: Run,
    collection: str,
    walk: str,
    since: Timestamp | None,
    sessions: Sequence[Document],
    begun: Timestamp | None = None,
) -> Collector | None:
    """Begin to collect what others write, from where an earlier run stopped; None without change streams.

    `begun`: when the walk began, which is `since` where nothing else is said. That the collection was dropped or renamed
    after that stops it; before that another had its name.
    """
    if since is None:
        return None
    stored = run.backend.find(TAIL, {"pass": walk}, sort=[("at", 1)])
    left_over: list[bytes] = []
    token: Document | None = None
    for record in stored:
        left_over += _ids(record)
        with reading(TAIL, record["_id"]):
            token = require_kinds(record, {"token": optional(NESTED)})["token"]
    stream = run.backend.watch(collection, since, token, sessions)
    if stream is None:
        return None
    collector = Collector(stream, run.lease, walk, since, left_over, begun or since, collection)
    collector.start()
    return collector


def _record(walk: str, name: str, position: StreamPosition, ids: Iterable[bytes]) -> Document:
    return {
        "_id": f"{walk}/{name}",
        "format": FORMAT,
        "pass": walk,
        "at": position.at,
        "token": position.token,
        "ids": b"".join(ids),
    }


def forget_seen(walk: str, position: StreamPosition, left: Sequence[bytes]) -> list[RecordChange]:
    """The changes that forget what was collected up to a place, but for what is to be looked at again."""
    parts = range(0, len(left), _TOGETHER)
    again = [_record(walk, f"{_LEFT}/{n:08d}", position, left[n : n + _TOGETHER]) for n in parts]
    return [Delete(TAIL, {"pass": walk, "at": {"$lte": position.at}}), *(Put(TAIL, each) for each in again)]


def has_collected(reader: Reader, walk: str, ids: Collection[bytes]) -> bool:
    """Whether one of these documents is to be looked at again. Raises DamagedRecord."""
    return any(True for _ in _collected(reader, walk, ids))


def has_left(reader: Reader, walk: str, ids: Collection[bytes]) -> bool:
    """Whether one of these was looked at and could not be brought forward. Raises DamagedRecord."""
    return any(_is_left(record) for record in _collected(reader, walk, ids))


def _collected(reader: Reader, walk: str, ids: Collection[bytes]) -> Iterator[Document]:
    """The records that have one of these documents."""
    return (r for r in reader.find(TAIL, {"pass": walk}) if any(each in ids for each in _ids(r)))


def _is_left(record: Document) -> bool:
    return str(record["_id"]).startswith(f"{record['pass']}/{_LEFT}/")


def forget_erased(reader: Reader, walk: str, ids: Collection[bytes]) -> list[RecordChange]:
    """The changes that forget documents which are there no more: the place in history stays. Raises DamagedRecord."""
    return [
        Put(TAIL, {**record, "ids": b"".join(each for each in _ids(record) if each not in ids)})
        for record in _collected(reader, walk, ids)
    ]


def _ids(record: Document) -> list[bytes]:
    with reading(TAIL, record["_id"]):
        return list(raw_bson.split(record["ids"]))


def forget(pass_id: str) -> Delete:
    """The change that removes what was collected for a pass, on its way up and down, and in sweeps."""
    return Delete(TAIL, {"pass": {"$in": [pass_id, f"{pass_id}#down", sweeping(pass_id)]}})


def sweeping(pass_id: str) -> str:
    """What is collected for the sweeps of which a pass is the last."""
    return f"{pass_id}#sweep"
