"""What came of several databases as text: a line for each, or for all of which the same is to be said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from goaime_migrate.errors import MigrateError
from goaime_migrate.render.style import Style, bullet, clean
from goaime_migrate.render.table import Column, table
from goaime_migrate.render.words import count, number

_COLUMNS = (Column("DATABASE"), Column("RESULT", elastic=True))
_APART = 3
"""So many databases of which the same is said have a line each; more have one together."""


@dataclass(frozen=True)
class Row:
    """One database: its line, its whole text, and the error that it ended with."""

    database: str
    brief: str
    text: str
    error: MigrateError | None = None


def databases(rows: Sequence[Row], not_begun: Sequence[str], style: Style) -> str:
    """A line for each, then how many there are; with --verbose all that each has to say."""
    shown = [*_whole(rows, style)] if style.verbose else _lines(rows, style)
    return "\n".join([*shown, "", style.paint(_sum(rows, not_begun), _color(rows), "bold")])


def _whole(rows: Sequence[Row], style: Style) -> list[str]:
    lines = []
    for row in rows:
        lines += [style.paint(clean(row.database), "bold"), row.text or _said(row), ""]
    return lines[:-1]


def _lines(rows: Sequence[Row], style: Style) -> list[str]:
    together: dict[str, list[str]] = {}
    for row in rows:
        if row.error is None:
            together.setdefault(row.brief, []).append(row.database)
    cells = []
    for said, names in together.items():
        alone = names if len(names) <= _APART else [f"{names[0]} and {number(len(names) - 1)} more"]
        cells += [[name, said] for name in alone]
    lines = table(_COLUMNS, cells, style) if cells else []
    for row in rows:
        if row.error is not None:
            text = bullet("!", f"{clean(row.database)}: {_said(row)}", style, indent=0)
            lines += [style.paint(line, "red") for line in text]
    return lines


def _said(row: Row) -> str:
    return row.brief if row.error is None else f"{row.error.code} {row.error.message}"


def _sum(rows: Sequence[Row], not_begun: Sequence[str]) -> str:
    failed = sum(row.error is not None for row in rows)
    parts = [
        f"{number(len(rows) - failed)} done",
        *([f"{number(failed)} failed"] if failed else []),
        *([f"{number(len(not_begun))} not begun"] if not_begun else []),
    ]
    return f"{count(len(rows) + len(not_begun), 'database')}: {', '.join(parts)}"


def _color(rows: Sequence[Row]) -> str:
    return "red" if any(row.error is not None for row in rows) else "green"
