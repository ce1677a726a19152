"""Questions that rules ask of the results of a pass. Each looks at one document once, and keeps a few examples."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from goaime_migrate.backends import raw_bson, raw_difference
from goaime_migrate.backends.bson_order import Key
from goaime_migrate.backends.embedded.paths import values
from goaime_migrate.backends.embedded.unique import KeyTable, checkable
from goaime_migrate.backends.ports import EqualKey, Filter, Survey
from goaime_migrate.errors import MigrateError
from goaime_migrate.results import Document
from goaime_migrate.rules.seen import Result

EXAMPLES = 5
_BUDGET = 64 * 1024 * 1024
"""Bytes of documents that the server is asked to hold against a validator."""
_FIELDS = 500
"""Names of fields whose types are counted: where there are more, names are data."""
_NUMBERS = (0x01, 0x10, 0x12, 0x13)
_FAMILIES = {
    **dict.fromkeys(_NUMBERS, "number"),
    0x02: "string",
    0x03: "object",
    0x04: "array",
    0x05: "binData",
    0x07: "objectId",
    0x08: "bool",
    0x09: "date",
    0x0B: "regex",
    0x11: "timestamp",
}


class Keys:
    """Which keys a unique index would have twice, at the end and while the pass is under way."""

    def __init__(self, index: Document) -> None:
        self.index = index
        self._table = KeyTable(checkable(index))
        self._made: dict[Key, bytes] = {}
        self.moved = 0
        """Documents whose key the pass changes."""
        self.passing: list[tuple[Any, Any]] = []
        """The `_id`s of two documents of which one gets a key that the other still has."""

    def look(self, results: Sequence[Result]) -> None:
        """Enter the results."""
        for result in results:
            if result.after is not None:
                self._table.add(result.after)
            if result.changed:
                self._move(result)

    def _move(self, result: Result) -> None:
        index = self._table.index
        before = set(index.keys(result.before)) if result.before else set()
        after = set(index.keys(result.after)) if result.after else set()
        if before == after:
            return
        self.moved += 1
        identity = raw_bson.id_of(result.before or result.after or b"")
        for key in before - after:
            other = self._made.get(key)
            if other is not None and len(self.passing) < EXAMPLES:
                self.passing.append((raw_bson.id_value(other), raw_bson.id_value(identity)))
        self._made |= dict.fromkeys(after - before, identity)

    def add(self, documents: Sequence[bytes]) -> None:
        """Enter documents that the pass does not touch."""
        for document in documents:
            self._table.add(document)

    @property
    def groups(self) -> list[EqualKey]:
        """The keys that several documents have then."""
        return self._table.groups()


class Misfits:
    """Which results a validator does not let pass."""

    def __init__(
        self, survey: Survey, collection: str, wanted: Filter, *, moderate: bool, written_only: bool
    ) -> None:
        self._survey = survey
        self._collection = collection
        self._wanted = wanted
        self._moderate = moderate
        self._written_only = written_only
        self._left = _BUDGET
        self.reason = ""
        """Why it cannot be told."""
        self.looked_at = 0
        self.count = 0
        self.ids: list[Any] = []
        self.whole = True
        """Whether all were looked at."""

    def look(self, results: Sequence[Result]) -> None:
        """Let the database look at the results, as far as the budget goes."""
        if self.reason:
            return
        asked = [r for r in results if r.after is not None and (r.changed or not self._written_only)]
        size = sum(len(r.after or b"") for r in asked)
        if size > self._left:
            self.whole = False
            return
        self._left -= size
        try:
            found = self._refused(asked)
        except MigrateError as error:
            self.reason = error.message
            return
        self.looked_at += len(asked)
        self.count += len(found)
        self.ids += [raw_bson.id_value(each) for each in found[: EXAMPLES - len(self.ids)]]

    def _refused(self, asked: Sequence[Result]) -> list[bytes]:
        """With a moderate validator a document that did not fit before may be written as it likes."""
        if not asked:
            return []
        found = self._survey.misfits(self._collection, self._wanted, [r.after for r in asked if r.after])
        if not (self._moderate and found):
            return found
        wrong = set(found)
        before = [r.before for r in asked if r.before and raw_bson.id_of(r.before) in wrong]
        already = set(self._survey.misfits(self._collection, self._wanted, before))
        return [each for each in found if each not in already]


class Types:
    """Which types the fields have, before and after, and which fields the pass changes."""

    def __init__(self, paths: Sequence[str] = ()) -> None:
        self.paths = tuple(paths)
        """Those, at any depth, that an index is made on."""
        self.before: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.after: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.examples: dict[tuple[str, str], Any] = {}
        self.changed: set[str] = set()

    def look(self, results: Sequence[Result]) -> None:
        """Count the types of all top-level fields, and of the paths."""
        for before, after, changed in results:
            old = dict(_types(before, self.paths)) if before else {}
            new = dict(_types(after, self.paths)) if changed and after else old if after else {}
            for name, family in old.items():
                self._count(self.before, name, family)
            for name, family in new.items():
                if self._count(self.after, name, family):
                    self.examples.setdefault(
                        (name, family), after and raw_bson.id_value(raw_bson.id_of(after))
                    )
            if changed and before and after:
                names = raw_difference.differing(*raw_difference.unlike(before, after))
                self.changed |= {name.decode("utf-8", "replace") for name, _ in names}

    @staticmethod
    def _count(counts: defaultdict[str, Counter[str]], name: str, family: str) -> bool:
        if name not in counts and len(counts) >= _FIELDS:
            return False
        counts[name][family] += 1
        return True


def _types(document: bytes, paths: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Each top-level field, and each path, with the family of its type; what is null has none."""
    for name, element in raw_bson.elements(document):
        family = _FAMILIES.get(element[0])
        if family is not None:
            yield name.decode("utf-8", "replace"), family
    for path in paths:
        if "." in path:
            for value in values(document, path):
                with suppress(Exception):
                    family = _FAMILIES.get(raw_bson.encode({"": value})[4])
                    if family is not None:
                        yield path, family


