"""The size of the next batch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from goaime_migrate.transform.step import Step

AIM_S = 0.5
LARGEST = 500
LARGEST_LIGHT = 2_000
"""Where documents are not decoded as a whole."""
FIRST = 100
"""Documents of a pass's first batch, which is looked at more closely than the others."""
FEWEST = 20
_GROWTH = 1.5
"""How fast batches grow again."""
PATIENCE = 30
"""How often a single document is tried before the run gives up."""
BATCH_BYTES = 12 * 1024 * 1024
"""Documents of one batch, before the transform."""


WHOLE = 2**31
"""The size of a batch that has a natural end, as a segment of the journal has."""


def is_light(steps: Sequence[Step], *, narrow: bool) -> bool:
    """Whether documents come, go or lose fields as they are, or only some of their fields are carried."""
    first, *more = steps
    return narrow or first.inserts or first.deletes or (bool(first.removes) and not more)


def largest(steps: Sequence[Step], *, narrow: bool) -> int:
    """Documents of a batch of a pass of these steps, where nothing else is said."""
    return LARGEST_LIGHT if is_light(steps, narrow=narrow) else LARGEST


class Pacing:
    """The size of the next batch, adapted after each."""

    def __init__(self, largest: int = LARGEST, first: int = FIRST) -> None:
        self.largest = largest
        self.size = min(first, self.largest)
        self._fewest = min(FEWEST, self.largest)
        self._collisions = 0

    def took(self, seconds: float, documents: int, most: int = 0) -> None:
        """A batch was committed that could have had so many documents (0: as many as a full one)."""
        if documents >= (most or self.size):
            factor = min(_GROWTH, max(0.5, AIM_S / max(seconds, 0.001)))
            self.size = min(self.largest, max(self._fewest, math.ceil(self.size * factor)))
        self._collisions = 0

    def collided(self, documents: int = 0) -> bool:
        """A batch of so many documents (0: a full one) could not be committed; False if one alone was tried enough."""
        self._collisions += min(self.size, documents or self.size) == 1
        self.halve(documents)
        return self._collisions < PATIENCE

    def halve(self, documents: int = 0) -> None:
        """The next batch has half as many."""
        self.size = max(1, min(self.size, documents or self.size) // 2)
