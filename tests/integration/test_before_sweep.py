"""What a sweep has brought forward comes back as it was before it: where that shows an earlier `up`, `down` says so."""

from __future__ import annotations

from typing import Any

import pytest
from bson import encode

from goaime_migrate.down.overruled import TOLD
from goaime_migrate.events import BatchCommitted, Event
from goaime_migrate.results import Direction, DownPreview, WarningCount
from tests.integration.engines import each_mode, one_server, two
from tests.world import World, succeeded

CENTS = """
from goaime_migrate import *

def cents(order):
    if "price" in order:
        order["cents"] = int(order.pop("price") * 100)

operations = [TransformDocuments("orders", cents)]
"""
OPEN = """
from goaime_migrate import *

def opened(order):
    order["open"] = True

operations = [TransformDocuments("orders", opened)]
"""
EUROS = """
from goaime_migrate import *

operations = [AddField("orders", "items.$[].currency", "EUR")]
"""


def order(number: int, **more: Any) -> dict[str, Any]:
    return {"_id": number, "price": number, **more}


def migrated(world: World, *sources: str, together: bool = False) -> dict[bytes, bytes]:
    """The orders as they were before these versions were applied."""
    world.insert("orders", [order(n, items=[{"n": n}]) for n in range(6)])
    before = world.raws("orders")
    for number, source in enumerate(sources, 1):
        world.write(f"{number:04}_v.py", source)
        if not together:
            succeeded(world.up())
    succeeded(world.up())
    return before


def warned(found: WarningCount) -> tuple[str, int, tuple[object, ...]]:
    assert found.message == TOLD
    return found.version, found.count, found.examples


def taken_back(world: World, target: str = "base") -> list[tuple[str, int, tuple[object, ...]]]:
    """What `down` warns of, which `plan` has foreseen."""
    foreseen = world.plan(target, direction=Direction.DOWN)
    result = succeeded(world.down(target))
    told = sorted(map(warned, result.warnings))
    assert sorted(warned(w) for step in foreseen.steps for w in step.warnings) == told
    assert all(w.version == step.version for step in foreseen.steps for w in step.warnings)
    return told


@each_mode
def test_what_still_shows_an_earlier_up_is_told(world: World) -> None:
    before = migrated(world, CENTS, OPEN)
    world.change("orders", 1, price=7)  # one field of it
    world.put("orders", encode(order(2, note="as it was read")))  # the whole of it
    world.put("orders", encode(order(9)))  # a new one
    written = world.raws("orders")
    succeeded(world.sweep())

    preview = world.plan("base", direction=Direction.DOWN).preview
    assert preview == DownPreview(exact=4 + 5 + 1, before_sweep=3)
    assert taken_back(world) == [("0001", 1, (1,)), ("0002", 1, (1,))]
    mine = [encode({"_id": n}) for n in (1, 2, 9)]
    assert world.raws("orders") == {**before, **{identity: written[identity] for identity in mine}}
    assert world.documents("orders")[1] == {
        "_id": 1,
        "items": [{"n": 1}],
        "cents": 100,
        "open": True,
        "price": 7,
    }


@two
def test_an_array_that_the_application_writes_into_shows_it(world: World) -> None:
    migrated(world, EUROS)
    world.change("orders", 1, items=[{"n": 1, "currency": "EUR"}, {"n": 2}])
    succeeded(world.sweep())
    assert taken_back(world) == [("0001", 1, (1,))]


@two
def test_each_document_counts_once_however_often_it_was_swept(world: World) -> None:
    migrated(world, CENTS)
    for price in (7, 8):
        world.change("orders", 1, price=price)
        succeeded(world.sweep())
    assert taken_back(world) == [("0001", 1, (1,))]
    assert world.documents("orders")[1] == {"_id": 1, "items": [{"n": 1}], "cents": 700, "price": 8}


@two
def test_of_versions_in_one_pass_it_is_told_by_the_one_that_made_it(world: World) -> None:
    migrated(world, CENTS, OPEN, together=True)
    world.change("orders", 1, price=7)
    world.put("orders", encode({"_id": 2, "cents": 5}))  # by an application that knows 0001 alone
    succeeded(world.sweep())

    assert taken_back(world, "0001") == [("0002", 1, (1,))]
    assert taken_back(world) == [("0001", 2, (1, 2))]  # neither has its old price again


@two
def test_of_a_whole_pass_each_document_is_told_once(world: World) -> None:
    migrated(world, CENTS, OPEN, together=True)
    for number in (1, 3):
        world.change("orders", number, price=7)
    succeeded(world.sweep())
    assert taken_back(world) == [("0002", 2, (1, 3))]


@two
def test_what_was_changed_since_the_sweep_is_a_conflict_or_kept(world: World) -> None:
    migrated(world, CENTS)
    for number in (1, 3):
        world.change("orders", number, price=7)
    succeeded(world.sweep())
    world.change("orders", 1, cents=1)
    world.change("orders", 3, note="kept")

    preview = world.plan("base", direction=Direction.DOWN).preview
    assert preview == DownPreview(exact=4, merged=1, conflicts=1)
    assert taken_back(world) == [("0001", 1, (3,))]


@one_server
def test_it_is_told_of_all_runs(world: World) -> None:
    world.settings["batch_size"] = 1
    migrated(world, CENTS)
    for number in range(6):
        world.change("orders", number, price=7)
    succeeded(world.sweep())

    def killed(event: Event) -> None:
        if isinstance(event, BatchCommitted) and event.done == 3:
            raise ZeroDivisionError

    with world.migrator(killed) as migrator, pytest.raises(ZeroDivisionError):
        migrator.down("base")
    assert sorted(map(warned, succeeded(world.down("base")).warnings)) == [("0001", 6, (5, 4, 3, 2, 1))]
