"""What people write instead of a migration tool: scripts that are fast or simple, and none of them safe.

No journal, no cursor, no lock: killed half-way they leave a database that nobody can tell the state of, and what an
application writes meanwhile they overwrite.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from multiprocessing.pool import Pool
from multiprocessing.synchronize import Barrier
from typing import Any

from bson import ObjectId
from pymongo import MongoClient, ReplaceOne, UpdateOne
from pymongo.collection import Collection
from pymongo.database import Database

from benchmarks import goaime
from benchmarks.database import MEASURED, raw_batches, split
from goaime_migrate import Lookup
from goaime_migrate.results import Document

BATCH = 500
CONSTANT = {"$set": {"user_id": "0" * 24, "shuffle": False}}
"""What a server can do for the first migration without looking anything up: an upper bound."""
FLAG = {"$set": {"reviewed": False}}
NO_NUMBER = {"$unset": {"number": ""}}


# In this process


class Asked:
    """A lookup as a script does it: a query each time."""

    def __init__(self, database: Database[Document], lookup: Lookup) -> None:
        self._collection = database[lookup.collection]
        self._key = lookup.key

    def get(self, key: Any, default: Any = None) -> Any:
        """The first document with this key."""
        return self._collection.find_one({self._key: key}) or default


def script(database: Database[Document], documents: int) -> None:
    """The usual script: a walk for each migration, a query for each problem, a write for each document."""
    tables = {lookup: Asked(database, lookup) for lookup in goaime.lookups()}
    with goaime.silence():
        for operation in goaime.transforms():
            for document in list(database.sessions.find(sort=[("_id", 1)], limit=documents)):
                result = goaime.applied(operation, document, tables)
                database.sessions.replace_one({"_id": document["_id"]}, result)


def fused(database: Database[Document], where: Document | None = None, steps: int | None = None) -> None:
    """All transforms on each document of one walk, whole lookup collections in memory, bulk writes."""
    tables = goaime.preloaded(database)
    operations = goaime.transforms()[:steps]
    with goaime.silence():
        for batch in batches(database.sessions.find(where or {}, batch_size=BATCH)):
            writes = []
            for read in batch:
                document = read
                for operation in operations:
                    document = goaime.applied(operation, document, tables)
                writes.append(ReplaceOne({"_id": document["_id"]}, document))
            database.sessions.bulk_write(writes, ordered=False)


def deltas(database: Database[Document]) -> None:
    """The first migration alone; only what it changes travels back."""
    (operation, *_), tables = goaime.transforms(), goaime.preloaded(database)
    names = ("user_id", "shuffle")
    with goaime.silence():
        for batch in batches(database.sessions.find(batch_size=BATCH)):
            changed = [goaime.applied(operation, document, tables) for document in batch]
            writes = [UpdateOne({"_id": d["_id"]}, {"$set": {n: d[n] for n in names}}) for d in changed]
            database.sessions.bulk_write(writes, ordered=False)


def on_the_server(database: Database[Document], change: Mapping[str, Any]) -> None:
    """One command; nothing travels."""
    database.sessions.update_many({}, change)


def set_fields(database: Database[Document]) -> None:
    """One field of each document read, another set."""
    for batch in batches(database.notes.find({}, ["number"], batch_size=BATCH)):
        writes = [UpdateOne({"_id": d["_id"]}, {"$set": {"double": 2 * d["number"]}}) for d in batch]
        database.notes.bulk_write(writes, ordered=False)


def insert(database: Database[Document], documents: Sequence[Document]) -> None:
    """One command a batch."""
    for batch in batches(documents):
        database.made.insert_many(batch, ordered=False)


def derive(database: Database[Document], _: Sequence[Document]) -> None:
    """Documents of another collection out of those of one."""
    for batch in batches(database.notes.find(batch_size=BATCH)):
        made = [{"_id": d["_id"], "number": d["number"], "text": d["text"]} for d in batch]
        database.made.insert_many(made, ordered=False)


def delete(database: Database[Document], _: Sequence[Document]) -> None:
    """By their `_id`s, which a filter finds."""
    for batch in batches(database.notes.find({"number": {"$gte": 0}}, ["_id"], batch_size=BATCH)):
        database.notes.delete_many({"_id": {"$in": [document["_id"] for document in batch]}})


def batches(documents: Iterable[Document]) -> Iterator[list[Document]]:
    """So many at a time."""
    remaining = iter(documents)
    while batch := list(itertools.islice(remaining, BATCH)):
        yield batch


# In several processes


class Workers:
    """Processes that are connected before the clock starts, as many as the product may use."""

    def __init__(self, uri: str, count: int) -> None:
        context = multiprocessing.get_context("spawn")
        ready = context.Barrier(count + 1)
        self.count = count
        self._pool: Pool = context.Pool(count, _connect, (uri, ready))
        ready.wait(60)

    def close(self) -> None:
        """End them."""
        self._pool.terminate()
        self._pool.join()

    def ranges(self, database: Database[Document]) -> list[Document]:
        """As many ranges of `_id`s of one size."""
        total = database.sessions.estimated_document_count()
        bounds = [
            next(
                database.sessions.find({}, ["_id"], sort=[("_id", 1)], skip=total * n // self.count, limit=1)
            )
            for n in range(1, self.count)
        ]
        starts = [{}, *({"$gte": each["_id"]} for each in bounds)]
        ends = [*({"$lt": each["_id"]} for each in bounds), {}]
        return [_range(start | end) for start, end in zip(starts, ends, strict=True)]

    def fused(self, ranges: Sequence[Document]) -> None:
        """The fused walk, a range for each process."""
        self._pool.map(_fused, ranges, chunksize=1)

    def copy(self, source: str, ranges: Sequence[Document]) -> None:
        """Carry documents from one database to an empty one, undecoded: no client writes faster."""
        self._pool.map(_copy, [(source, where) for where in ranges], chunksize=1)


def _range(bounds: Mapping[str, ObjectId]) -> Document:
    return {"_id": dict(bounds)} if bounds else {}


_client: MongoClient[Document]


def _connect(uri: str, ready: Barrier) -> None:
    """The beginning of a worker: what it will need is there before anybody looks at a clock."""
    os.setsid()  # a signal to the whole group is for the benchmark alone, which then ends its workers
    global _client  # noqa: PLW0603 (what a process of a pool keeps, it keeps in its module)
    _client = MongoClient(uri)
    _client.admin.command("ping")
    goaime.transforms()
    ready.wait(60)


def _fused(where: Document) -> None:
    fused(_client[MEASURED], where)


def _copy(task: tuple[str, Document]) -> None:
    source, where = task
    target: Collection[Any] = _client[MEASURED].sessions
    for batch in raw_batches(_client[source], where):
        target.insert_many(list(split(batch)), ordered=False)
