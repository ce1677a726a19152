"""What `plan` and `lint` print for others than people at a terminal: pull requests, runners, code scanners."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from goaime_migrate import errors
from goaime_migrate.cli.invocation import Invocation
from goaime_migrate.cli.options import Format
from goaime_migrate.cli.outcome import Outcome
from goaime_migrate.redaction import redact

if TYPE_CHECKING:
    from goaime_migrate.results import LintResult, PlanResult

_SUMMARY = "GITHUB_STEP_SUMMARY"


def require_one(run: Invocation, form: Format) -> None:
    """Refuse two forms at once. Raises UsageError."""
    if run.common.json and form is not Format.TEXT:
        raise errors.UsageError(
            f"--json and --format {form} are two forms of the same", hint="leave one of them out"
        )


def plan(result: PlanResult, form: Format, text: Outcome) -> Outcome:
    """A plan in the form that is asked for; `text` is what people get."""
    from goaime_migrate.render import github, markdown

    if form is Format.MARKDOWN:
        return _outcome(text, lambda: markdown.plan(result))
    if form is Format.GITHUB:
        _summarize(markdown.plan(result))
        return _outcome(text, lambda: github.commands(result.findings))
    return _outcome(text, lambda: _sarif(result)) if form is Format.SARIF else text


def lint(result: LintResult, form: Format, text: Outcome) -> Outcome:
    """The same of `lint`."""
    from goaime_migrate.render import github, markdown
    from goaime_migrate.render.text import broken

    if form is Format.MARKDOWN:
        return _outcome(text, lambda: markdown.lint(result, broken(result)))
    if form is Format.GITHUB:
        _summarize(markdown.lint(result, broken(result)))
        return _outcome(text, lambda: github.commands(result.findings, broken(result)))
    return _outcome(text, lambda: _sarif(result)) if form is Format.SARIF else text


def _outcome(text: Outcome, made: Callable[[], str]) -> Outcome:
    return Outcome(text.result, lambda _: made().rstrip("\n"), text.error, raw=True, read=True)


def _sarif(result: PlanResult | LintResult) -> str:
    from goaime_migrate.render.sarif import sarif
    from goaime_migrate.render.text import broken
    from goaime_migrate.results import LintResult
    from goaime_migrate.rules.catalogue import about

    problems = broken(result) if isinstance(result, LintResult) else []
    return sarif(result.findings, problems, about, redact)


def _summarize(text: str) -> None:
    """Add to the summary of a runner's step, where there is one. Raises UsageError."""
    path = os.environ.get(_SUMMARY)
    if not path:
        return
    try:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(redact(text) + "\n")
    except OSError as error:
        raise errors.UsageError(
            f"{_SUMMARY}: {path} cannot be written: {error.strerror or error}", hint=f"unset {_SUMMARY}"
        ) from error
