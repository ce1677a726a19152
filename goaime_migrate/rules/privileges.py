"""What the user of the connection may do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from goaime_migrate.backends.ports import VERSIONS, Database
from goaime_migrate.errors import MissingPrivilege
from goaime_migrate.operations import DocumentOperation, RenameCollection, StateOperation
from goaime_migrate.results import Severity
from goaime_migrate.rules.catalogue import OUTLOOKS, Said
from goaime_migrate.rules.outlook import Outlook
from goaime_migrate.rules.turn import Turn

Needs = Sequence[tuple[str, Sequence[str]]]
_READS = ("find",)


@OUTLOOKS.rule("privilege", Severity.ERROR, early=True)
def privilege(outlook: Outlook) -> Iterator[Said]:
    """The user of the connection string may not do what an operation needs.

    A note where the user may only read: then plan it as the one who will run `up`.
    """
    database = outlook.database
    if _lack(database, [need for turn in outlook.turns for need in needs(turn)]) is None:
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
        for collection, actions in needs(turn):
            if (error := _lack(database, [(collection, actions)])) is not None:
                evidence = {"collection": collection, "actions": list(actions)}
                yield Said(error.message, str(error.hint), evidence, ref=turn.refs[-1], collection=collection)


def _lack(database: Database, wanted: Needs) -> MissingPrivilege | None:
    try:
        database.require_actions(wanted)
    except MissingPrivilege as error:
        return error
    return None


def needs(turn: Turn) -> Needs:
    """What the operations of a turn need to be allowed, in the server's words, by collection."""
    operation = turn.operations[0]
    if isinstance(operation, DocumentOperation):
        reads = {name for each in turn.operations for name in each.reads} | {operation.collection}
        changes = (*_READS, *operation.actions)
        return [(operation.writes, changes), *((name, _READS) for name in sorted(reads - {operation.writes}))]
    if isinstance(operation, RenameCollection):
        return [(operation.old, ("find",))]
    if isinstance(operation, StateOperation) and operation.collection:
        return [(operation.collection, operation.actions)]
    return []


def reads_only(database: Database) -> bool:
    """Whether this user may write nothing: then what another may do, who will run the plan, is not known."""
    return _lack(database, [(str(VERSIONS), ("insert",))]) is not None
