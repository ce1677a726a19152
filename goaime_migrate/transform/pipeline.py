"""Steps that the server computes: an update pipeline, and a constant field.

A pipeline is run over a batch as an aggregation that writes nothing, so that its results are journaled and checked for
their size like any other. Then the server runs it over the range once more, as one update in the same transaction:
both see the same documents. Where it would not give the same twice, its results are written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import Reader
from goaime_migrate.errors import IdChanged, MigrationFailed
from goaime_migrate.journal.entry import hashes_of
from goaime_migrate.results import Document
from goaime_migrate.transform.chain import BatchResult, Chain, Changed
from goaime_migrate.transform.counts import PassCounts
from goaime_migrate.transform.deduplication import Deduplication, DuplicatesStep
from goaime_migrate.transform.deletion import DeleteStep, Deletion
from goaime_migrate.transform.derivation import Derivation, DeriveStep
from goaime_migrate.transform.frozen_lookups import FrozenLookups
from goaime_migrate.transform.lookup_table import Late
from goaime_migrate.transform.lookups import Lookup
from goaime_migrate.transform.step import Step, check_size

_KINDS: dict[type[Chain], type[Step]] = {
    Deletion: DeleteStep,
    Deduplication: DuplicatesStep,
    Derivation: DeriveStep,
}
_IMPURE = ("$$NOW", "$$CLUSTER_TIME", "$rand", "$sampleRate", "$function", "$accumulator", "$where")
"""What may give something else each time."""


def chain(steps: Sequence[Step], tables: FrozenLookups) -> Chain:
    """The chain for these steps."""
    if any(step.pipeline for step in steps):
        return Pipeline(steps, tables)
    if len(steps) == 1 and steps[0].adds is not None:
        return Addition(steps, tables)
    if len(steps) == 1 and steps[0].removes:
        return Removal(steps, tables)
    of_kind = (kind for kind, made in _KINDS.items() if any(isinstance(step, made) for step in steps))
    return next(of_kind, Chain)(steps, tables)


class Pipeline(Chain):
    """The chain of one step whose transform is a pipeline."""

    def run(
        self, reader: Reader, documents: Sequence[bytes], fields: Sequence[str] | None = None
    ) -> BatchResult:
        """What the pipeline makes of the documents, which must be as they are in the collection."""
        (step,) = self.steps
        result = BatchResult([], [], PassCounts([step.version]), [])
        stages = list(step.pipeline)
        if fields is not None:
            stages.append({"$project": dict.fromkeys(("_id", *fields), 1)})
        found = reader.pipeline(step.collection, [raw_bson.id_of(d) for d in documents], stages)
        results = {raw_bson.id_of(d): d for d in found if raw_bson.has_id(d)}
        for document in documents:
            identity = raw_bson.id_of(document)
            after = results.get(identity)
            if after is None:
                raise IdChanged(
                    "the pipeline changed or removed _id",
                    version=step.version,
                    id=raw_bson.id_value(identity),
                    field="_id",
                    hint="keep _id as it is",
                )
            if after == document:
                result.unchanged.append(identity)
                result.counts.count(None)
            else:
                check_size(step, "the pipeline", after, identity)
                result.changed.append(Changed(identity, document, after, (True,)))
                result.counts.count((True,))
        if not _names(step.pipeline).intersection(_IMPURE):
            result.stages, written = step.pipeline, _written(step.pipeline)
            result.once = all(_are_once(each, written, narrow=fields is not None) for each in documents)
        return result


def _written(stages: Iterable[Document]) -> list[bytes]:
    """The top-level fields that the stages name as those that they set or remove."""
    found: dict[bytes, None] = {}
    for stage in stages:
        for value in stage.values():
            names = [value] if isinstance(value, str) else value
            paths = (name for name in names if isinstance(name, str)) if isinstance(names, Iterable) else ()
            found |= dict.fromkeys(path.partition(".")[0].encode() for path in paths)
    return list(found)


def _are_once(document: bytes, names: Iterable[bytes], *, narrow: bool) -> bool:
    """Whether a document surely has none of these fields twice: of a part of it the server shows the first alone."""
    if narrow:
        return not any(name + b"\0" in document for name in names)
    return not any(raw_bson.is_twice(document, name) for name in names)


def _names(value: Any) -> set[str]:
    """Every name and text in a pipeline, with variables cut down to their own names."""
    if isinstance(value, Mapping):
        return {str(key) for key in value}.union(*map(_names, value.values()))
    if isinstance(value, str):
        return {str(value).partition(".")[0]}  # a Code is a text without a hash
    return set().union(*map(_names, value)) if isinstance(value, Iterable) else set()


class Addition(Chain):
    """The chain of one step that adds a constant field to documents that lack it."""

    def run(
        self, reader: Reader, documents: Sequence[bytes], fields: Sequence[str] | None = None
    ) -> BatchResult:
        """Where nothing but this field is carried, a document that lacks it is its `_id` alone."""
        (step,) = self.steps
        if fields is None or step.adds is None:
            return super().run(reader, documents)
        result = BatchResult([], [], PassCounts([step.version]), [])
        sets = list(raw_bson.elements(raw_bson.join([step.adds])))
        hashes, touched = hashes_of(sets), (True,)
        for document in documents:
            identity = raw_bson.id_of(document)
            if document == identity:
                after = raw_bson.join([document[4:-1], step.adds])
                result.changed.append(Changed(identity, document, after, touched, sets, hashes=hashes))
            else:
                result.unchanged.append(identity)
        result.counts.count(touched, len(result.changed))
        result.counts.count(None, len(result.unchanged))
        ((name, element),) = sets
        result.stages = [{"$set": raw_bson.raw_document(raw_bson.join([raw_bson.literal(name, element)]))}]
        result.where = {name.decode(): {"$exists": False}}
        return result


class Removal(Chain):
    """The chain of one step that removes top-level fields."""

    def run(
        self, reader: Reader, documents: Sequence[bytes], fields: Sequence[str] | None = None
    ) -> BatchResult:
        """They are cut out of the bytes. A document that has one of them twice is decoded as any other."""
        (step,) = self.steps
        result = BatchResult([], [], PassCounts([step.version]), [], step.stages)
        odd: list[bytes] = []
        for document in documents:
            if any(raw_bson.is_twice(document, name) for name in step.removes):
                odd.append(document)
            elif (changed := _cut(document, step.removes)) is not None:
                result.changed.append(changed)
            else:
                result.unchanged.append(raw_bson.id_of(document))
        result.counts.count((True,), len(result.changed))
        result.counts.count(None, len(result.unchanged))
        if odd:
            decoded = super().run(reader, odd, fields)
            result.changed += decoded.changed
            result.unchanged += decoded.unchanged
            result.counts.add(decoded.counts)
            result.stages = ()
        return result


def _cut(document: bytes, names: Iterable[bytes]) -> Changed | None:
    """A document without these fields, each of which it has once at most; None where it has none of them."""
    after, lost = document, dict[str, bytes | None]()
    for name in names:
        for start, stop in raw_bson.spans(after, name):
            after = raw_bson.join([after[4:start], after[stop:-1]])
            lost[name.decode()] = None
    return Changed(raw_bson.id_of(document), document, after, (True,), hashes=lost) if lost else None


def chain_of(
    pass_id: str,
    steps: Sequence[Step],
    *,
    began: datetime | None,
    freeze: bool = True,
    late: Late = Late.NOTHING,
) -> Chain:
    """The steps with their lookup tables; `began` is when the pass did."""
    lookups: list[Lookup] = [lookup for step in steps for lookup in step.looked_up.values()]
    writes = steps[0].writes
    tables = FrozenLookups(pass_id, lookups, freeze=freeze, writes=writes, began=began, late=late)
    return chain(steps, tables)


def replay(chain: Chain, reader: Reader, documents: Sequence[bytes]) -> list[bytes | None]:
    """The documents after the chain; None for one that it refuses today.

    Halves are tried once the error is done with: while it is handled, all others would hang on to it, frames and all.
    """
    if not chain.steps:
        return list(documents)
    with suppress(MigrationFailed):
        return [*chain.run(reader, documents).applied_to(documents)]
    if len(documents) == 1:
        return [None]
    half = len(documents) // 2
    return [*replay(chain, reader, documents[:half]), *replay(chain, reader, documents[half:])]
