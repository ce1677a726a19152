"""docs/zero-downtime.md as it stands: its files, its commands, and both releases writing all the time."""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from goaime_migrate.cli import main
from tests.faults.runs import eventually
from tests.integration.engines import one_server
from tests.world import REPOSITORY, World

PAGE = (REPOSITORY / "docs" / "zero-downtime.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"```python\n# (\S+\.py)\n(.*?)```", PAGE, re.DOTALL))
ORDERS = 30


def commands(section: str) -> Iterator[tuple[list[str], str]]:
    """What a section types, and what is printed then."""
    _, _, text = PAGE.partition(f"\n## {section}\n")
    text, _, _ = text.partition("\n## ")
    for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL):
        for part in re.split(r"^\$ goaime-migrate ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            yield command.split(), output


def release(name: str) -> ModuleType:
    """The application's code, as the page has it."""
    module = ModuleType(name)
    exec(compile(FILES[f"{name}.py"], f"{name}.py", "exec"), vars(module))
    return module


@dataclass
class Shop:
    """Orders that both releases write, one of them at a time each; what was written last is known."""

    world: World
    paid: dict[int, float] = field(default_factory=dict)
    locks: list[threading.Lock] = field(default_factory=lambda: [threading.Lock() for _ in range(ORDERS)])
    misread: list[Any] = field(default_factory=list)

    def serve(self, code: ModuleType, orders: Any, number: int, euros: float) -> None:
        """Read an order as the release does, and write it."""
        with self.locks[number]:
            there = orders.find_one({"_id": number})
            if there is not None and code.read(there) != self.paid[number]:
                self.misread.append((code.__name__, there, self.paid[number]))
            code.save(orders, number, euros)
            self.paid[number] = euros


class Process(threading.Thread):
    """One of a release: it reads and writes orders as fast as it can until it is closed."""

    def __init__(self, shop: Shop, code: ModuleType) -> None:
        super().__init__(daemon=True)
        self._shop = shop
        self._code = code
        self._closing = threading.Event()
        self.turn = 0
        self.start()

    def run(self) -> None:
        choose = random.Random(self._code.__name__)
        with self._shop.world.client() as client:
            orders = client[self._shop.world.database].orders
            while not self._closing.is_set():
                self._shop.serve(self._code, orders, choose.randrange(ORDERS), self.turn / 4)
                self.turn += 1

    def work(self, turns: int = 50) -> None:
        """Wait until it has written so often."""
        enough = self.turn + turns
        eventually(lambda: self.turn > enough or not self.is_alive())
        assert self.is_alive()

    def close(self) -> None:
        """End it."""
        self._closing.set()
        self.join()


@dataclass
class Operator:
    """Who types what the page says. Each command exits 0, and prints what the page prints."""

    world: World
    capsys: pytest.CaptureFixture[str]

    def follow(self, section: str) -> None:
        """Type all commands of a section."""
        for words, output in commands(section):
            code = self.type(words)
            said = self.capsys.readouterr()
            assert code == 0, said
            for text in filter(str.strip, re.split(r"\.\.\.|\n", output)):
                assert text.strip() in " ".join(said.out.split()), said

    def type(self, words: list[str]) -> int:
        """One command; its exit status."""
        options = ["--uri", self.world.uri, "--database", self.world.database]
        return main([*words, *options, "--migrations", str(self.world.folder)])

    def publish(self, name: str) -> None:
        """Put a migration of the page into the folder."""
        (self.world.folder / Path(name).name).write_text(FILES[name])


@one_server
def test_both_releases_write_while_the_schema_changes(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    shop, operator = Shop(world), Operator(world, capsys)
    new_code = release("new_shop")
    old = Process(shop, release("old_shop"))
    old.work()

    operator.publish("migrations/0001_expand.py")
    operator.follow("Expand")
    old.work()

    ((sweep, follow, _),) = [words for words, _ in commands("Deploy")]
    statuses: list[int] = []
    sweeping = threading.Thread(target=lambda: statuses.append(operator.type([sweep, follow, "1"])))
    sweeping.start()
    new = Process(shop, new_code)
    new.work()
    old.work()
    old.close()
    sweeping.join()
    assert statuses == [0], capsys.readouterr()

    operator.follow("Sweep")
    new_code.__dict__["KEEPS_PRICE"] = False
    new.work(1)
    operator.publish("migrations/0002_contract.py")
    operator.follow("Contract")
    new.work()
    new.close()

    assert shop.misread == []
    assert world.documents("orders") == [
        {"_id": number, "cents": round(euros * 100)} for number, euros in sorted(shop.paid.items())
    ]
