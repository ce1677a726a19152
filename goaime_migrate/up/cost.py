"""What a pass will take: from what a sample of it has taken without writing, and from how fast everything is today.

Reading, transforming and making the journal are timed. Writing cannot be tried, since a plan writes nothing: it is
reckoned by documents and bytes. These figures were found on one machine; how today's compares with it, with all that
runs beside, is told by a short piece of work that is timed as well.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from goaime_migrate.backends import raw_bson, raw_difference
from goaime_migrate.backends.ports import Backend
from goaime_migrate.run.pacing import LARGEST
from goaime_migrate.transform.chain import Changed

_T = TypeVar("_T")
_ROUNDS = 20
_UNIT_S = 0.00035
"""How long the piece of work takes on the machine that the figures are of, alone on it."""
_UNIT = {"name": "x" * 40, "items": [{"k": i, "s": "abc", "f": 1.5, "b": True} for i in range(8)]}
_UNIT_TIMES = 40

_RUN_S, _RUN_ANSWERS = 0.075, 75
"""A run with its lease, its records and one pass: time of our own, and answers of the server that are waited for."""
_BATCH_S, _BATCH_ANSWERS = 0.018, 5
_FIRST_BATCHES = 4
"""Batches begin small: so many more there are."""
_AGAIN = 1.4
"""What is transformed more than once: the first batches, and what is tried again."""
_DOCUMENT_S, _BYTE_S = 100e-6, 12e-9
"""Writing on a server,"""
_DIFFERENCE_S = 35e-6
"""where only differences are written a document of them,"""
_SAVED_BYTE_S = 20e-9
"""and reading and saving a dump."""
_INDEXED_S = 5e-6
"""One document of an index that is built."""
_LOGGED, _LOGGED_DELETION = 115, 70
"""Bytes of an entry in the oplog beside what it holds of the document."""
_BATCH_LOGGED = 1_200
RUN_LOGGED = 6_500
"""The records of a run, however little there is to do."""


@dataclass(frozen=True)
class Pace:
    """How fast things are today."""

    slowness: float = 1.0
    """How many times as long our own work takes as on the machine of the figures."""
    answer: float = 0.0
    """Seconds until the server answers the shortest of questions."""

    @classmethod
    def of(cls, backend: Backend) -> Pace:
        """Takes a fraction of a second."""
        answers, units = [], []
        for _ in range(_ROUNDS):
            began = time.perf_counter()
            backend.now()
            asked = time.perf_counter()
            for _ in range(_UNIT_TIMES):
                raw_bson.decode(raw_bson.encode(_UNIT))
            answers.append(asked - began)
            units.append(time.perf_counter() - asked)
        slowness = sum(units) / _ROUNDS / _UNIT_S
        server = backend.capabilities.leases
        return cls(slowness, sorted(answers)[_ROUNDS // 2] if server else 0.0)

    def index(self, documents: int) -> float:
        """Seconds to build an index."""
        return self.slowness * _INDEXED_S * documents + 2 * self.answer


@dataclass
class Timed:
    """How long one kind of work has taken."""

    seconds: float = 0.0

    def run(self, work: Callable[[], _T]) -> _T:
        """Do it, and add up how long it takes."""
        began = time.perf_counter()
        try:
            return work()
        finally:
            self.seconds += time.perf_counter() - began

    def each(self, given: Iterable[_T]) -> Iterator[_T]:
        """Take one after the other from those who make them."""
        source = iter(given)
        while (found := self.run(lambda: next(source, None))) is not None:
            yield found


@dataclass
class Work:
    """What a sample of a pass has taken, and what it would write."""

    reading: Timed = field(default_factory=Timed)
    transforming: Timed = field(default_factory=Timed)
    journaling: Timed = field(default_factory=Timed)
    examined: int = 0
    written: int = 0
    written_bytes: int = 0
    """Of the documents, as far as they are sent to be written."""
    writing_s: float = 0.0
    """On the machine of the figures, without what the bytes take."""
    grown_bytes: int = 0
    """By how much the documents become larger."""
    journal_bytes: int = 0
    logged_bytes: int = 0
    """What the oplog gets of the documents."""

    def add(self, examined: int, changed: Iterable[Changed], *, deltas: bool = False) -> None:
        """So many more documents were looked at, and these would be written: with `deltas` only what is different."""
        self.examined += examined
        for each in changed:
            sent = _difference(each) if deltas else len(each.after or b"")
            self.written += 1
            self.writing_s += _DIFFERENCE_S if deltas else _DOCUMENT_S
            self.grown_bytes += len(each.after or b"") - len(each.before or b"")
            self.written_bytes += sent
            self.logged_bytes += sent + (_LOGGED_DELETION if each.after is None else _LOGGED)

    def seconds(self, factor: float, pace: Pace, sharing: float, *, server: bool) -> float:
        """How long `factor` times this will take, where `sharing` processes are as fast as that many."""
        walked = self.reading.seconds + _AGAIN * self.transforming.seconds + self.journaling.seconds
        if not server:
            return factor * (walked + pace.slowness * _SAVED_BYTE_S * self.written_bytes)
        writing = self.writing_s + _BYTE_S * self.written_bytes
        batches = _FIRST_BATCHES + factor * max(self.examined, self.written) / LARGEST
        between = batches * (_BATCH_S * pace.slowness + _BATCH_ANSWERS * pace.answer)
        return (factor * (walked + pace.slowness * writing) + between) / sharing

    def oplog_bytes(self, factor: float) -> int:
        """The documents, the journal and the records of each batch."""
        batches = _FIRST_BATCHES + factor * max(self.examined, self.written) / LARGEST
        return round(factor * (self.logged_bytes + self.journal_bytes) + batches * _BATCH_LOGGED)


def _difference(changed: Changed) -> int:
    """The bytes of the fields that a document is given."""
    if changed.before is None or changed.after is None:
        return len(changed.after or b"")
    old, new = raw_difference.unlike(changed.before, changed.after)
    return sum(len(element) for _, element in raw_difference.differing(old, new))


def of_run(pace: Pace, *, server: bool) -> float:
    """What every run takes, however little there is to do."""
    return pace.slowness * _RUN_S + _RUN_ANSWERS * pace.answer if server else 0.5 * pace.slowness * _RUN_S
