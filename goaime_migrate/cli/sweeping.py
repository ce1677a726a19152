"""`sweep`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from goaime_migrate.cli.invocation import Invocation
from goaime_migrate.cli.options import (
    BatchSize,
    DryRun,
    FailFast,
    First,
    LockTimeout,
    MaxLag,
    MaxRate,
    Option,
    Target,
)
from goaime_migrate.cli.outcome import Outcome
from goaime_migrate.cli.running import to_its_batch
from goaime_migrate.cli.scope import over
from goaime_migrate.errors import UsageError

if TYPE_CHECKING:
    from goaime_migrate.results import SweepResult


def sweep(
    run: Invocation,
    target: Target = None,
    *,
    dry_run: DryRun = False,
    follow: Annotated[
        float | None,
        Option(
            "--follow",
            metavar="SECONDS",
            min=0,
            help="Stay until for so long nothing has come in an old shape.",
        ),
    ] = None,
    batch_size: BatchSize = None,
    max_lag: MaxLag = None,
    max_rate: MaxRate = None,
    lock_timeout: LockTimeout = None,
    first: First = None,
    fail_fast: FailFast = False,
    yes: Annotated[  # noqa: ARG001 (accepted for scripts that give it to every command)
        bool, Option("--yes", "-y", help="Accepted, though `sweep` never asks.")
    ] = False,
) -> Outcome:
    """Apply the applied versions once more, to what was written in an old shape since."""
    if dry_run and follow is not None:
        raise UsageError("--dry-run looks once, --follow stays", hint="leave one of them out")
    settings = run.settings(
        batch_size=batch_size, max_lag=max_lag, max_rate=max_rate, lock_timeout=lock_timeout
    )
    with over(run, settings, progress=True, first=first, fail_fast=fail_fast) as scope:
        if dry_run:
            return scope.each(lambda migrator: _outcome(migrator.sweep(target, dry_run=True)))
        with to_its_batch(run, scope.at_work):
            return scope.each(lambda migrator: _outcome(migrator.sweep(target, follow=follow)))


def _outcome(result: SweepResult) -> Outcome:
    from goaime_migrate.render import sweep

    return Outcome(result, lambda style: sweep.sweep(result, style), result.error, read=result.dry_run)
