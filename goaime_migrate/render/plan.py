"""`plan` as text: readable steps, numbers, and what would happen to real documents."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from goaime_migrate.errors.hint import REHEARSE, Command, Hint
from goaime_migrate.render import diff
from goaime_migrate.render.findings import findings, summary
from goaime_migrate.render.once import Once
from goaime_migrate.render.style import Style, bullet, clean
from goaime_migrate.render.values import value
from goaime_migrate.render.warned import warnings
from goaime_migrate.render.words import count, no_reverse, number, versions
from goaime_migrate.results import Direction
from goaime_migrate.units import duration, size

if TYPE_CHECKING:
    from goaime_migrate.results import (
        DownPreview,
        OperationPlan,
        PlanResult,
        Predicted,
        Sample,
        StepPlan,
    )

DIFF_LINES = 12


def plan(result: PlanResult, style: Style, instead: str | None = None, options: Sequence[str] = ()) -> str:
    """The steps in their order. `options`: the words that the command to carry it out has as well.

    `instead` replaces the last line where a question follows.
    """
    verb = "apply" if result.direction is Direction.UP else "take back"
    lines, once = list[str](), Once(style)
    if result.message:
        lines += bullet("", result.message, style, indent=0)
    if result.steps:
        target = f" to {clean(result.target)}" if result.target else ""
        lines += [f"plan {result.direction.value}{target}: {verb} {count(len(result.steps), 'version')}", ""]
    for step in result.steps:
        lines += [*_step(step, result, once, style), ""]
    if result.preview:
        lines += _preview(result.preview)
    if result.findings:
        lines += [
            style.paint(summary(result.findings), "bold"),
            *findings(result.findings, style, indent=2),
            "",
        ]
    if result.steps:
        lines += prediction(result.predicted, style, once)
        lines.append(
            style.paint(style.spell(ending(result, options)) if instead is None else instead, "bold")
        )
    return "\n".join(lines).rstrip()


def brief(result: PlanResult) -> str:
    """The same in one line, for one of several databases."""
    if not result.steps:
        return result.message
    verb = "apply" if result.direction is Direction.UP else "take back"
    changed = sum(operation.changed or 0 for step in result.steps for operation in step.operations)
    parts = [f"{verb} {versions([step.version for step in result.steps])}"]
    if changed:
        parts.append(f"{count(changed, 'change')} to documents")
    if result.findings:
        parts.append(summary(result.findings))
    return ", ".join(parts)


def _step(step: StepPlan, result: PlanResult, once: Once, style: Style) -> list[str]:
    lines = [style.paint(f"{clean(step.version)} {clean(step.name)}", "bold")]
    if step.irreversible:
        lines.append("  " + style.paint("irreversible: there is no way back from this version", "yellow"))
    for operation in step.operations:
        lines += _operation(operation, once(operation.text), result.sampled, style)
    if not step.operations:
        lines += bullet("-", "nothing", style)
    for note in step.notes:
        lines += [style.paint(line, "yellow") for line in bullet("!", once(note), style)]
    found = {finding.message for finding in result.findings}
    untold = [warning for warning in step.warnings if warning.message not in found]
    lines += warnings(untold, style, show_version=False)
    samples = step.samples if style.verbose else step.samples[:1]
    for sample in samples:
        lines += _sample(sample, style)
    if hidden := len(step.samples) - len(samples):
        lines.append(style.paint(f"  {style.ellipsis} {count(hidden, 'more sample')} (--verbose)", "dim"))
    return lines


def _operation(operation: OperationPlan, text: str, sampled: int | None, style: Style) -> list[str]:
    lines = bullet("-", text, style)
    if operation.matched is None:
        return lines
    about = "about " if sampled is not None else ""
    counts = [f"{about}{count(operation.matched, 'document')} matched"]
    for name, found in (("changed", operation.changed), ("unchanged", operation.unchanged)):
        if found is not None:
            counts.append(f"{number(found)} {name}")
    return [*lines, "    " + ", ".join(counts)]


def _sample(sample: Sample, style: Style) -> list[str]:
    limit = 1000 if style.verbose else DIFF_LINES
    what = " comes" if sample.before is None else " goes" if sample.after is None else ""
    head = f"  document {value(sample.id, style)}{what}"
    return [style.paint(head, "dim"), *diff.lines(sample.before or {}, sample.after or {}, style, limit)]


def _preview(found: DownPreview) -> list[str]:
    rows = [
        ("would come back exactly as {} before", found.exact, ("it was", "they were")),
        ("would come back as {} before a sweep", found.before_sweep, ("it was", "they were")),
        ("would come back and keep what the application has changed since", found.merged, ("", "")),
        ("would conflict: changed since in the same fields (see --on-conflict)", found.conflicts, ("", "")),
        ("inserted since `up` would be given to reverse=", found.born - found.left, ("", "")),
        (
            f"inserted since `up` would stay as {{}}: {no_reverse(found.without_reverse)}",
            found.left,
            ("it is", "they are"),
        ),
        ("erased from the journal would stay as {}", found.erased, ("it is", "they are")),
    ]
    lines = [
        f"{count(total, 'document')} {text.format(one if total == 1 else many)}"
        for text, total, (one, many) in rows
        if total
    ]
    return [*lines, ""] if lines else []


def prediction(found: Predicted, style: Style, once: Callable[[str], str] = str) -> list[str]:
    """What it will take, and how that was reckoned; none where it takes nothing."""
    if not (found.seconds or found.journal_bytes or found.oplog_bytes):
        return []
    parts = [f"about {duration(found.seconds)}" if found.seconds >= 1 else "less than a second"]
    if found.journal_bytes:
        parts.append(f"journal {size(found.journal_bytes)}")
    if found.oplog_bytes:
        parts.append(f"oplog {size(found.oplog_bytes)}")
    if found.room_bytes > found.journal_bytes:
        parts.append(f"room {size(found.room_bytes)}")
    basis = bullet("", once(f"({found.basis})"), style, under=3) if found.basis else []
    return ["predicted: " + ", ".join(parts), *basis]


def ending(result: PlanResult, options: Sequence[str]) -> str:
    """That nothing was written, and what to type next."""
    if result.refused:
        return "nothing was written"
    target = [] if result.target is None else [clean(str(result.target))]
    if result.unforeseen:
        unknown = clean(f"{', '.join(result.unforeseen)} can only be foreseen in part")
        return Hint("nothing was written; {}: try it on a copy: {}", unknown, REHEARSE.to(*target))
    words = [*target, *(clean(shlex.quote(word)) for word in options)]
    return Hint("nothing was written; next: {}", Command((result.direction.value, *words)))
