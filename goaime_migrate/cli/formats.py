"""What `plan` and `lint` print for others than people at a terminal: pull requests, runners, code scanners."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from goaime_migrate import errors
from goaime_migrate.cli.invocation import Invocation
from goaime_migrate.cli.options import Format
from goaime_migrate.cli.outcome import Outcome
from goaime_migrate.redaction import redact

if TYPE_CHECKING:
    from goaime_migrate.errors import Problem
    from goaime_migrate.results import Finding, LintResult, PlanResult

_SUMMARY, _ROOT = "GITHUB_STEP_SUMMARY", "GITHUB_WORKSPACE"
_PLACE = re.compile(r"(?P<name>[^/:]+\.py)(?:, line (?P<line>\d+))?: ")


def require_one(run: Invocation, form: Format) -> None:
    """Refuse two forms at once. Raises UsageError."""
    if run.common.json and form is not Format.TEXT:
        raise errors.UsageError(
            f"--json and --format {form} are two forms of the same", hint="leave one of them out"
        )


def plan(result: PlanResult, form: Format, text: Outcome) -> Outcome:
    """A plan in the form that is asked for; `text` is what people get."""
    from goaime_migrate.render import markdown

    return _formatted_outcome(form, text, result.findings, lambda: markdown.plan(result))


def lint(result: LintResult, folder: Path, form: Format, text: Outcome) -> Outcome:
    """The same of `lint`: files that do not load are among the findings."""
    from goaime_migrate.render import markdown
    from goaime_migrate.render.text import problems_of

    found = [*(_of_problem(problem, folder) for problem in problems_of(result)), *result.findings]
    return _formatted_outcome(form, text, found, lambda: markdown.lint(result.checked, found))


def _formatted_outcome(
    form: Format, text: Outcome, found: Sequence[Finding], markdown: Callable[[], str]
) -> Outcome:
    if form is Format.TEXT:
        return text
    if form is Format.GITHUB:
        _summarize(markdown())
    return Outcome(text.result, lambda _: _format(form, found, markdown), text.error, raw=True, read=True)


def _format(form: Format, found: Sequence[Finding], markdown: Callable[[], str]) -> str:
    if form is Format.MARKDOWN:
        return markdown().rstrip("\n")
    located = [_from_root(finding) for finding in found]
    if form is Format.GITHUB:
        from goaime_migrate.render import github

        return github.commands(located)
    from goaime_migrate.render.sarif import sarif
    from goaime_migrate.rules.registry import about

    return sarif(located, about, redact)


def _of_problem(problem: Problem, folder: Path) -> Finding:
    """What is wrong with a file, with its place where the message begins with it."""
    from goaime_migrate.results import Finding, Severity

    place = _PLACE.match(problem.message)
    path = folder / place["name"] if place else None
    file, line = None, None
    if place is not None and path is not None and path.exists():
        here = Path.cwd()
        file = str(path.relative_to(here) if path.is_relative_to(here) else path)
        line = int(place["line"] or 1)
    return Finding(
        problem.code, Severity.ERROR, problem.version, None, problem.message, {}, problem.hint, file, line
    )


def _from_root(finding: Finding) -> Finding:
    """With its path from the root of the repository, where a runner says what that is."""
    root = os.environ.get(_ROOT)
    if not root or not finding.file:
        return finding
    path = (Path.cwd() / finding.file).resolve()
    base = Path(root).resolve()
    return replace(finding, file=str(path.relative_to(base))) if path.is_relative_to(base) else finding


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
