"""Plots as the paths of an SVG: numbers alone, so that there is nothing in them to be escaped."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from goaime_migrate.render.words import utc

if TYPE_CHECKING:
    from goaime_migrate.results import HistoryEntry, PaceMark

WIDTH, HEIGHT = 600, 60
_MOST = 800
"""Points of a line: more than a screen can show."""
_SHORTEST_S = 0.05
"""A run that took less has no pace worth a plot."""


class Pace(NamedTuple):
    """Documents a second over a run, as steps in a box of WIDTH and HEIGHT."""

    line: str
    area: str
    peak: float
    mean: float
    seconds: float
    documents: int


class Steps(NamedTuple):
    """How many versions were applied at what time."""

    line: str
    area: str
    failures: tuple[float, ...]
    """Where, from left to right, something failed."""
    most: int
    begin: datetime
    end: datetime


def pace(marks: Sequence[PaceMark]) -> Pace | None:
    """The plot of a run; None where there is too little to tell."""
    apart = [(a, b) for a, b in pairwise(marks) if b.at > a.at]
    seconds = marks[-1].at - marks[0].at if marks else 0.0
    if not apart or seconds < _SHORTEST_S:
        return None
    rates = [(a.at, b.at, (b.done - a.done) / (b.at - a.at)) for a, b in apart]
    peak = max(rate for *_, rate in rates)
    if peak <= 0:
        return None
    begin = marks[0].at
    corners = [
        (WIDTH * (at - begin) / seconds, HEIGHT * (1 - 0.94 * rate / peak))
        for start, end, rate in rates
        for at in (start, end)
    ]
    done = marks[-1].done - marks[0].done
    return Pace(_line(corners), _area(corners), peak, done / seconds, seconds, done)


def plot_applied(history: Sequence[HistoryEntry]) -> Steps | None:
    """The plot of a whole history; None where it is one of a single moment."""
    if len(history) < 2:
        return None
    begin, end = utc(history[0].at), utc(history[-1].at)
    span = (end - begin).total_seconds()
    if span <= 0:
        return None
    now: set[str] = set()
    heights, failures = [(0.0, 0)], []
    for entry in history:
        at = WIDTH * (utc(entry.at) - begin).total_seconds() / span
        if entry.result == "failed":
            failures.append(round(at, 1))
        if entry.version is not None and entry.result == "applied":
            now.add(entry.version)
        elif entry.result in ("reverted", "dropped"):
            now.discard(entry.version or "")
        if len(now) != heights[-1][1]:
            heights += [(at, heights[-1][1]), (at, len(now))]
    heights = [*_thin(heights), (float(WIDTH), len(now))]
    most = max(height for _, height in heights)
    corners = [(at, HEIGHT * (1 - 0.94 * height / max(most, 1))) for at, height in heights]
    return Steps(_line(corners), _area(corners), tuple(dict.fromkeys(failures))[-_MOST:], most, begin, end)


def _thin(points: Sequence[tuple[float, int]]) -> list[tuple[float, int]]:
    """As many of them as can be seen."""
    return list(points[:: max(1, -(-len(points) // _MOST))])


def _line(corners: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f},{y:.1f}" for x, y in corners)


def _area(corners: Sequence[tuple[float, float]]) -> str:
    return f"{_line(corners)}L{corners[-1][0]:.1f},{HEIGHT}L{corners[0][0]:.1f},{HEIGHT}Z"
