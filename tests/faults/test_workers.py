"""Several processes over one collection, each of which may be killed, frozen or told to stop at any moment."""

from __future__ import annotations

import json
import os
import random
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import PROGRESS
from goaime_migrate.run import partitions
from tests.faults.runs import Forker, Run, eventually
from tests.faults.test_crash import strikes
from tests.faults.test_live_traffic import DOCUMENTS, MIGRATION, conserved, traffic
from tests.faults.test_one_runner import LEASE_LOST, WRONG_CLOCK, batches
from tests.faults.workload import ADD, Bank, bank
from tests.world import World, succeeded

ACCOUNTS = 600
UP = ("up", "--workers", "2")
DOWN = ("down", "base", "--yes", "--workers", "2")
SMALL = {
    "run.partitions.WORTH": 100,
    "run.partitions.SIZE": 60,
    "transform.frozen_lookups.LARGE": 100,
    "workers.pool.WAITING_S": 60.0,
}
GONE_S = 10.0
"""Workers whose run was killed are gone by then."""

IN_A_WORKER = '''
import os
import signal
import sys
from pathlib import Path

from pymongo import monitoring

ONCE = Path(__file__).parent.parent / "once"
IN_A_WORKER = sys.orig_argv[-1] == "goaime_migrate.workers"


def die():
    """The first worker that comes here is killed."""
    if IN_A_WORKER and not ONCE.exists():
        ONCE.touch()
        os.kill(os.getpid(), signal.SIGKILL)


class Killer(monitoring.CommandListener):
    def __init__(self, moment, nth):
        self.moment, self.left = moment, nth

    def about(self, moment, event):
        if event.command_name == "commitTransaction" and moment == self.moment:
            self.left -= 1
            if not self.left:
                die()

    def started(self, event):
        self.about("before", event)

    def succeeded(self, event):
        self.about("after", event)

    def failed(self, event):
        pass


'''


def of(run: Run) -> list[int]:
    """The worker processes that a run has started and that have not ended."""
    everybody = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    return [pid for pid in everybody if _parent(pid) == run.pid]


def _parent(pid: int) -> int | None:
    with suppress(OSError, IndexError, ValueError):
        state, parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
        if state != "Z" and b"goaime_migrate.workers" in Path(f"/proc/{pid}/cmdline").read_bytes():
            return int(parent)
    return None


def alive(pid: int) -> bool:
    """Whether a process has not ended."""
    with suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def start(forker: Forker, world: World, *argv: str, **options: Any) -> Run:
    """A run over partitions of sixty documents."""
    return forker.start(world, *argv, constants={**SMALL, **options.pop("constants", {})}, **options)


def finish(forker: Forker, world: World, *argv: str) -> Run:
    """A run that must exit 0, promptly: it waits for nobody's open transaction."""
    return forker.succeed(world, *argv, constants=SMALL, timeout=20)


def result_of(run: Run) -> dict[str, Any]:
    """The value that a run with --json has printed, among everything else."""
    start = run.output.index('{\n  "direction"')
    result: dict[str, Any] = json.JSONDecoder().raw_decode(run.output, start)[0]
    return result


def busy(world: World, run: Run, least: int = 4) -> list[int]:
    """Wait until the run's workers are at work; their process ids."""
    eventually(lambda: not run.running or (of(run) and batches(world) >= least))
    assert run.running, run.output
    return of(run)


@pytest.fixture
def this(one: World) -> Bank:
    return bank(one, ACCOUNTS)


def rigged(world: World, rig: str, in_transform: str = "pass") -> None:
    """The first migration, with something done in it when it is imported and when it is called."""
    source = ADD.replace(
        "def add(account: Document) -> None:\n", f"{rig}\n\ndef add(account):\n    {in_transform}\n"
    )
    docstring, _, code = source.partition('"""\n\n')
    world.write("0001_add.py", f'{docstring}"""\n{IN_A_WORKER}\n{code}')


