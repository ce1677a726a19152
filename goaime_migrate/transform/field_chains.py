"""The chains of one step that changes fields and need not decode documents for it.

What they make, count and tell is what `Chain` makes of the same documents.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import Reader
from goaime_migrate.backends.raw_arrays import leads_to_odd_keys
from goaime_migrate.journal.entry import hashes_of
from goaime_migrate.transform.chain import BatchResult, Chain, Changed, may_refer
from goaime_migrate.transform.counts import PassCounts
from goaime_migrate.transform.path_stages import MARK, Marking
from goaime_migrate.transform.pipeline import computed

_TOUCHED = (True,)
"""By the one step."""


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
        hashes = hashes_of(sets)
        for document in documents:
            identity = raw_bson.id_of(document)
            if document == identity:
                after = raw_bson.join([document[4:-1], step.adds])
                result.changed.append(Changed(identity, document, after, _TOUCHED, sets, hashes=hashes))
            else:
                result.unchanged.append(identity)
        _count(result)
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
        names = [(name, name.decode()) for name in step.removes]
        for document in documents:
            identity = raw_bson.id_of(document)
            after, lost = _cut(document, names)
            if after is None:
                odd.append(document)
            elif lost:
                result.changed.append(Changed(identity, document, after, _TOUCHED, hashes=lost))
            else:
                result.unchanged.append(identity)
        _count(result)
        if odd:
            result = _together(result, super().run(reader, odd, fields))
        return result


class Marked(Chain):
    """The chain of one step on paths, whose results a server computes."""

    def run(
        self, reader: Reader, documents: Sequence[bytes], fields: Sequence[str] | None = None
    ) -> BatchResult:
        """Where some fields are carried, documents are as they are stored. One that is marked is decoded as any other."""
        (step,) = self.steps
        marking = step.marking
        if fields is None or marking is None:
            return super().run(reader, documents)
        result = BatchResult([], [], PassCounts([step.version]), [], step.stages)
        fitting = [document for document in documents if _fits(document, marking)]
        results = computed(reader, step.collection, fitting, marking.stages, fields)
        odd: list[bytes] = []
        for document in documents:
            identity = raw_bson.id_of(document)
            after = results.get(identity)
            if after is None or MARK in after:
                odd.append(document)
            elif after == document:
                result.unchanged.append(identity)
            elif _is_counted_anew(document, after, marking):
                odd.append(document)
            else:
                result.changed.append(Changed(identity, document, after, _TOUCHED))
        _count(result)
        return _together(result, super().run(reader, odd, fields)) if odd else result


def _count(result: BatchResult) -> None:
    """Count what the one step has changed, and what it has left."""
    result.counts.count(_TOUCHED, len(result.changed))
    result.counts.count(None, len(result.unchanged))


def _is_counted_anew(document: bytes, after: bytes, marking: Marking) -> bool:
    """Whether a server may have changed a document where the path leads to nothing that is to be changed."""
    grown = len(after) - len(document)
    if grown > 0 if marking.grows else grown < 0:
        return False
    return any(leads_to_odd_keys(document, names) for names in marking.arrays)


def _fits(document: bytes, marking: Marking) -> bool:
    """Whether a server tells all of a document that there is to tell."""
    if len(document) > marking.largest or may_refer(document):
        return False
    return all(document.count(name + b"\0") < 2 for name in marking.names)


def _together(quick: BatchResult, decoded: BatchResult) -> BatchResult:
    """One batch, of which some documents had to be decoded."""
    quick.counts.add(decoded.counts)
    return BatchResult(
        quick.changed + decoded.changed,
        quick.unchanged + decoded.unchanged,
        quick.counts,
        decoded.frozen,
        decoded.stages and quick.stages,
        told=decoded.told,
    )


def _cut(document: bytes, names: Iterable[tuple[bytes, str]]) -> tuple[bytes | None, dict[str, bytes | None]]:
    """A document without these fields and which of them it had; None where it has one of them twice."""
    lost: dict[str, bytes | None] = {}
    for name, text in names:
        less = raw_bson.without(document, name)
        if less is None:
            return None, lost
        if less is not document:
            lost[text] = None
            document = less
    return document, lost
