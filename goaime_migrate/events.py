"""What a command tells while it works: values, for whoever listens (a progress bar, a log, a tracer, a test).

In a log their names are those of the classes in small letters, ``stage_started``; the fields are the keys.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import get_args


@dataclass(frozen=True)
class CommandStarted:
    """A command begins: a method of `Migrator`."""

    command: str


@dataclass(frozen=True)
class CommandFinished:
    """It has come to its end, whichever that is."""

    command: str
    database: str
    """The database, where it was opened; else empty."""
    error: str | None
    """The code of the error, where there is one."""
    seconds: float


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
    collection: str = ""
    """The collection that it is about, where it is one."""


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
class VersionFinished:
    """A run is done with a version, and it is recorded so.

    `result` is applied, canary, reverted, failed or interrupted, as in the log. `seconds` is what all runs have taken for
    it, if it was applied; else what this one has.
    """

    direction: str
    version: str
    result: str
    error: str | None
    """The code of the error that has stopped it."""
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
    rests: bool | None = None
    """True where the run does nothing from now on, as it was paused; False where it goes on."""


Event = (
    CommandStarted
    | CommandFinished
    | LockWaiting
    | StageStarted
    | BatchCommitted
    | StageFinished
    | VersionFinished
    | Examined
    | DatabaseStarted
    | Notice
)
EVENTS: tuple[type[Event], ...] = get_args(Event)
Listener = Callable[[Event], None]


def name_of(kind: type) -> str:
    """What an event is called in a log.

    >>> name_of(StageStarted)
    'stage_started'
    """
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind.__name__).lower()


def silent(_: Event) -> None:
    """The listener of those who do not listen."""
