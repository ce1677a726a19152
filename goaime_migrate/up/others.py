"""Several sources may make the same document. Whether they do, at this moment, only they can tell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from goaime_migrate.backends.ports import Filter, Reader, RecordChange
from goaime_migrate.journal import claims
from goaime_migrate.transform.derivation import Derivation, Made


class Others:
    """The sources beside those at hand: what they make of a document, as long as anybody asks."""

    def __init__(
        self, reader: Reader, pass_id: str, chain: Derivation, where: Filter | None, at_hand: Iterable[bytes]
    ) -> None:
        self._pass_id = pass_id
        self._where = where
        self._chain = chain
        self._reader = reader
        self._at_hand = frozenset(at_hand)
        self.frozen: list[RecordChange] = []
        """The records that freeze what they have looked up."""

    def differ(self, made: Made) -> bool:
        """Whether any of them makes it now, and otherwise."""
        return any(document != made.document for document in self.make(made.id))

    def make(self, identity: bytes) -> Iterator[bytes]:
        """Each document of this `_id` that any of those make now which have ever made one."""
        asked = set(self._at_hand)
        for sources in claims.sources_of(self._reader, self._pass_id, identity):
            fresh = [source for source in sources if source not in asked]
            asked.update(fresh)
            left = self._reader.by_ids(self._chain.step.collection, fresh, self._where) if fresh else []
            while left:
                derived = self._chain.derive(self._reader, left)
                self.frozen += derived.frozen
                yield from (each.document for each in derived.made if each.id == identity)
                left = left[derived.taken :]
