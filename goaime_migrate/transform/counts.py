"""Counting what a pass did, version by version: documents, and what transforms warned about."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from goaime_migrate.backends import raw_bson
from goaime_migrate.ledger import storable
from goaime_migrate.results import Counts, Document, WarningCount

EXAMPLES = 5
"""`_id`s that are kept for each text."""
TEXTS = 100
"""Different texts that are kept for each version; the rest is counted under one heading."""
OTHERS = "other warnings"
IN_VAIN, SEVERAL = "finds nothing at all", "gives the one"
"""How it is said of a lookup that it never finds anything, and that it chooses."""
_LENGTH = 500
"""Characters of a text that are kept; an `_id` of more bytes is no example, since all have to fit into a record."""


class LookupCount(NamedTuple):
    """For how many documents a lookup was in vain, some of their `_id`s, and whether it ever found anything."""

    vain: int = 0
    examples: Sequence[Any] = ()
    found: bool = False

    @classmethod
    def of(cls, identity: bytes, *, found: bool) -> LookupCount:
        """For one document."""
        named = not found and len(identity) <= _LENGTH
        return cls(int(not found), [raw_bson.id_value(identity)] if named else (), found)

    def plus(self, other: LookupCount) -> LookupCount:
        """The counts of both; where anything was found the others do not matter any more."""
        if self.found or other.found:
            return self if self.found else other
        return LookupCount(self.vain + other.vain, [*self.examples, *other.examples][:EXAMPLES])


class PassCounts:
    """Counts of a batch, a partition or a pass. Adding two gives the counts of both."""

    def __init__(self, versions: Iterable[str]) -> None:
        self.versions = tuple(versions)
        self.examined = 0
        self.written = 0
        self.changed = [0] * len(self.versions)
        """For each step the documents that it has changed and no step of the same version before it."""
        self._before = [
            [j for j in range(i) if self.versions[j] == version] for i, version in enumerate(self.versions)
        ]
        self.conflicts = [0] * len(self.versions)
        self.warnings: dict[tuple[str, str], tuple[int, Sequence[Any]]] = {}
        self.lookups: dict[tuple[str, str], LookupCount] = {}

    def count(self, touched: Sequence[bool] | None, documents: int = 1) -> None:
        """One document examined, or several; `touched` says which steps changed them."""
        self.examined += documents
        if touched is not None:
            self.written += documents
            for i, was in enumerate(touched):
                if was and not any(touched[j] for j in self._before[i]):
                    self.changed[i] += documents

    def arrived(self, documents: int, sources: int) -> None:
        """So many documents came to be, of so many of those that were examined."""
        self.changed[0] += documents
        self.written += sources

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

    def looked_up(self, version: str, text: str, more: LookupCount) -> None:
        """What a lookup has given; `text` is the warning if it never finds anything."""
        known = self.lookups.get((version, text))
        self.lookups[version, text] = more if known is None else known.plus(more)

    def has_found(self, version: str, text: str) -> bool:
        """Whether a lookup has found anything: what else it has given does not matter then."""
        known = self.lookups.get((version, text))
        return known is not None and known.found

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
        for (version, text), looked_up in other.lookups.items():
            self.looked_up(version, text, looked_up)

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

    def plus(self, other: PassCounts) -> PassCounts:
        """The counts of both, neither of which changes."""
        both = self.copy()
        both.add(other)
        return both

    def of(self, version: str) -> Counts:
        """The documents of a version, each counted once, however many of its steps have changed it."""
        mine = [i for i, each in enumerate(self.versions) if each == version]
        changed, conflicts = sum(self.changed[i] for i in mine), max(self.conflicts[i] for i in mine)
        effective = min(changed, self.written)  # one that was examined may have made several
        return Counts(self.examined, changed, self.examined - effective - conflicts, conflicts)

    def total(self) -> Counts:
        """The documents of the whole pass, each counted once."""
        conflicts = max(self.conflicts, default=0)
        changed = max(self.written, *self.changed, 0)
        return Counts(self.examined, changed, self.examined - self.written - conflicts, conflicts)

    def warning_counts(self) -> tuple[WarningCount, ...]:
        """The warnings as results."""
        vain = {key: (each.vain, each.examples) for key, each in self.lookups.items() if not each.found}
        return tuple(
            WarningCount(version, text, count, tuple(examples))
            for (version, text), (count, examples) in sorted(
                {**self.warnings, **vain}.items(), key=lambda item: item[0]
            )
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
            "lookups": [
                {"version": version, "message": text, **each._asdict()}
                for (version, text), each in self.lookups.items()
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
        counts.lookups = {
            (each["version"], each["message"]): LookupCount(
                each["vain"], list(each["examples"]), each["found"]
            )
            for each in record.get("lookups", ())  # earlier releases counted none
        }
        return counts
