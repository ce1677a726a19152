"""What a run tells while it works: values, for whoever listens (a progress bar, a log, a test)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class LockWaiting:
    """Another run holds the lock; sent about once a second while waiting."""

    holder: str
    waited_s: float
    timeout_s: float


@dataclass(frozen=True)
class StageStarted:
    """A pass, or a single operation, begins. `total` is None where it cannot be counted."""

    direction: str
    versions: tuple[str, ...]
    text: str
    total: int | None
    done: int = 0
    """Documents that an earlier, interrupted run has already seen to."""
    function: str = ""
    """The user's function that it is, which works without batches: "up(db)"."""


@dataclass(frozen=True)
class BatchCommitted:
    """Documents examined so far, in this stage, by all runs."""

    versions: tuple[str, ...]
    done: int
    total: int | None


@dataclass(frozen=True)
class StageFinished:
    """The stage is done and recorded."""

    direction: str
    versions: tuple[str, ...]
    text: str
    documents: int
    changed: int
    seconds: float


@dataclass(frozen=True)
class Examined:
    """Documents that a command which writes nothing has looked at so far. `total` is None where it is not known."""

    versions: tuple[str, ...]
    text: str
    done: int
    total: int | None


@dataclass(frozen=True)
class DatabaseStarted:
    """Of several databases the next is begun: what comes now is about it. Sent only where there is anything to do."""

    database: str
    number: int
    total: int


@dataclass(frozen=True)
class Notice:
    """One line that people should see: a take-over, a pause for replication lag, a resumed pass."""

    text: str


Event = LockWaiting | StageStarted | BatchCommitted | StageFinished | Examined | DatabaseStarted | Notice
Listener = Callable[[Event], None]


def silent(_: Event) -> None:
    """The listener of those who do not listen."""
