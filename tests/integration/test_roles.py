"""The roles of docs/production.md, made exactly as they stand there, are enough for every command."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from goaime_migrate import Migrator, errors
from goaime_migrate.cli.commands import COMMANDS
from goaime_migrate.results import CheckStatus, Direction
from tests.servers import Kind, ReplicaSet, User
from tests.world import REPOSITORY, World, succeeded

PASSWORD = "s3cr3t-word"
READER, WRITER, MONITOR = "shopMigrationsReader", "shopMigrations", "migrationsMonitor"
MIGRATIONS = {
    "0001_shape.py": """
        from goaime_migrate import *

        def double(document, others):
            document["twice"] = 2 * document["n"]

        operations = [TransformDocuments("c", double, others=Lookup("d"))]
    """,
    "0002_server.py": """
        from goaime_migrate import *

        operations = [
            UpdateDocuments("c", [{"$set": {"more": 1}}]),
            CreateIndex("c", "more"),
            SetValidator("c", {"required": ["more"]}),
        ]
    """,
    "0003_collections.py": """
        from goaime_migrate import *

        operations = [
            CreateCollection("made"),
            RenameCollection("d", "e"),
            DropCollection("gone"),
            DropIndex("c", "n_1"),
        ]
    """,
    "0004_come_and_go.py": """
        from goaime_migrate import *

        def twin(document):
            return [{"_id": document["_id"], "of": document["n"]}]

        operations = [
            InsertDocuments("seeds", [{"_id": 1}]),
            DeriveDocuments("c", "twins", twin),
            DeleteDocuments("c", where={"n": {"$gt": 15}}),
            DeleteDuplicates("c", "more"),
        ]
    """,
    "0005_plain.py": """
        def up(db):
            db.made.insert_one({"_id": 1})

        def down(db):
            db.made.delete_many({})
    """,
}
Call = Callable[[Migrator], Any]
READING: dict[str, Call] = {
    "status": lambda m: m.status(),
    "plan": lambda m: (m.plan().refused, m.plan(direction=Direction.DOWN).refused),
    "verify": lambda m: m.verify(),
    "history": lambda m: (m.history(), m.report()),
    "lint": lambda m: m.lint(),
    "wait": lambda m: m.wait(0.0),
    "try": lambda m: m.try_("1", where={"_id": 0}).error,
    "sweep": lambda m: m.sweep(dry_run=True).error and None,
    "doctor": lambda m: m.doctor().error,
    "rehearse": lambda m: m.rehearse(memory=True).error,
    "blame": lambda m: (m.blame("c", 0), m.as_of("c", 0, "1")),
}
WRITING = {"up", "down", "stamp", "repair", "unlock", "throttle", "prune"}
NO_DATABASE = {"init", "new", "explain"}


def documented() -> dict[str, dict[str, Any]]:
    """The roles of the page, by name."""
    page = (REPOSITORY / "docs" / "production.md").read_text(encoding="utf-8")
    found = re.findall(r"```js\ndb\.adminCommand\((\{.*?\})\)\n```", page, re.DOTALL)
    return {role["createRole"]: role for role in map(json.loads, found)}


@pytest.fixture
def as_roles(
    secured_replica_set: ReplicaSet, database_name: str, tmp_path: Path
) -> Iterator[Callable[..., World]]:
    """The database `shop` of the page, under another name, as a user with some of its roles sees it."""
    admin = secured_replica_set.client.admin
    roles = documented()
    for name, role in roles.items():
        text = json.dumps(role).replace('"shop"', json.dumps(database_name))
        admin.command(json.loads(text) | {"createRole": name})
    users: list[str] = []

    def make(*names: str) -> World:
        user = f"user_{database_name}_{len(users)}"
        admin.command("createUser", user, pwd=PASSWORD, roles=list(names))
        users.append(user)
        uri = secured_replica_set.uri_for(User(user, PASSWORD, ()))
        return World(Kind.REPLICA_SET, uri, database_name, tmp_path / "migrations")

    yield make
    for user in users:
        admin.command("dropUser", user)
    for name in roles:
        admin.command("dropRole", name)


@pytest.fixture
def shop(as_roles: Callable[..., World], secured_replica_set: ReplicaSet, database_name: str) -> World:
    """The database with pending versions, as the user sees it who runs `up`."""
    database = secured_replica_set.client[database_name]
    database.c.insert_many([{"_id": i, "n": i} for i in range(20)])
    database.c.create_index("n")
    database.d.insert_one({"_id": 1})
    database.gone.insert_one({"_id": 1})
    world = as_roles(WRITER)
    for name, source in MIGRATIONS.items():
        world.write(name, source)
    return world


def test_every_command_is_among_these() -> None:
    assert {*READING, *WRITING, *NO_DATABASE} == set(COMMANDS)
    assert set(documented()) == {READER, WRITER, MONITOR}


def test_who_may_only_look(shop: World, as_roles: Callable[..., World]) -> None:
    reader = as_roles(READER)
    for applied in (None, "head"):
        if applied:
            succeeded(shop.up(applied))
        with reader.migrator() as migrator:
            for name, call in READING.items():
                assert not isinstance(call(migrator), errors.MigrateError), name
            with pytest.raises(errors.MissingPrivilege):
                migrator.down() if applied else migrator.up()


def test_who_migrates(shop: World) -> None:
    for call in READING.values():
        with shop.migrator() as migrator:
            call(migrator)
    with shop.migrator() as migrator:
        assert {c.name: c.status for c in migrator.doctor().checks}["privileges"] is CheckStatus.OK
        succeeded(migrator.up())
        assert migrator.plan(direction=Direction.DOWN).refused is None
        assert migrator.verify().failures == ()
        succeeded(migrator.down("base"))
        migrator.unlock(force=True)
        with pytest.raises(errors.NothingRuns):
            migrator.throttle(paused=True)
        succeeded(migrator.up("1"))
    shop.write("0001_shape.py", MIGRATIONS["0001_shape.py"].replace("2 *", "3 *"))
    with shop.migrator() as migrator:
        assert migrator.repair().accepted == ("0001",)
        assert migrator.stamp("2").recorded == ("0002",)
        assert migrator.erase("c", 1).erased is not None
        assert migrator.prune(keep=0).pruned == ("0001",)


def test_what_is_seen_of_the_set(shop: World, as_roles: Callable[..., World]) -> None:
    monitor = as_roles(WRITER, MONITOR)
    with monitor.migrator(max_lag=5.0) as migrator:
        found = {check.name: check.status for check in migrator.doctor().checks}
        assert CheckStatus.UNKNOWN not in found.values()
        assert found["members"] is CheckStatus.OK
        succeeded(migrator.up())
