"""An application goes on writing while a migration runs, in either direction: nothing of its is lost."""

from __future__ import annotations

import builtins
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

from goaime_migrate.backends.feed import Feed
from goaime_migrate.engine import pacing
from goaime_migrate.engine.tail import Tail
from goaime_migrate.errors import Contended
from goaime_migrate.events import BatchCommitted, Event
from tests.conftest import StartServer
from tests.servers import Kind, Options, Server
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
                fresh: Any = chance.choice(
                    [unique.hex, ObjectId(), -(unique.int >> 66), 10_000 + (unique.int >> 66)]
                )
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


@pytest.mark.parametrize("server", [Kind.REPLICA_SET, Kind.STANDALONE], indirect=True)
def test_a_document_put_back_in_the_new_shape_during_down_is_taken_back_again(busy: World) -> None:
    before = {d["_id"]: d for d in busy.documents("things")}
    succeeded(busy.up())
    (stale,) = [d for d in busy.documents("things") if d["_id"] == DOCUMENTS - 1]
    written = threading.Event()

    def put_back_what_was_read_before(event: Event) -> None:
        if isinstance(event, BatchCommitted) and event.done >= 50 and not written.is_set():
            written.set()
            with busy.client() as client:
                things = client[busy.database]["things"]
                things.replace_one({"_id": stale["_id"]}, {**stale, "n": 7})
                things.update_one({"_id": DOCUMENTS - 2}, {"$set": {"note": "mine"}})

    with busy.migrator(put_back_what_was_read_before) as migrator:
        succeeded(migrator.down())

    assert written.is_set()
    after = {d["_id"]: d for d in busy.documents("things")}
    assert after[stale["_id"]] == {**before[stale["_id"]], "n": 7}
    assert after[DOCUMENTS - 2] == {**before[DOCUMENTS - 2], "note": "mine"}


@pytest.mark.parametrize("server", [Kind.REPLICA_SET], indirect=True)
def test_a_document_that_never_rests_ends_the_run_with_its_name(busy: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pacing, "_PATIENCE", 3)
    busy.settings["batch_size"] = 1
    writes = 0

    def write_to_it_every_time(document: Any) -> None:
        """A transform that lets the application write between the batch's read and its write."""
        nonlocal writes
        writes += 1
        with busy.client() as client:
            client[busy.database]["things"].update_one({"_id": document["_id"]}, {"$inc": {"n": 1}})

    busy.write("0001_label.py", MIGRATION.replace("document[\"shape\"] = 2", "document[\"shape\"] = 2; HOOK(document)"))
    monkeypatch.setattr(builtins, "HOOK", write_to_it_every_time, raising=False)

    result = busy.up()

    assert isinstance(result.error, Contended)
    assert result.error.id == 0
    assert busy.states() == ["pending"] or busy.states() == ["failed"]
    assert busy.documents("things")[0]["n"] == writes
    monkeypatch.setattr(builtins, "HOOK", lambda _: None)
    succeeded(busy.up())
    assert busy.states() == ["applied"]


@pytest.mark.parametrize("server", [Kind.REPLICA_SET], indirect=True)
def test_documents_that_expire_during_the_scan_do_not_disturb_it(busy: World) -> None:
    deleted: set[Any] = set()

    def expire(event: Event) -> None:
        if isinstance(event, BatchCommitted):
            with busy.client() as client:
                ids = [event.done + 10, event.done + 60, max(0, event.done - 10)]
                client[busy.database]["things"].delete_many({"_id": {"$in": ids}})
                deleted.update(ids)

    with busy.migrator(expire) as migrator:
        succeeded(migrator.up())

    documents = busy.documents("things")
    assert {d["_id"] for d in documents} == set(range(DOCUMENTS)) - deleted
    assert all(d["shape"] == 2 for d in documents)
    succeeded(busy.down())
    assert {d["_id"] for d in busy.documents("things")} == set(range(DOCUMENTS)) - deleted


def test_where_history_is_lost_the_collection_is_swept(
    start_server: StartServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oplog rolls over while the collector does not read: what was written is found all the same."""
    world = World("oplog", start_server(Kind.REPLICA_SET, Options(oplog_mb=16)).uri, "small_oplog", tmp_path / "m")
    world.settings["batch_size"] = 50
    world.insert("things", [{"_id": i, "kind": "old", "n": 0} for i in range(300)])
    world.write("0001_label.py", MIGRATION)
    reading, sweeps = threading.Event(), []
    read, sweep = Feed.read, Tail._sweep_until_clean
    monkeypatch.setattr(Feed, "read", lambda self: (reading.wait(60), read(self))[1])
    monkeypatch.setattr(Tail, "_sweep_until_clean", lambda self: (sweeps.append(1), sweep(self))[1])

    def roll_over(event: Event) -> None:
        if not isinstance(event, BatchCommitted) or reading.is_set():
            return
        with world.client() as client:
            client[world.database]["things"].insert_one({"_id": -1, "kind": "late", "n": 0})
            client[world.database]["things"].replace_one({"_id": 3}, {"kind": "stale", "n": 1})
            _fill_the_oplog(client)
        reading.set()

    with world.migrator(roll_over) as migrator:
        succeeded(migrator.up())

    assert sweeps == [1]
    documents = {d["_id"]: d for d in world.documents("things")}
    assert documents[-1]["label"] == "late!"
    assert documents[3]["label"] == "stale!"
    assert all(d["shape"] == 2 for d in documents.values())


def _fill_the_oplog(client: Any) -> None:
    """Write until the oldest entry is younger than the beginning."""
    oplog = client["local"]["oplog.rs"]
    begin = oplog.find().sort("$natural", -1).limit(1)[0]["ts"]
    filler = client["filler"]["documents"]
    deadline = time.monotonic() + 60
    while oplog.find().sort("$natural", 1).limit(1)[0]["ts"] <= begin:
        filler.insert_many([{"pad": "x" * 1_000_000} for _ in range(8)])
        assert time.monotonic() < deadline
