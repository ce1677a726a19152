"""What a pass will take: from what a sample of it has taken without writing, and from how fast everything is today.

Reading, transforming and making the journal are timed. Writing cannot be tried, since a plan writes nothing: it is
reckoned by documents and bytes. These figures were found on one machine; how today's compares with it, with all that
runs beside, is told by a short piece of work that is timed as well.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import NamedTuple, TypeVar

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

_BATCH_S, _BATCH_ANSWERS = 0.002, 5
"""A batch of its own: 3,000 documents in batches of 20 took 0.5 s longer than in batches of 500."""
_FIRST_BATCHES = 4
"""Batches begin small: so many more there are."""
_AGAIN = 1.2
"""What is transformed more than once: the first batches, and what is tried again."""
_EACH_MORE, _SECOND_THREAD = 0.6, 0.3
"""What every further process adds to the speed of the first, and what a second thread does where there is one process."""
START_S = 0.35
"""How much later all are done for each process that has to be started: it takes a core from those who work by then."""
_SAVED_BYTE_S = 20e-9
"""Reading and saving a byte of a dump."""
_RECORD_S = 55e-6
"""One record of what is looked up."""
_INDEX_S, _INDEXED_S = 0.016, 2.5e-6
"""An index that is built, and one document of it."""
_LOGGED, _LOGGED_DELETION = 115, 70
"""Bytes of an entry in the oplog beside what it holds of the document."""
_INNER = 16
"""What stands in an oplog around the difference of a document within a document;"""
_NESTED = (0x03, 0x04)
"""the types of these."""
_COMPARED = 100
"""Documents of a batch that are compared to find out how many bytes are different."""
_BATCH_LOGGED = 1_200
_RUN_LOGGED, _VERSION_LOGGED = 3_000, 4_000
"""The records of a run and of each version, however little there is to do."""


class Shared(NamedTuple):
    """Who shares a pass: so many processes, each with a second thread where there is more than one partition."""

    processes: int = 1
    parted: bool = False

    @property
    def speed(self) -> float:
        """How many times as fast they are as one thread alone. All of them share a server."""
        if self.processes > 1:
            return 1 + _EACH_MORE * (self.processes - 1)
        return 1 + _SECOND_THREAD * self.parted


@dataclass(frozen=True)
class Pace:
    """How fast things are today."""

    slowness: float = 1.0
    """How many times as long our own work takes as on the machine of the figures."""
    answer: float = 0.0
    """Seconds until the server answers the shortest of questions."""

    @classmethod
    def of(cls, backend: Backend) -> Pace:
        """Takes a fraction of a second: the middle counts, or whoever comes in between would weigh too much."""
        answers, units = [], []
        for _ in range(_ROUNDS):
            began = time.perf_counter()
            backend.now()
            asked = time.perf_counter()
            for _ in range(_UNIT_TIMES):
                raw_bson.decode(raw_bson.encode(_UNIT))
            answers.append(asked - began)
            units.append(time.perf_counter() - asked)
        answer, unit = (sorted(each)[_ROUNDS // 2] for each in (answers, units))
        return cls(unit / _UNIT_S, answer if backend.capabilities.leases else 0.0)

    def index(self, documents: int) -> float:
        """Seconds to build an index."""
        return self.slowness * (_INDEX_S + _INDEXED_S * documents) + 2 * self.answer


class Way(Enum):
    """How a document is written."""

    WHOLE = auto()
    """Replaced by another;"""
    FIELDS = auto()
    """some of its fields are set, in a statement of its own;"""
    COMPUTED = auto()
    """the server makes it, as one of a whole range."""
    INSERTED = auto()
    DELETED = auto()


class _Writing(NamedTuple):
    """What writing takes on the machine of the figures, this process and the server together."""

    document: float
    """Seconds for each document,"""
    byte: float
    """and for each byte that is written of it."""


_WRITING = {
    Way.WHOLE: _Writing(45e-6, 20e-9),
    Way.FIELDS: _Writing(50e-6, 20e-9),
    Way.COMPUTED: _Writing(14e-6, 25e-9),
    Way.INSERTED: _Writing(18e-6, 7e-9),
    Way.DELETED: _Writing(11e-6, 0.0),
}
"""From the processor time of runs over 24,000 and 300,000 documents of 320 and of 2,100 bytes, what is timed left out.

