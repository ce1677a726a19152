"""`try` as text: the document, and what each operation makes of it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from goaime_migrate.render import diff
from goaime_migrate.render.once import Once
from goaime_migrate.render.style import Style, bullet, clean
from goaime_migrate.render.values import value
from goaime_migrate.render.words import count
from goaime_migrate.results import TriedStep, TryResult

DIFF_LINES = 60
MADE = 3
"""Documents that are shown of those that an operation makes."""


def trial(result: TryResult, style: Style) -> str:
    """The steps in their order, those of versions before it too."""
    whose = "as it was given" if result.given else f"of {clean(result.collection)}"
    once = Once(style)
    lines = [f"try {clean(result.version)}: document {value(result.id, style)} {whose}"]
    for note in result.notes:
        lines += _yellow("!", note, style)
    for (version, name), steps in groupby(result.steps, lambda step: (step.version, step.name)):
        before = "" if version == result.version else "  (pending, comes first)"
        lines += ["", style.paint(f"{clean(version)} {clean(name)}", "bold") + style.paint(before, "dim")]
        for step in steps:
            lines += _step(step, once, style)
    lines += ["", style.paint("nothing was written", "dim")]
    return "\n".join(lines)


def _step(step: TriedStep, once: Once, style: Style) -> Iterator[str]:
    yield from bullet("-", once(step.operation), style)
    if step.failed:
        yield "    " + style.paint("failed", "red")
    elif step.after is None:
        yield "    " + style.paint("the document is deleted", "red")
    elif not (step.made and diff.same(step.before, step.after)):
        yield from diff.lines(step.before, step.after, style, 1000 if style.verbose else DIFF_LINES)
    yield from _made(step, style)
    for note in step.notes:
        yield from _yellow("!", once(note), style, indent=4)
    for warning in step.warnings:
        yield from _yellow("warning:", warning, style, indent=4)
    for problem in step.problems:
        lines = bullet("breaks its promise:", problem, style, indent=4)
        yield from (style.paint(line, "red") for line in lines)


def _made(step: TriedStep, style: Style) -> Iterator[str]:
    """The documents that come, the first of them in full."""
    if not step.made:
        return
    yield f"    {count(len(step.made), 'document')} for {clean(step.into)}"
    shown = step.made if style.verbose else step.made[:MADE]
    for document in shown:
        yield from diff.lines({}, document, style, DIFF_LINES, indent=6)
    if hidden := len(step.made) - len(shown):
        yield "      " + style.paint(f"{style.ellipsis} {hidden} more (--verbose)", "dim")


def _yellow(mark: str, text: str, style: Style, indent: int = 2) -> list[str]:
    return [style.paint(line, "yellow") for line in bullet(mark, text, style, indent=indent)]
