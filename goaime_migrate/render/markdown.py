"""`plan` and `lint` for a pull request: counts, risks, and samples whose values are masked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from goaime_migrate.render import diff
from goaime_migrate.render.findings import examples, place, summary
from goaime_migrate.render.once import Once
from goaime_migrate.render.plan import ending, prediction
from goaime_migrate.render.style import Style, clean
from goaime_migrate.render.words import count, number
from goaime_migrate.results import Direction

if TYPE_CHECKING:
    from goaime_migrate.results import Finding, PlanResult, StepPlan

_STYLE = Style(masked=True)
_ONE_LINE = Style(width=1_000_000)
"""A viewer wraps text itself; a line of its own might begin like something else."""
_DIFF_LINES = 20
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~])")
_MARKS = {"error": "🛑 error", "warning": "⚠️ warning", "note": "note"}


def plan(result: PlanResult) -> str:
    """The steps with their counts, what rules say, and a document of each step."""
    verb = "apply" if result.direction is Direction.UP else "take back"
    once = Once(_STYLE)
    lines = [f"## Migration plan: {verb} {count(len(result.steps), 'version')}", ""]
    if result.message:
        lines += [_text(result.message), ""]
    lines += _refused(result)
    lines += [f"**{summary(result.findings)}**", ""]
    if result.steps:
        lines += ["| version | operation | matched | changed | unchanged |", "|---|---|--:|--:|--:|"]
        sampled = result.sampled is not None
        lines += [row for step in result.steps for row in _rows(step, once, sampled=sampled)]
        lines.append("")
    lines += _findings(result.findings)
    lines += [line for step in result.steps for line in _sample(step)]
    lines += [_text(line) for line in prediction(result.predicted, _ONE_LINE, once)]
    if result.steps:
        lines += ["", f"_{_text(ending(result, ()))}_"]
    return "\n".join(lines).rstrip() + "\n"


def lint(checked: int, found: Sequence[Finding]) -> str:
    """What is wrong with files, and what rules say of them."""
    lines = [f"## Migration files: {count(checked, 'file')}", "", f"**{summary(found)}**", ""]
    return "\n".join([*lines, *_findings(found)]).rstrip() + "\n"


def _refused(result: PlanResult) -> list[str]:
    if result.refused is None:
        return []
    error = result.refused
    return [f"> **`up` would be refused** ({error.code}): {_text(error.message)}", ""]


def _rows(step: StepPlan, once: Once, *, sampled: bool) -> list[str]:
    """A row an operation; the version stands in the first."""
    rows = []
    name = f"**{_text(step.version)}** {_text(step.name)}" + (" (irreversible)" if step.irreversible else "")
    for operation in step.operations:
        counts = [
            "" if each is None else f"{'~' if sampled else ''}{number(each)}"
            for each in (operation.matched, operation.changed, operation.unchanged)
        ]
        rows.append(f"| {name} | {_text(once(operation.text))} | {' | '.join(counts)} |")
        name = ""
    return rows or [f"| {name} | nothing | | | |"]


def _findings(found: Sequence[Finding]) -> list[str]:
    lines = []
    for finding in found:
        where = f" — {_text(place(finding))}" if place(finding) else ""
        lines.append(f"- **{_MARKS[finding.severity]} `{finding.rule}`**{where}  ")
        lines.append(f"  {_text(finding.message)}")
        lines += [f"  - {_text(each)}" for each in examples(finding, _STYLE)]
        lines.append(f"  - **do:** {_text(finding.remedy)}")
    return [*lines, ""] if lines else []


def _sample(step: StepPlan) -> list[str]:
    """The first document of a step before and after, by its types alone."""
    if not step.samples:
        return []
    sample = step.samples[0]
    shown = diff.lines(sample.before or {}, sample.after or {}, _STYLE, _DIFF_LINES, indent=0)
    return [
        f"<details><summary>{_text(step.version)}: a document, values masked</summary>",
        "",
        *(f"    {line}" for line in shown),
        "",
        "</details>",
        "",
    ]


def _text(text: str) -> str:
    """Somebody else's text in one line of Markdown, with nothing in it that means anything there."""
    return _SPECIAL.sub(r"\\\1", clean(text)).replace("@", "@\u200b")
