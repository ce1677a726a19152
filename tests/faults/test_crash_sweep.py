"""`kill -9` while stragglers are swept: each is brought forward exactly once, and `down` gives back its bytes."""

from __future__ import annotations

import random
import signal
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from bson import encode
from pymongo import ReplaceOne

from goaime_migrate.backends import raw_bson
from tests.faults.conftest import Portion
from tests.faults.runs import Forker, Strike, eventually
from tests.faults.test_crash import killed, strikes
from tests.world import World, succeeded

SWEEP = ("sweep",)
SIGNS = "€$£"
BEFORE = [{"_id": i, "n": i, "name": "name"} for i in range(60)]
OLD = [{"_id": i, "n": i, "name": "old"} for i in range(0, 100, 2)]
COUNT = """
    from goaime_migrate import TransformDocuments

    def count(account):
        account["n"] += 1000
        account["v"] = 2

    operations = [TransformDocuments("accounts", count, where={"v": {"$exists": False}})]
    """
RENAME = """
    from goaime_migrate import Lookup, TransformDocuments

    def title(account, rates):
        if "name" in account:
            account["title"] = account.pop("name") + rates[account["_id"] % 3]["sign"]

    operations = [TransformDocuments("accounts", title, rates=Lookup("rates"))]
    """


@dataclass
class Accounts:
    """Accounts of which an old application has written some since `up`: one of two anew, and some more."""

    world: World

    def begin(self) -> None:
        """Applied, and then written by an old application."""
        succeeded(self.world.up())
        self.write()

    def write(self) -> None:
        """What the old application does: it replaces whole what it had read, and inserts."""
        with self.world.client() as client:
            client[self.world.database].accounts.bulk_write(
                [ReplaceOne({"_id": each["_id"]}, each, upsert=True) for each in OLD]
            )

    def is_swept(self) -> None:
        """Every document has gone through both transforms, once."""
        old = {each["_id"] for each in OLD}
        assert self.world.documents("accounts") == [
            {"_id": i, "n": i + 1000, "v": 2, "title": f"{'old' if i in old else 'name'}{SIGNS[i % 3]}"}
            for i in sorted({*range(60), *old})
        ]

    def is_down(self) -> None:
        """What the old application wrote is there as it wrote it, and all else as it was before."""
        assert self.world.raws("accounts") == _raws(BEFORE) | _raws(OLD)
        assert self.world.states() == ["pending", "pending"]

    def begin_anew(self) -> None:
        """As before the first time."""
        with self.world.client() as client:
            collection = client[self.world.database].accounts
            collection.delete_many({})
            collection.insert_many(BEFORE)


def _raws(documents: Iterable[Mapping[str, Any]]) -> dict[bytes, bytes]:
    return {raw_bson.id_of(raw): raw for raw in map(encode, documents)}


def accounts(world: World) -> Accounts:
    world.insert("accounts", BEFORE)
    world.insert("rates", [{"_id": i, "sign": sign} for i, sign in enumerate(SIGNS)])
    world.write("0001_count.py", COUNT)
    world.write("0002_title.py", RENAME)
    return Accounts(world)


def _killed_everywhere(forker: Forker, this: Accounts, record: Path, portion: Portion) -> int:
    this.begin()
    forker.succeed(this.world, *SWEEP, record=record)
    this.is_swept()
    succeeded(this.world.down("base"))
    this.is_down()
    kills = 0
    for strike in portion.of(list(strikes(record, random.Random(0), thorough=False))):
        this.begin_anew()
        this.begin()
        kills += killed(forker, this.world, SWEEP, strike)
        succeeded(this.world.sweep())
        this.is_swept()
        succeeded(this.world.down("base"))
        this.is_down()
    return kills


def test_killed_at_any_command_each_straggler_is_swept_exactly_once(
    forker: Forker, one: World, tmp_path: Path, portion: Portion
) -> None:
    assert _killed_everywhere(forker, accounts(one), tmp_path / "sweep", portion) > portion.least(20)


def test_without_transactions_too(forker: Forker, alone: World, tmp_path: Path, portion: Portion) -> None:
    assert _killed_everywhere(forker, accounts(alone), tmp_path / "sweep", portion) > portion.least(15)


def test_a_way_back_of_which_a_sweep_was_killed_gives_back_what_it_had_written(
    forker: Forker, one: World
) -> None:
    this = accounts(one)
    this.begin()
    assert killed(forker, one, SWEEP, Strike("update", "accounts", 2, "after"))
    succeeded(one.down("base"))
    this.is_down()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_order_while_it_follows(
    forker: Forker, one: World, number: signal.Signals
) -> None:
    this = accounts(one)
    succeeded(one.up())
    run = forker.start(one, *SWEEP, "--follow", "600")
    eventually(lambda: "is looked at" in run.output)
    this.write()
    eventually(lambda: all("v" in each for each in one.documents("accounts")))
    run.send(number)
    assert run.wait() == 128 + number, run.output
    assert "next: goaime-migrate sweep" in run.output
    this.is_swept()
    succeeded(one.sweep())
    succeeded(one.down("base"))
    this.is_down()


def test_it_follows_until_nothing_old_has_come_for_so_long(forker: Forker, one: World) -> None:
    this = accounts(one)
    succeeded(one.up())
    run = forker.start(one, *SWEEP, "--follow", "1.5")
    this.write()
    assert run.wait() == 0, run.output
    this.is_swept()
