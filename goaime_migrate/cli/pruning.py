"""`prune`: delete what is kept to take versions back, or all that is kept of one document."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from goaime_migrate.cli.ids import ids_of
from goaime_migrate.cli.invocation import Invocation
from goaime_migrate.cli.options import DryRun, FailFast, First, LockTimeout, Option, Yes
from goaime_migrate.cli.outcome import Outcome
from goaime_migrate.cli.scope import over
from goaime_migrate.cli.several import results_of
from goaime_migrate.errors import UsageError

if TYPE_CHECKING:
    from goaime_migrate.migrator import Migrator
    from goaime_migrate.results import PruneResult

_SECONDS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_AGE = re.compile(r"(\d{1,6})([dhms])")


def prune(
    run: Invocation,
    *,
    keep: Annotated[
        str | None, Option(metavar="AGE", help="Whatever was applied longer ago: 30d, 12h, 5m, 0d for all.")
    ] = None,
    version: Annotated[
        list[str] | None, Option(metavar="VERSION", help="This version; may be given several times.")
    ] = None,
    collection: Annotated[
        str | None, Option(metavar="NAME", help="Erase one document of this collection, with --id.")
    ] = None,
    id: Annotated[
        str | None,
        Option(metavar="JSON", help="Its _id in Extended JSON; a bare word is a string, or an ObjectId."),
    ] = None,
    dry_run: DryRun = False,
    lock_timeout: LockTimeout = None,
    first: First = None,
    fail_fast: FailFast = False,
    yes: Yes = False,
) -> Outcome:
    """Delete journals and collections kept aside; or erase one document from every journal."""
    from goaime_migrate.render import pruning as text

    call = _call(keep, version or (), collection, id)

    def outcome(migrator: Migrator, *, would: bool) -> Outcome:
        result = call(migrator, would)
        brief = text.brief(result, would=would)
        return Outcome(result, lambda style: text.prune(result, style, would=would), brief=brief)

    settings = run.settings(lock_timeout=lock_timeout)
    with over(run, settings, progress=True, first=first, fail_fast=fail_fast) as scope:
        preview = scope.each(lambda migrator: outcome(migrator, would=True))
        if dry_run or all(result.empty for result in results_of(preview)):
            return preview
        run.confirm(preview.text(run.console.err), "delete this for good?", yes=yes)
        return scope.each(lambda migrator: outcome(migrator, would=False))


def _call(
    keep: str | None, versions: Sequence[str], collection: str | None, id: str | None
) -> Callable[[Migrator, bool], PruneResult]:
    """What is asked for, or in a dry run only looked for. Raises UsageError."""
    if sum((keep is not None, bool(versions), collection is not None or id is not None)) != 1:
        raise UsageError(
            "what is to be pruned?",
            hint="say just one of --keep AGE, --version VERSION, --collection NAME --id JSON",
        )
    if id is not None and collection is not None:
        ids = ids_of(id, "--id")
        return lambda migrator, dry: migrator.erase(collection, _kept(migrator, collection, ids), dry_run=dry)
    if id is not None or collection is not None:
        raise UsageError("one document has a collection and an _id", hint="--collection NAME --id JSON")
    seconds = age(keep)
    return lambda migrator, dry: migrator.prune(keep=seconds, versions=versions, dry_run=dry)


def _kept(migrator: Migrator, collection: str, ids: Sequence[Any]) -> Any:
    """The first of these `_id`s of which anything is kept, or the likeliest."""
    first, *others = ids
    kept = (each for each in ids if not migrator.erase(collection, each, dry_run=True).empty)
    return next(kept, first) if others else first


def age(text: str | None) -> int | None:
    """Seconds. Raises UsageError."""
    found = None if text is None else _AGE.fullmatch(text.strip())
    if text is not None and found is None:
        raise UsageError(f"--keep {text} is no age", hint="--keep 30d (d, h, m or s)")
    return None if found is None else int(found[1]) * _SECONDS[found[2]]
