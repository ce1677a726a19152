"""The workers of a dask.distributed cluster in place of processes that the run starts itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from goaime_migrate.backends.ports import JOURNAL
from goaime_migrate.errors import InvalidConfiguration, TransformFailed
from goaime_migrate.events import BatchCommitted, Event, Notice
from goaime_migrate.run import partitions
from goaime_migrate.workers import pool
from tests.servers import ReplicaSet
from tests.world import REPOSITORY, World, succeeded

distributed = pytest.importorskip("distributed", reason="the extra dask is not installed")

DOCUMENTS = 600
CHANGE = """
    import os
    import signal
    from pathlib import Path
    from goaime_migrate import TransformDocuments

    ONCE = Path(__file__).parent.parent / "once"

    def change(d):
        d["n"] += 1000
        d["by"] = os.getpid()
        {more}

    operations = [TransformDocuments("things", change)]
    """
CLUSTER = """
import sys
from distributed import LocalCluster

if __name__ == "__main__":
    with LocalCluster(
        n_workers=2, threads_per_worker=2, processes=True, dashboard_address=None, host="127.0.0.1"
    ) as cluster:
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()
"""


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a cluster of two worker processes."""
    script = tmp_path_factory.mktemp("cluster") / "cluster.py"
    script.write_text(CLUSTER)
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen(
        [sys.executable, str(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as cluster:
        assert cluster.stdout is not None
        yield cluster.stdout.readline().strip()


@pytest.fixture
def world(
    scheduler: str,
    local_replica_set: ReplicaSet,
    database_name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> World:
    """Documents in many partitions, and a cluster."""
    monkeypatch.setattr(partitions, "WORTH", 100)
    monkeypatch.setattr(partitions, "SIZE", 60)
    monkeypatch.setattr(pool, "WAITING_S", 60.0)
    settings = {"executor": f"dask:{scheduler}", "batch_size": 20}
    world = World("cluster", local_replica_set.uri, database_name, tmp_path / "migrations", settings)
    world.insert("things", ({"_id": i if i % 2 else f"{i}", "n": i} for i in range(DOCUMENTS)))
    write(world)
    return world


def write(world: World, more: str = "pass") -> None:
    world.write("0001_change.py", CHANGE.replace("{more}", more))


def migrated_once(world: World) -> None:
    """Every document was transformed once."""
    assert sorted(d["n"] for d in world.documents("things")) == list(range(1000, 1000 + DOCUMENTS))


def test_the_workers_of_a_cluster_take_part(world: World) -> None:
    before = world.raws("things")

    result = succeeded(world.up())

    migrated_once(world)
    assert result.documents.changed == DOCUMENTS
    assert len({d["by"] for d in world.documents("things")}) == 3
    undone = succeeded(world.down())
    assert world.raws("things") == before
    assert undone.documents.changed == DOCUMENTS
    assert world.documents(JOURNAL) == []


def test_a_worker_of_the_cluster_is_killed_and_the_run_goes_on_without_it(world: World) -> None:
    write(
        world,
        f"if os.getpid() != {os.getpid()} and d['n'] % 7 == 0 and not ONCE.exists(): "
        "ONCE.touch(); os.kill(os.getpid(), signal.SIGKILL)",
    )
    told: list[Event] = []

    with world.migrator(told.append) as migrator:
        result = succeeded(migrator.up())

    migrated_once(world)
    assert result.documents.changed == DOCUMENTS
    notices = [event.text for event in told if isinstance(event, Notice)]
    assert any("has left the cluster; this process goes on with its work" in text for text in notices)
    succeeded(world.down())
    assert sorted(d["n"] for d in world.documents("things")) == list(range(DOCUMENTS))


def test_an_error_in_a_worker_of_the_cluster_is_the_same_error_here(world: World) -> None:
    write(world, f"if os.getpid() != {os.getpid()}: raise ValueError('n: odd')")

    error: Any = world.up().error

    assert type(error) is TransformFailed
    assert error.field == "n"
    assert world.states() == ["failed"]
    succeeded(world.down())


def test_a_signal_stops_the_cluster_after_its_batches_and_another_pool_goes_on(world: World) -> None:
    def stop(event: Event) -> None:
        if isinstance(event, BatchCommitted):
            migrator.interrupt(signal.SIGINT)

    with world.migrator(stop, max_rate=2_000) as migrator:
        stopped = migrator.up()
    assert stopped.error is not None
    assert stopped.error.exit_code == 130
    assert world.states() == ["partial"]

    with world.migrator(executor="processes", workers=2) as other:
        succeeded(other.up())
    migrated_once(world)


def test_a_scheduler_that_is_not_there_is_a_usage_error(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("goaime_migrate.workers.dask_cluster._CONNECT_S", 0.5)
    with world.migrator(executor="dask:tcp://127.0.0.1:1") as migrator:
        result = migrator.up()

    assert isinstance(result.error, InvalidConfiguration)
    assert result.error.exit_code == 2
