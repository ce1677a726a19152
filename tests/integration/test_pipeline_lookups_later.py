"""Lookups with a pipeline after `up`: who finds nothing is told so once, and a sweep keeps what it has looked up."""

from __future__ import annotations

from typing import Any

import pytest

from goaime_migrate.transform import stored_results
from tests.integration.engines import two
from tests.world import World, succeeded

SOURCE = """
    from goaime_migrate import Lookup, TransformDocuments

    def count(customer, orders):
        found = orders.get(customer["_id"], {})
        customer["orders"] = found.get("n", 0)

    def forget(customer, orders):
        customer["had"] = orders.get(customer["_id"], {}).get("n", 0)
        del customer["orders"]

    BY_CUSTOMER = [{"$group": {"_id": "$customer", "n": {"$sum": 1}}}]
    operations = [
        TransformDocuments("customers", count, reverse=forget, orders=Lookup("orders", pipeline=BY_CUSTOMER)),
    ]
    """
CUSTOMERS = 12
WITH_ORDERS = 8


@pytest.fixture(params=["whole", "stored"])
def shop(request: pytest.FixtureRequest, world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """Migrated; some customers have no orders. Results are kept as a whole, or one by one."""
    if request.param == "stored":
        monkeypatch.setattr(stored_results, "WHOLE", 2)
    runs: list[int] = []
    results = stored_results.StoredResults._results

    def counted(self: Any, *given: Any) -> Any:
        runs.append(1)
        return results(self, *given)

    monkeypatch.setattr(stored_results.StoredResults, "_results", counted)
    world.settings["batch_size"] = 5
    world.insert("customers", [{"_id": n} for n in range(CUSTOMERS)])
    world.insert("orders", [{"_id": n, "customer": n % WITH_ORDERS} for n in range(2 * WITH_ORDERS)])
    world.write("0001_count.py", SOURCE)
    succeeded(world.up())
    world.settings["runs"] = runs
    return world


def orders(world: World) -> list[int | None]:
    return [d.get("orders") for d in sorted(world.documents("customers"), key=lambda d: d["_id"])]


def swept(world: World) -> int:
    """How many documents a sweep brings forward."""
    return sum(each.changed for each in succeeded(world.sweep()).swept)


@two
def test_who_has_found_nothing_is_judged_and_swept(shop: World) -> None:
    runs = shop.settings.pop("runs")
    assert orders(shop) == [2] * WITH_ORDERS + [0] * (CUSTOMERS - WITH_ORDERS)
    runs.clear()
    checked = shop.verify()
    assert (checked.failures, checked.unchecked) == ((), ())
    assert len(runs) <= CUSTOMERS, "it is not run again and again"
    shop.remove("customers", CUSTOMERS - 1)
    shop.insert("customers", [{"_id": CUSTOMERS - 1}])
    assert swept(shop) == 1
    assert orders(shop)[-1] == 0


@two
def test_what_a_sweep_looks_up_for_a_newcomer_is_kept(shop: World) -> None:
    shop.settings.pop("runs")
    shop.insert("customers", [{"_id": 50}])
    shop.insert("orders", [{"_id": 100 + n, "customer": 50} for n in range(3)])
    shop.insert("orders", [{"_id": 200, "customer": 0}])
    assert swept(shop) == 1
    assert (orders(shop)[0], orders(shop)[-1]) == (2, 3)
    shop.insert("orders", [{"_id": 300, "customer": 50}])
    checked = shop.verify()
    assert (checked.failures, checked.unchecked) == ((), ())
    assert swept(shop) == 0


@two
def test_down_reverses_one_who_finds_nothing(shop: World) -> None:
    shop.settings.pop("runs")
    shop.remove("customers", 3)
    shop.insert("customers", [{"_id": 3}])
    succeeded(shop.sweep())
    shop.insert("customers", [{"_id": 70, "orders": 9}, {"_id": 1.5, "orders": 1}])
    succeeded(shop.down())
    found = {d["_id"]: d for d in shop.documents("customers")}
    assert found[70] == {"_id": 70, "had": 0}
    assert found[1.5] == {"_id": 1.5, "had": 0}
    assert found[3] == {"_id": 3}
