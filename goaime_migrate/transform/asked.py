"""What is to be told of the lookups of a step: that one finds nothing, or one of several documents."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from goaime_migrate.transform.counts import IN_VAIN, SEVERAL, LookupCount, PassCounts
from goaime_migrate.transform.lookup_table import Table

Note = tuple[str, str]
"""What is told of a document: of which version, and a text."""


@dataclass
class Asked:
    """A lookup of a step, and what is to be told of it."""

    version: str
    name: str
    table: Table
    _found: bool = False
    """Whether it has found anything since it began: what else it gives need not be known then."""

    def begin(self, counts: PassCounts) -> None:
        """What is to be told even if it is never asked."""
        self._found = False
        if not self.table.exists:
            counts.looked_up(self.version, self._nowhere, LookupCount())

    def tell(self, counts: PassCounts, identity: bytes) -> None:
        """Count what it has given for a document, if that is to be known: not where it has found anything before."""
        met = self.table.met
        if self._found or not (met or self.table.missed):
            return
        text = self._in_vain if self.table.exists else self._nowhere
        if not counts.has_found(self.version, text):
            counts.looked_up(self.version, text, LookupCount.of(identity, found=met))
        self._found = counts.has_found(self.version, text)

    @cached_property
    def _nowhere(self) -> str:
        return (
            f"there is no collection {self.table.lookup.collection!r}: the lookup {self.name}= finds nothing"
        )

    @cached_property
    def _in_vain(self) -> str:
        lookup = self.table.lookup
        return f"the lookup {self.name}= {IN_VAIN} in {lookup.collection!r} by {lookup.key!r}"

    @cached_property
    def one_of_several(self) -> Note:
        """That something else might have been found as well."""
        lookup = self.table.lookup
        return self.version, (
            f"several documents of {lookup.collection!r} have the same {lookup.key!r}: "
            f"the lookup {self.name}= {SEVERAL} with the smallest _id"
        )
