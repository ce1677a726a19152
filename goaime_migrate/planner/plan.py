"""A plan as a value: what a command will do, in which order, and what of it is done together.

Whoever carries a plan out, or shows it, walks its groups from the first to the last and decides nothing of it again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from goaime_migrate.results import Direction

if TYPE_CHECKING:
    from goaime_migrate.planner.groups import DownGroup, UpGroup


@dataclass(frozen=True)
class Plan:
    """What a command will do. `versions` in the order in which they are worked on."""

    direction: ClassVar[Direction]
    target: str
    versions: tuple[str, ...]
    message: str = ""
    """Why there is nothing to do, where there is nothing."""


@dataclass(frozen=True)
class UpPlan(Plan):
    """What `up` will do."""

    direction = Direction.UP
    groups: tuple[UpGroup, ...] = ()
    empty: tuple[str, ...] = ()
    """The passes that are forgotten before: no batch of them was committed, so that they pin nothing."""


@dataclass(frozen=True)
class DownPlan(Plan):
    """What `down` will do."""

    direction = Direction.DOWN
    groups: tuple[DownGroup, ...] = ()
    unstarted: tuple[str, ...] = ()
    """The versions among them of which nothing was ever started: they are forgotten afterwards."""
