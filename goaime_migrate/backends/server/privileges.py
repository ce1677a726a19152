"""What a user may do: what the server has refused, who is asking, and the grant to type."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from goaime_migrate.errors import MissingPrivilege

_COMMAND = re.compile(r"not authorized on (\S+) to execute command \{ (\w+): (?:\"([^\"]*)\")?")
_BYPASS = re.compile(r"bypassDocumentValidation: true")
_ACTION = re.compile(r"not allowed to do action \[(\w+)\] on \[([^.\]]+)\.?([^\]]*)\]")
_READING = frozenset(
    [
        "aggregate",
        "count",
        "find",
        "getMore",
        "listCollections",
        "listIndexes",
        "distinct",
        "changeStream",
        "collStats",
    ]
)
_ADMINISTERING = frozenset({"collMod", "validate", "bypassDocumentValidation"})
_OF_CLUSTER = frozenset({"replSetGetStatus", "replSetGetConfig", "serverStatus", "getParameter", "inprog"})


@dataclass(frozen=True)
class Denied:
    """An action, in the server's word for it, that a user may not do."""

    action: str
    database: str
    collection: str = ""


def denied(message: str) -> Denied | None:
    """What a server says that a user may not do, if it says it in words that are known."""
    found = _COMMAND.search(message)
    if found is not None:
        action = "bypassDocumentValidation" if _BYPASS.search(message) else found[2]
        database, _, inner = (found[3] or "").partition(".")
        if found[1] == "admin" and inner:  # a rename names both whole
            return Denied(action, database, inner)
        return Denied(action, found[1], found[3] or "")
    found = _ACTION.search(message)
    return None if found is None else Denied(found[1], found[2], found[3])


def missing(what: Denied, client: MongoClient[Any] | None) -> MissingPrivilege:
    """The error for it, with the grant to type."""
    user, of = _asking(client)
    where = ".".join(filter(None, (what.database, what.collection)))
    role, on = _role(what.action), "admin" if what.action in _OF_CLUSTER else what.database
    return MissingPrivilege(
        f"the user {user!r} may not do this: {what.action} on {where}",
        hint=f"grant it, in mongosh: db.getSiblingDB({of!r}).grantRolesToUser({user!r}, "
        f"[{{ role: {role!r}, db: {on!r} }}]), then run the command again",
    )


def lacking(
    database: str, needs: Iterable[tuple[str, Sequence[str]]], answer: Mapping[str, Any]
) -> Denied | None:
    """The first of these actions on collections that `connectionStatus` does not list; None where nobody is asked."""
    info = answer["authInfo"]
    if not info["authenticatedUsers"]:
        return None
    privileges = info["authenticatedUserPrivileges"]
    for collection, actions in needs:
        may = {a for p in privileges if _covers(p["resource"], database, collection) for a in p["actions"]}
        for action in actions:
            if action not in may and "anyAction" not in may:
                return Denied(action, database, collection)
    return None


def _covers(resource: Mapping[str, Any], database: str, collection: str) -> bool:
    if resource.get("anyResource"):
        return True
    return resource.get("db") in ("", database) and resource.get("collection") in ("", collection)


def _asking(client: MongoClient[Any] | None) -> tuple[str, str]:
    """The user of these connections, and the database that it was made in."""
    try:
        assert client is not None
        users = client.admin.command("connectionStatus")["authInfo"]["authenticatedUsers"]
        return users[0]["user"], users[0]["db"]
    except (AssertionError, PyMongoError, LookupError):
        return "USER", "admin"


def _role(action: str) -> str:
    if action in _OF_CLUSTER:
        return "clusterMonitor"
    if action in _ADMINISTERING:
        return "dbAdmin"
    return "read" if action in _READING else "readWrite"
