"""`up` and `down`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Annotated

from goaime_migrate.cli.invocation import Invocation, filter_of
from goaime_migrate.cli.options import (
    BatchSize,
    DryRun,
    Executor,
    FailFast,
    First,
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
from goaime_migrate.cli.scope import Running, over
from goaime_migrate.cli.signals import graceful
from goaime_migrate.results import Direction, OnConflict

if TYPE_CHECKING:
    from goaime_migrate.results import PlanResult, RunResult


Conflicting = Annotated[
    OnConflict | None,
    Option(
        help="Where the application has changed the same fields since: its values stay [keep], "
        "the old ones come back, or the run stops."
    ),
]


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
    first: First = None,
    fail_fast: FailFast = False,
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
    with over(run, settings, progress=True, first=first, fail_fast=fail_fast) as scope:
        if dry_run:
            return scope.each(
                lambda migrator: plan_outcome(
                    migrator.plan(target, direction=Direction.UP, where=only), *only_where(where)
                )
            )
        with to_its_batch(run, scope.at_work):
            return scope.each(lambda migrator: _ran(migrator.up(target, where=only)))


def down(
    run: Invocation,
    target: Target = None,
    *,
    on_conflict: Conflicting = None,
    dry_run: DryRun = False,
    workers: Workers = None,
    executor: Executor = None,
    batch_size: BatchSize = None,
    max_lag: MaxLag = None,
    max_rate: MaxRate = None,
    lock_timeout: LockTimeout = None,
    allow_untested_topology: Untested = None,
    first: First = None,
    fail_fast: FailFast = False,
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
    with over(run, settings, progress=True, first=first, fail_fast=fail_fast) as scope:
        if dry_run or not yes:
            shown = _alone(on_conflict) if dry_run else _before_a_question
            preview = scope.each(lambda migrator: shown(migrator.plan(target, direction=Direction.DOWN)))
            if dry_run or not _confirmed(run, preview):
                return preview
        with to_its_batch(run, scope.at_work):
            return scope.each(lambda migrator: _ran(migrator.down(target, on_conflict=settings.on_conflict)))


def _alone(on_conflict: OnConflict | None) -> Callable[[PlanResult], Outcome]:
    """A plan of the way back with the command that carries it out."""
    options = () if on_conflict is None else ("--on-conflict", on_conflict)
    return lambda result: plan_outcome(result, *options)


def _before_a_question(result: PlanResult) -> Outcome:
    """The same where the question takes the place of the next command."""
    from goaime_migrate.render import plan

    outcome = plan_outcome(result)
    return outcome if result.refused else outcome._replace(text=partial(plan.plan, result, instead=""))


def _confirmed(run: Invocation, preview: Outcome) -> bool:
    """Show what `down` would do and ask, once for all databases; False where it could do nothing, and nobody is asked.

    Raises NotConfirmed.
    """
    from goaime_migrate.cli.several import results_of

    plans = [plan for plan in results_of(preview) if plan.refused is None]
    back = [len(plan.steps) for plan in plans if plan.steps]
    if back:
        what = "this version" if sum(back) == 1 else f"these {sum(back)} versions"
        where = f" in {len(back)} databases" if len(back) > 1 else ""
        run.confirm(preview.text(run.console.err), f"take back {what}{where}?", yes=False)
    return bool(plans)


@contextmanager
def to_its_batch(run: Invocation, at_work: Running) -> Iterator[None]:
    """A run stops after its batch on the first SIGINT or SIGTERM; what comes before it, a question say, at once."""

    def tell() -> None:
        if at_work.function:
            run.console.urgent(
                f"\nstopping when {at_work.function} has come to its end; the same signal again stops it where it is"
            )
        else:
            run.console.urgent("\nstopping after this batch; the same signal again stops at once")

    with graceful(at_work.interrupt, tell, lambda: at_work.function):
        yield


def _ran(result: RunResult) -> Outcome:
    from goaime_migrate.render import run

    return Outcome(result, lambda style: run.run(result, style), result.error, brief=run.brief(result))
