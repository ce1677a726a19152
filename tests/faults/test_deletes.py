"""Documents that a migration deletes, while it is killed and while an application writes: none is lost for good."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from bson import encode
from pymongo import MongoClient

from goaime_migrate.backends import raw_bson
from tests.faults.conftest import Portion
from tests.faults.runs import Forker
from tests.faults.test_crash import kill_everywhere
from tests.faults.workload import Bank, accounts
from tests.world import World

CLOSED = '''
"""Accounts with a number that four divides are closed for good."""

from goaime_migrate import DeleteDocuments, Document, Lookup


def closed(account: Document, rates: object) -> bool:
    return account["n"] % 4 == 0 and account["currency"] in rates


operations = [DeleteDocuments("accounts", when=closed, rates=Lookup("rates"))]
'''
ONCE = """
from goaime_migrate import DeleteDuplicates

operations = [DeleteDuplicates("accounts", "group", sort=[("n", -1)])]
"""
KEYS = 60
ITEMS = """
from goaime_migrate import DeleteDuplicates

operations = [DeleteDuplicates("items", "key", sort=[("at", -1)])]
"""
DOWN = ("down", "base", "--yes")


def bank(world: World, count: int) -> Bank:
    """Accounts of which some are closed, and of the others one of each group is left."""
    documents = [{**account, "group": account["n"] % 23} for account in accounts(count)]
    world.insert("accounts", documents)
    world.insert("rates", [{"_id": name} for name in ("EUR", "USD", "CHF")])
    world.write("0001_closed.py", CLOSED)
    world.write("0002_once.py", ONCE)
    open_ones = [d for d in documents if d["n"] % 4]
    last = {d["group"]: d for d in sorted(open_ones, key=lambda d: d["n"])}
    before, after = (
        {raw_bson.id_of(raw): raw for raw in map(encode, each)} for each in (documents, last.values())
    )
    return Bank(world, before, after)


def test_killed_at_any_command_every_document_is_deleted_once_and_comes_back(
    forker: Forker, one: World, tmp_path: Path, portion: Portion
) -> None:
    assert kill_everywhere(forker, bank(one, 80), tmp_path, portion) > portion.least(40)


def test_so_it_is_without_transactions(
    forker: Forker, alone: World, tmp_path: Path, portion: Portion
) -> None:
    assert kill_everywhere(forker, bank(alone, 80), tmp_path, portion) > portion.least(40)


@dataclass
class Application:
    """Adds to any document of a key, inserts more of it, and puts others first; it never takes a key away."""

    uri: str
    database: str
    seed: int
    added: Counter[int] = field(default_factory=Counter)
    inserted: dict[str, int] = field(default_factory=dict)
    failures: list[Exception] = field(default_factory=list)

    def run(self, stop: threading.Event) -> None:
        """Write until it is enough."""
        chance = random.Random(self.seed)
        client: MongoClient[dict[str, Any]] = MongoClient(self.uri)
        try:
            while not stop.wait(0.02):
                self._one(chance, client[self.database]["items"])
        except Exception as error:  # noqa: BLE001 (reported by the test's own thread)
            self.failures.append(error)
        finally:
            client.close()

    def _one(self, chance: random.Random, items: Any) -> None:
        key = chance.randrange(KEYS)
        match chance.choice(["add", "add", "insert", "first"]):
            case "add":
                self.added[key] += items.update_one({"key": key}, {"$inc": {"n": 1}}).modified_count
            case "insert":
                identity = f"{self.seed}-{len(self.inserted)}"
                items.insert_one({"_id": identity, "key": key, "n": 0, "at": chance.random()})
                self.inserted[identity] = key
            case "first":
                items.update_one({"key": key}, {"$set": {"at": chance.random() * 2}})


@contextmanager
def traffic(world: World) -> Iterator[list[Application]]:
    """Two applications that write until the block ends."""
    stop = threading.Event()
    applications = [Application(world.uri, world.database, seed) for seed in (1, 2)]
    threads = [threading.Thread(target=each.run, args=(stop,), daemon=True) for each in applications]
    for thread in threads:
        thread.start()
    try:
        yield applications
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.soak), 2])
def test_beside_an_application_no_key_is_lost_and_nothing_that_was_added(
    forker: Forker, one: World, workers: int
) -> None:
    count = 2_500 * workers
    one.insert("items", [{"_id": i, "key": i % KEYS, "n": 0, "at": i % 7 / 7} for i in range(count)])
    one.write("0001_once.py", ITEMS)
    up, choose = ("up", "--workers", str(workers)), random.Random(workers)
    with traffic(one) as applications:
        for argv in (up, DOWN):
            for _ in range(3):
                run = forker.start(one, *argv, batch_size=100)
                run.end_after(choose.uniform(0.1, 1.5))
                run.wait()
                assert {d["key"] for d in one.documents("items")} == set(range(KEYS))
            forker.succeed(one, *argv, batch_size=100, timeout=180)
            if argv is up:
                assert len(one.documents("items")) < count / 2
    assert [failure for each in applications for failure in each.failures] == []
    items = one.documents("items")
    assert {d["_id"] for d in items} == {*range(count), *(i for each in applications for i in each.inserted)}
    added = sum((each.added for each in applications), Counter[int]())
    found = Counter[int]()
    for item in items:
        found[item["key"]] += item["n"]
    assert +found == +added
