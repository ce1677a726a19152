"""What was measured, and how it is printed: a median with the lowest and the highest of all repeats."""

from __future__ import annotations

import os
import platform
import statistics
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import pymongo
import zstandard

import goaime_migrate

BEGIN, END = "<!-- results -->", "<!-- end of results -->"
"""A file that holds both keeps all that stands around them."""


class Unit(StrEnum):
    """What a figure counts."""

    RATE = "documents/s"
    TIMES = "times"
    BYTES = "bytes each"
    MICROSECONDS = "µs each"
    SHARE = "%"
    MIB = "MiB"


@dataclass(frozen=True)
class Row:
    """One figure, as often as it was measured."""

    key: str
    title: str
    unit: Unit
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.values)

    def cells(self) -> tuple[str, str, str, str]:
        """As texts: what, median, lowest to highest, unit."""
        spread = f"{_figure(min(self.values))} - {_figure(max(self.values))}" if len(self.values) > 1 else ""
        return self.title, _figure(self.median), spread, str(self.unit)


@dataclass(frozen=True)
class Section:
    """Rows under one heading, with what has to be known to read them."""

    title: str
    rows: Sequence[Row]
    note: str = ""


@dataclass
class Samples:
    """Figures by key, one for each repeat."""

    values: dict[str, list[float]] = field(default_factory=dict)

    def add(self, key: str, value: float) -> None:
        """One more."""
        self.values.setdefault(key, []).append(value)

    def row(self, key: str, title: str, unit: Unit) -> Row:
        """A figure as it is."""
        return Row(key, title, unit, tuple(self.values[key]))

    def ratio(self, title: str, over: str, under: str) -> Row:
        """How many times one figure is another, each repeat by itself."""
        pairs = zip(self.values[over], self.values[under], strict=True)
        return Row(f"{over} / {under}", title, Unit.TIMES, tuple(a / b for a, b in pairs))


@dataclass(frozen=True)
class Report:
    """A whole run of the benchmarks."""

    machine: Mapping[str, str]
    sections: Sequence[Section]

    def text(self) -> str:
        """For a terminal, at most 100 columns wide."""
        lines = [f"{name:<16}{value}" for name, value in self.machine.items()]
        for section in self.sections:
            lines += ["", section.title.upper(), *textwrap.wrap(section.note, 100)]
            lines += ["  ".join(_padded(row.cells())).rstrip() for row in section.rows]
        return "\n".join(lines)

    def markdown(self) -> str:
        """The same as tables."""
        lines = ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in self.machine.items())]
        for section in self.sections:
            lines += ["", f"### {section.title}", ""]
            lines += [section.note, ""] if section.note else []
            lines += ["| | median | lowest - highest | |", "|---|--:|--:|---|"]
            lines += [f"| {' | '.join(row.cells())} |" for row in section.rows]
        return "\n".join(lines)

    def json(self) -> dict[str, Any]:
        """The same as values."""
        return {
            "machine": dict(self.machine),
            "sections": [
                {
                    "title": section.title,
                    "rows": [
                        {
                            "key": r.key,
                            "title": r.title,
                            "unit": str(r.unit),
                            "median": r.median,
                            "values": r.values,
                        }
                        for r in section.rows
                    ],
                }
                for section in self.sections
            ],
        }


def machine(mongod: str, options: Mapping[str, object]) -> dict[str, str]:
    """Where it was measured, and with what."""
    return {
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores shared with the server",
        "Python": platform.python_version(),
        "mongod": mongod.removeprefix("db version v"),
        "pymongo": f"{pymongo.version}, zstandard {zstandard.__version__}",
        "goaime-migrate": goaime_migrate.__version__,
        **{name: str(value) for name, value in options.items()},
    }


def placed(existing: str, results: str) -> str:
    """The results alone, or between the marks of a file that has them."""
    head, begin, rest = existing.partition(BEGIN)
    _, end, tail = rest.partition(END)
    return f"{head}{begin}\n{results}\n{end}{tail}" if begin and end else f"{results}\n"


def _padded(cells: Sequence[str]) -> Iterable[str]:
    title, median, spread, unit = cells
    return title.ljust(60), median.rjust(8), spread.rjust(15), unit


def _figure(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
