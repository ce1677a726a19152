"""Several processes over one collection: the same result as one, to the byte, and the same counts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from bson import encode

from goaime_migrate import ledger
from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.bson_order import id_key
from goaime_migrate.backends.connect import connect
from goaime_migrate.backends.ports import JOURNAL, PROGRESS, VERSIONS, Changes, Put
from goaime_migrate.config import Settings
from goaime_migrate.errors import (
    DuplicateKey,
    Interrupted,
    MigrateError,
    PinnedPassEdited,
    ResultBreaksPromise,
    TransformFailed,
    WorkerFailed,
)
from goaime_migrate.events import BatchCommitted, Event
from goaime_migrate.journal import segments
from goaime_migrate.journal.kinds import Kind
from goaime_migrate.results import Direction
from goaime_migrate.run import partitions
from goaime_migrate.transform import frozen_lookups
from goaime_migrate.workers import pool, process
from goaime_migrate.workers.process import ProcessWorker
from tests.integration.mixed_ids import DOCUMENTS, mixed
from tests.servers import Mongod, ReplicaSet
from tests.world import REPOSITORY, World, succeeded

CHANGE = """
    import os
    import warnings
    from goaime_migrate import Lookup, TransformDocuments

    def change(d, names):
        d["n"] += 1000
        d["name"] = names[d["n"] % 7]["name"]
        if d["n"] % 50 == 0:
            warnings.warn(f"a round number of {d['n'] % 3}")
        {more}

    operations = [TransformDocuments("things", change, names=Lookup("names"))]
    """
SECOND = """
    from goaime_migrate import TransformDocuments

    def second(d):
        d["second"] = 2

    operations = [TransformDocuments("things", second)]
    """
PROCESS = 'd["by"] = os.getpid()'
TURNS = """
    import threading
    import time
    from goaime_migrate import TransformDocuments

    at_work = []

    def change(d):
        at_work.append(d["_id"])
        time.sleep(0.0005)
        if len(at_work) > 1:
            raise RuntimeError(f"{at_work} at the same time")
        d["by"] = threading.current_thread().name
        at_work.clear()

    operations = [TransformDocuments("things", change)]
    """


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Collections are parted that have a hundred documents, and nobody begins before all are there."""
    monkeypatch.setattr(partitions, "WORTH", 100)
    monkeypatch.setattr(partitions, "SIZE", 60)
    monkeypatch.setattr(pool, "WAITING_S", 60.0)


@pytest.fixture
def world(small: None, local_replica_set: ReplicaSet, database_name: str, tmp_path: Path) -> World:
    """Documents of all types, a migration that is not idempotent, and two workers."""
    settings = {"workers": 2, "batch_size": 20}
    world = World("workers", local_replica_set.uri, database_name, tmp_path / "migrations", settings)
    world.insert("things", mixed())
    world.insert("names", [{"_id": i, "name": f"name {i}"} for i in range(7)])
    write(world)
    return world


def write(world: World, more: str = "pass") -> None:
    world.write("0001_change.py", CHANGE.replace("{more}", more))


