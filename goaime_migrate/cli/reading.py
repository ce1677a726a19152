"""The commands that only read: status, plan, verify, history, lint, wait."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from goaime_migrate import errors
from goaime_migrate.cli.invocation import Invocation, filter_of
from goaime_migrate.cli.options import As, FailFast, Format, Option, Target, Where
from goaime_migrate.cli.outcome import Outcome
from goaime_migrate.cli.scope import over
from goaime_migrate.render.style import clean
from goaime_migrate.render.words import count
from goaime_migrate.results import Direction

if TYPE_CHECKING:
    from goaime_migrate.migrator import Migrator
    from goaime_migrate.results import PlanResult, StatusResult, VerifyResult


def status(
    run: Invocation,
    *,
    check: Annotated[
        bool, Option("--check", help="Exit 4 on problems, 3 if anything is not applied.")
    ] = False,
    watch: Annotated[
        bool, Option("--watch", help="Follow a run until it ends; at once where nothing runs.")
    ] = False,
    fail_fast: FailFast = False,
) -> Outcome:
    """Show every version with its state."""

    def one(migrator: Migrator) -> Outcome:
        result = _watch(run, migrator) if watch else migrator.status()
        return _status(result, problem_of(result) if check else None)

    with over(run, run.settings(), fail_fast=fail_fast) as scope:
        if watch and scope.several:
            raise errors.UsageError("one run is watched at a time", hint="choose one: --database NAME")
        return scope.each(one)


def _watch(run: Invocation, migrator: Migrator) -> StatusResult:
    from goaime_migrate.cli import watching

    return watching.watch(run, migrator.status)


def plan(
    run: Invocation,
    target: Target = None,
    *,
    down: Annotated[bool, Option("--down", help="Plan the way back.")] = False,
    where: Where = None,
    form: As = Format.TEXT,
    fail_fast: FailFast = False,
) -> Outcome:
    """Show what `up` would do to real documents, and write nothing."""
    from goaime_migrate.cli import formats

    formats.require_one(run, form)
    if down and where is not None:
        raise errors.UsageError(
            "--where limits `up`; the way back is of whole versions", hint="leave --where out"
        )
    only = filter_of(where)

    def one(migrator: Migrator) -> Outcome:
        result = migrator.plan(target, direction=Direction.DOWN if down else Direction.UP, where=only)
        return formats.plan(result, form, plan_outcome(result, *only_where(where)))

    with over(run, run.settings(), progress=True, fail_fast=fail_fast) as scope:
        if scope.several and form is not Format.TEXT:
            raise errors.UsageError(
                f"--format {form} is about one database", hint="choose one: --database NAME"
            )
        return scope.each(one)


def only_where(where: str | None) -> tuple[str, ...]:
    """The words of a filter that was typed."""
    return () if where is None else ("--where", where)


def plan_outcome(result: PlanResult, *options: str) -> Outcome:
    """A plan as the outcome of `plan` and of `--dry-run`, to be carried out with these options."""
    from goaime_migrate.render import plan

    text = partial(plan.plan, result, options=options)
    return Outcome(result, text, result.refused, brief=plan.brief(result), read=True)


def verify(
    run: Invocation,
    *,
    sample: Annotated[
        int | None, Option(metavar="N", min=1, help="Check so many documents a collection.")
    ] = None,
    all: Annotated[bool, Option("--all", help="Check promises too that newer versions replace.")] = False,
    fail_fast: FailFast = False,
) -> Outcome:
    """Check every promise of the applied versions over every document."""
    with over(run, run.settings(), progress=True, fail_fast=fail_fast) as scope:
        return scope.each(lambda migrator: _verify_outcome(migrator.verify(sample=sample, superseded=all)))


def _verify_outcome(result: VerifyResult) -> Outcome:
    from goaime_migrate.render import text

    return Outcome(result, lambda style: text.verify(result, style), _verify_error(result), read=True)


def _verify_error(result: VerifyResult) -> errors.PromiseBroken | None:
    """What `verify` fails with: broken promises before stragglers."""
    if result.failures:
        failed = result.failures[0]
        return errors.PromiseBroken(
            f"{count(len(result.failures), 'failure')} in {count(result.checked, 'document')}; "
            f"the first: {failed.reason}",
            hint=f"mend the documents, or goaime-migrate down to before {failed.version}",
            version=failed.version,
            id=failed.id,
            field=failed.field,
        )
    if result.stragglers:
        first = result.stragglers[0]
        return errors.Stragglers(
            f"{count(sum(each.count for each in result.stragglers), 'straggler')}: "
            "documents in an old shape, written since or put back",
            hint="bring them forward: goaime-migrate sweep",
            version=first.version,
            id=first.examples[0],
        )
    return None


def history(
    run: Invocation,
    *,
    html: Annotated[
        Path | None,
        Option("--html", metavar="FILE", help="Write a page of it, with samples of what was changed."),
    ] = None,
    masked: Annotated[
        bool, Option("--masked", help="On that page show values of documents by their types alone.")
    ] = False,
) -> Outcome:
    """Show who did what and when, with what result."""
    from goaime_migrate.render import text

    if html is not None:
        return _page(run, html, masked=masked)
    if masked:
        raise errors.UsageError(
            "--masked is about a page", hint="goaime-migrate history --html FILE --masked"
        )
    with run.migrator(run.settings()) as migrator:
        entries = migrator.history()
    return Outcome(entries, lambda style: text.history(entries, style), read=True)


def _page(run: Invocation, path: Path, *, masked: bool) -> Outcome:
    """The same as a file for a browser."""
    from goaime_migrate.cli import page
    from goaime_migrate.render import report

    report.require_jinja()
    page.require_place(path)
    with run.migrator(run.settings()) as migrator:
        found = migrator.report()
    page.write(path, report.page(found, masked=masked))
    return Outcome(found.history, lambda _: f"wrote {clean(str(path))}")


def lint(run: Invocation, *, form: As = Format.TEXT) -> Outcome:
    """Look for problems in the migration files; no database is needed."""
    from goaime_migrate.cli import formats
    from goaime_migrate.render import text

    formats.require_one(run, form)
    settings = run.settings(need_uri=False)
    with run.migrator(settings) as migrator:
        result = migrator.lint()
    error = None
    if result.problems:
        first = result.problems[0]
        error = errors.LintProblems(
            f"{count(len(result.problems), 'problem')} in {count(result.checked, 'file')}",
            hint="mend what is listed, then: goaime-migrate lint",
            version=first.version,
        )
    shown = Outcome(result, lambda style: text.lint(result, style), error, read=True)
    return formats.lint(result, settings.migrations, form, shown)


def wait(
    run: Invocation,
    *,
    timeout: Annotated[float, Option(metavar="SECONDS", min=0, help="Give up after so long.")] = 300.0,
) -> Outcome:
    """Wait until every version is applied; reads only. For the start of an application."""
    with run.migrator(run.settings()) as migrator:
        result = migrator.wait(timeout)
    if not (result.pending or result.problems):
        return _status(result, None)
    if not result.pending:
        return _status(result, problem_of(result))
    return _status(
        result,
        errors.PendingMigrations(
            f"after {timeout:g} s {_not_applied(result)}",
            hint="goaime-migrate up, or a longer --timeout",
            version=result.pending[0],
        ),
    )


def problem_of(result: StatusResult) -> errors.MigrateError | None:
    """What `status --check` fails with: problems before pending versions."""
    if result.problems:
        first, others = result.problems[0], len(result.problems) - 1
        cls = errors.by_code().get(first.code, errors.HistoryError)
        if not issubclass(cls, errors.HistoryError):
            cls = errors.HistoryError
        more = f" (and {count(others, 'more problem')})" if others else ""
        return cls(first.message + more, hint=first.hint or "goaime-migrate status", version=first.version)
    if result.pending:
        from goaime_migrate.render.status import way_on

        return errors.PendingMigrations(_not_applied(result), hint=way_on(result), version=result.pending[0])
    return None


def _not_applied(result: StatusResult) -> str:
    verb = "is" if len(result.pending) == 1 else "are"
    return f"{count(len(result.pending), 'version')} {verb} not applied: {', '.join(result.pending[:10])}"


def _status(result: StatusResult, error: errors.MigrateError | None) -> Outcome:
    from goaime_migrate.render import status as status_text

    text = partial(status_text.status, result, told=error)
    return Outcome(result, text, error, brief=status_text.brief(result), read=True)
