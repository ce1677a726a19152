"""What a sweep has found and done so far, version by version."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from goaime_migrate.errors import MigrateError
from goaime_migrate.results import SweptDocuments
from goaime_migrate.run.applied import Link
from goaime_migrate.run.effects import AppliedChain, Effect
from goaime_migrate.sweep.deciding import Decided


class SweepCounts:
    """Of one collection."""

    def __init__(self, chain: AppliedChain) -> None:
        self._collection = chain.applied.collection
        self._links: Sequence[Link] = chain.links
        self.versions = chain.applied.versions
        self._matched = Counter[str]()
        self._changed = Counter[str]()
        self.conflicts: dict[bytes, str] = {}
        """Documents that are left, as they may be new, each with the version that would change it."""
        self.failures: dict[bytes, MigrateError] = {}
        """Documents that cannot be brought forward."""

    @property
    def changed(self) -> Counter[str]:
        """How many documents each version has changed, or would."""
        return self._changed

    def look(self, effects: Iterable[Effect]) -> None:
        """These documents were looked at. One that had been left and is well now is forgotten."""
        for effect in effects:
            for version in {v for number in effect.matched for v in self._links[number].versions}:
                self._matched[version] += 1
            if effect.failure is not None:
                self.failures[effect.id] = effect.failure
            elif not effect.is_old:
                self._forget(effect.id)

    def decide(self, found: Decided) -> None:
        """This was done about some documents, or would be."""
        for effect in found.due:
            self._forget(effect.id)
        self._changed.update(found.changed(self._links))
        self.conflicts |= found.conflicts
        self.failures |= found.failures

    def refuse(self, identity: bytes, error: MigrateError) -> None:
        """The database does not let a document be written."""
        self.failures[identity] = error

    def _forget(self, identity: bytes) -> None:
        self.conflicts.pop(identity, None)
        self.failures.pop(identity, None)

    @property
    def left(self) -> list[bytes]:
        """The documents that could not be brought forward."""
        return list(self.conflicts.keys() | self.failures.keys())

    def results(self) -> list[SweptDocuments]:
        """An entry for each version."""
        conflicts = Counter(self.conflicts.values())
        return [
            SweptDocuments(v, self._collection, self._matched[v], self._changed[v], conflicts[v])
            for v in self.versions
        ]
