"""`kill -9` at every database command of a canary, of the run that completes it, and of taking either back."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.faults.conftest import Portion
from tests.faults.runs import Forker, Strike
from tests.faults.test_crash import DOWN, UP, killed, killed_and_finished, strikes
from tests.faults.workload import Bank, bank
from tests.world import World

CANARY = ("up", "--where", '{"n": {"$mod": [4, 1]}}')
"""A filter on a field that the migration changes: what is migrated may match no more, or only now."""


@pytest.fixture(params=["one", "alone"], ids=["transactions", "no transactions"])
def this(request: pytest.FixtureRequest) -> Bank:
    return bank(request.getfixturevalue(request.param), 60)


@pytest.fixture
def choose() -> random.Random:
    return random.Random(0)


def listed(forker: Forker, world: World, argv: tuple[str, ...], folder: Path) -> list[Strike]:
    """Strikes for a command that is run to its end on the way."""
    forker.succeed(world, *argv, record=folder / "commands")
    found = list(strikes(folder / "commands", random.Random(0), thorough=False))
    (folder / "commands").unlink()
    return found


def test_a_canary_that_was_killed_is_completed_or_taken_back(
    forker: Forker, this: Bank, tmp_path: Path, portion: Portion
) -> None:
    all_strikes = listed(forker, this.world, CANARY, tmp_path)
    forker.succeed(this.world, *DOWN)
    this.is_down()
    kills = 0
    for i, strike in enumerate(portion.of(all_strikes)):
        print("canary killed", strike)
        kills += killed(forker, this.world, CANARY, strike)
        if i % 3:
            forker.succeed(this.world, *UP)
            this.is_up()
        forker.succeed(this.world, *DOWN)
        this.is_down()
    assert kills > portion.least(15)


def test_a_run_that_completes_a_canary_is_killed(
    forker: Forker, this: Bank, tmp_path: Path, portion: Portion
) -> None:
    forker.succeed(this.world, *CANARY)
    ups = listed(forker, this.world, UP, tmp_path)
    this.is_up()
    downs = listed(forker, this.world, DOWN, tmp_path)
    this.is_down()
    kills = 0
    for i in portion.of(range(max(len(ups), len(downs)))):
        forker.succeed(this.world, *CANARY)
        print("killed up", ups[i % len(ups)], "and down", downs[i % len(downs)])
        kills += killed_and_finished(forker, this, UP, ups[i % len(ups)])
        this.is_up()
        kills += killed_and_finished(forker, this, DOWN, downs[i % len(downs)])
        this.is_down()
    assert kills > portion.least(40)


def test_taking_a_canary_back_is_killed(forker: Forker, this: Bank, tmp_path: Path, portion: Portion) -> None:
    forker.succeed(this.world, *CANARY)
    kills = 0
    for strike in portion.of(listed(forker, this.world, DOWN, tmp_path)):
        this.is_down()
        forker.succeed(this.world, *CANARY)
        print("down killed", strike)
        kills += killed_and_finished(forker, this, DOWN, strike)
        this.is_down()
    assert kills > portion.least(15)
