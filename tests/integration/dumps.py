"""Dump directories, opened as databases to read and to write."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bson import encode

from goaime_migrate.backends.embedded import EmbeddedBackend
from goaime_migrate.backends.ports import (
    Backend,
    Changes,
    Owner,
    Put,
    Write,
)

ME = Owner(run="mine", who="me", host="here", pid=os.getpid(), boot="", started="")
METADATA = {
    "indexes": [{"v": {"$numberInt": "2"}, "key": {"_id": {"$numberInt": "1"}}, "name": "_id_"}],
    "uuid": "0123456789abcdef0123456789abcdef",
    "collectionName": "users",
    "type": "collection",
}


@contextmanager
def writing(dump: Path, database: str | None = None) -> Iterator[EmbeddedBackend]:
    """A backend that holds the lease; what it did is saved at the end."""
    backend = EmbeddedBackend.open(dump, database, write=True)
    try:
        assert backend.try_lease(ME, 30).owner.run == "mine"
        yield backend
    finally:
        backend.close()


@contextmanager
def reading(dump: Path, database: str | None = None) -> Iterator[EmbeddedBackend]:
    backend = EmbeddedBackend.open(dump, database, write=False)
    try:
        yield backend
    finally:
        backend.close()


def content(folder: Path) -> dict[str, bytes]:
    """Every file below the folder by its name."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def put(backend: Backend, collection: str, *documents: dict[str, Any]) -> None:
    backend.transact(lambda _: Changes(first=[Put(collection, document) for document in documents]))


def replace(backend: Backend, collection: str, *pairs: tuple[dict[str, Any], dict[str, Any]]) -> None:
    writes = [Write(encode({"_id": b["_id"]}), encode(b), encode(a)) for b, a in pairs]
    backend.transact(lambda _: Changes(collection=collection, writes=writes))


def raw_id(value: Any) -> bytes:
    return encode({"_id": value})
