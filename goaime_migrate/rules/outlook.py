"""A plan as a whole, with what is predicted of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from goaime_migrate.backends.ports import Backend, Room
from goaime_migrate.config import Settings
from goaime_migrate.results import Predicted
from goaime_migrate.rules.findings import Location
from goaime_migrate.rules.registry import Said
from goaime_migrate.rules.turn import Turn


@dataclass
class Outlook:
    """What rules that look at a plan as a whole go by."""

    turns: Sequence[Turn]
    database: Backend
    settings: Settings
    predicted: Predicted

    def location_of(self, said: Said) -> Location:
        """Where what is said of it belongs: to the operation that is named, or to none."""
        turns = (turn for turn in self.turns if said.ref in turn.refs)
        return next((turn.location_of(said) for turn in turns), Location())

    @cached_property
    def room(self) -> Room:
        """What there is to fill."""
        return self.database.room()
