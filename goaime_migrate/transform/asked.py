"""What is to be told of the lookups of a step: that they are in vain, or ambiguous."""

from __future__ import annotations

from typing import NamedTuple

from goaime_migrate.transform.counts import LookupCount, PassCounts
from goaime_migrate.transform.lookup_table import Table


class Asked(NamedTuple):
    """A lookup of a step, and what is to be told of it."""

    version: str
    name: str
    table: Table

    def begin(self, counts: PassCounts) -> None:
        """What is to be told even if it is never asked."""
        if not self.table.exists:
            counts.looked_up(self.version, self._in_vain, LookupCount())

    def tell(self, counts: PassCounts, identity: bytes) -> None:
        """Count what it has given for a document."""
        if self.table.met or self.table.missed:
            counts.looked_up(self.version, self._in_vain, LookupCount.of(identity, found=self.table.met))
        if self.table.several:
            counts.warn([(self.version, self._one_of_several)], identity)

    @property
    def _in_vain(self) -> str:
        lookup = self.table.lookup
        if not self.table.exists:
            return f"there is no collection {lookup.collection!r}: the lookup {self.name}= finds nothing"
        return f"the lookup {self.name}= finds nothing at all in {lookup.collection!r} by {lookup.key!r}"

    @property
    def _one_of_several(self) -> str:
        lookup = self.table.lookup
        return (
            f"several documents of {lookup.collection!r} have the same {lookup.key!r}: "
            f"the lookup {self.name}= gives the one with the smallest _id"
        )
