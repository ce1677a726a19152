"""An application goes on writing while a migration runs, in either direction: nothing of its is lost."""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from pymongo import MongoClient

from goaime_migrate.events import BatchCommitted, Event
from tests.servers import Kind, Server
from tests.world import World, succeeded

DOCUMENTS = 1_500
MIGRATION = '''
    """Give every document a label."""
    from goaime_migrate import TransformDocuments

    def label(document):
        document["label"] = f"{document['kind']}!"
        document["shape"] = 2

    def unlabel(document):
        document.pop("label", None)
        document.pop("shape", None)

    operations = [TransformDocuments("things", label, reverse=unlabel)]
'''


@dataclass
class Application:
    """Writes as applications do, and remembers what was acknowledged."""

    uri: str
    database: str
    seed: int
    increments: Counter[Any] = field(default_factory=Counter)
    inserted: set[Any] = field(default_factory=set)
    deleted: set[Any] = field(default_factory=set)
    failures: list[BaseException] = field(default_factory=list)
    writes: int = 0

    def run(self, stop: threading.Event) -> None:
        chance = random.Random(self.seed)
        client: MongoClient[dict[str, Any]] = MongoClient(self.uri)
        things = client[self.database]["things"]
        try:
            while not stop.is_set():
                self._one(chance, things)
                self.writes += 1
        except BaseException as error:
            self.failures.append(error)
        finally:
            client.close()

    def _one(self, chance: random.Random, things: Any) -> None:
        """One write. An application deletes and replaces only what it has inserted itself."""
        identity = chance.randrange(DOCUMENTS)
        match chance.choice(["increment", "increment", "set", "unset", "replace", "insert", "delete"]):
            case "increment":
                if things.update_one({"_id": identity}, {"$inc": {"n": 1}}).matched_count:
                    self.increments[identity] += 1
            case "set":
                things.update_one({"_id": identity}, {"$set": {"note": chance.random()}})
            case "unset":
                things.update_one({"_id": identity}, {"$unset": {"note": ""}})
            case "replace":
                self._replace(chance, things)
            case "insert":
                unique = uuid.uuid4()
                fresh: Any = chance.choice([unique.hex, ObjectId(), -(unique.int >> 66), 10_000 + (unique.int >> 66)])
                things.insert_one({"_id": fresh, "kind": "born", "n": 0})
                self.inserted.add(fresh)
            case "delete":
                mine = sorted(self.inserted - self.deleted, key=str)
                if mine and chance.random() < 0.3:
                    gone = chance.choice(mine)
                    things.delete_one({"_id": gone})
                    self.deleted.add(gone)

    def _replace(self, chance: random.Random, things: Any) -> None:
        """Put a whole document back, in the shape that it had when the application read it."""
        mine = sorted(self.inserted - self.deleted, key=str)
        if not mine:
            return
        identity = chance.choice(mine)
        stale = things.find_one({"_id": identity})
        time.sleep(chance.random() * 0.02)
        if stale is not None:
            things.replace_one({"_id": identity}, stale)


@contextmanager
def traffic(world: World, writers: int = 2) -> Iterator[list[Application]]:
    """Applications that write until the block ends."""
    stop = threading.Event()
    applications = [Application(world.uri, world.database, seed) for seed in range(1, writers + 1)]
    threads = [threading.Thread(target=a.run, args=(stop,), daemon=True) for a in applications]
    for thread in threads:
        thread.start()
    try:
        yield applications
    finally:
        stop.set()
        for thread in threads:
            thread.join(timeout=30)
    for application in applications:
        assert not application.failures, application.failures
        assert application.writes > 20


@pytest.fixture
def busy(server: Server, database_name: str, tmp_path: Path) -> World:
    """A collection in the old shape, with documents of every odd `_id`."""
    world = World("live", server.uri, database_name, tmp_path / "migrations", {"batch_size": 50})
    world.insert("things", [{"_id": i, "kind": "old", "n": 0, "pad": "x" * 500} for i in range(DOCUMENTS)])
    world.write("0001_label.py", MIGRATION)
    return world


def _conserved(world: World, applications: list[Application], before: dict[Any, dict[str, Any]]) -> None:
    """No acknowledged write is lost, nothing deleted came back."""
    now = {d["_id"]: d for d in world.documents("things")}
    expected = set(before)
    total: Counter[Any] = Counter()
    for application in applications:
        expected |= application.inserted
        total.update(application.increments)
    for application in applications:
        expected -= application.deleted
    assert set(now) == expected
    for identity, document in now.items():
        if identity in before:
            assert document["n"] == before[identity]["n"] + total[identity], document


@pytest.mark.parametrize("server", [Kind.REPLICA_SET, Kind.THREE_NODES, Kind.STANDALONE], indirect=True)
def test_up_and_down_beside_writers_lose_no_write(busy: World) -> None:
    before = {d["_id"]: d for d in busy.documents("things")}
    with traffic(busy) as applications:
        succeeded(busy.up())
    _conserved(busy, applications, before)

    middle = {d["_id"]: d for d in busy.documents("things")}
    with traffic(busy) as applications:
        result = succeeded(busy.down())
    _conserved(busy, applications, middle)
    assert result.conflicts == ()


@pytest.mark.parametrize("server", [Kind.REPLICA_SET, Kind.THREE_NODES], indirect=True)
def test_what_is_written_during_up_is_migrated_before_it_is_applied(busy: World) -> None:
    writing = threading.Event()
    written = {"inserted": 0}

    def write_behind_the_cursor(event: Event) -> None:
        if not isinstance(event, BatchCommitted) or writing.is_set():
            return
        writing.set()
        with busy.client() as client:
            things = client[busy.database]["things"]
            for identity in (-5, "zz", 3.5, 99_999):
                things.insert_one({"_id": identity, "kind": "late", "n": 0})
                written["inserted"] += 1
            things.replace_one({"_id": 7}, {"kind": "stale", "n": 5})
            things.update_one({"_id": 8}, {"$set": {"kind": "changed"}})
            things.delete_one({"_id": 9})

    with busy.migrator(write_behind_the_cursor) as migrator:
        succeeded(migrator.up())

    documents = {d["_id"]: d for d in busy.documents("things")}
    assert written["inserted"] == 4
    assert 9 not in documents
    assert [d for d in documents.values() if d.get("label") != f"{d['kind']}!"] == []
    assert documents[7] == {"_id": 7, "kind": "stale", "n": 5, "label": "stale!", "shape": 2}

    succeeded(busy.down())
    restored = {d["_id"]: d for d in busy.documents("things")}
    assert restored[7] == {"_id": 7, "kind": "stale", "n": 5}
    assert restored["zz"] == {"_id": "zz", "kind": "late", "n": 0}
    assert [d for d in restored.values() if "label" in d] == []
