"""`blame`: which version changed a document, and what it was before."""

from __future__ import annotations

from typing import Annotated

from goaime_migrate.cli.ids import first_known, ids_of
from goaime_migrate.cli.invocation import Invocation
from goaime_migrate.cli.options import Argument, Option
from goaime_migrate.cli.outcome import Outcome


def blame(
    run: Invocation,
    collection: Annotated[str, Argument(metavar="COLLECTION", help="The collection, as it is called today.")],
    id: Annotated[
        str, Argument(metavar="ID", help="The _id in Extended JSON; a bare word is a string, or an ObjectId.")
    ],
    *,
    as_of: Annotated[
        str | None, Option(metavar="VERSION", help="Print the document as it was before this version.")
    ] = None,
) -> Outcome:
    """Show which versions changed a document, when, who ran them, and each field before and after."""
    from goaime_migrate.render import blame as text

    ids = ids_of(id, "ID")
    with run.migrator(run.settings()) as migrator:
        if as_of is None:
            result = first_known(ids, lambda each: migrator.blame(collection, each))
            return Outcome(result, lambda style: text.blame(result, style), read=True)
        before = first_known(ids, lambda each: migrator.as_of(collection, each, as_of))
    for note in before.notes:
        run.console.message(note)
    return Outcome(before, lambda _: text.as_of(before), raw=True, read=True)