class Expiries:
    """Which results a TTL index deletes at once, and would not have deleted before."""

    def __init__(self, index: Document, now: datetime, *, fresh: bool) -> None:
        self.index = index
        self._path = next(iter(index["key"]))
        self._before = (now - timedelta(seconds=float(index["expireAfterSeconds"]))).replace(tzinfo=None)
        self._fresh = fresh
        """Whether it is an index that is not there yet."""
        self.count = 0
        self.ids: list[Any] = []

    def look(self, results: Sequence[Result]) -> None:
        """Compare the dates."""
        for result in results:
            if result.after is None or not (result.changed or self._fresh) or not self._expired(result.after):
                continue
            if self._fresh or result.before is None or not self._expired(result.before):
                self.count += 1
                if len(self.ids) < EXAMPLES:
                    self.ids.append(raw_bson.id_value(raw_bson.id_of(result.after)))

    def _expired(self, document: bytes) -> bool:
        found = values(document, self._path)
        dates = [v for each in found for v in (each if isinstance(each, list) else [each])]
        return any(isinstance(v, datetime) and v.replace(tzinfo=None) < self._before for v in dates)


class Sizes:
    """How large results become."""

    def __init__(self, above: int) -> None:
        self.above = above
        self.count = 0
        self.greatest = 0
        self.ids: list[Any] = []

    def look(self, results: Sequence[Result]) -> None:
        """Take note of the large ones that are written."""
        for result in results:
            if result.after is None or not result.changed:
                continue
            self.greatest = max(self.greatest, len(result.after))
            if len(result.after) > self.above:
                self.count += 1
                if len(self.ids) < EXAMPLES:
                    self.ids.append(raw_bson.id_value(raw_bson.id_of(result.after)))
