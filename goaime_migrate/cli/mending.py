"""The commands that change records, not documents: stamp, repair, unlock, throttle."""

from __future__ import annotations

from typing import Annotated

from goaime_migrate.cli.invocation import Invocation
from goaime_migrate.cli.options import Argument, DryRun, LockTimeout, Option, Yes
from goaime_migrate.cli.outcome import Outcome
from goaime_migrate.errors import DamagedRecord, UsageError


def stamp(
    run: Invocation,
    target: Annotated[
        str, Argument(metavar="TARGET", help="The last version that the database has already.")
    ],
    *,
    dry_run: DryRun = False,
    lock_timeout: LockTimeout = None,
    yes: Yes = False,
) -> Outcome:
    """Record versions as applied without running them."""
    from goaime_migrate.render import text

    with run.migrator(run.settings(lock_timeout=lock_timeout), progress=True) as migrator:
        result = migrator.stamp(target, dry_run=True)
        if not dry_run and (result.recorded or result.removed):
            run.confirm(text.stamp(result, run.console.err, would=True), "record this?", yes=yes)
            result = migrator.stamp(target, dry_run=False)
    return Outcome(result, lambda style: text.stamp(result, style, would=dry_run, target=target))


def repair(
    run: Invocation,
    *,
    dry_run: DryRun = False,
    lock_timeout: LockTimeout = None,
    yes: Yes = False,
) -> Outcome:
    """Accept edited files, and drop what removed files left."""
    from goaime_migrate.render import text

    with run.migrator(run.settings(lock_timeout=lock_timeout), progress=True) as migrator:
        result = migrator.repair(dry_run=True)
        if not (dry_run or result.empty):
            run.confirm(text.repair(result, would=True), "do this?", yes=yes)
            result = migrator.repair(dry_run=False)
    return Outcome(result, lambda _: text.repair(result, would=dry_run))


def unlock(
    run: Invocation,
    *,
    force: Annotated[bool, Option("--force", help="End the lease; its holder can write no more.")] = False,
    yes: Yes = False,
) -> Outcome:
    """Show who holds the lock; with --force, end it."""
    from goaime_migrate.render import text

    with run.migrator(run.settings()) as migrator:
        try:
            result = migrator.unlock()
            held = text.unlock(result, run.console.err) if result.lock is not None else ""
        except DamagedRecord as error:
            if not force:
                raise
            held = error.message
        if force and held:
            run.confirm(held, "end this lease?", yes=yes)
            result = migrator.unlock(force=True)
    return Outcome(result, lambda style: text.unlock(result, style), read=not force)


def throttle(
    run: Invocation,
    *,
    max_rate: Annotated[
        float | None, Option(metavar="N", help="Most documents a second, whatever the run was started with.")
    ] = None,
    pause: Annotated[bool, Option("--pause", help="Wait after this batch, and keep the lock.")] = False,
    resume: Annotated[bool, Option("--resume", help="Go on.")] = False,
    clear: Annotated[bool, Option("--clear", help="As fast as the run was started.")] = False,
    yes: Annotated[  # noqa: ARG001 (accepted for scripts that give it to every command)
        bool, Option("--yes", "-y", help="Accepted, though `throttle` never asks.")
    ] = False,
) -> Outcome:
    """Slow down the run that holds the lock, or let it wait; it hears of it within ten seconds."""
    from goaime_migrate.render import text

    if (max_rate is not None) + pause + resume + clear != 1:
        raise UsageError(
            "the run is told one thing: which one?",
            hint="say just one of --max-rate N, --pause, --resume and --clear",
        )
    with run.migrator(run.settings()) as migrator:
        result = migrator.throttle(paused=True if pause else False if resume else None, max_rate=max_rate)
    return Outcome(result, lambda style: text.throttle(result, style))
