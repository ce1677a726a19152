"""`kill -9` at every database command and at random instants: no document is lost, none transformed twice."""

from __future__ import annotations

import random
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.runs import MOMENTS, Forker, Moment, Strike, recorded
from tests.faults.workload import Bank, bank
from tests.world import World

AT_ONCE_S = 15.0
"""A dead process of this host is taken over at once: not after its lease, and not after its open transaction."""

UP = ("up",)
DOWN = ("down", "base", "--yes")


def strikes(record: Path, moment: Moment, choose: random.Random) -> Iterator[Strike]:
    """One strike for every distinct command of a recorded run: at its first, its last, or any time."""
    for (command, collection), times in Counter(recorded(record)).items():
        nth = choose.choice((1, times, choose.randint(1, times)))
        yield Strike(command, collection, nth, moment)


def killed_and_finished(forker: Forker, this: Bank, argv: tuple[str, ...], strike: Strike) -> bool:
    """Kill a run as the strike says, and let the next one finish; whether the strike came at all."""
    run = forker.start(this.world, *argv, strikes=[strike])
    status = run.wait()
    assert status in (-signal.SIGKILL, 0), run.output
    forker.succeed(this.world, *argv, timeout=AT_ONCE_S)
    return status != 0


def kill_everywhere(forker: Forker, this: Bank, folder: Path, moment: Moment) -> int:
    """Up and down, over and over, each killed at another command; how many kills there were."""
    choose = random.Random(f"{moment} {this.world.kind}")
    forker.succeed(this.world, *UP, record=folder / "up")
    this.is_up()
    forker.succeed(this.world, *DOWN, record=folder / "down")
    this.is_down()
    ups = list(strikes(folder / "up", moment, choose))
    downs = list(strikes(folder / "down", moment, choose))
    kills = 0
    for i in range(max(len(ups), len(downs))):
        for argv, all_strikes, check in ((UP, ups, this.is_up), (DOWN, downs, this.is_down)):
            strike = all_strikes[i % len(all_strikes)]
            print(argv[0], "killed", strike)
            kills += killed_and_finished(forker, this, argv, strike)
            check()
    return kills


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_at_any_command_every_document_is_transformed_exactly_once(
    forker: Forker, one: World, tmp_path: Path, moment: Moment
) -> None:
    assert kill_everywhere(forker, bank(one), tmp_path, moment) > 20


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_at_any_command_of_any_operation_the_next_run_finishes_it(
    forker: Forker, one: World, tmp_path: Path, moment: Moment
) -> None:
    assert kill_everywhere(forker, bank(one, 60, mixed=True), tmp_path, moment) > 20
