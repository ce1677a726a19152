"""What the user of the connection may do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from goaime_migrate.backends.ports import VERSIONS, Database
from goaime_migrate.errors import MissingPrivilege
from goaime_migrate.migration import Operation
from goaime_migrate.operations import DocumentOperation, StateOperation
from goaime_migrate.results import Severity
from goaime_migrate.rules.catalogue import OUTLOOKS, Said
from goaime_migrate.rules.outlook import Outlook
from goaime_migrate.rules.turn import Turn

Needs = Sequence[tuple[str, Sequence[str]]]
_WALKED, _WRITTEN = ("find",), ("find", "insert", "update", "remove")
"""What a pass does to documents, on its way up or down."""


@OUTLOOKS.rule("privilege", Severity.ERROR, early=True)
def privilege(outlook: Outlook) -> Iterator[Said]:
    """The user of the connection string may not do what an operation needs.

    A note where the user may only read: then plan it as the one who will run `up`.
    """
    database = outlook.database
    if _lack(database, [need for turn in outlook.turns for need in _needs(turn)]) is None:
        return
    if reads_only(database):
        yield Said(
            "this user may only read: what the one who runs `up` may do is not known",
            "plan it as that user as well",
            {"database": database.database_name},
            severity=Severity.NOTE,
        )
        return
    for turn in outlook.turns:
        for collection, actions in _needs(turn):
            if (error := _lack(database, [(collection, actions)])) is not None:
                evidence = {"collection": collection, "actions": list(actions)}
                yield Said(error.message, str(error.hint), evidence, ref=turn.refs[-1], collection=collection)


def _lack(database: Database, wanted: Needs) -> MissingPrivilege | None:
    try:
        database.require_actions(wanted)
    except MissingPrivilege as error:
        return error
    return None


def _needs(turn: Turn) -> Needs:
    return list(needs_up(turn.operations, follows=turn.database.capabilities.change_streams))


def needs_up(operations: Iterable[Operation], *, follows: bool) -> Iterator[tuple[str, tuple[str, ...]]]:
    """What it takes to be allowed, collection by collection, to apply these operations, and to take them back.

    `follows`: changes of others are followed through a change stream meanwhile.
    """
    for operation in operations:
        for name in sorted(operation.reads):
            yield name, _WALKED
        if isinstance(operation, DocumentOperation):
            yield operation.collection, (*_WALKED, *(("changeStream",) if follows else ()))
            yield operation.writes, (*_WALKED, *operation.actions)
        elif isinstance(operation, StateOperation) and operation.collection is not None:
            yield operation.collection, (*_WALKED, *operation.actions)


def needs_down(collections: Iterable[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """What it takes to take documents back in these collections."""
    for name in collections:
        yield name, _WRITTEN


def reads_only(database: Database) -> bool:
    """Whether this user may write nothing: then what another may do, who will run the plan, is not known."""
    return _lack(database, [(str(VERSIONS), ("insert",))]) is not None
