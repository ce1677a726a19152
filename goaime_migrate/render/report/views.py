"""What the page says, put together: versions with their samples, and the runs of each month, newest first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from goaime_migrate.render import diff
from goaime_migrate.render.report import plots
from goaime_migrate.render.style import Style
from goaime_migrate.render.values import key
from goaime_migrate.render.words import utc
from goaime_migrate.results import State

if TYPE_CHECKING:
    from goaime_migrate.results import (
        Counts,
        Document,
        HistoryEntry,
        JournaledChange,
        PassReport,
        ReportResult,
        VersionReport,
        VersionStatus,
    )

_BAD, _HALF = ("failed",), ("interrupted", "canary")
_NAMES = 60
"""Fields of a document whose order is drawn."""


class Field(NamedTuple):
    """The name of a field where it stands in a document, and what has become of it: a mark as in `diff`."""

    name: str
    mark: str


class SampleView(NamedTuple):
    """One document before and after."""

    change: JournaledChange
    before: Sequence[Field]
    after: Sequence[Field]
    more: int
    """Fields that are not drawn."""
    lines: Sequence[diff.Change]


class PassView(NamedTuple):
    """One walk over a collection, and some of its documents."""

    walk: PassReport
    samples: Sequence[SampleView]


class VersionView(NamedTuple):
    """One version; what it shares with others stands with the first of them."""

    status: VersionStatus
    report: VersionReport | None
    passes: Sequence[PassView]
    shared: Sequence[str]
    """Versions with which its documents are shown."""
    journal_share: float
    """Its journal as a part of the largest of all."""


class RunView(NamedTuple):
    """What one run has done, in the order in which it was recorded."""

    entries: Sequence[HistoryEntry]
    outcome: str
    """ok, half or bad."""
    documents: Counts | None
    """Of its versions together, as far as that is known."""
    warnings: int
    seconds: float | None
    """Where it has seen to one version: those of one pass have all its time."""
    pace: plots.Pace | None

    @property
    def first(self) -> HistoryEntry:
        """What all its entries have in common."""
        return self.entries[0]

    @property
    def result(self) -> str:
        """How it has ended."""
        return next((e.result for e in self.entries if e.result in _BAD), self.entries[-1].result)

    @property
    def versions(self) -> Sequence[str]:
        """Each once."""
        return list(dict.fromkeys(entry.version for entry in self.entries if entry.version))


class MonthView(NamedTuple):
    """The runs of a month, newest first."""

    name: str
    runs: Sequence[RunView]

    @property
    def failed(self) -> int:
        """How many of them have failed."""
        return sum(run.outcome == "bad" for run in self.runs)


class Totals(NamedTuple):
    """The figures at the head of the page."""

    applied: int
    pending: int
    failed: int
    changed: int
    conflicts: int
    warnings: int
    runs: int


def totals(report: ReportResult) -> Totals:
    """Of what is in effect, and how many runs there were."""
    listed = report.status.versions
    counts = [version.documents for version in listed if version.documents]
    return Totals(
        sum(version.state is State.APPLIED for version in listed),
        len(report.status.pending),
        sum(version.error is not None for version in listed),
        sum(each.changed for each in counts),
        sum(each.conflicts for each in counts),
        sum(version.warnings for version in listed),
        sum(1 for _ in _by_run(report.history)),
    )


def versions(report: ReportResult, style: Style) -> list[VersionView]:
    """Every version, ascending."""
    recorded = {each.version: each for each in report.versions}
    of_first: dict[str, list[PassReport]] = {}
    shared: dict[str, list[str]] = {}
    for walk in report.passes:
        first, *others = walk.versions
        of_first.setdefault(first, []).append(walk)
        for other in others:
            shared.setdefault(other, []).append(first)
    largest = max((version.journal_bytes for version in report.status.versions), default=0)
    return [
        VersionView(
            version,
            recorded.get(version.version),
            [_pass(walk, style) for walk in of_first.get(version.version, ())],
            list(dict.fromkeys(shared.get(version.version, ()))),
            version.journal_bytes / largest if largest else 0.0,
        )
        for version in report.status.versions
    ]


def months(history: Sequence[HistoryEntry]) -> list[MonthView]:
    """All runs."""
    runs = list(map(_run, _by_run(history)))[::-1]
    grouped = groupby(runs, lambda run: f"{utc(run.first.at):%Y-%m}")
    return [MonthView(name, list(found)) for name, found in grouped]


def _by_run(history: Sequence[HistoryEntry]) -> Iterator[list[HistoryEntry]]:
    """The entries of each run; one for which none was recorded is a run of its own."""
    for _, found in groupby(enumerate(history), lambda each: _place(*each)):
        yield [entry for _, entry in found]


def _place(at: int, entry: HistoryEntry) -> tuple[str, int]:
    return (entry.work.run, 0) if entry.work else ("", at)


def _run(entries: Sequence[HistoryEntry]) -> RunView:
    results = {entry.result for entry in entries}
    outcome = "bad" if results & set(_BAD) else "half" if results & set(_HALF) else "ok"
    works = [entry.work for entry in entries if entry.work is not None]
    counts = [work.documents for work in works if work.documents is not None]
    longest = max((work.pace for work in works), key=lambda marks: marks[-1].done if marks else 0, default=())
    times = [entry.duration_s for entry in entries if entry.duration_s is not None]
    return RunView(
        entries,
        outcome,
        sum(counts[1:], counts[0]) if counts else None,
        sum(work.warnings for work in works),
        times[0] if len(times) == 1 else None,
        plots.pace(longest),
    )


def _pass(walk: PassReport, style: Style) -> PassView:
    return PassView(walk, [_sample(change, style) for change in walk.samples])


def _sample(change: JournaledChange, style: Style) -> SampleView:
    before, after = change.before, change.after
    if before is None or after is None:
        mark = "+" if before is None else "-" if change.known else " "
        names = [Field(key(name), mark) for name in (after if before is None else before) or {}]
        sides: tuple[list[Field], list[Field]] = ([], names) if before is None else (names, [])
        lines = [] if not change.known else diff.changes(before or {}, after or {}, style)
    else:
        sides, lines = _sides(before, after), diff.changes(before, after, style)
    more = max(0, max(map(len, sides)) - _NAMES)
    return SampleView(change, sides[0][:_NAMES], sides[1][:_NAMES], more, lines)


def _sides(before: Document, after: Document) -> tuple[list[Field], list[Field]]:
    """The names of both, each with its mark."""
    moved = set(diff.moved_fields(list(before), list(after)))

    def mark(name: str) -> str:
        if name not in after:
            return "-"
        if name not in before:
            return "+"
        return ">" if name in moved else " " if diff.same(before[name], after[name]) else "~"

    return [Field(key(name), mark(name)) for name in before], [Field(key(name), mark(name)) for name in after]
