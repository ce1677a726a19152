"""The server and its databases: one that stays as it was generated, and a fresh copy of it for every run."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bson import Timestamp, decode, encode
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient
from pymongo.database import Database

from benchmarks import goaime
from demo import sample
from goaime_migrate.results import Document
from tests.servers import Kind, Options, find_mongod, running_server

MEASURED = "measured"
"""The database that runs work in."""
DISTINCT = 20_000
"""Sessions that are generated one by one; more are their copies under later `_id`s."""
WATCHED = 24
"""Documents whose bytes are compared after every run."""
_BATCH = 1_000
_SECONDS = slice(9, 13)
"""Where the time stands in a raw document that begins with an ObjectId."""
_DISK_PER_SESSION = 60_000
"""Bytes that a session may take at most, with its copies, its journal and what the oplog says of them."""


class WrongResult(Exception):
    """A run did not do what it was timed for, so that its time means nothing."""


@dataclass(frozen=True)
class Ground:
    """A generated database, from which each run gets a copy."""

    client: MongoClient[Document]
    uri: str
    name: str
    sessions: int
    seconds: float
    """How long it took to generate."""
    watched: tuple[bytes, ...]

    @property
    def source(self) -> Database[Document]:
        """The database as it was generated. Nobody writes to it."""
        return self.client[self.name]

    @property
    def measured(self) -> Database[Document]:
        """The database of the present run."""
        return self.client[MEASURED]

    def fresh(self, source: str | None = None, name: str = MEASURED) -> Database[Document]:
        """The database as it was generated (or as `source` is), with nothing left to be written to disk."""
        self.client.drop_database(name)
        for collection in ("users", "problems", "sessions"):
            out = {"$out": {"db": name, "coll": collection}}
            self.client[source or self.name][collection].aggregate([out])
        self.client.admin.command("fsync")
        return self.client[name]

    def expect(self, *, steps: int, ordered: bool = True) -> None:
        """Hold the watched documents against what that many transforms make of them. Raises WrongResult.

        `ordered`: whether the fields have to be in their order; a server that is told to set fields has its own.
        """
        expected = goaime.results(self.watched, goaime.preloaded(self.source), steps)
        ids = [decode(raw)["_id"] for raw in self.watched]
        found = {each["_id"]: each.raw for each in raw_documents(self.measured, {"_id": {"$in": ids}})}
        for identity, wanted in zip(ids, expected, strict=True):
            result = found.get(identity)
            if result != wanted and (ordered or result is None or decode(result) != decode(wanted)):
                raise WrongResult(f"session {identity} is not what {steps} migrations make of it")

    def mark(self) -> Timestamp:
        """Where the oplog ends now."""
        return self._oplog_entry(-1)

    def oplog_since(self, mark: Timestamp) -> int:
        """Bytes of oplog written since then. Raises WrongResult if some of it is gone already."""
        size = {"$sum": {"$bsonSize": "$$ROOT"}}
        later: list[Document] = [{"$match": {"ts": {"$gt": mark}}}, {"$group": {"_id": 0, "size": size}}]
        (found,) = self.client.local["oplog.rs"].aggregate(later)
        if self._oplog_entry(1) > mark:
            raise WrongResult("the oplog is too small to be measured")
        return int(found["size"])

    def _oplog_entry(self, direction: int) -> Timestamp:
        """The first one's time, or the last one's."""
        entry = self.client.local["oplog.rs"].find_one(projection={"ts": 1}, sort=[("$natural", direction)])
        assert entry is not None
        at: Timestamp = entry["ts"]
        return at


def size_of(database: Database[Document], collection: str) -> int:
    """The documents of a collection in bytes, uncompressed."""
    return int(database.command("collStats", collection)["size"])


def raw_documents(database: Database[Document], where: Document) -> Iterator[RawBSONDocument]:
    """Sessions, not decoded."""
    for batch in raw_batches(database, where):
        yield from split(batch)


def raw_batches(database: Database[Any], where: Document) -> Iterator[bytes]:
    """Sessions as the server sends them, one behind another; the driver's types say that they are decoded."""
    yield from database.sessions.find_raw_batches(where, batch_size=_BATCH)


def split(batch: bytes) -> Iterator[RawBSONDocument]:
    """The documents that stand one behind another in what the server has sent."""
    start = 0
    while start < len(batch):
        end = start + int.from_bytes(batch[start : start + 4], "little")
        yield RawBSONDocument(batch[start:end])
        start = end


# The server


def options_for(sessions: int) -> Options:
    """An oplog that holds one run whole, and a cache of 1 GB; more where most of the database would not fit."""
    if sessions <= 1_000:
        return Options()
    memory_gb = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    cache_gb = 1.0 if sessions <= DISTINCT else min(4.0, memory_gb / 4)
    return Options(oplog_mb=max(1_000, sessions * 30_000 // 1_000_000), cache_gb=cache_gb)


@contextmanager
def server(sessions: int) -> Iterator[tuple[MongoClient[Document], str]]:
    """A replica set of one node, gone at the end with its data. Refuses to fill the disk."""
    free, needed = shutil.disk_usage(tempfile.gettempdir()).free, sessions * _DISK_PER_SESSION
    if free < needed:
        raise SystemExit(
            f"{tempfile.gettempdir()} has {free >> 20:,} MiB free, {sessions:,} sessions may take "
            f"{needed >> 20:,}: name a larger disk with TMPDIR"
        )
    find_mongod()
    with running_server(Kind.REPLICA_SET, options_for(sessions), parent=Path(tempfile.gettempdir())) as node:
        yield node.client, node.uri


# Filling it


def generated(client: MongoClient[Document], uri: str, sessions: int) -> Ground:
    """The sample database with that many sessions."""
    begun = time.monotonic()
    database: Database[Any] = client[f"sample_{sessions}"]
    collections = sample.documents(min(sessions, DISTINCT))
    for name in ("users", "problems"):
        database[name].insert_many(list(collections[name]))
    raws = [encode(document) for document in collections["sessions"]]
    watched: list[bytes] = []
    position, every = 0, max(1, sessions // WATCHED)
    for portion in _portions(raws, sessions):
        database.sessions.insert_many([RawBSONDocument(raw) for raw in portion], ordered=False)
        watched += portion[-position % every :: every]
        position += len(portion)
    assert database.sessions.estimated_document_count() == sessions
    return Ground(client, uri, database.name, sessions, time.monotonic() - begun, tuple(watched))


def _portions(raws: Sequence[bytes], wanted: int) -> Iterator[list[bytes]]:
    """The documents again and again, each time later in history: `_id`s ascend as an application's do."""
    span = _made(raws[-1]) - _made(raws[min(1, len(raws) - 1)]) + 1  # the very first is from another year
    for number, start in enumerate(range(0, wanted, len(raws))):
        for at in range(0, min(len(raws), wanted - start), _BATCH):
            portion = raws[at : min(at + _BATCH, wanted - start)]
            yield [_moved(raw, number * span) for raw in portion]


def _made(raw: bytes) -> int:
    """The seconds in the document's ObjectId."""
    assert raw[4:9] == b"\x07_id\0", "a session begins with an ObjectId"
    return int.from_bytes(raw[_SECONDS], "big")


def _moved(raw: bytes, seconds: int) -> bytes:
    later = (_made(raw) + seconds).to_bytes(4, "big")
    return raw[: _SECONDS.start] + later + raw[_SECONDS.stop :]
