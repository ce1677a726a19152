"""Counting what a pass did, version by version: documents, and what transforms warned about."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from goaime_migrate.backends import raw_bson
from goaime_migrate.ledger import storable
from goaime_migrate.results import Counts, Document, WarningCount

EXAMPLES = 5
"""`_id`s that are kept for each text."""
TEXTS = 100
"""Different texts that are kept for each version; the rest is counted under one heading."""
OTHERS = "other warnings"
_LENGTH = 500
"""Characters of a text that are kept; an `_id` of more bytes is no example, since all have to fit into a record."""


class PassCounts:
    """Counts of a batch, a partition or a pass. Adding two gives the counts of both."""

    def __init__(self, versions: Iterable[str]) -> None:
        self.versions = tuple(versions)
        self.examined = 0
        self.written = 0
        self.changed = [0] * len(self.versions)
        self.conflicts = [0] * len(self.versions)
        self.warnings: dict[tuple[str, str], tuple[int, Sequence[Any]]] = {}

    def count(self, touched: Sequence[bool] | None) -> None:
        """One document examined; `touched` says which steps changed it."""
        self.examined += 1
        if touched is not None:
            self.written += 1
            for i, was in enumerate(touched):
                self.changed[i] += was

    def warn(self, noted: Iterable[tuple[str, str]], identity: bytes) -> None:
        """What the steps said about one document."""
        for version, text in noted:
            seen, kept = self.warnings.get((version, text), (0, ()))
            if len(kept) == EXAMPLES:
                self.warnings[version, text] = (seen + 1, kept)
            else:
                self._warn(
                    version, text, 1, [raw_bson.id_value(identity)] if len(identity) <= _LENGTH else []
                )

    def _warn(self, version: str, text: str, count: int, examples: Sequence[Any]) -> None:
        text = storable(text, _LENGTH)
        key = (version, text)
        if key not in self.warnings and sum(v == version for v, _ in self.warnings) >= TEXTS:
            key = (version, OTHERS)
        seen, kept = self.warnings.get(key, (0, ()))
        fresh = [e for e in examples if e not in kept]
        self.warnings[key] = (seen + count, [*kept, *fresh][:EXAMPLES])

    def add(self, other: PassCounts) -> None:
        """Count what others have counted."""
        self.examined += other.examined
        self.written += other.written
        for i in range(len(self.versions)):
            self.changed[i] += other.changed[i]
            self.conflicts[i] += other.conflicts[i]
        for (version, text), (count, examples) in other.warnings.items():
            self._warn(version, text, count, examples)

    def since(self, earlier: PassCounts) -> PassCounts:
        """The counts that came after `earlier` was counted; without the warnings."""
        later = PassCounts(self.versions)
        later.examined = self.examined - earlier.examined
        later.written = self.written - earlier.written
        later.changed = [now - then for now, then in zip(self.changed, earlier.changed, strict=True)]
        later.conflicts = [now - then for now, then in zip(self.conflicts, earlier.conflicts, strict=True)]
        return later

    def copy(self) -> PassCounts:
        """The same counts, to be counted on."""
        other = PassCounts(self.versions)
        other.add(self)
        return other

    def counts(self, position: int) -> Counts:
        """The documents of the version at this position: a version in two steps counts in each."""
        changed, conflicts = self.changed[position], self.conflicts[position]
        return Counts(self.examined, changed, self.examined - changed - conflicts, conflicts)

    def total(self) -> Counts:
        """The documents of the whole pass, each counted once."""
        conflicts = max(self.conflicts, default=0)
        return Counts(self.examined, self.written, self.examined - self.written - conflicts, conflicts)

    def warning_counts(self) -> tuple[WarningCount, ...]:
        """The warnings as results."""
        return tuple(
            WarningCount(version, text, count, tuple(examples))
            for (version, text), (count, examples) in sorted(self.warnings.items(), key=lambda item: item[0])
        )

    def record(self) -> Document:
        """The counts as they are stored with a partition."""
        return {
            "examined": self.examined,
            "written": self.written,
            "changed": self.changed,
            "conflicts": self.conflicts,
            "warnings": [
                {"version": version, "message": text, "count": count, "examples": examples}
                for (version, text), (count, examples) in self.warnings.items()
            ],
        }

    @classmethod
    def read(cls, versions: Iterable[str], record: Document) -> PassCounts:
        """The counts from a stored partition."""
        counts = cls(versions)
        counts.examined = record["examined"]
        counts.written = record["written"]
        counts.changed = list(record["changed"])
        counts.conflicts = list(record["conflicts"])
        counts.warnings = {
            (w["version"], w["message"]): (w["count"], list(w["examples"])) for w in record["warnings"]
        }
        return counts
