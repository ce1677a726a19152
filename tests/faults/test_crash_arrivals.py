"""`kill -9` while documents are inserted and derived: each comes once, and all of them go again."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bson import encode

from goaime_migrate.backends import raw_bson
from tests.faults.conftest import Portion
from tests.faults.runs import Forker
from tests.faults.test_crash import AT_ONCE_S, DOWN, UP, killed, strikes
from tests.world import World

MIGRATION = """
    from goaime_migrate import DeriveDocuments, InsertDocuments

    def lines(order):
        yield {"_id": order["_id"], "copy": True}
        for place in range(order["n"]):
            yield {"_id": f"{order['_id']}/{place}", "order": order["_id"]}
        yield {"_id": f"kind {order['n']}"}

    def halves(order):
        return [{"_id": order["_id"] + 0.5}] if order["n"] else None

    operations = [
        InsertDocuments("lines", [{"_id": f"first {i}"} for i in range(45)]),
        DeriveDocuments("orders", "lines", lines),
        DeriveDocuments("orders", "orders", halves),
    ]
    """

PARTED = {"run.partitions.WORTH": 20, "run.partitions.SIZE": 2}
"""Lists and collections of a few dozen documents are parted."""


@dataclass
class Shop:
    """Orders, and what has to be made of them."""

    world: World
    before: tuple[dict[bytes, bytes], dict[bytes, bytes]]
    after: tuple[dict[bytes, bytes], dict[bytes, bytes]]

    def _now(self) -> tuple[dict[bytes, bytes], dict[bytes, bytes]]:
        return self.world.raws("orders"), self.world.raws("lines")

    def is_up(self) -> None:
        """Everything was made, once, and nothing else."""
        assert self._now() == self.after
        assert self.world.states() == ["applied"]

    def is_down(self) -> None:
        """All of it is gone, and so is the collection."""
        assert self._now() == self.before
        assert set(self.world.catalogue()) == {"orders"}
        assert self.world.states() == ["pending"]


def shop(world: World, count: int = 70) -> Shop:
    """Orders that are derived from twice."""
    orders: list[dict[str, Any]] = [{"_id": i, "n": i % 4} for i in range(count)]
    world.insert("orders", orders)
    world.write("0001_lines.py", MIGRATION)
    lines: list[dict[str, Any]] = [
        *({"_id": f"first {i}"} for i in range(45)),
        *({"_id": o["_id"], "copy": True} for o in orders),
        *({"_id": f"{o['_id']}/{place}", "order": o["_id"]} for o in orders for place in range(o["n"])),
        *({"_id": f"kind {n}"} for n in range(4)),
    ]
    halves: list[dict[str, Any]] = [*orders, *({"_id": o["_id"] + 0.5} for o in orders if o["n"])]
    before, after, made = (
        {raw_bson.id_of(raw): raw for raw in (encode(d) for d in documents)}
        for documents in (orders, halves, lines)
    )
    return Shop(world, (before, {}), (after, made))


def test_killed_at_any_command_each_document_is_made_exactly_once(
    forker: Forker, one: World, tmp_path: Path, portion: Portion
) -> None:
    this = shop(one)
    choose = random.Random(0)
    forker.succeed(this.world, *UP, record=tmp_path / "up")
    this.is_up()
    forker.succeed(this.world, *DOWN, record=tmp_path / "down")
    this.is_down()
    ups = list(strikes(tmp_path / "up", choose, thorough=False))
    downs = list(strikes(tmp_path / "down", choose, thorough=False))
    kills = 0
    for i in portion.of(range(max(len(ups), len(downs)))):
        for argv, all_strikes, check in ((UP, ups, this.is_up), (DOWN, downs, this.is_down)):
            kills += killed(forker, this.world, argv, all_strikes[i % len(all_strikes)])
            forker.succeed(this.world, *argv, timeout=AT_ONCE_S)
            check()
    assert kills > portion.least(40)


def test_killed_while_two_threads_insert_and_derive_side_by_side(
    forker: Forker, one: World, tmp_path: Path, portion: Portion
) -> None:
    this = shop(one)
    forker.succeed(this.world, *UP, record=tmp_path / "up", constants=PARTED)
    this.is_up()
    forker.succeed(this.world, *DOWN)
    this.is_down()
    kills = 0
    for strike in portion.of(list(strikes(tmp_path / "up", random.Random(1), thorough=False))):
        kills += killed(forker, this.world, UP, strike, constants=PARTED)
        forker.succeed(this.world, *UP, timeout=AT_ONCE_S, constants=PARTED)
        this.is_up()
        forker.succeed(this.world, *DOWN)
        this.is_down()
    assert kills > portion.least(15)


def test_without_transactions_too(forker: Forker, alone: World, tmp_path: Path, portion: Portion) -> None:
    this = shop(alone)
    forker.succeed(this.world, *UP, record=tmp_path / "up")
    this.is_up()
    forker.succeed(this.world, *DOWN)
    this.is_down()
    for strike in portion.of(list(strikes(tmp_path / "up", random.Random(0), thorough=False))):
        killed(forker, this.world, UP, strike)
        forker.succeed(this.world, *UP)
        this.is_up()
        forker.succeed(this.world, *DOWN)
        this.is_down()
