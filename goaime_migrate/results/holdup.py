"""What holds up a run that is at work."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

FASTEST = 1_000_000_000
"""The greatest rate that may be asked for, in documents a second: far more than any server takes."""


@dataclass(frozen=True)
class Throttle:
    """What slows a run down that is at work, as it was told from another terminal."""

    paused: bool = False
    max_rate: float | None = None
    """Documents a second, in place of what the run was started with."""


@dataclass(frozen=True)
class Waiting:
    """What a run that is at work waits for."""

    reason: str
    since: datetime
