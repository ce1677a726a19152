"""Which of several versions wrote a field, where their steps were one pass. Reads only."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from goaime_migrate.backends.base import Reader
from goaime_migrate.engine.chain import Chain
from goaime_migrate.engine.journal import Entry, changed_fields, digest
from goaime_migrate.errors import MigrationFailed


class Author:
    """Finds the version to name for a document in conflict.

    `chains`: one for each step of the pass, which are called again on the before-image; only the last `taken` of them
    are taken back. Where there are none, or they do not come out as they did, it is `highest`.
    """

    def __init__(self, highest: str, chains: Sequence[Chain] = (), taken: int = 0) -> None:
        self._highest = highest
        self._chains = tuple(chains)
        self._taken = taken

    def version(self, reader: Reader, entry: Entry, fields: Collection[str]) -> str:
        """The version of the last step that changed any of these fields."""
        if not self._chains:
            return self._highest
        try:
            return self._replayed(reader, entry, frozenset(fields))
        except MigrationFailed:
            return self._highest

    def _replayed(self, reader: Reader, entry: Entry, fields: frozenset[str]) -> str:
        found, document = self._highest, entry.before
        for left, chain in zip(range(len(self._chains), 0, -1), self._chains, strict=True):
            changed = chain.run(reader, [document]).changed
            after = changed[0].after if changed else document
            if left <= self._taken and not fields.isdisjoint(changed_fields(document, after)):
                found = chain.steps[0].version
            document = after
        return found if digest(document) == entry.after_hash else self._highest
