"""Documents, migrations that are not idempotent, and what has to become of the documents."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bson import encode

from goaime_migrate.backends import raw_bson
from tests.world import World

ACCOUNTS = 200

ADD = '''
"""Add a thousand, every time it is called."""

from goaime_migrate import Document, TransformDocuments


def add(account: Document) -> None:
    account["n"] += 1000


operations = [TransformDocuments("accounts", add)]
'''

RATE = '''
"""Multiply by the rate of the account's currency; the same again would multiply again."""

from collections.abc import Mapping

from goaime_migrate import Document, Lookup, TransformDocuments


def convert(account: Document, rates: Mapping[str, Document]) -> None:
    account["n"] *= rates[account["currency"]]["rate"]
    account["history"] = [account["n"], *account.get("history", [])]


operations = [TransformDocuments("accounts", convert, rates=Lookup("rates"))]
'''

INDEX = '''
"""An index, a validator, and a collection under another name."""

from goaime_migrate import CreateIndex, RenameCollection, SetValidator, TransformDocuments


def close(account):
    account["n"] -= 7
    account["closed"] = account.pop("open")


operations = [
    CreateIndex("accounts", "n"),
    SetValidator("accounts", {"bsonType": "object", "required": ["n"]}),
    RenameCollection("rates", "exchange"),
    TransformDocuments("accounts", close),
]
'''

FUNCTION = '''
"""What a user writes who comes from another tool: it may start again, so it may be called twice."""


def up(db):
    db.notes.update_many({}, {"$set": {"read": True}})


def down(db):
    db.notes.update_many({}, {"$unset": {"read": 1}})
'''

RATES = {"EUR": 2, "USD": 3, "CHF": 5}


def accounts(count: int = ACCOUNTS) -> Iterator[dict[str, Any]]:
    """Documents of all kinds of `_id`."""
    for i in range(count):
        identity: Any = i if i % 3 else (f"account-{i:05d}" if i % 2 else {"year": 2024, "number": i})
        yield {"_id": identity, "n": i, "currency": list(RATES)[i % 3], "open": True, "text": "x" * (i % 50)}


@dataclass
class Bank:
    """A world of accounts, and what it looks like at each version."""

    world: World
    before: dict[bytes, bytes]
    after: dict[bytes, bytes]

    def check(self, expected: dict[bytes, bytes]) -> None:
        """Every document is exactly this."""
        differences = self.differences(expected)
        assert not differences, f"{len(differences)} documents differ: {differences[:3]}"

    def differences(self, expected: dict[bytes, bytes]) -> list[tuple[Any, Any]]:
        """Documents as they are and as they should be."""
        now = self.world.raws("accounts")
        return [
            (decoded(now.get(i)), decoded(expected.get(i)))
            for i in {**now, **expected}
            if now.get(i) != expected.get(i)
        ]

    def is_up(self) -> None:
        """Every document was transformed exactly once, and the records say so."""
        self.check(self.after)
        assert set(self.world.states()) == {"applied"}

    def is_down(self) -> None:
        """Every document has its old bytes, and nothing is recorded."""
        self.check(self.before)
        assert set(self.world.states()) == {"pending"}


def decoded(document: bytes | None) -> Any:
    """For a message."""
    return None if document is None else raw_bson.decode(document)


def bank(world: World, count: int = ACCOUNTS, *, mixed: bool = False) -> Bank:
    """Accounts with two transforms that run as one pass; `mixed` has two passes and other operations as well."""
    documents = list(accounts(count))
    world.insert("accounts", documents)
    world.insert("rates", [{"_id": name, "rate": rate} for name, rate in RATES.items()])
    world.insert("notes", [{"_id": 1, "text": "hello"}])
    world.write("0001_add.py", ADD)
    world.write("0002_convert.py", RATE)
    if mixed:
        world.write("0003_shape.py", INDEX)
        world.write("0004_notes.py", FUNCTION)
    before = {raw_bson.id_of(d): d for d in map(encode, documents)}
    after = {raw_bson.id_of(d): d for d in (encode(migrated(dict(d), mixed=mixed)) for d in documents)}
    return Bank(world, before, after)


def migrated(account: dict[str, Any], *, mixed: bool = False) -> dict[str, Any]:
    """What the migrations make of one account."""
    account["n"] = (account["n"] + 1000) * RATES[account["currency"]]
    account["history"] = [account["n"]]
    if mixed:
        account["n"] -= 7
        account["closed"] = account.pop("open")
    return account


def new_world(kind: str, uri: str, database: str, folder: Path) -> World:
    """An empty world."""
    return World(kind, uri, database, folder / "migrations")
