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
from pymongo.write_concern import WriteConcern

from goaime_migrate.backends.connect import connect
from goaime_migrate.backends.ports.change_stream import Portion
from goaime_migrate.backends.server.change_stream import MongoChangeStream
from goaime_migrate.backends.server.transactional import TransactionalBackend
from goaime_migrate.config import Settings
from goaime_migrate.errors import Contended
from goaime_migrate.events import BatchCommitted, Event, Notice
from goaime_migrate.run import pacing
from goaime_migrate.up.tail import Reconciliation
from tests.conftest import StartServer
from tests.servers import Kind, Options, ReplicaSet, Server, fail_command
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
    failures: list[Exception] = field(default_factory=list)
    writes: int = 0

    def run(self, stop: threading.Event) -> None:
        chance = random.Random(self.seed)
        client: MongoClient[dict[str, Any]] = MongoClient(self.uri)
        things = client[self.database]["things"]
        try:
            while not stop.is_set():
                self._one(chance, things)
                self.writes += 1
        except Exception as error:  # noqa: BLE001 (reported by the test's own thread)
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


def conserved(world: World, applications: list[Application], before: dict[Any, dict[str, Any]]) -> None:
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
    conserved(busy, applications, before)

    middle = {d["_id"]: d for d in busy.documents("things")}
    with traffic(busy) as applications:
        result = succeeded(busy.down())
    conserved(busy, applications, middle)
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
def test_a_document_that_never_rests_ends_the_run_with_its_name(
    busy: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pacing, "PATIENCE", 3)
    busy.settings["batch_size"] = 1
    writes = 0

    def write_to_it_every_time(document: Any) -> None:
        """A transform that lets the application write between the batch's read and its write."""
        nonlocal writes
        if document["_id"] == 0:
            writes += 1
            with busy.client() as client:
                client[busy.database]["things"].update_one({"_id": 0}, {"$inc": {"n": 1}})

    busy.write("0001_label.py", MIGRATION.replace('["shape"] = 2', '["shape"] = 2; HOOK(document)'))
    monkeypatch.setattr(builtins, "HOOK", write_to_it_every_time, raising=False)

    result = busy.up()

    assert isinstance(result.error, Contended)
    assert result.error.id == 0
    assert busy.states() == ["failed"]
    assert [d["n"] for d in busy.documents("things") if d["_id"] == 0] == [writes]
    monkeypatch.setattr(builtins, "HOOK", lambda _: None)
    busy.settings["batch_size"] = 500
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


