"""`up` and `down`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

from goaime_migrate.cli.invocation import Invocation, filter_of
from goaime_migrate.cli.options import (
    BatchSize,
    DryRun,
    Executor,
    LockTimeout,
    MaxLag,
    MaxRate,
    Option,
    Target,
    Untested,
    Where,
    Workers,
    Yes,
)
from goaime_migrate.cli.outcome import Outcome
from goaime_migrate.cli.reading import only_where, plan_outcome
from goaime_migrate.cli.signals import graceful
from goaime_migrate.results import Direction, OnConflict

if TYPE_CHECKING:
    from goaime_migrate.migrator import Migrator
    from goaime_migrate.results import PlanResult, RunResult


def up(
    run: Invocation,
    target: Target = None,
    *,
    dry_run: DryRun = False,
    where: Where = None,
    workers: Workers = None,
    executor: Executor = None,
    batch_size: BatchSize = None,
    max_lag: MaxLag = None,
    max_rate: MaxRate = None,
    lock_timeout: LockTimeout = None,
    allow_untested_topology: Untested = None,
    yes: Annotated[  # noqa: ARG001 (accepted for scripts that give it to every command)
        bool, Option("--yes", "-y", help="Accepted, though `up` never asks.")
    ] = False,
) -> Outcome:
    """Apply every pending version, or all up to and including TARGET."""
    only = filter_of(where)
    settings = run.settings(
        workers=workers,
        executor=executor,
        batch_size=batch_size,
        max_lag=max_lag,
        max_rate=max_rate,
        lock_timeout=lock_timeout,
        allow_untested_topology=allow_untested_topology,
    )
    with run.migrator(settings, progress=True) as migrator:
        if dry_run:
            return plan_outcome(migrator.plan(target, direction=Direction.UP, where=only), *only_where(where))
        with to_its_batch(run, migrator):
            return _ran(migrator.up(target, where=only))


def down(
    run: Invocation,
    target: Target = None,
    *,
    on_conflict: Annotated[
        OnConflict | None,
        Option(
            help="Where the application has changed the same fields since: its values stay [keep], "
            "the old ones come back, or the run stops."
        ),
    ] = None,
    dry_run: DryRun = False,
    workers: Workers = None,
    executor: Executor = None,
    batch_size: BatchSize = None,
    max_lag: MaxLag = None,
    max_rate: MaxRate = None,
    lock_timeout: LockTimeout = None,
    allow_untested_topology: Untested = None,
    yes: Yes = False,
) -> Outcome:
    """Take back the highest version, or all above TARGET."""
    settings = run.settings(
        on_conflict=on_conflict,
        workers=workers,
        executor=executor,
        batch_size=batch_size,
        max_lag=max_lag,
        max_rate=max_rate,
        lock_timeout=lock_timeout,
        allow_untested_topology=allow_untested_topology,
    )
    with run.migrator(settings, progress=True) as migrator:
        if dry_run or not yes:
            preview = migrator.plan(target, direction=Direction.DOWN)
            if dry_run or preview.refused is not None:
                return plan_outcome(preview, *(() if on_conflict is None else ("--on-conflict", on_conflict)))
            _confirm(run, preview)
        with to_its_batch(run, migrator):
            return _ran(migrator.down(target, on_conflict=settings.on_conflict))


def _confirm(run: Invocation, preview: PlanResult) -> None:
    """Show what `down` would do, and ask; where there is nothing to do nobody is asked. Raises NotConfirmed."""
    from goaime_migrate.render import plan

    if preview.steps:
        count = len(preview.steps)
        question = f"take back {'this version' if count == 1 else f'these {count} versions'}?"
        run.confirm(plan.plan(preview, run.console.err, instead=""), question, yes=False)


@contextmanager
def to_its_batch(run: Invocation, migrator: Migrator) -> Iterator[None]:
    """A run stops after its batch on the first SIGINT or SIGTERM; what comes before it, a question say, at once."""

    def tell() -> None:
        if migrator.function:
            run.console.urgent(
                f"\nstopping when {migrator.function} has come to its end; the same signal again stops it where it is"
            )
        else:
            run.console.urgent("\nstopping after this batch; the same signal again stops at once")

    with graceful(migrator.interrupt, tell, lambda: migrator.function):
        yield


def _ran(result: RunResult) -> Outcome:
    from goaime_migrate.render import run

    return Outcome(result, lambda style: run.run(result, style), result.error)
