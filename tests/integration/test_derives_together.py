"""DeriveDocuments by several workers, and beside an application that writes all the time."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from bson import encode
from pymongo import MongoClient

from goaime_migrate import errors
from goaime_migrate.run import partitions
from goaime_migrate.workers import pool
from tests.integration.engines import one_server, servers
from tests.world import World, succeeded

MIGRATION = """
    from goaime_migrate import DeriveDocuments

    def derived(order):
        for place, name in enumerate(order["items"]):
            yield {"_id": f"{order['_id']}/{place}", "name": name}
        yield {"_id": f"kind {order['kind']}"}

    operations = [DeriveDocuments("orders", "derived", derived)]
    """


def order(i: int, version: int = 0) -> dict[str, Any]:
    return {"_id": i, "items": [f"{i}-{n}-{version}" for n in range((i + version) % 4)], "kind": i % 5}


def expected(orders: list[dict[str, Any]]) -> dict[bytes, bytes]:
    made: list[dict[str, Any]] = [
        {"_id": f"{d['_id']}/{place}", "name": name} for d in orders for place, name in enumerate(d["items"])
    ]
    made += [{"_id": f"kind {kind}"} for kind in dict.fromkeys(d["kind"] for d in orders)]
    return {encode({"_id": d["_id"]}): encode(d) for d in made}


@contextmanager
def traffic(world: World) -> Iterator[list[int]]:
    """An application that changes, inserts and deletes orders until the block ends; how often it has written."""
    stop, written, chance = threading.Event(), [0], random.Random(1)

    def write() -> None:
        client: MongoClient[dict[str, Any]] = MongoClient(world.uri)
        orders = client[world.database].orders
        while not stop.wait(0.002):
            written[0] += 1
            identity = chance.choice((chance.randrange(600), chance.randrange(600), 1_000 + written[0]))
            if chance.random() < 0.2:
                orders.delete_one({"_id": identity})
            else:
                orders.replace_one({"_id": identity}, order(identity, written[0]), upsert=True)
        client.close()

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    try:
        yield written
    finally:
        stop.set()
        thread.join(timeout=30)


@servers
def test_beside_an_application_that_writes_all_the_time(world: World) -> None:
    world.insert("orders", [order(i) for i in range(600)])
    world.write("0001_derived.py", MIGRATION)
    with traffic(world) as written:
        with world.migrator(batch_size=40, workers=1) as migrator:
            result = migrator.up()
    assert written[0] > 20
    if isinstance(result.error, errors.Contended):  # a sweep cannot keep up with it, and says so
        result = world.up()
    succeeded(result)
    orders, now = world.documents("orders"), world.raws("derived")
    # What is written after the end of the tail counts as written after the migration.
    late = {identity for identity, raw in expected(orders).items() if now.get(identity) != raw}
    assert len(late) < written[0]
    before = world.raws("orders")
    back = succeeded(world.down())
    assert back.conflicts == ()
    assert world.raws("orders") == before
    assert "derived" not in world.catalogue()


@one_server
def test_several_workers_make_what_one_makes(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    orders = [order(i) for i in range(600)]
    world.insert("orders", orders)
    world.write("0001_derived.py", MIGRATION)
    monkeypatch.setattr(partitions, "WORTH", 10)
    monkeypatch.setattr(partitions, "SIZE", 20)
    monkeypatch.setattr(pool, "WAITING_S", 60.0)
    with world.migrator(workers=2, batch_size=25) as migrator:
        counts = succeeded(migrator.up()).documents
    assert world.raws("derived") == expected(orders)
    assert (counts.matched, counts.changed) == (600, len(expected(orders)))
    assert succeeded(world.down()).documents.changed == len(expected(orders))
    assert set(world.catalogue()) == {"orders"}
