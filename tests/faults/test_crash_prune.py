"""`kill -9` at every command of `prune`: what is marked is refused, what is not is whole, and the next run finishes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from bson.raw_bson import RawBSONDocument

from goaime_migrate.backends.ports import JOURNAL, RECORDS
from tests.faults.conftest import Portion
from tests.faults.runs import Forker
from tests.faults.test_crash import DOWN, UP, killed, strikes
from tests.faults.workload import Bank, bank
from tests.world import World

PRUNE = ("prune", "--keep", "0d", "--yes")
PERSON = "account-00009"
ERASE = ("prune", "--collection", "accounts", "--id", f'"{PERSON}"', "--yes")
DROP = 'from goaime_migrate import *\noperations = [DropCollection("notes")]\n'
ASIDE = "schema_versions_aside.0003.notes"
KEPT = ("accounts", "notes", ASIDE, *RECORDS)


class Moment:
    """Everything that is there, so that it can be had again."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._kept = {name: list(world.raws(name).values()) for name in KEPT}

    def again(self) -> None:
        with self._world.client() as client:
            for name, documents in self._kept.items():
                collection = client[self._world.database][name]
                collection.drop() if not documents else collection.delete_many({})
                if documents:
                    collection.insert_many([RawBSONDocument(document) for document in documents])


@pytest.fixture(params=["one", "alone"], ids=["transactions", "no transactions"])
def applied(request: pytest.FixtureRequest, forker: Forker) -> Bank:
    """Two versions in one pass, and one that keeps a collection aside."""
    this = bank(request.getfixturevalue(request.param), 60)
    this.world.write("0003_drop.py", DROP)
    forker.succeed(this.world, *UP)
    this.is_up()
    return this


def runs(
    forker: Forker, this: Bank, argv: tuple[str, ...], folder: Path, portion: Portion, least: int
) -> Iterator[None]:
    """Kill the command at one place after the other, each time from the same beginning."""
    moment = Moment(this.world)
    forker.succeed(this.world, *argv, record=folder / "commands")
    kills = 0
    for strike in portion.of(list(strikes(folder / "commands", random.Random(0), thorough=True))):
        moment.again()
        print(argv[0], "killed", strike)
        kills += killed(forker, this.world, argv, strike)
        yield
    assert kills >= portion.least(least)


def test_a_pruned_version_is_refused_and_any_other_is_whole(
    forker: Forker, applied: Bank, tmp_path: Path, portion: Portion
) -> None:
    refused = 0
    for _ in runs(forker, applied, PRUNE, tmp_path, portion, 20):
        status = forker.run(applied.world, *DOWN)
        if status == 0:
            applied.is_down()
            continue
        refused += 1
        assert status == 9
        applied.is_up()
        forker.succeed(applied.world, *PRUNE)
        assert applied.world.raws(JOURNAL) == applied.world.raws(ASIDE) == {}
        assert forker.run(applied.world, *DOWN) == 9
        applied.is_up()
    assert refused > 1


def test_an_erasure_that_was_cut_off_is_finished_by_the_next(
    forker: Forker, applied: Bank, tmp_path: Path, portion: Portion
) -> None:
    for number, _ in enumerate(runs(forker, applied, ERASE, tmp_path, portion, 12)):
        if number % 2:
            forker.succeed(applied.world, *ERASE)
        run = forker.succeed(applied.world, *DOWN)
        left = [before["_id"] for _, before in applied.differences(applied.before)]
        assert left in ([], [PERSON]) if number % 2 == 0 else left == [PERSON]
        assert run.output.count("1 document stays as it is: erased") == len(left)
