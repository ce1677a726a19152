"""A table that fits: one column gives way, the others keep what they need."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from goaime_migrate.render.style import Style, clean, columns


class Column(NamedTuple):
    """A heading. `elastic` columns are cut first, `right` ones hold numbers."""

    title: str
    right: bool = False
    elastic: bool = False


def table(
    heads: Sequence[Column], rows: Sequence[Sequence[str]], style: Style, colors: Sequence[str] = ()
) -> list[str]:
    """The lines of a table with a heading; `colors` has one for each row, "" for none.

    A column in which every cell is empty is left out.
    """
    used = [at for at, _ in enumerate(heads) if any(row[at] for row in rows)]
    heads = [heads[at] for at in used]
    cells = [[clean(row[at]) for at in used] for row in rows]
    widths = [
        max(columns(text) for text in column) for column in zip([h.title for h in heads], *cells, strict=True)
    ]
    over = sum(widths) + 2 * (len(widths) - 1) - style.width if style.width is not None else 0
    for at, head in enumerate(heads):
        if head.elastic and over > 0:
            taken = min(over, max(widths[at] - 8, 0))
            widths[at] -= taken
            over -= taken
    lines = [style.paint(_row([head.title for head in heads], heads, widths, style), "dim")]
    for at, row in enumerate(cells):
        color = colors[at] if at < len(colors) else ""
        lines.append(style.paint(_row(row, heads, widths, style), *filter(None, [color])))
    return lines


def _row(texts: Sequence[str], heads: Sequence[Column], widths: Sequence[int], style: Style) -> str:
    parts = []
    for text, head, width in zip(texts, heads, widths, strict=True):
        fitted = style.fit(text, width)
        pad = " " * (width - columns(fitted))
        parts.append(pad + fitted if head.right else fitted + pad)
    return "  ".join(parts).rstrip()
