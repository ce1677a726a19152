"""What came of several databases as text: a line for each, or for all of which the same is to be said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
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
    evidence: str = ""
    """What its error stands for, where that does not say it."""


def databases(rows: Sequence[Row], not_begun: Sequence[str], style: Style) -> str:
    """A line for each, what has failed last, then how many there are; with --verbose all that each has to say."""
    shown = _whole(rows, style) if style.verbose else _lines(rows, style)
    color = "red" if any(row.error is not None for row in rows) else "green"
    return "\n".join([*shown, "", style.paint(_sum(rows, not_begun), color, "bold")])


def _whole(rows: Sequence[Row], style: Style) -> list[str]:
    lines = []
    for row in rows:
        lines += [style.paint(clean(row.database), "bold"), row.text or _said(row), ""]
    return lines[:-1]


def _lines(rows: Sequence[Row], style: Style) -> list[str]:
    told = list(_together([row for row in rows if row.error is None]))
    lines = table(_COLUMNS, told, style) if told else []
    for name, said in _together([row for row in rows if row.error is not None]):
        text = bullet("!", f"{clean(name)}: {said}", style, indent=0)
        lines += [style.paint(line, "red") for line in text]
    return lines


def _together(rows: Sequence[Row]) -> Iterator[tuple[str, str]]:
    """Each database with what is said of it; of many with the same, the first alone and how many there are."""
    alike, told = Counter(map(_said, rows)), set[str]()
    for row in rows:
        said = _said(row)
        if alike[said] <= _APART:
            yield row.database, said
        elif said not in told:
            told.add(said)
            yield f"{row.database} and {number(alike[said] - 1)} more", said


def _said(row: Row) -> str:
    if row.error is None:
        return row.brief
    return f"{row.error.code} {row.error.message}" + (f"; {row.evidence}" if row.evidence else "")


def _sum(rows: Sequence[Row], not_begun: Sequence[str]) -> str:
    failed = sum(row.error is not None for row in rows)
    parts = [(failed, "failed"), (len(not_begun), "not begun")]
    more = ", ".join(f"{number(of)} {what}" for of, what in parts if of)
    return count(len(rows) + len(not_begun), "database") + (f": {more}" if more else "")
