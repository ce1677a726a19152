"""What `unlock`, `throttle`, `stamp` and `repair` return."""

from __future__ import annotations

from dataclasses import dataclass

from goaime_migrate.results.holdup import Throttle
from goaime_migrate.results.status import LockStatus


@dataclass(frozen=True)
class UnlockResult:
    """The lease as it was, and whether it was ended."""

    lock: LockStatus | None
    ended: bool


@dataclass(frozen=True)
class ThrottleResult:
    """What the run that holds the lock was told, and which run that is."""

    throttle: Throttle | None
    lock: LockStatus | None
    """None where the run has come to its end meanwhile."""
    unpaced: tuple[str, ...] = ()
    """Versions at work just now on what has no batches, an index build say: they go slower only when that is over."""


@dataclass(frozen=True)
class StampResult:
    """The versions that `stamp` recorded as applied without running them, and those whose record it removed."""

    recorded: tuple[str, ...]
    removed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Renumbering:
    """The number that a recorded version had, and the one that its file has now."""

    before: str
    now: str


@dataclass(frozen=True)
class RepairResult:
    """The edited files that `repair` accepted, and the versions of removed files whose records it dropped."""

    accepted: tuple[str, ...]
    dropped: tuple[str, ...]
    renumbered: tuple[Renumbering, ...] = ()
    """The versions whose records have followed their files."""
    restored: tuple[str, ...] = ()
    """The versions that were accepted as they are in a database that was restored or copied, or a collection that was."""

    @property
    def empty(self) -> bool:
        """Whether there is nothing to repair."""
        return not (self.accepted or self.dropped or self.renumbered or self.restored)
