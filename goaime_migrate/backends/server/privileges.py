"""What a user may do: what the server has refused, who is asking, and the grant to type."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from goaime_migrate.backends.ports import Need
from goaime_migrate.errors import MissingPrivilege

_COMMAND = re.compile(r"not authorized on (\S+) to execute command \{ (\w+): (?:\"([^\"]*)\")?")
_BYPASS = re.compile(r"bypassDocumentValidation: true")
_STAGE = re.compile(r"\{ \$(changeStream|collStats):")
_ACTIONS = {
    **dict.fromkeys(("aggregate", "count", "distinct", "getMore"), "find"),
    "findAndModify": "update",
    "delete": "remove",
    "create": "createCollection",
    "drop": "dropCollection",
    "createIndexes": "createIndex",
    "dropIndexes": "dropIndex",
    "renameCollection": "renameCollectionSameDB",
}
"""What is granted, where it is called otherwise than the command."""
_ACTION = re.compile(r"not allowed to do action \[(\w+)\] on \[([^.\]]+)\.?([^\]]*)\]")
_READING = frozenset(
    [
        "find",
        "listCollections",
        "listIndexes",
        "changeStream",
        "collStats",
    ]
)
_ADMINISTERING = frozenset({"collMod", "validate", "bypassDocumentValidation"})
_OF_CLUSTER = frozenset({"replSetGetStatus", "replSetGetConfig", "serverStatus", "getParameter", "inprog"})


class Denied(NamedTuple):
    """An action, in the server's word for it, that a user may not do."""

    action: str
    database: str
    collection: str = ""

    def __str__(self) -> str:
        return f"{self.action} on {'.'.join(filter(None, (self.database, self.collection)))}"


def denial_of(message: str) -> Denied | None:
    """What a server says that a user may not do, if it says it in words that are known."""
    found = _COMMAND.search(message)
    if found is not None:
        action = _action(found[2], message)
        database, _, inner = (found[3] or "").partition(".")
        if found[1] == "admin" and inner:  # a rename names both whole, and is granted for the database
            return Denied(action, database)
        return Denied(action, found[1], found[3] or "")
    found = _ACTION.search(message)
    return None if found is None else Denied(found[1], found[2], found[3])


def _action(command: str, message: str) -> str:
    """What has to be granted for a command that was refused."""
    if _BYPASS.search(message):
        return "bypassDocumentValidation"
    stage = _STAGE.search(message) if command == "aggregate" else None
    return stage[1] if stage else _ACTIONS.get(command, command)


def missing(
    what: Denied, client: MongoClient[Any] | None, lacking: Sequence[Denied] = ()
) -> MissingPrivilege:
    """The error for it, with the grant to type, which is for all that is known to be `lacking`."""
    user, _ = _asking(client)
    return MissingPrivilege(
        f"the user {user!r} may not do this: {what}",
        hint=f"grant it, in mongosh: {grant(lacking or [what], client)}, then run the command again",
    )


def grant(lacking: Sequence[Denied], client: MongoClient[Any] | None) -> str:
    """The command that gives a user the roles for all of these."""
    user, of = _asking(client)
    wanted = dict.fromkeys(
        (_role(each.action), "admin" if each.action in _OF_CLUSTER else each.database) for each in lacking
    )
    if any(role == "readWrite" for role, _ in wanted):  # which includes the other
        wanted = {(role, on): None for role, on in wanted if role != "read"}
    roles = ", ".join(f"{{ role: {role!r}, db: {on!r} }}" for role, on in wanted)
    return f"db.getSiblingDB({of!r}).grantRolesToUser({user!r}, [{roles}])"


def denials(database: str, needs: Iterable[Need], answer: Mapping[str, Any]) -> Iterator[Denied]:
    """Those of these actions that `connectionStatus` does not list; none where nobody is asked."""
    info = answer["authInfo"]
    if not info["authenticatedUsers"]:
        return
    privileges = info["authenticatedUserPrivileges"]
    for collection, actions, instead in needs:
        may = {a for p in privileges if _covers(p["resource"], database, collection) for a in p["actions"]}
        lacking = [action for action in actions if not may & {action, "anyAction"}]
        if lacking and (not instead or any(denials(database, instead, answer))):
            yield from (Denied(action, database, collection) for action in lacking)


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
