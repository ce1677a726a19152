"""How many documents the next batch takes: as many as half a second is good for, fewer where writers collide."""

from __future__ import annotations

import math

AIM_S = 0.5
LARGEST = 500
LARGEST_NARROW = 2_000
"""Where only some fields of each document are carried."""
FIRST = 100
"""Documents of a pass's first batch, which is looked at more closely than the others."""
FEWEST = 20
_GROWTH = 1.5
"""How fast batches grow again."""
PATIENCE = 30
"""How often a single document is tried before the run gives up."""
BATCH_BYTES = 12 * 1024 * 1024
"""Documents of one batch, before the transform."""


class Pacing:
    """The size of the next batch, adapted after each."""

    def __init__(self, largest: int = LARGEST) -> None:
        self.largest = largest
        self.size = min(FIRST, self.largest)
        self._fewest = min(FEWEST, self.largest)
        self._collisions = 0

    def took(self, seconds: float, documents: int) -> None:
        """A batch was committed."""
        if documents >= self.size:
            factor = min(_GROWTH, max(0.5, AIM_S / max(seconds, 0.001)))
            self.size = min(self.largest, max(self._fewest, math.ceil(self.size * factor)))
        self._collisions = 0

    def collided(self) -> bool:
        """A batch could not be committed; False if one single document has been tried often enough."""
        self._collisions += self.size == 1
        self.size = max(1, self.size // 2)
        return self._collisions < PATIENCE