@pytest.mark.parametrize(
    ("rig", "in_transform"),
    [
        ("", 'die() if account["n"] % 7 == 0 else None'),
        ('monitoring.register(Killer("before", 2))', "pass"),
        ('monitoring.register(Killer("after", 3))', "pass"),
        ('monitoring.register(Killer("after", 5))', "pass"),
    ],
    ids=["in a transform", "before a commit", "after a commit", "after another commit"],
)
def test_a_worker_is_killed_and_the_run_goes_on_without_it(
    forker: Forker, this: Bank, rig: str, in_transform: str
) -> None:
    rigged(this.world, rig, in_transform)

    run = finish(forker, this.world, *UP, "--json")

    assert "was killed by signal 9; this process goes on with its work" in run.output
    this.is_up()
    counts = this.world.status().versions[0].documents
    assert counts is not None
    assert (counts.matched, counts.changed) == (ACCOUNTS, ACCOUNTS)
    assert result_of(run)["documents"]["changed"] == ACCOUNTS
    finish(forker, this.world, *DOWN)
    this.is_down()


def test_the_run_is_killed_on_the_way_down_and_up_puts_everything_right(forker: Forker, this: Bank) -> None:
    finish(forker, this.world, *UP)
    run = start(forker, this.world, *DOWN, "--max-rate", "200")
    eventually(lambda: not run.running or batches(this.world) >= 4)
    assert run.running, run.output
    assert of(run) == []

    run.kill()

    finish(forker, this.world, *UP)
    this.is_up()


def test_the_run_is_killed_and_its_workers_are_gone_and_the_next_run_finishes(
    forker: Forker, this: Bank
) -> None:
    run = start(forker, this.world, *UP, "--max-rate", "200")
    workers = busy(this.world, run)

    run.kill()

    eventually(lambda: not any(map(alive, workers)), GONE_S)
    assert batches(this.world) < ACCOUNTS / 20
    finish(forker, this.world, *UP)
    this.is_up()
    finish(forker, this.world, *DOWN)
    this.is_down()


def test_the_run_and_its_workers_are_killed_at_random_instants_again_and_again(
    forker: Forker, this: Bank
) -> None:
    choose = random.Random(2)
    for argv, check in ((UP, this.is_up), (DOWN, this.is_down)) * 2:
        for _ in range(3):
            run = start(forker, this.world, *argv, "--max-rate", "600")
            eventually(lambda run=run: not run.running or of(run) or batches(this.world) > 2)  # type: ignore[misc]
            if choose.random() < 0.5:
                for worker in of(run):
                    os.kill(worker, signal.SIGKILL)
            run.end_after(choose.uniform(0.1, 1.5))
        finish(forker, this.world, *argv)
        check()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_all_workers_after_their_batches(
    forker: Forker, this: Bank, number: signal.Signals
) -> None:
    run = start(forker, this.world, *UP, "--max-rate", "200")
    workers = busy(this.world, run)

    run.send(number)

    assert run.wait() == 128 + number, run.output
    assert not any(map(alive, workers))
    assert this.world.states() == ["partial", "partial"]
    done = sum(d["tally"]["examined"] for d in this.world.documents(PROGRESS) if d["kind"] == "partition")
    assert 0 < ACCOUNTS - done == len(this.differences(this.after))
    finish(forker, this.world, "up", "--workers", "3")
    this.is_up()


def test_the_second_signal_waits_for_no_worker(forker: Forker, this: Bank) -> None:
    wait = "while IN_A_WORKER and not ONCE.exists(): __import__('time').sleep(0.01)"
    rigged(this.world, "", wait)
    run = start(forker, this.world, *UP)
    eventually(lambda: not run.running or batches(this.world) >= 4)
    workers = of(run)

    run.send(signal.SIGINT)
    eventually(lambda: "stopping after this batch" in run.output)
    assert run.running
    run.send(signal.SIGINT)

    assert run.wait(10) == 130, run.output
    assert workers
    assert not any(map(alive, workers))
    (this.world.folder.parent / "once").touch()
    finish(forker, this.world, *UP)
    this.is_up()