Of what the server computes, making the results is among what is timed: without it writing takes about half as long.
"""


@dataclass
class Timed:
    """How long one kind of work has taken, of so many documents."""

    seconds: float = 0.0
    documents: int = 0

    def run(self, work: Callable[[], _T], documents: int = 0) -> _T:
        """Do it, and add up how long it takes."""
        began = time.perf_counter()
        try:
            return work()
        finally:
            self.seconds += time.perf_counter() - began
            self.documents += documents

    def batches(self, given: Iterable[list[bytes]]) -> Iterator[list[bytes]]:
        """Take one batch after the other from those who read them."""
        source = iter(given)
        while (found := self.run(lambda: next(source, None))) is not None:
            self.documents += len(found)
            yield found

    @property
    def each(self) -> float:
        """Seconds for one document."""
        return self.seconds / max(1, self.documents)


@dataclass
class Work:
    """What a sample of a pass has taken, and what it would write."""

    reading: Timed = field(default_factory=Timed)
    transforming: Timed = field(default_factory=Timed)
    journaling: Timed = field(default_factory=Timed)
    once: Timed = field(default_factory=Timed)
    """What has to be known before the walk begins, of the whole collection."""
    batch: int = LARGEST
    """Documents of a batch."""
    examined: int = 0
    written: int = 0
    written_bytes: int = 0
    """Of the documents, as far as they are sent to be written."""
    writing_s: float = 0.0
    """On the machine of the figures."""
    grown_bytes: int = 0
    """By how much the documents become larger."""
    journal_bytes: int = 0
    logged_bytes: int = 0
    """What the oplog gets of the documents."""
    frozen: int = 0
    """Records of what is looked up, in all that is to be done,"""
    frozen_bytes: int = 0
    """and their bytes."""

    def add(self, examined: int, changed: Sequence[Changed], way: Way = Way.WHOLE) -> None:
        """So many more documents were looked at, and these would be written, those that stay in this way."""
        self.examined += examined
        self.written += len(changed)
        sent, told = _sizes(changed, way)
        self.logged_bytes += told
        self.written_bytes += sent
        for each in changed:
            how = Way.INSERTED if each.before is None else Way.DELETED if each.after is None else way
            self.writing_s += _WRITING[how].document
            self.grown_bytes += len(each.after or b"") - len(each.before or b"")
            self.logged_bytes += _LOGGED_DELETION if each.after is None else _LOGGED
        come = bool(changed) and changed[0].before is None
        self.writing_s += sent * _WRITING[Way.INSERTED if come else way].byte

    def freeze(self, records: int, size: int) -> None:
        """In all, so many records of what is looked up are kept, which have so many bytes."""
        self.frozen += records
        self.frozen_bytes += size

    def seconds(self, factor: float, pace: Pace, speed: float, *, server: bool) -> float:
        """How long `factor` times this will take, where those who share it are so many times as fast as one."""
        each = self.reading.each + _AGAIN * self.transforming.each + self.journaling.each
        walked = factor * self.examined * each
        if not server:
            saved = pace.slowness * _SAVED_BYTE_S * self.written_bytes
            return self.once.seconds + walked + factor * saved
        writing = factor * self.writing_s + self.frozen * _RECORD_S
        between = self._batches(factor) * (_BATCH_S * pace.slowness + _BATCH_ANSWERS * pace.answer)
        return self.once.seconds + (walked + pace.slowness * writing + between) / speed

    def oplog_bytes(self, factor: float) -> int:
        """The documents, the journal, what is looked up, and the records of each batch."""
        frozen = self.frozen_bytes + self.frozen * _LOGGED
        return round(
            factor * (self.logged_bytes + self.journal_bytes) + frozen + self._batches(factor) * _BATCH_LOGGED
        )

    def _batches(self, factor: float) -> float:
        return _FIRST_BATCHES + factor * max(self.examined, self.written) / self.batch


def _sizes(changed: Sequence[Changed], way: Way) -> tuple[int, int]:
    """The bytes that are written of documents, and what the oplog gets of them: of differences as the first have them."""
    found = [
        _of_whole(each) if way is Way.WHOLE else _of_fields(each.before, each.after)
        for each in changed[:_COMPARED]
    ]
    factor = len(changed) / max(1, len(found))
    return round(factor * sum(sent for sent, _ in found)), round(factor * sum(told for _, told in found))


def _of_whole(changed: Changed) -> tuple[int, int]:
    """The bytes of a document that is replaced; of one that is changed at its end those of what comes there."""
    before, after = changed.before, changed.after
    if before is not None and after is not None and raw_difference.at_end(before, after) is not None:
        return _of_fields(before, after)
    return len(after or b""), len(after or b"")


def _of_fields(before: bytes | None, after: bytes | None) -> tuple[int, int]:
    """The bytes of the fields that differ; and of what differs in them, as a server tells it in its oplog."""
    if before is None or after is None:
        return len(after or b""), len(after or b"")
    old, new = raw_difference.unlike(before, after)
    sent = sum(len(element) for _, element in raw_difference.differing(old, new))
    return sent, _differing(before, after)


def _differing(before: bytes, after: bytes) -> int:
    """The bytes of what differs between two documents, down to the fields of documents within."""
    old, total = raw_bson.fields(before), 0
    for name, element in raw_bson.fields(after).items():
        was, start = old.get(name, b""), len(name) + 2
        if was == element:
            continue
        inner = was[:1] == element[:1] and element[0] in _NESTED
        within = _INNER + _differing(was[start:], element[start:]) if inner else len(element)
        total += min(within, len(element))
    return total


class Fixed(NamedTuple):
    """What something takes however few documents there are: time of our own, and answers that are waited for."""

    own: float
    answers: int

    def seconds(self, pace: Pace) -> float:
        """How long that is today."""
        return pace.slowness * self.own + self.answers * pace.answer


RUN = Fixed(0.006, 8)
"""The lease, and what has to be known before anything is done."""
VERSION = Fixed(0.008, 10)
"""Its records."""
PASS = Fixed(0.055, 45)
"""Its opening and its end, with all that is looked at once, beside its batches."""
CHANGE = Fixed(0.012, 10)
"""An operation that is no pass."""
# From runs with one and with ten versions over 50 documents: of ten that share a pass, of ten with one each, of ten that
# each build an index or set a validator.
OFFLINE_S = 0.038
"""All of it where there is no server."""


def run_logged(versions: int) -> int:
    """Bytes of the oplog for the records of a run."""
    return _RUN_LOGGED + versions * _VERSION_LOGGED
