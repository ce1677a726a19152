"""A dump directory whose writer is killed has the old generation or the new one, never something in between."""

from __future__ import annotations

import json
from pathlib import Path

from tests.faults.runs import Forker, Strike, recorded
from tests.faults.workload import Bank, bank
from tests.world import World

UP = ("up",)
DOWN = ("down", "base", "--yes")


def states(forker: Forker, world: World) -> set[str]:
    """What a reader sees, without repairing anything."""
    run = forker.succeed(world, "status", "--json")
    return {version["state"] for version in json.loads(run.output)["versions"]}


def kill_everywhere(forker: Forker, this: Bank, argv: tuple[str, ...], changes: int) -> set[str]:
    """Kill a run before each change that it makes to the directory, and let the next finish; what was found between."""
    world, found = this.world, set[str]()
    other, old = (DOWN, "pending") if argv == UP else (UP, "applied")
    for nth in range(1, changes + 1):
        assert forker.run(world, *argv, strikes=[Strike(nth=nth)]) == -9
        (state,) = states(forker, world)
        found.add(state)
        if state == old:
            this.check(this.before if argv == UP else this.after)
            forker.succeed(world, *argv)
        forker.succeed(world, *other)
        this.check(this.before if argv == UP else this.after)
        assert not (world.dump.parent / ".goaime-migrate").exists()
    return found


def test_killed_at_any_change_of_the_directory_a_run_leaves_the_old_or_the_new_generation(
    forker: Forker, tmp_path: Path
) -> None:
    (tmp_path / "dump").mkdir()
    world = World("embedded", f"dump:{tmp_path / 'dump'}", "goaime", tmp_path / "migrations")
    this = bank(world)
    forker.succeed(world, *UP, record=tmp_path / "up")
    this.is_up()

    downs = kill_everywhere_downs(forker, this, tmp_path)
    ups = kill_everywhere(forker, this, UP, len(recorded(tmp_path / "up")))

    assert ups == {"pending", "applied"}
    assert downs == {"pending", "applied"}


def kill_everywhere_downs(forker: Forker, this: Bank, folder: Path) -> set[str]:
    """The same for the way down, which begins and ends migrated; the last one leaves it taken back."""
    forker.succeed(this.world, *DOWN, record=folder / "down")
    this.is_down()
    forker.succeed(this.world, *UP)
    found = kill_everywhere(forker, this, DOWN, len(recorded(folder / "down")))
    forker.succeed(this.world, *DOWN)
    this.is_down()
    return found
