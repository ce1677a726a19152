"""The same behaviour on every engine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from bson import Decimal128, Int64, ObjectId, encode

from goaime_migrate.backends.embedded import EmbeddedBackend
from tests.conftest import Backend
from tests.integration.dumps import METADATA, reading
from tests.integration.refused import DOCUMENTS
from tests.integration.users import ADD, AsUser
from tests.servers import Kind, ReplicaSet, User
from tests.world import World


@pytest.fixture
def world(backend: Backend, tmp_path: Path) -> World:
    """An empty database of each kind, with an empty migrations folder."""
    folder = tmp_path / "migrations"
    folder.mkdir()
    return World(backend.kind, backend.uri, backend.database, folder)


@pytest.fixture
def numbers(world: World) -> World:
    """Five documents, and batches of two."""
    world.insert("c", DOCUMENTS)
    world.settings["batch_size"] = 2
    return world


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    """Two collections, one of them with metadata, and files that are none of our business."""
    shop = tmp_path / "dump" / "shop"
    shop.mkdir(parents=True)
    (shop / "users.bson").write_bytes(b"".join(encode({"_id": n, "name": f"n{n}"}) for n in (3, 1, 2)))
    (shop / "users.metadata.json").write_text(json.dumps(METADATA))
    (shop / "plain.bson").write_bytes(encode({"_id": ObjectId(b"x" * 12), "n": Int64(1)}))
    (shop / "prelude.json").write_text("{}")
    (tmp_path / "dump" / "oplog.bson").write_bytes(encode({"ts": 1}))
    return tmp_path / "dump"


@pytest.fixture
def people(tmp_path: Path) -> Iterator[EmbeddedBackend]:
    documents: list[dict[str, Any]] = [
        {"_id": 5, "name": "b", "age": 1, "address": {"city": "x", "zip": 1}},
        {"_id": 1, "name": "b", "age": 2.0, "tags": ["u", "v"]},
        {"_id": 2, "name": None, "age": Int64(3), "rows": [{"k": 1}, {"k": 2}]},
        {"_id": 3, "age": Decimal128("1"), "key": {"a": 1, "b": [2]}},
        {"_id": 4, "name": True, "age": "1", "at": datetime(2024, 1, 1), "rows": []},
        {"_id": 6, "name": 1, "age": float("nan"), "nested": [[1]]},
    ]
    (tmp_path / "db").mkdir()
    (tmp_path / "db" / "people.bson").write_bytes(b"".join(map(encode, documents)))
    with reading(tmp_path) as backend:
        yield backend


@pytest.fixture
def new_user(secured_replica_set: ReplicaSet, database_name: str, tmp_path: Path) -> Iterator[AsUser]:
    """An empty database as a user with these roles sees it."""
    admin, name = secured_replica_set.client.admin, f"user_{database_name}"

    def make(roles: list[Any]) -> World:
        admin.command("createUser", name, pwd="s3cr3t-word", roles=roles)
        uri = secured_replica_set.uri_for(User(name, "s3cr3t-word", ()))
        return World(Kind.REPLICA_SET, uri, database_name, tmp_path / "migrations")

    yield make
    admin.command("dropUser", name)


@pytest.fixture
def as_user(new_user: AsUser, secured_replica_set: ReplicaSet, database_name: str) -> AsUser:
    """The same with a document and a pending version."""

    def make(roles: list[Any]) -> World:
        world = new_user(roles)
        world.write("0001_add.py", ADD)
        secured_replica_set.client[database_name].c.insert_one({"_id": 1})
        return world

    return make
