"""What the user of the connection may do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from goaime_migrate.backends.ports import JOURNAL, PROGRESS, RECORDS, VERSIONS, Database, Need, name_of
from goaime_migrate.errors import MissingPrivilege
from goaime_migrate.migration import Operation
from goaime_migrate.operations import DocumentOperation, StateOperation
from goaime_migrate.results import Severity
from goaime_migrate.rules.outlook import Outlook
from goaime_migrate.rules.registry import OUTLOOKS, Said
from goaime_migrate.rules.turn import Turn

_WALKED, _CHANGES = ("find",), ("insert", "update", "remove")
_BACK = {"insert": "remove", "update": "update", "remove": "insert"}
"""What gives a document back, by what has taken it."""
_INDEXED = (JOURNAL, PROGRESS)
"""Those of the records that have an index of their own."""


@OUTLOOKS.rule("privilege", Severity.ERROR, early=True)
def privilege(outlook: Outlook) -> Iterator[Said]:
    """The user of the connection string may not do what an operation needs.

    A note where the user may only read: then plan it as the one who will run `up`.
    """
    database = outlook.database
    kept = list(needs_records(database)) if outlook.turns else []
    if _lack(database, [*kept, *(need for turn in outlook.turns for need in _needs(turn))]) is None:
        return
    if reads_only(database, [operation for turn in outlook.turns for operation in turn.operations]):
        yield Said(
            "this user may only read: what the one who runs `up` may do is not known",
            "plan it as that user as well",
            {"database": database.database_name},
            severity=Severity.NOTE,
        )
        return
    if (error := _lack(database, kept)) is not None:
        yield Said(error.message, str(error.hint), {"records": database.records})
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
    return list(needs_up(turn.database, turn.operations))


def _followed(database: Database) -> tuple[str, ...]:
    """To walk over a collection, and to be told what others write meanwhile."""
    return (*_WALKED, "changeStream") if database.capabilities.change_streams else _WALKED


def needs_records(database: Database) -> Iterator[Need]:
    """What every run does to its own records. Whoever may insert into a collection may make it as well."""
    for each in RECORDS:
        indexed = ("createIndex",) if each in _INDEXED else ()
        yield Need(name_of(each, database.records), (*_WALKED, *_CHANGES, *indexed))


def needs_up(database: Database, operations: Iterable[Operation]) -> Iterator[Need]:
    """What it takes to be allowed, collection by collection, to apply these operations."""
    for operation in operations:
        for name in sorted(operation.reads):
            yield Need(name, _WALKED)
        if isinstance(operation, DocumentOperation):
            yield Need(operation.collection, _followed(database))
            yield Need(operation.writes, (*_WALKED, *operation.actions))
        elif isinstance(operation, StateOperation):
            if operation.collection is not None:
                yield Need(operation.collection, _WALKED)
            yield from operation.needs


def needs_sweep(database: Database, swept: Iterable[str], reads: Iterable[str]) -> Iterator[Need]:
    """What it takes to sweep these collections, looking documents up in others."""
    yield from needs_records(database)
    for name in swept:
        yield Need(name, (*_followed(database), "update"))
    for name in reads:
        yield Need(name, _WALKED)


def need_down(written: str, operation: Operation | None) -> Need:
    """What it takes to take an operation's documents back; all there is where its file is gone."""
    actions = operation.actions if isinstance(operation, DocumentOperation) else _CHANGES
    return Need(written, (*_WALKED, *(_BACK[action] for action in actions)))


def reads_only(database: Database, operations: Iterable[Operation] = ()) -> bool:
    """Whether this user may write nothing, neither records nor what these operations write.

    Then what another may do, who will run the plan, is not known.
    """
    written = {o.writes for o in operations if isinstance(o, DocumentOperation)}
    return all(
        _lack(database, [Need(name, (action,))]) is not None
        for name in (name_of(VERSIONS, database.records), *sorted(written))
        for action in _CHANGES
    )
