"""Which collections a database has, and what tells it from a copy of it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from pymongo.database import Database
from pymongo.errors import OperationFailure

from goaime_migrate.backends.ports import CollectionInfo, Origin
from goaime_migrate.results import Document


def collections(database: Database[Document]) -> dict[str, CollectionInfo]:
    """All of them, the tool's and the server's own too."""
    return {
        info["name"]: CollectionInfo(
            info["name"], info.get("type", "collection"), info.get("options", {}), _uuid(info)
        )
        for info in database.list_collections()
    }


def origin(database: Database[Document]) -> Origin:
    """A replica set is told by its own id where the user may read that (`replSetGetConfig`), else by its name."""
    admin = database.client.admin
    deployment = admin.command("hello").get("setName")
    if deployment is not None:
        with suppress(OperationFailure, KeyError):
            settings = admin.command("replSetGetConfig")["config"]["settings"]
            deployment = f"{deployment}/{settings['replicaSetId']}"
    found = {info["name"]: _uuid(info) for info in database.list_collections()}
    return Origin(deployment, {name: uuid for name, uuid in found.items() if uuid is not None})


def _uuid(info: Mapping[str, Any]) -> bytes | None:
    identity = info.get("info", {}).get("uuid")
    return None if identity is None else bytes(getattr(identity, "bytes", identity))
