"""A closer look at a server, by its own commands for that."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from goaime_migrate.backends.ports import Need
from goaime_migrate.backends.ports.checkup import Lacking, Member, Oplog
from goaime_migrate.backends.server import privileges
from goaime_migrate.backends.server.driver_errors import translate
from goaime_migrate.results import Document


class ServerCheckup:
    """What one server says of itself and of its replica set."""

    def __init__(self, client: MongoClient[Any], database: str) -> None:
        self._client = client
        self._database = database

    def version(self) -> str:
        """By buildInfo, which everybody may ask for."""
        return str(self._ask({"buildInfo": 1})["version"])

    def clock_ahead(self) -> float:
        """By the answer to a hello, which is taken to be made half-way."""
        begun, started = datetime.now(UTC), time.monotonic()
        there: datetime = self._ask({"hello": 1})["localTime"]
        half_way = (time.monotonic() - started) / 2
        return (there.replace(tzinfo=UTC) - begun).total_seconds() - half_way

    def members(self) -> Sequence[Member]:
        """By the set's status, and its configuration."""
        status: list[Document] = self._ask({"replSetGetStatus": 1})["members"]
        config: list[Document] = self._ask({"replSetGetConfig": 1})["config"]["members"]
        configured = {member["_id"]: member for member in config}
        newest = next((m["optimeDate"] for m in status if m["stateStr"] == "PRIMARY"), None)
        return [_member(each, configured.get(each["_id"], {}), newest) for each in status]

    def oplog(self) -> Oplog:
        """Its times by the server's status; its size by its statistics."""
        times = self._ask({"serverStatus": 1, "oplog": 1, "metrics": 0, "wiredTiger": 0})["oplog"]
        size = self._ask({"collStats": "oplog.rs"}, "local")["maxSize"]
        return Oplog(int(size), float(times["latestOptime"].time - times["earliestOptime"].time))

    def cache_bytes(self) -> int | None:
        """By the server's status."""
        cache = self._ask({"serverStatus": 1, "metrics": 0}).get("wiredTiger", {}).get("cache", {})
        size = cache.get("maximum bytes configured")
        return None if size is None else int(size)

    def lacking(self, needs: Sequence[Need]) -> Lacking | None:
        """By connectionStatus; where no passwords are asked for everybody may do everything."""
        answer = self._ask({"connectionStatus": 1, "showPrivileges": True})
        denied = list(privileges.denials(self._database, needs, answer))
        if not denied:
            return None
        actions = tuple(dict.fromkeys(map(str, denied)))
        return Lacking(actions, privileges.grant(denied, self._client))

    def _ask(self, command: Document, database: str = "admin") -> Document:
        """Raises MissingPrivilege, ServerUnreachable."""
        try:
            return dict(self._client[database].command(command))
        except PyMongoError as error:
            raise translate(error, self._client) from error


def _member(status: Document, config: Document, newest: datetime | None) -> Member:
    at = status.get("optimeDate")
    return Member(
        name=str(status["name"]),
        state=str(status["stateStr"]),
        healthy=bool(status.get("health", 1)),
        votes=bool(config.get("votes", 1)),
        hidden=bool(config.get("hidden")),
        delay_s=float(config.get("secondaryDelaySecs") or config.get("slaveDelay") or 0),
        lag_s=None if newest is None or at is None else (newest - at).total_seconds(),
    )
