"""What the user of the connection may do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from goaime_migrate.backends.ports import VERSIONS, Database, Need
from goaime_migrate.errors import MissingPrivilege
from goaime_migrate.migration import Operation
from goaime_migrate.operations import DocumentOperation, StateOperation
from goaime_migrate.results import Severity
from goaime_migrate.rules.catalogue import OUTLOOKS, Said
from goaime_migrate.rules.outlook import Outlook
from goaime_migrate.rules.turn import Turn

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
        for need in _needs(turn):
            if (error := _lack(database, [need])) is not None:
                evidence = {"collection": need.collection or None, "actions": list(need.actions)}
                named = need.collection or turn.collection
                yield Said(error.message, str(error.hint), evidence, ref=turn.refs[-1], collection=named)


def _lack(database: Database, wanted: Sequence[Need]) -> MissingPrivilege | None:
    try:
        database.require_actions(wanted)
    except MissingPrivilege as error:
        return error
    return None


def _needs(turn: Turn) -> list[Need]:
    return list(needs_up(turn.operations, follows=turn.database.capabilities.change_streams))


def _followed(follows: bool) -> tuple[str, ...]:
    """To walk over a collection, and to be told what others write meanwhile."""
    return (*_WALKED, "changeStream") if follows else _WALKED


def needs_up(operations: Iterable[Operation], *, follows: bool) -> Iterator[Need]:
    """What it takes to be allowed, collection by collection, to apply these operations, and to take them back.

    `follows`: changes of others are followed through a change stream meanwhile.
    """
    for operation in operations:
        for name in sorted(operation.reads):
            yield Need(name, _WALKED)
        if isinstance(operation, DocumentOperation):
            yield Need(operation.collection, _followed(follows))
            yield Need(operation.writes, (*_WALKED, *operation.actions))
        elif isinstance(operation, StateOperation):
            if operation.collection is not None:
                yield Need(operation.collection, _WALKED)
            yield from operation.needs


def needs_sweep(swept: Iterable[str], reads: Iterable[str], *, follows: bool) -> Iterator[Need]:
    """What it takes to sweep these collections, looking documents up in others; `follows` as of `needs_up`."""
    for name in swept:
        yield Need(name, (*_followed(follows), "update"))
    for name in reads:
        yield Need(name, _WALKED)


def needs_down(collections: Iterable[str]) -> Iterator[Need]:
    """What it takes to take documents back in these collections."""
    for name in collections:
        yield Need(name, _WRITTEN)


def reads_only(database: Database) -> bool:
    """Whether this user may write nothing: then what another may do, who will run the plan, is not known."""
    return _lack(database, [Need(str(VERSIONS), ("insert",))]) is not None
