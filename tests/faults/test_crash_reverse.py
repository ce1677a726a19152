"""`kill -9` at every database command of a `down` that takes documents back which were inserted after `up`."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from bson import encode

from goaime_migrate.backends import raw_bson
from tests.faults.conftest import Portion
from tests.faults.runs import Forker, Strike
from tests.faults.test_crash import DOWN, UP, killed, killed_and_finished, strikes
from tests.faults.workload import ADD, RATE, RATES, Bank, bank

ONE_DOWN = ("down", "0001", "--yes")
ADD_BACK = '''

def back(account: Document) -> None:
    """To be called once: it subtracts every time."""
    account["n"] -= 1000
'''
RATE_BACK = '''

def back(account: Document, rates: Mapping[str, Document]) -> None:
    """To be called once: it divides every time."""
    account["n"] //= rates[account["currency"]]["rate"]
    del account["history"]
'''


@dataclass
class Newborn(Bank):
    """Accounts of which a third is opened after each `up`, by an application that knows only the new shape."""

    def bear(self) -> None:
        """What the application does after `up`."""
        self.world.insert("accounts", [new(account) for account in self.inserted()])

    def bury(self) -> None:
        """What it does before the next."""
        for account in self.inserted():
            self.world.remove("accounts", account["_id"])

    def inserted(self) -> list[dict[str, Any]]:
        """The accounts that are opened, in the old shape."""
        return [
            {"_id": identity, "n": i, "currency": list(RATES)[i % 3]}
            for i, identity in enumerate([*(n + 0.5 for n in range(12)), *(f"born-{n}" for n in range(12))])
        ]

    def is_halfway(self) -> None:
        """Only the first version is in effect, in all documents."""
        half = {**self.before, **self._of_inserted(0)}
        half = {
            i: encode({**raw_bson.decode(d), "n": raw_bson.decode(d)["n"] + 1000}) for i, d in half.items()
        }
        self.check(half)
        assert self.world.states() == ["applied", "pending"]

    def is_down_with_inserted(self) -> None:
        """Every document is as it would have been without the migrations."""
        self.check({**self.before, **self._of_inserted(0)})
        assert set(self.world.states()) == {"pending"}

    def _of_inserted(self, more: int) -> dict[bytes, bytes]:
        documents = [encode({**account, "n": account["n"] + more}) for account in self.inserted()]
        return {raw_bson.id_of(document): document for document in documents}


def new(account: dict[str, Any]) -> dict[str, Any]:
    """An account in the new shape."""
    n = (account["n"] + 1000) * RATES[account["currency"]]
    return {**account, "n": n, "history": [n]}


@pytest.fixture(params=["one", "alone"], ids=["transactions", "no transactions"])
def this(request: pytest.FixtureRequest) -> Newborn:
    world = request.getfixturevalue(request.param)
    found = bank(world, 40)
    add = ADD.partition("operations")[0] + ADD_BACK
    world.write("0001_add.py", add + 'operations = [TransformDocuments("accounts", add, reverse=back)]\n')
    rate = RATE.partition("operations")[0] + RATE_BACK
    lookup = 'rates=Lookup("rates")'
    world.write(
        "0002_convert.py",
        rate + f'operations = [TransformDocuments("accounts", convert, reverse=back, {lookup})]\n',
    )
    return Newborn(world, found.before, found.after)


def listed(forker: Forker, this: Newborn, argv: tuple[str, ...], folder: Path) -> list[Strike]:
    """Strikes for a command that is run to its end on the way."""
    forker.succeed(this.world, *argv, record=folder / "commands")
    found = list(strikes(folder / "commands", random.Random(0), thorough=False))
    (folder / "commands").unlink()
    return found


def test_what_was_inserted_since_is_reversed_exactly_once(
    forker: Forker, this: Newborn, tmp_path: Path, portion: Portion
) -> None:
    forker.succeed(this.world, *UP)
    this.bear()
    kills = 0
    for strike in portion.of(listed(forker, this, DOWN, tmp_path)):
        this.is_down_with_inserted()
        this.bury()
        forker.succeed(this.world, *UP)
        this.is_up()
        this.bear()
        print("down killed", strike)
        kills += killed_and_finished(forker, this, DOWN, strike)
    this.is_down_with_inserted()
    assert kills > portion.least(15)


def test_what_was_inserted_since_is_reversed_exactly_once_step_by_step(
    forker: Forker, this: Newborn, tmp_path: Path, portion: Portion
) -> None:
    forker.succeed(this.world, *UP)
    this.bear()
    kills = 0
    for strike in portion.of(listed(forker, this, ONE_DOWN, tmp_path)):
        this.is_halfway()
        forker.succeed(this.world, *DOWN)
        this.is_down_with_inserted()
        this.bury()
        forker.succeed(this.world, *UP)
        this.is_up()
        this.bear()
        print("down killed", strike)
        kills += killed_and_finished(forker, this, ONE_DOWN, strike)
    this.is_halfway()
    forker.succeed(this.world, *DOWN)
    this.is_down_with_inserted()
    assert kills > portion.least(15)


def test_a_way_down_that_was_killed_may_be_gone_further(
    forker: Forker, this: Newborn, tmp_path: Path, portion: Portion
) -> None:
    forker.succeed(this.world, *UP)
    this.bear()
    kills = 0
    for strike in portion.of(listed(forker, this, ONE_DOWN, tmp_path)[::2]):
        forker.succeed(this.world, *DOWN)
        this.is_down_with_inserted()
        this.bury()
        forker.succeed(this.world, *UP)
        this.bear()
        print("down killed", strike)
        kills += killed(forker, this.world, ONE_DOWN, strike)
    forker.succeed(this.world, *DOWN)
    this.is_down_with_inserted()
    assert kills > portion.least(8)


def test_a_way_down_that_was_killed_may_be_gone_on_with_one_by_one(
    forker: Forker, this: Newborn, tmp_path: Path, portion: Portion
) -> None:
    forker.succeed(this.world, *UP)
    this.bear()
    kills = 0
    for strike in portion.of(listed(forker, this, DOWN, tmp_path)[1::2]):
        this.is_down_with_inserted()
        this.bury()
        forker.succeed(this.world, *UP)
        this.bear()
        print("down killed", strike)
        kills += killed(forker, this.world, DOWN, strike)
        forker.succeed(this.world, "down", "--yes")
        forker.succeed(this.world, "down", "--yes")
    this.is_down_with_inserted()
    assert kills > portion.least(8)


MARK = '''
from goaime_migrate import Document, TransformDocuments


def mark(account: Document) -> None:
    account["n"] += 7


def back(account: Document) -> None:
    """To be called once."""
    account["n"] -= 7


operations = [TransformDocuments("accounts", mark, reverse=back)]
'''


@pytest.mark.parametrize("apart", [False, True], ids=["one pass", "three passes"])
def test_what_one_version_cannot_reverse_stays_exactly_there_whenever_a_run_is_killed(
    forker: Forker, this: Newborn, tmp_path: Path, portion: Portion, apart: bool
) -> None:
    versions = {
        "0001_add.py": (this.world.folder / "0001_add.py").read_text(),
        "0002_convert.py": RATE,
        "0003_mark.py": MARK,
    }
    (this.world.folder / "0002_convert.py").unlink()

    def up() -> None:
        for name, source in versions.items():
            this.world.write(name, source)
            if apart:
                forker.succeed(this.world, *UP)
        forker.succeed(this.world, *UP)
        for account in this.inserted():
            this.world.insert("accounts", [{**new(account), "n": new(account)["n"] + 7}])

    def is_halfway() -> None:
        left = [encode(new(account)) for account in this.inserted()]
        this.check({**this.before, **{raw_bson.id_of(d): d for d in left}})
        assert set(this.world.states()) == {"pending"}
        this.bury()

    one_by_one: list[tuple[str, ...]] = [("down", "0002", "--yes"), ("down", "0001", "--yes"), DOWN]
    up()
    kinds: list[list[tuple[tuple[str, ...], Strike]]]
    kinds = [[(DOWN, strike)] for strike in listed(forker, this, DOWN, tmp_path)]
    is_halfway()
    up()
    kinds += [[(argv, s) for s in listed(forker, this, argv, tmp_path)] for argv in one_by_one]
    is_halfway()
    whole, steps = kinds[:-3], kinds[-3:]
    rounds = whole[::2] + [list(each) for each in zip(*(k[:: 1 + len(k) // 8] for k in steps), strict=False)]
    kills = 0
    for each in portion.of(rounds):
        up()
        for argv, strike in each:
            print(argv, "killed", strike)
            kills += killed_and_finished(forker, this, argv, strike)
        is_halfway()
    assert kills > portion.least(12)
