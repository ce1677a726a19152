"""Documents that go since another with the same key stays: found once, and held against documents as they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from bson import Regex

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.bson_order import Key
from goaime_migrate.backends.index_keys import indexed_values
from goaime_migrate.backends.ports import Filter, Reader, RecordChange
from goaime_migrate.results import Document
from goaime_migrate.transform.chain import BatchResult, Chain, Changed
from goaime_migrate.transform.counts import PassCounts
from goaime_migrate.transform.deletion import note_places
from goaime_migrate.transform.duplicates import Likeness, Pairs, Read, doomed, find
from goaime_migrate.transform.frozen_lookups import FrozenLookups
from goaime_migrate.transform.frozen_pairs import FrozenPairs
from goaime_migrate.transform.probe import combine
from goaime_migrate.transform.step import Step

_VALUES = 1_000
"""Values that one query asks for."""


@dataclass(frozen=True)
class DuplicatesStep(Step):
    """A step that deletes the documents that are like another which stays."""

    like: Likeness = field(default_factory=lambda: Likeness(()))

    @property
    def deletes(self) -> bool:
        """It does nothing else."""
        return True

    @property
    def on_stored(self) -> bool:
        """Which documents are alike the collection tells."""
        return True

    @cached_property
    def name(self) -> str:
        """The operation's name."""
        return "DeleteDuplicates"


class Deduplication(Chain):
    """The chain of such a step."""

    def __init__(self, steps: Sequence[Step], tables: FrozenLookups) -> None:
        super().__init__(steps, tables)
        self._frozen = FrozenPairs(tables.pass_id)
        self._held: Pairs | None = None
        """What goes, where it is not frozen."""

    @property
    def step(self) -> DuplicatesStep:
        """Its step."""
        (step,) = self.steps
        assert isinstance(step, DuplicatesStep)
        return step

    def prepare(self, read: Read, documents: int) -> Sequence[RecordChange]:
        """Work out what goes of the collection as it is now."""
        pairs = find(self.step.like, read, documents)
        if self.tables.freezes:
            return self._frozen.records(pairs)
        self._held = pairs
        return ()

    def run(
        self, reader: Reader, documents: Sequence[bytes], fields: Sequence[str] | None = None
    ) -> BatchResult:
        """What goes of these documents: what was to, and is still like one that is still there and stays."""
        ids = [raw_bson.id_of(document) for document in documents]
        pairs = self._frozen.among(reader, ids) if self._held is None else self._held
        others = dict.fromkeys(pairs[identity] for identity in ids if identity in pairs)
        staying = self._by_id(reader, list(others))
        going = {
            identity
            for identity, document in zip(ids, documents, strict=True)
            if (other := staying.get(pairs.get(identity, b""))) and self.step.like.gives_way(document, other)
        }
        return self._result(reader, documents, [d for d in documents if raw_bson.id_of(d) in going])

    def again(self, reader: Reader, documents: Sequence[bytes]) -> BatchResult:
        """What goes for what others have written: of all that is like these documents now the first stays."""
        alike = {raw_bson.id_of(document): document for document in documents}
        asked: set[tuple[Key, ...]] = set()
        fresh: Sequence[bytes] = list(documents)
        while fresh:
            keys = set().union(*map(self.step.like.keys, fresh)) - asked
            found = self._like(
                reader, [d for d in fresh if not keys.isdisjoint(self.step.like.keys(d))], keys
            )
            fresh = [document for identity, document in found.items() if identity not in alike]
            asked |= keys
            alike |= found
        going = doomed(self.step.like, alike.values())
        whole = reader.by_ids(self.step.collection, list(going), self.step.where)
        return self._result(reader, documents, whole)

    def find_spared(self, reader: Reader) -> Iterator[list[bytes]]:
        """The ids of those that were to go and are there all the same, some at a time."""
        for pairs in self._frozen.all(reader):
            yield [raw_bson.id_of(d) for d in reader.by_ids(self.step.collection, list(pairs), fields=())]

    def _by_id(self, reader: Reader, ids: Sequence[bytes]) -> Mapping[bytes, bytes]:
        """Documents that count, as much of them as tells."""
        step = self.step
        found = reader.by_ids(step.collection, ids, step.where, step.like.fields) if ids else []
        return {raw_bson.id_of(document): document for document in found}

    def _like(
        self, reader: Reader, documents: Sequence[bytes], keys: Set[tuple[Key, ...]]
    ) -> dict[bytes, bytes]:
        """The documents that have one of the keys, which these have, as much of them as tells."""
        step = self.step
        found: dict[bytes, bytes] = {}
        for start in range(0, len(documents), _VALUES):
            where = combine(step.where, _alike(step.like, documents[start : start + _VALUES]))
            for document in reader.documents(step.collection, where=where, fields=step.like.fields):
                if not keys.isdisjoint(step.like.keys(document)):
                    found[raw_bson.id_of(document)] = document
        return found

    def _note_absent(self, going: Changed, counts: PassCounts) -> None:
        """Tell of a document that goes for a key that it does not have: the key may be misspelt."""
        paths = self.step.like.paths
        if going.before is not None and not self.step.like.has_any(going.before):
            text = f"deleted for being like another that has no {' and no '.join(paths)} either"
            counts.warn([(self.step.version, text)], going.id)

    def _result(self, reader: Reader, documents: Sequence[bytes], going: Sequence[bytes]) -> BatchResult:
        changed = [Changed(raw_bson.id_of(document), document, None, (True,)) for document in going]
        note_places(reader, self.step.collection, changed)
        gone = {each.id for each in changed}
        unchanged = [i for i in map(raw_bson.id_of, documents) if i not in gone]
        counts = PassCounts([self.step.version])
        for each in changed:
            counts.count((True,))
            self._note_absent(each, counts)
        for _ in unchanged:
            counts.count(None)
        return BatchResult(changed, unchanged, counts, [])


def _alike(like: Likeness, documents: Sequence[bytes]) -> Filter:
    """Documents of which each path has a value that one of these has there: all that may be like one of them."""
    return {"$and": [_any_of(path, documents) for path in like.paths]}


def _any_of(path: str, documents: Sequence[bytes]) -> Document:
    values = [value for document in documents for value in indexed_values(document, path)]
    patterns = [{path: {"$eq": value}} for value in values if isinstance(value, Regex)]
    plain: list[Any] = [value for value in values if not isinstance(value, Regex)]
    return {"$or": [{path: {"$in": plain}}, *patterns]}
