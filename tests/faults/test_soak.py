"""Minutes of random faults with a seed that brings the same ones again.

GOAIME_MIGRATE_SOAK_MINUTES=10 GOAIME_MIGRATE_SOAK_SEED=7 python -m pytest -m soak tests/faults -s
"""

from __future__ import annotations

import faulthandler
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.faults.runs import MOMENTS, Forker, Run, Strike, eventually, recorded
from tests.faults.workload import Bank, bank
from tests.servers import Proxy, ReplicaSet, fail_command
from tests.world import World

MINUTES = float(os.environ.get("GOAIME_MIGRATE_SOAK_MINUTES", "5"))
SEED = int(os.environ.get("GOAIME_MIGRATE_SOAK_SEED", "1"))
UP = ("up",)
DOWN = ("down", "base", "--yes")
QUICK = "heartbeatFrequencyMS=500"
PARTED = {"run.partitions.WORTH": 100, "run.partitions.SIZE": 60, "transform.frozen_lookups.LARGE": 100}
"""So that several threads, of one process or of two, share a walk."""
SHORT_LEASE = {"run.lock.TTL_S": 3.0, "run.lock.HEARTBEAT_S": 0.5, "run.lock.MARGIN_S": 0.5}
ROUND_S = 600
"""A walk up and down that takes longer hangs: it ends the soak and shows where every thread stands.

This clock stands in for pytest's, which is for a test as a whole.
"""
ORDERLY = {0, 6, 7, 8, 130, 143, -signal.SIGKILL}


@dataclass
class Soak:
    """One walk up or down, disturbed until it is done."""

    forker: Forker
    this: Bank
    servers: ReplicaSet
    choose: random.Random
    commands: dict[str, list[tuple[str, str]]]
    seen: Counter[str] = field(default_factory=Counter)
    parted: bool = False
    """Whether the present walk is shared."""

    @property
    def faults(self) -> list[Callable[[tuple[str, ...]], Run]]:
        """What can go wrong."""
        return [self.killed, self.frozen, self.signalled, self.cut_off, self.failing, self.failover]

    def walk(self, argv: tuple[str, ...]) -> None:
        """A few faults, then a run that nobody disturbs."""
        self.parted = self.choose.random() < 0.5
        self.seen["parted"] += self.parted
        for _ in range(self.choose.randint(1, 4)):
            fault = self.choose.choice(self.faults)
            self.seen[fault.__name__] += 1
            run = fault(argv)
            status = run.wait()
            assert status in ORDERLY, f"{fault.__name__} {argv}: {status}\n{run.output}"
        self.servers.heal()
        self.forker.succeed(self.this.world, *argv)

    def strike(self, argv: tuple[str, ...], number: int = signal.SIGKILL) -> Strike:
        """A signal at any command at any moment."""
        counted = Counter(self.commands[argv[0]])
        command, collection = self.choose.choice(sorted(counted))
        nth = self.choose.randint(1, counted[command, collection])
        return Strike(command, collection, nth, self.choose.choice(MOMENTS), number)

    def started(self, argv: tuple[str, ...], *strikes: Strike, uri: str | None = None) -> Run:
        """A run with a short lease."""
        world = self.this.world
        constants = SHORT_LEASE | PARTED if self.parted else SHORT_LEASE
        workers = ("--workers", self.choose.choice("12"))
        return self.forker.start(
            world, *argv, *workers, strikes=strikes, constants=constants, uri=f"{uri or world.uri}&{QUICK}"
        )

    def killed(self, argv: tuple[str, ...]) -> Run:
        """`kill -9`."""
        return self.started(argv, self.strike(argv))

    def frozen(self, argv: tuple[str, ...]) -> Run:
        """SIGSTOP, while another run goes on."""
        run = self.started(argv, self.strike(argv, signal.SIGSTOP))
        eventually(lambda: not run.running or run.frozen)
        if run.running:
            self.forker.run(self.this.world, *self.choose.choice((UP, DOWN)))
            run.thaw()
        return run

    def signalled(self, argv: tuple[str, ...]) -> Run:
        """One signal or two."""
        numbers = self.choose.sample((signal.SIGINT, signal.SIGTERM), self.choose.randint(1, 2))
        return self.started(argv, *(self.strike(argv, number) for number in numbers))

    def cut_off(self, argv: tuple[str, ...]) -> Run:
        """Replies that are lost."""
        with Proxy(self.servers.primary.address) as proxy:
            command = self.choose.choice(("commitTransaction", "update", "find", "findAndModify"))
            proxy.drop_reply(command, times=self.choose.randint(1, 3))
            run = self.started(argv, uri=proxy.uri)
            run.wait()
        return run

    def failing(self, argv: tuple[str, ...]) -> Run:
        """Commands that the server refuses for a while."""
        command = self.choose.choice(("commitTransaction", "update", "find"))
        code = self.choose.choice((91, 189, 10107, 11602))
        times = self.choose.randint(1, 3)
        with fail_command(
            self.servers.primary, command, times=times, error_code=code, app_name="goaime-migrate"
        ):
            run = self.started(argv)
            run.wait()
        return run

    def failover(self, argv: tuple[str, ...]) -> Run:
        """A primary that is killed."""
        run = self.started(argv, self.strike(argv, signal.SIGSTOP))
        eventually(lambda: not run.running or run.frozen)
        self.servers.primary.kill()
        run.thaw()
        run.wait()
        self.servers.heal()
        return run


@pytest.mark.soak
def test_nothing_is_lost_in_minutes_of_random_faults(
    forker: Forker, three: World, three_nodes: ReplicaSet, tmp_path: Path
) -> None:
    this = bank(three, 300, mixed=True)
    for argv in (UP, DOWN):
        forker.succeed(three, *argv, record=tmp_path / argv[0])
    commands = {name: recorded(tmp_path / name) for name in ("up", "down")}
    soak = Soak(forker, this, three_nodes, random.Random(SEED), commands)
    deadline, rounds = time.monotonic() + MINUTES * 60, 0

    while time.monotonic() < deadline:
        faulthandler.dump_traceback_later(ROUND_S, exit=True)
        soak.walk(UP)
        this.is_up()
        soak.walk(DOWN)
        this.is_down()
        rounds += 1
        print(f"seed {SEED}: {rounds} rounds, {dict(soak.seen)}")
    faulthandler.cancel_dump_traceback_later()
