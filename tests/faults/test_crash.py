"""`kill -9` at every database command and at random instants: no document is lost, none transformed twice."""

from __future__ import annotations

import random
import signal
from collections import Counter
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from tests.faults.conftest import Portion
from tests.faults.runs import MOMENTS, Forker, Strike, recorded
from tests.faults.workload import Bank, bank
from tests.world import World

AT_ONCE_S = 15.0
"""A dead process of this host is taken over at once: not after its lease, and not after its open transaction."""

UP = ("up",)
DOWN = ("down", "base", "--yes")


READS = {"aggregate", "buildinfo", "find", "getMore", "hello", "listCollections", "listIndexes"}


def strikes(record: Path, choose: random.Random, *, thorough: bool) -> Iterator[Strike]:
    """Every distinct command of a recorded run, at its first, its last or any time.

    Those that write are struck at each moment in turn; `thorough`, each of them at all moments.
    """
    turn = cycle(MOMENTS)
    for (command, collection), times in Counter(recorded(record)).items():
        moments = MOMENTS if thorough else ("before",) if command in READS else (next(turn),)
        for moment in moments:
            yield Strike(command, collection, choose.choice((1, times, choose.randint(1, times))), moment)


def killed(forker: Forker, world: World, argv: tuple[str, ...], strike: Strike, **options: Any) -> bool:
    """Kill a run as the strike says; whether the strike came at all."""
    run = forker.start(world, *argv, strikes=[strike], **options)
    status = run.wait()
    assert status in (-signal.SIGKILL, 0), run.output
    return status != 0


def killed_and_finished(forker: Forker, this: Bank, argv: tuple[str, ...], strike: Strike) -> bool:
    """The same, and let the next run finish."""
    came = killed(forker, this.world, argv, strike)
    forker.succeed(this.world, *argv, timeout=AT_ONCE_S)
    return came


def kill_everywhere(
    forker: Forker, this: Bank, folder: Path, portion: Portion, *, thorough: bool = False
) -> int:
    """Up and down, over and over, each killed at another command; how many kills there were."""
    choose = random.Random(0)
    forker.succeed(this.world, *UP, record=folder / "up")
    this.is_up()
    forker.succeed(this.world, *DOWN, record=folder / "down")
    this.is_down()
    ups = list(strikes(folder / "up", choose, thorough=thorough))
    downs = list(strikes(folder / "down", choose, thorough=thorough))
    kills = 0
    for i in portion.of(range(max(len(ups), len(downs)))):
        for argv, all_strikes, check in ((UP, ups, this.is_up), (DOWN, downs, this.is_down)):
            strike = all_strikes[i % len(all_strikes)]
            print(argv[0], "killed", strike)
            kills += killed_and_finished(forker, this, argv, strike)
            check()
    return kills


def test_killed_at_any_command_every_document_is_transformed_exactly_once(
    forker: Forker, one: World, tmp_path: Path, portion: Portion
) -> None:
    assert kill_everywhere(forker, bank(one, 80, mixed=True), tmp_path, portion) > portion.least(50)


def test_killed_at_random_instants_again_and_again_it_comes_to_its_end(forker: Forker, one: World) -> None:
    this = bank(one, 2_000)
    choose = random.Random(1)

    for argv, check in ((UP, this.is_up), (DOWN, this.is_down)) * 2:
        for _ in range(6):
            run = forker.start(one, *argv, batch_size=50)
            run.end_after(choose.uniform(0.05, 0.5))
        forker.succeed(one, *argv, batch_size=50)
        check()


@pytest.mark.parametrize("before", [(), ("up", "--where", '{"n": {"$mod": [4, 1]}}')], ids=["", "a canary"])
def test_without_transactions_no_version_is_applied_before_its_pass_is_over(
    forker: Forker, alone: World, before: tuple[str, ...]
) -> None:
    this = bank(alone, 20)
    kills = 0
    for nth in range(1, 6):
        if before:
            forker.succeed(alone, *before)
        kills += killed_and_finished(forker, this, UP, Strike("update", "schema_versions", nth, "sent"))
        this.is_up()
        forker.succeed(alone, *DOWN)
        this.is_down()
    assert kills >= 4


def test_without_transactions_a_batch_whose_documents_have_left_the_filter_keeps_its_journal(
    forker: Forker, alone: World
) -> None:
    this = bank(alone)
    source = (alone.folder / "0002_convert.py").read_text()
    (alone.folder / "0002_convert.py").unlink()
    (alone.folder / "0001_add.py").write_text(
        source.replace("rates=", 'where={"history": {"$exists": False}}, rates=')
    )
    strike = Strike("update", "schema_versions_progress", 5, "before")

    assert killed_and_finished(forker, this, UP, strike)

    assert all(len(document["history"]) == 1 for document in alone.documents("accounts"))
    assert killed_and_finished(forker, this, DOWN, strike)
    this.is_down()


def test_without_transactions_a_killed_run_finds_in_the_journal_what_it_had_done(
    forker: Forker, alone: World, tmp_path: Path, portion: Portion
) -> None:
    assert kill_everywhere(forker, bank(alone, 80), tmp_path, portion) > portion.least(30)


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["one", "alone"])
def test_killed_at_any_moment_of_any_command_every_document_is_transformed_exactly_once(
    request: pytest.FixtureRequest, forker: Forker, tmp_path: Path, kind: str
) -> None:
    this = bank(request.getfixturevalue(kind), 80, mixed=kind == "one")
    assert kill_everywhere(forker, this, tmp_path, Portion(1), thorough=True) > 100