@pytest.fixture
def sweeps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one whenever a whole collection is swept."""
    seen: list[int] = []
    sweep = Reconciliation._sweep_until_clean

    def counted(self: Reconciliation) -> None:
        seen.append(1)
        sweep(self)

    monkeypatch.setattr(Reconciliation, "_sweep_until_clean", counted)
    return seen


def _write_behind(world: World) -> None:
    with world.client() as client:
        things = client[world.database]["things"]
        things.insert_one({"_id": -1, "kind": "late", "n": 0})
        things.replace_one({"_id": 3}, {"kind": "stale", "n": 1})


def _assert_all_migrated(world: World) -> None:
    documents = {d["_id"]: d for d in world.documents("things")}
    assert documents[-1]["label"] == "late!"
    assert documents[3]["label"] == "stale!"
    assert all(d["shape"] == 2 for d in documents.values())


def test_where_history_is_lost_the_collection_is_swept(
    local_replica_set: ReplicaSet, database_name: str, tmp_path: Path, sweeps: list[int]
) -> None:
    world = World("live", local_replica_set.uri, database_name, tmp_path / "m", {"batch_size": 50})
    world.insert("things", [{"_id": i, "kind": "old", "n": 0} for i in range(300)])
    world.write("0001_label.py", MIGRATION)
    written = threading.Event()

    def write_once(event: Event) -> None:
        if isinstance(event, BatchCommitted) and not written.is_set():
            written.set()
            _write_behind(world)

    with (
        fail_command(
            local_replica_set.primary,
            "getMore",
            times=1,
            error_code=286,
            error_labels=["NonResumableChangeStreamError"],
            app_name="goaime-migrate",
        ),
        world.migrator(write_once) as migrator,
    ):
        succeeded(migrator.up())

    assert sweeps == [1]
    _assert_all_migrated(world)


@pytest.mark.soak
def test_an_oplog_that_rolls_over_during_the_run_loses_nothing(
    start_server: StartServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sweeps: list[int]
) -> None:
    """The server cuts its oplog back about once a minute."""
    server = start_server(Kind.REPLICA_SET, Options(oplog_mb=16))
    world = World("oplog", server.uri, "small_oplog", tmp_path / "m", {"batch_size": 50})
    world.insert("things", [{"_id": i, "kind": "old", "n": 0} for i in range(300)])
    world.write("0001_label.py", MIGRATION)
    reading = threading.Event()
    read = MongoChangeStream.read

    def read_later(self: MongoChangeStream) -> Portion:
        reading.wait(300)
        return read(self)

    monkeypatch.setattr(MongoChangeStream, "read", read_later)

    def roll_over(event: Event) -> None:
        if isinstance(event, BatchCommitted) and not reading.is_set():
            _write_behind(world)
            with world.client() as client:
                _fill_the_oplog(client)
            reading.set()

    with world.migrator(roll_over) as migrator:
        succeeded(migrator.up())

    assert sweeps == [1]
    _assert_all_migrated(world)


def _fill_the_oplog(client: Any) -> None:
    """Write until the oldest entry is younger than the beginning."""
    oplog = client["local"]["oplog.rs"]
    begin = oplog.find().sort("$natural", -1).limit(1)[0]["ts"]
    filler = client["filler"]["documents"]
    deadline = time.monotonic() + 240
    while oplog.find().sort("$natural", 1).limit(1)[0]["ts"] <= begin:
        filler.insert_many([{"pad": "x" * 1_000_000} for _ in range(4)])
        time.sleep(0.5)
        assert time.monotonic() < deadline


@pytest.mark.parametrize("server", [Kind.REPLICA_SET], indirect=True)
def test_a_rate_is_held(busy: World) -> None:
    busy.settings |= {"max_rate": 500.0, "batch_size": 100}
    started = time.monotonic()
    succeeded(busy.up())
    seconds = time.monotonic() - started
    assert seconds >= DOCUMENTS / 500.0 - 0.5


@pytest.mark.parametrize("server", [Kind.REPLICA_SET], indirect=True)
def test_lag_pauses_the_run_and_it_says_so(busy: World, monkeypatch: pytest.MonkeyPatch) -> None:
    lags = iter([30.0, 30.0, 12.0])
    monkeypatch.setattr(TransactionalBackend, "replication_lag", lambda self: next(lags, 0.0))
    notices: list[str] = []

    def listen(event: Event) -> None:
        if isinstance(event, Notice):
            notices.append(event.text)

    with busy.migrator(listen, max_lag=10.0) as migrator:
        succeeded(migrator.up())
    assert notices == [
        "paused: a replica lags 30 s behind, more than 10 s",
        "the replicas have caught up; going on",
    ]


@pytest.mark.parametrize("server", [Kind.THREE_NODES], indirect=True)
def test_the_lag_of_a_frozen_replica_is_seen(server: ReplicaSet, database_name: str) -> None:
    """It is frozen anew until it is: after two seconds the others take it for dead, and it lags no more."""
    backend = connect(Settings(uri=server.uri, database=database_name, migrations=Path()), write=False)
    things = server.client[database_name].get_collection("things", write_concern=WriteConcern(w=1))
    frozen = server.secondaries[0]
    try:
        assert backend.replication_lag() is not None
        deadline = time.monotonic() + 30
        lag = 0.0
        while lag < 1:
            assert time.monotonic() < deadline
            frozen.pause()
            given_up = time.monotonic() + 3
            while lag < 1 and time.monotonic() < given_up:
                things.insert_one({})
                time.sleep(0.1)
                lag = backend.replication_lag() or 0
            frozen.resume()
    finally:
        frozen.resume()
        backend.close()
