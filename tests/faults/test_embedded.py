"""A dump directory whose writer is killed has the old generation or the new one, never something in between."""

from __future__ import annotations

import json
from collections import Counter
from itertools import count
from pathlib import Path

import pytest

from tests.faults.runs import Forker, Strike
from tests.faults.workload import Bank, bank
from tests.world import World

UP = ("up",)
DOWN = ("down", "base", "--yes")


@pytest.fixture
def dump(tmp_path: Path) -> World:
    """An empty dump directory."""
    (tmp_path / "dump").mkdir()
    return World("embedded", f"dump:{tmp_path / 'dump'}", "goaime", tmp_path / "migrations")


def state(forker: Forker, world: World) -> str:
    """What a reader sees, who repairs nothing."""
    run = forker.succeed(world, "status", "--json")
    (found,) = {version["state"] for version in json.loads(run.output)["versions"]}
    assert isinstance(found, str)
    return found


def kill_everywhere(forker: Forker, this: Bank, argv: tuple[str, ...], back: tuple[str, ...]) -> Counter[str]:
    """Kill a run before each change that it makes to the directory, and go there and back; what was found between."""
    world, found = this.world, Counter[str]()
    old, images = ("pending", this.before) if argv == UP else ("applied", this.after)
    for nth in count(1):
        if forker.run(world, *argv, strikes=[Strike(nth=nth)]) == 0:
            forker.succeed(world, *back)
            return found
        seen = state(forker, world)
        found[seen] += 1
        if seen == old:
            this.check(images)
            forker.succeed(world, *argv)
        forker.succeed(world, *back)
        this.check(images)
        assert not (world.dump.parent / ".goaime-migrate").exists()
    raise AssertionError("it never came to its end")


def test_killed_at_any_change_of_the_directory_a_run_leaves_the_old_or_the_new_generation(
    forker: Forker, dump: World
) -> None:
    this = bank(dump)
    forker.succeed(dump, *UP)  # the first one has more files to make

    downs = kill_everywhere(forker, this, DOWN, UP)
    forker.succeed(dump, *DOWN)
    this.is_down()
    ups = kill_everywhere(forker, this, UP, DOWN)

    assert min(ups["pending"], ups["applied"], downs["pending"], downs["applied"]) > 3


def test_killed_at_any_change_of_its_first_run_it_leaves_a_dump_that_up_takes(
    forker: Forker, tmp_path: Path
) -> None:
    for nth in range(1, 100, 4):
        (tmp_path / str(nth)).mkdir()
        world = World("embedded", f"dump:{tmp_path / str(nth)}", "goaime", tmp_path / "migrations")
        this = bank(world)
        status = forker.run(world, *UP, strikes=[Strike(nth=nth)])
        forker.succeed(world, *UP)
        forker.succeed(world, *DOWN)
        this.is_down()
        if status == 0:
            return
    raise AssertionError("it never came to its end")
