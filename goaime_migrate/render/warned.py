"""What transforms have warned of, as text."""

from __future__ import annotations

from collections.abc import Sequence

from goaime_migrate.render.style import Style, bullet
from goaime_migrate.render.values import value
from goaime_migrate.render.words import count
from goaime_migrate.results import WarningCount

EXAMPLES = 3


def warnings(found: Sequence[WarningCount], style: Style, show_version: bool = True) -> list[str]:
    """Warnings by text, the most frequent first, with a few `_id`s."""
    lines: list[str] = []
    for warning in sorted(found, key=lambda item: -item.count):
        version = f"{warning.version} " if show_version else ""
        shown = ", ".join(value(example, style, 40) for example in warning.examples[:EXAMPLES])
        examples = f" (for example {shown})" if shown else ""
        text = f"{version}{warning.message}: {count(warning.count, 'time')}{examples}"
        lines += [style.paint(line, "yellow") for line in bullet("warning:", text, style)]
    return lines
