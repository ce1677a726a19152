"""A plan as a value: what a command will do, in which order, and what of it is done together.

Whoever carries a plan out, or shows it, walks its groups from the first to the last and decides nothing of it again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from goaime_migrate.results import Direction

if TYPE_CHECKING:
    from goaime_migrate.planner.groups import DownGroup, UpGroup


class UpPlan(NamedTuple):
    """What `up` will do. `versions` in the order in which they are worked on."""

    target: str
    versions: tuple[str, ...]
    message: str = ""
    """Why there is nothing to do, where there is nothing."""
    groups: tuple[UpGroup, ...] = ()
    empty: tuple[str, ...] = ()
    """The passes that are forgotten before: no batch of them was committed, so that they pin nothing."""

    @property
    def direction(self) -> Direction:
        """Which way it goes."""
        return Direction.UP


class DownPlan(NamedTuple):
    """What `down` will do. `versions` in the order in which they are worked on."""

    target: str
    versions: tuple[str, ...]
    message: str = ""
    groups: tuple[DownGroup, ...] = ()
    unstarted: tuple[str, ...] = ()
    """The versions among them of which nothing was ever started: they are forgotten afterwards."""

    @property
    def direction(self) -> Direction:
        """Which way it goes."""
        return Direction.DOWN


Plan = UpPlan | DownPlan