def alone(world: World) -> Any:
    """Documents, counts and warnings as one worker over one partition makes them; then everything is taken back."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(partitions, "WORTH", 10**9)
        with world.migrator(workers=1) as migrator:
            result = succeeded(migrator.up())
    after = world.raws("things")
    succeeded(world.down())
    return after, result.documents, result.warnings


def test_two_workers_make_what_one_makes_and_count_what_one_counts(world: World) -> None:
    before = world.raws("things")
    after, counts, warnings = alone(world)

    result = succeeded(world.up())

    assert world.raws("things") == after
    assert (result.documents, result.warnings) == (counts, warnings)
    assert result.documents.matched == result.documents.changed == DOCUMENTS
    undone = succeeded(world.down())
    assert world.raws("things") == before
    assert (undone.documents.changed, undone.conflicts, undone.born) == (DOCUMENTS, (), 0)
    assert world.documents(JOURNAL) == world.documents(PROGRESS) == []


def test_workers_name_the_version_that_wrote_a_field_in_conflict(world: World) -> None:
    world.write("0002_change.py", SECOND)
    succeeded(world.up())
    with world.client() as client:
        things = client[world.database]["things"]
        things.update_many({"text": ""}, {"$set": {"second": "theirs"}})
        things.update_many({"text": "x"}, {"$set": {"name": "theirs"}})
    conflicts = succeeded(world.down("base")).conflicts
    assert len(conflicts) == 30
    assert {(c.version, c.fields) for c in conflicts} == {("0002", ("second",)), ("0001", ("name",))}


def test_conflicts_and_what_becomes_of_them_are_those_of_one_worker(world: World) -> None:
    before = list(world.raws("things").values())

    def there_and_back(workers: int) -> Any:
        with world.client() as client:
            things = client[world.database]["things"]
            things.delete_many({})
            world.insert("things", before)
            with world.migrator(workers=workers) as migrator:
                succeeded(migrator.up())
            things.update_many({"n": {"$mod": [40, 0]}}, {"$inc": {"n": -5_000}})
        undone = succeeded(world.down())
        return sorted(undone.conflicts, key=repr), undone.documents, world.raws("things")

    alone, together = there_and_back(1), there_and_back(2)

    assert len(alone[0]) == DOCUMENTS / 40
    assert together == alone


def test_a_down_that_an_older_release_had_shared_among_processes_goes_on_where_each_had_stopped(
    world: World,
) -> None:
    """It has left a record for each partition: one was done, of another the last entries of a segment were."""
    before = world.raws("things")
    succeeded(world.up())
    backend = connect(Settings(uri=world.uri, database=world.database), write=True)
    (record,) = ledger.read(backend).passes.values()
    keys = segments.keys(backend, record.id, Kind.SCAN)
    done, begun = [each for each in keys if "/0003/" in each], [each for each in keys if "/0005/" in each]
    whole = [s for each in done if (s := segments.read(backend, each)) is not None]
    part = segments.read(backend, begun[-1])
    assert part is not None
    back = [*(e for segment in whole for e in segment.entries), *part.entries[-7:]]
    for entry in back:
        assert entry.before is not None
        world.put("things", entry.before)
    older = {"kind": "partition", "format": 1, "pass": record.id, "walk": "down", "fence": 2, "lsids": []}
    records = [
        {"_id": "", "done": False, "seq": 0, "key": None, "offset": 0, "documents": 0, "total": DOCUMENTS},
        {"_id": "/0003", "done": True, "seq": 2, "key": None, "offset": 0, "documents": len(back) - 7},
        {"_id": "/0005", "done": False, "seq": 1, "key": part.key, "offset": 7, "documents": 7},
    ]
    puts = [put for segment in whole for put in replace(segment, level=0).puts()]
    for each in records:
        since = None if each["_id"] else backend.operation_time()
        stored = {**older, **each, "_id": f"{record.id}#down{each['_id']}", "since": since}
        puts.append(Put(PROGRESS, stored))
    backend.transact(lambda _: Changes(last=puts))
    with world.client() as client:
        client[world.database][VERSIONS].update_one({"_id": "0001"}, {"$set": {"state": "reverting"}})
        client[world.database][PROGRESS].update_one({"_id": record.id}, {"$set": {"target_level": 0}})
    backend.close()
    theirs = raw_bson.id_value(part.entries[-1].id)
    world.change("things", theirs, n=-1)  # after it was taken back: that is no conflict

    preview = world.plan(direction=Direction.DOWN).preview
    seen: list[Event] = []
    with world.migrator(seen.append) as migrator:
        result = succeeded(migrator.down())

    assert preview is not None
    assert (preview.exact, preview.conflicts) == (DOCUMENTS - len(back), 0)
    assert (result.documents.changed, result.documents.unchanged) == (DOCUMENTS - len(back), 0)
    assert result.conflicts == ()
    told = [(event.done, event.total) for event in seen if isinstance(event, BatchCommitted)]
    assert told[-1] == (DOCUMENTS, DOCUMENTS)
    after = world.raws("things")
    assert raw_bson.decode(after.pop(part.entries[-1].id))["n"] == -1
    assert after == {identity: document for identity, document in before.items() if identity in after}
    assert len(after) == DOCUMENTS - 1
    assert world.documents(JOURNAL) == world.documents(PROGRESS) == []


def test_both_have_worked_and_every_partition_was_walked_once(world: World) -> None:
    write(world, PROCESS)
    seen: list[Event] = []

    with world.migrator(seen.append) as migrator:
        succeeded(migrator.up())

    assert len({d["by"] for d in world.documents("things")}) == 2
    heads = [d for d in world.documents(JOURNAL) if d.get("kind") == "2-scan"]
    assert len({d["partition"] for d in heads}) == 18
    done = [event.done for event in seen if isinstance(event, BatchCommitted)]
    assert done == sorted(done)
    assert done[-1] == DOCUMENTS
    assert len(done) >= DOCUMENTS / 20


def test_two_threads_of_a_process_take_turns(world: World) -> None:
    world.write("0001_change.py", TURNS)

    with world.migrator(workers=1) as migrator:
        result = succeeded(migrator.up())

    assert result.documents.changed == DOCUMENTS
    assert {d["by"] for d in world.documents("things")} == {"MainThread", "work"}


@pytest.mark.parametrize("reason", ["lookups", "rate"])
def test_one_thread_a_process_where_two_would_collide_or_waste_the_rate(
    world: World, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    write(world, 'd["by"] = __import__("threading").current_thread().name')
    rate = 100_000 if reason == "rate" else None
    if reason == "lookups":
        monkeypatch.setattr(frozen_lookups, "WHOLE", 3)

    with world.migrator(workers=1, max_rate=rate) as migrator:
        result = succeeded(migrator.up())

    assert result.documents.changed == DOCUMENTS
    assert {d["by"] for d in world.documents("things")} == {"MainThread"}


def test_two_threads_go_on_with_lookups_that_an_earlier_run_has_frozen(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(world, 'd["by"] = __import__("threading").current_thread().name')
    monkeypatch.setattr(frozen_lookups, "LARGE", DOCUMENTS)

    def interrupt(event: Event) -> None:
        if isinstance(event, BatchCommitted):
            raise KeyboardInterrupt

    with world.migrator(interrupt, workers=1) as migrator, pytest.raises(KeyboardInterrupt):
        migrator.up()
    with world.client() as client:
        client[world.database]["names"].delete_many({})
    with world.migrator(workers=1) as migrator:
        succeeded(migrator.up())

    assert {d["by"] for d in world.documents("things")} == {"MainThread", "work"}
    assert all(d["name"].startswith("name ") for d in world.documents("things"))


@pytest.mark.parametrize("batches", [1, 5, 12])
def test_an_interrupt_leaves_no_thread_behind_that_writes(
    world: World, monkeypatch: pytest.MonkeyPatch, batches: int
) -> None:
    monkeypatch.setattr(frozen_lookups, "LARGE", DOCUMENTS)
    before = world.raws("things")
    seen: list[Event] = []

    def interrupt(event: Event) -> None:
        seen.append(event)
        if sum(isinstance(each, BatchCommitted) for each in seen) == batches:
            raise KeyboardInterrupt

    with world.migrator(interrupt, workers=1) as migrator, pytest.raises(KeyboardInterrupt):
        migrator.up()
    stopped = world.raws("things")

    assert not [thread for thread in threading.enumerate() if thread.name == "work"]
    done = sum(stopped[identity] != before[identity] for identity in before)
    assert done >= 20
    assert succeeded(world.up()).documents.changed == DOCUMENTS - done
    assert sorted(d["n"] for d in world.documents("things")) == [n + 1000 for n in range(DOCUMENTS)]
    succeeded(world.down())
    assert world.raws("things") == before


def test_the_first_begins_alone_and_what_is_inserted_before_the_other_is_there_is_migrated(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "WAITING_S", 0.0)
    write(world, f"{PROCESS}; __import__('time').sleep(0.01 if os.getpid() == {os.getpid()} else 0)")
    before = world.raws("things")
    inserted = [{"_id": -7, "n": 1}]

    def meanwhile(event: Event) -> None:
        if isinstance(event, BatchCommitted) and inserted:
            world.insert("things", [inserted.pop()])  # behind everybody's back

    with world.migrator(meanwhile) as migrator:
        result = succeeded(migrator.up())

    documents = world.documents("things")
    assert sorted(d["n"] for d in documents) == sorted([1001, *(n + 1000 for n in range(DOCUMENTS))])
    assert result.documents.changed == DOCUMENTS + 1
    assert len({d["by"] for d in documents}) == 2
    first = min((d for d in world.documents(JOURNAL) if d.get("kind") == "2-scan"), key=lambda d: d["_id"])
    assert first["partition"] == 0
    succeeded(world.down())
    after = world.raws("things")
    assert {identity: after[identity] for identity in before} == before


def test_the_segments_of_all_partitions_stand_in_the_order_of_the_ids(world: World) -> None:
    succeeded(world.up())

    heads = sorted((d for d in world.documents(JOURNAL) if d.get("kind") == "2-scan"), key=lambda d: d["_id"])
    assert heads[0]["after"] is None
    assert heads[-1]["upto"] is None
    for one, next_one in pairwise(heads):
        assert one["upto"] == next_one["after"]
    keys = [id_key(bytes(head["upto"])) for head in heads[:-1]]
    assert keys == sorted(keys)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_an_interrupted_pass_goes_on_with_another_number_of_workers(world: World, workers: int) -> None:
    before = world.raws("things")
    after, counts, _ = alone(world)

    first = interrupted_after(world, 5)
    assert isinstance(first.error, Interrupted)
    assert world.states() == ["partial"]
    with world.migrator(workers=workers) as migrator:
        second = succeeded(migrator.up())

    assert world.raws("things") == after
    assert (first.documents + second.documents).matched == counts.matched
    assert world.status().versions[0].documents == counts
    succeeded(world.down())
    assert world.raws("things") == before


def test_a_half_walked_pass_is_taken_back_and_what_was_inserted_in_its_gaps_stays(world: World) -> None:
    source = CHANGE.replace("{more}", "pass").replace("names=Lookup", "reverse=reverse, names=Lookup")
    reverse = 'def reverse(d):\n        d["n"] = -1\n\n    operations ='
    world.write("0001_change.py", source.replace("operations =", reverse))
    before = world.raws("things")
    interrupted_after(world, 5)

    succeeded(world.down())

    assert world.raws("things") == before


def interrupted_after(world: World, batches: int) -> Any:
    """A run that is asked to stop after so many batches."""
    left = batches

    def count(event: Event) -> None:
        nonlocal left
        left -= isinstance(event, BatchCommitted)
        if left == 0:
            migrator.interrupt(2)

    with world.migrator(count) as migrator:
        return migrator.up()


def test_a_canary_comes_first_and_is_not_migrated_again(world: World) -> None:
    after, counts, _ = alone(world)

    first = succeeded(world.up(where={"n": {"$lt": 100}}))
    second = succeeded(world.up())

    assert first.documents.changed == 100
    assert world.raws("things") == after
    assert first.documents.changed + second.documents.changed == counts.changed
    succeeded(world.down())
    assert {d["n"] for d in world.documents("things")} == set(range(DOCUMENTS))


FAULTY = """
    import os
    from goaime_migrate import TransformDocuments

    def change(d):
        if os.getpid() != {pid} and d["n"] % 10 == 0:
            {fault}
        d["n"] += 1000

    def check(d):
        return [] if isinstance(d["n"], int) else ["n: not a number"]

    operations = [TransformDocuments("things", change, check=check)]
    """


@pytest.mark.parametrize(
    ("fault", "kind", "field"),
    [
        ('raise ValueError("count.total: odd")', TransformFailed, "count.total"),
        ('d["n"] -= 0.5', ResultBreaksPromise, "n"),
    ],
)
def test_what_goes_wrong_in_another_process_is_the_same_error_here(
    world: World, fault: str, kind: type[MigrateError], field: str
) -> None:
    world.write("0001_change.py", FAULTY.format(pid=os.getpid(), fault=fault))
    before = world.raws("things")

    error = world.up().error

    assert type(error) is kind
    culprit = raw_bson.decode(before[encode({"_id": error.id})])
    assert culprit["n"] % 10 == 0
    assert (error.field, error.version, error.exit_code) == (field, "0001", 1)
    assert error.hint
    assert "0001_change.py" in error.detail or kind is ResultBreaksPromise
    assert world.states() == ["failed"]
    succeeded(world.down())
    assert world.raws("things") == before


def test_values_may_move_from_one_document_to_another_though_they_are_unique(world: World) -> None:
    world.write(
        "0001_change.py",
        """
        from goaime_migrate import TransformDocuments

        def down_one(d):
            d["place"] -= 1

        operations = [TransformDocuments("things", down_one)]
        """,
    )
    with world.client() as client:
        things = client[world.database]["things"]
        things.delete_many({})
        things.insert_many([{"_id": i, "place": i} for i in range(DOCUMENTS)])
        things.create_index("place", unique=True)
    before = world.raws("things")

    succeeded(world.up())

    assert [d["place"] - d["_id"] for d in world.documents("things")] == [-1] * DOCUMENTS
    undone = succeeded(world.down())
    assert undone.conflicts == ()
    assert world.raws("things") == before


def test_a_value_that_would_be_there_twice_is_refused(world: World) -> None:
    write(world, 'd["n"] = min(d["n"], 1400)')
    with world.client() as client:
        client[world.database]["things"].create_index("n", unique=True)

    error = world.up().error

    assert isinstance(error, DuplicateKey)
    assert error.field == "n"


def test_a_migration_that_prints_when_it_is_imported_and_when_it_works_disturbs_nobody(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    write(world, 'print("working", d["n"], flush=True); input() if d["n"] == -1 else None')
    path = world.folder / "0001_change.py"
    path.write_text("print('imported')\nimport os\nos.write(1, b'raw')\n" + path.read_text())

    succeeded(world.up())

    assert "imported" in capfd.readouterr().err
    assert all(d["n"] >= 1000 for d in world.documents("things"))


def test_a_file_that_was_edited_since_the_run_began_is_refused_by_the_other_process(world: World) -> None:
    with world.migrator() as migrator:
        assert migrator.status().pending == ("0001",)
        write(world, 'd["late"] = True')
        error = migrator.up().error

    assert isinstance(error, PinnedPassEdited)
    assert not any("late" in d for d in world.documents("things"))


def test_a_worker_that_cannot_start_is_an_error_with_what_it_said(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = world.folder.parent / "python"
    script.write_text("#!/bin/sh\necho no such thing here >&2\nexit 3\n")
    script.chmod(0o755)
    monkeypatch.setattr("goaime_migrate.workers.process.sys.executable", str(script))

    error = world.up().error

    assert isinstance(error, WorkerFailed)
    assert "exited 3: no such thing here" in error.message
    assert "--workers 1" in error.hint
    assert all(d["n"] < 1000 for d in world.documents("things"))


def test_a_worker_is_told_everything_through_its_stdin(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    tell = ProcessWorker.tell

    def told(self: ProcessWorker, **message: Any) -> None:
        for name in ("cmdline", "environ"):
            seen.append(Path(f"/proc/{self.pid}/{name}").read_text())
        tell(self, **message)

    monkeypatch.setattr(ProcessWorker, "tell", told)
    succeeded(world.up())

    assert seen
    assert not any(world.uri in text for text in seen)


def test_no_process_is_started_for_what_is_small_or_for_one_worker(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(process, "ProcessWorker", refuse)
    with world.migrator(workers=1) as migrator:
        succeeded(migrator.up())
        succeeded(migrator.down())
    monkeypatch.setattr(partitions, "WORTH", DOCUMENTS + 1)
    succeeded(world.up())
    succeeded(world.down())


def test_a_server_without_transactions_has_one_partition(
    small: None, standalone: Mongod, database_name: str, tmp_path: Path
) -> None:
    world = World("alone", standalone.uri, database_name, tmp_path / "migrations", {"workers": 2})
    world.insert("things", mixed())
    world.insert("names", [{"_id": i, "name": f"name {i}"} for i in range(7)])
    write(world)

    succeeded(world.up())

    assert {d["partition"] for d in world.documents(JOURNAL) if "partition" in d} == {0}


def test_the_rate_is_the_rate_of_all_together(world: World) -> None:
    """Each process has two threads, and what one of them still owes the other must not pass over."""
    with world.migrator(max_rate=100) as migrator:
        result = succeeded(migrator.up())

    assert result.duration_s > DOCUMENTS / 100 * 0.9


def test_stdout_is_one_json_value_whatever_the_migrations_print(
    local_replica_set: ReplicaSet, database_name: str, tmp_path: Path
) -> None:
    world = World("real", local_replica_set.uri, database_name, tmp_path / "migrations")
    world.insert("things", ({"_id": i, "n": i} for i in range(partitions.WORTH)))
    world.insert("names", [{"_id": i, "name": f"name {i}"} for i in range(7)])
    write(world, 'print("called") if d["n"] % 100 == 0 else None')
    path = world.folder / "0001_change.py"
    path.write_text("import sys\nprint('imported by', sys.orig_argv[-1])\n" + path.read_text())

    command = [sys.executable, "-m", "goaime_migrate", "up", "--json", "--workers", "2", "--uri", world.uri]
    where = ["--database", world.database, "--migrations", str(world.folder)]
    done = subprocess.run([*command, *where], cwd=REPOSITORY, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["documents"]["changed"] == partitions.WORTH
    assert "imported by goaime_migrate.workers" in done.stderr
    assert done.stderr.count("called") >= partitions.WORTH // 100
