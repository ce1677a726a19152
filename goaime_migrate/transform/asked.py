"""What is to be told of the lookups of a step: that one finds nothing, or one of several documents."""

from __future__ import annotations

from typing import NamedTuple

from goaime_migrate.transform.counts import IN_VAIN, SEVERAL, LookupCount, PassCounts
from goaime_migrate.transform.lookup_table import Table

Note = tuple[str, str]
"""What is told of a document: of which version, and a text."""


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

    @property
    def _in_vain(self) -> str:
        lookup = self.table.lookup
        if not self.table.exists:
            return f"there is no collection {lookup.collection!r}: the lookup {self.name}= finds nothing"
        return f"the lookup {self.name}= {IN_VAIN} in {lookup.collection!r} by {lookup.key!r}"

    @property
    def one_of_several(self) -> Note:
        """That something else might have been found as well."""
        lookup = self.table.lookup
        return self.version, (
            f"several documents of {lookup.collection!r} have the same {lookup.key!r}: "
            f"the lookup {self.name}= {SEVERAL} with the smallest _id"
        )
