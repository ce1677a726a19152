"""What `unlock`, `stamp` and `repair` return."""

from __future__ import annotations

from dataclasses import dataclass

from goaime_migrate.results.status import LockStatus


@dataclass(frozen=True)
class UnlockResult:
    """The lease as it was, and whether it was ended."""

    lock: LockStatus | None
    ended: bool


@dataclass(frozen=True)
class StampResult:
    """The versions that `stamp` recorded as applied without running them, and those whose record it removed."""

    recorded: tuple[str, ...]
    removed: tuple[str, ...] = ()


@dataclass(frozen=True)
class RepairResult:
    """The edited files that `repair` accepted, and the versions of removed files whose records it dropped."""

    accepted: tuple[str, ...]
    dropped: tuple[str, ...]
    renumbered: tuple[tuple[str, str], ...] = ()
    """The versions whose records have followed their files: the number that each had, and that it has now."""

    @property
    def empty(self) -> bool:
        """Whether there is nothing to repair."""
        return not (self.accepted or self.dropped or self.renumbered)
