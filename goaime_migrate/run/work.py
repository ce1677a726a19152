"""Work for a pool of workers: what it must be able to do, who does it, and which partitions are still to be given out.

What is given out is a partition, known by its number. Any worker may do any of them, from where its record says that
the last one stopped; which worker does which is decided while they work.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from goaime_migrate.config import DASK, Settings
from goaime_migrate.errors import DuplicateKey
from goaime_migrate.results import Document
from goaime_migrate.run.run import Run


class SourceFile(NamedTuple):
    """A migration file that the work needs, as it was when it was loaded."""

    version: str
    path: Path
    checksum: str


Report = Callable[[int, Document], None]
"""Told of every batch of a partition, by its number, once it is committed."""


class Work(Protocol):
    """A walk whose partitions may be done side by side."""

    @property
    def run(self) -> Run:
        """The run that it belongs to."""

    @property
    def side_by_side(self) -> bool:
        """Whether two threads of one process are quicker at it than one."""

    def spec(self) -> Document:
        """What another process makes the same work from; can be encoded as BSON."""

    def beside(self, run: Run, report: Report) -> Work:
        """The same work for another thread of this process."""

    def enrol(self, sessions: Sequence[Document]) -> None:
        """The others will write in these sessions. Called once, before any of them does. Raises LeaseLost."""

    def do(self, number: int) -> None:
        """Do a partition in this process, from wherever its record is. Raises as a walk does."""

    def hear(self, number: int, report: Document) -> None:
        """Another process has committed a batch of a partition and reports this of it."""


class Pool(Protocol):
    """Those who do it: this process, and perhaps others."""

    def prepare(self, partitions: int, shares: int, files: Sequence[SourceFile]) -> None:
        """So much work will come, worth so many processes at most: others may begin to get ready.

        Returns at once. Raises MigrateError.
        """

    def do(self, work: Work, numbers: Sequence[int]) -> None:
        """Do all these partitions, which stand in the order of one worker alone. Raises the first error of any."""


class PartitionQueue:
    """What is still to be done. Not safe for threads: whoever gives partitions out holds a lock.

    A unique index may refuse a document only because another, in a partition that one worker would have done before,
    has not left the value yet. Such a partition is put off until all before it are done. By then, if one worker alone
    would have come through, so does it: among documents already in their new shape there are no duplicates.
    """

    def __init__(self, numbers: Sequence[int]) -> None:
        self._order = list(numbers)
        self._waiting = list(numbers)
        self._put_off: set[int] = set()
        self._open = set(numbers)
        self._in_turn: set[int] = set()
        """Those that were given out when everything before them was done."""

    @property
    def finished(self) -> bool:
        """Whether everything is done."""
        return not self._open

    def next(self) -> int | None:
        """The next partition to be given out; None where there is none (any more, or until others are done)."""
        for number in self._waiting:
            if number not in self._put_off or self._is_in_turn(number):
                self._waiting.remove(number)
                return self.give(number)
        return None

    def give(self, number: int) -> int:
        """Give out this very partition: the next one, or one that somebody has left behind."""
        if self._is_in_turn(number):
            self._in_turn.add(number)
        return number

    def _is_in_turn(self, number: int) -> bool:
        """Whether everything before it is done."""
        return self._open.isdisjoint(self._order[: self._order.index(number)])

    def done(self, number: int) -> None:
        """It is done to its end."""
        self._open.discard(number)

    def refuse(self, number: int, error: Exception) -> bool:
        """Whether the error is final; else the partition will be given out again in its turn."""
        if number not in self._open or number in self._in_turn or not isinstance(error, DuplicateKey):
            return True
        self._put_off.add(number)
        self._waiting.insert(0, number)
        return False


def cores() -> int:
    """The processors that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


def sharing(settings: Settings, partitions: int) -> int:
    """How many processes would share so many partitions, as far as that is known before a cluster is asked."""
    unknown = 1 if (settings.executor or "").startswith(DASK) else cores()
    return min(settings.workers or unknown, partitions)