def test_a_transform_that_fails_in_a_worker_exits_1_with_the_id(forker: Forker, this: Bank) -> None:
    rigged(
        this.world, "", 'if IN_A_WORKER and account["n"] % 5 == 0: raise ValueError(f"n is {account[\'n\']}")'
    )

    run = start(forker, this.world, *UP, "--json")

    assert run.wait() == 1, run.output
    error = result_of(run)["error"]
    assert error["code"] == "GM301"
    n = int(error["message"].rpartition(" ")[2])
    accounts = {d["n"]: d["_id"] for d in map(raw_bson.decode, this.before.values())}
    assert error["id"] in (accounts[n], {"$numberInt": str(n)})
    assert this.world.states() == ["failed", "partial"]
    finish(forker, this.world, *DOWN)
    this.is_down()


def test_a_frozen_run_is_taken_over_and_neither_it_nor_its_workers_write_any_more(
    forker: Forker, this: Bank
) -> None:
    run = start(forker, this.world, *UP, "--max-rate", "60", constants=WRONG_CLOCK)
    workers = busy(this.world, run)
    run.send(signal.SIGSTOP)
    for worker in workers:
        os.kill(worker, signal.SIGSTOP)

    finish(forker, this.world, *UP)
    this.is_up()
    for worker in workers:
        os.kill(worker, signal.SIGCONT)
    run.thaw()

    assert run.wait() == LEASE_LOST, run.output
    eventually(lambda: not any(map(alive, workers)), GONE_S)
    this.is_up()
    finish(forker, this.world, *DOWN)
    this.is_down()


def test_a_run_is_taken_over_while_its_workers_are_at_work(forker: Forker, this: Bank) -> None:
    run = start(forker, this.world, *UP, "--max-rate", "60", constants=WRONG_CLOCK)
    workers = busy(this.world, run)
    run.send(signal.SIGSTOP)

    finish(forker, this.world, *UP)
    this.is_up()
    run.thaw()

    assert run.wait() == LEASE_LOST, run.output
    eventually(lambda: not any(map(alive, workers)), GONE_S)
    this.is_up()


def test_unlock_force_shuts_out_all_workers(forker: Forker, this: Bank) -> None:
    run = start(forker, this.world, *UP, "--max-rate", "100")
    workers = busy(this.world, run)

    forker.succeed(this.world, "unlock", "--force", "--yes")

    assert run.wait() == LEASE_LOST, run.output
    assert not any(map(alive, workers))
    assert batches(this.world) < ACCOUNTS / 20
    finish(forker, this.world, *UP)
    this.is_up()


def test_applications_that_write_while_two_workers_migrate_lose_nothing(
    one: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partitions, "WORTH", 100)
    monkeypatch.setattr(partitions, "SIZE", 150)
    one.settings |= {"workers": 2, "batch_size": 50}
    one.insert("things", [{"_id": i, "kind": "old", "n": 0, "pad": "x" * 500} for i in range(DOCUMENTS)])
    one.write("0001_label.py", MIGRATION)
    before = {d["_id"]: d for d in one.documents("things")}

    with traffic(one) as applications:
        with one.migrator(max_rate=1_000) as migrator:
            succeeded(migrator.up())
    conserved(one, applications, before)
    late = set().union(*(a.inserted for a in applications))
    assert all(d["label"] == f"{d['kind']}!" for d in one.documents("things") if d["_id"] not in late)

    with traffic(one) as more:
        succeeded(one.down())
    conserved(one, [*applications, *more], before)


@pytest.mark.soak
def test_the_run_is_killed_at_any_command_and_no_document_is_transformed_twice(
    forker: Forker, one: World, tmp_path: Path
) -> None:
    this = bank(one, 300)
    choose = random.Random(3)
    for argv, check, back in ((UP, this.is_up, DOWN), (DOWN, this.is_down, UP)):
        record = tmp_path / argv[0]
        assert start(forker, one, *argv, record=record).wait() == 0
        check()
        for strike in strikes(record, choose, thorough=False):
            finish(forker, one, *back)
            run = start(forker, one, *argv, strikes=[strike])
            assert run.wait() in (-signal.SIGKILL, 0), run.output
            finish(forker, one, *argv)
            check()
