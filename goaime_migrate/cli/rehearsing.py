"""`rehearse`: the pending versions on a copy."""

from __future__ import annotations

from typing import Annotated

from goaime_migrate import errors
from goaime_migrate.cli.invocation import Invocation
from goaime_migrate.cli.options import Option, Target
from goaime_migrate.cli.outcome import Outcome
from goaime_migrate.cli.running import to_its_batch
from goaime_migrate.render import rehearsal as text
from goaime_migrate.results import REHEARSED


def rehearse(
    run: Invocation,
    target: Target = None,
    *,
    sample: Annotated[
        int | None, Option(metavar="N", min=1, help="Copy so many documents a collection [2,000].")
    ] = None,
    all: Annotated[bool, Option("--all", help="Copy all documents.")] = False,
    memory: Annotated[
        bool, Option("--memory", help="Copy into the embedded engine: takes no more than reading.")
    ] = False,
) -> Outcome:
    """Carry out what is pending on a copy: up, verify, down, compare, up; the database is only read."""
    if all and sample is not None:
        raise errors.UsageError(
            "--all copies all documents, --sample N some", hint="one of --all and --sample N"
        )
    with run.migrator(run.settings(), progress=True) as migrator, to_its_batch(run, migrator):
        result = migrator.rehearse(target, sample=None if all else sample or REHEARSED, memory=memory)
    return Outcome(result, lambda style: text.rehearsal(result, style), result.error, read=True)
