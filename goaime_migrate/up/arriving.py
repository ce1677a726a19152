"""Batches of walks that make documents: what is inserted, and what is there already.

As a rule a document that is made is not there yet. So nothing is read of the target at first: an insertion that meets
one fails the try as a whole, and the next one looks. Where a failure would undo nothing, or nobody but this run can
have written, it is looked at first.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import Changes, Reader, RecordChange
from goaime_migrate.journal import claims
from goaime_migrate.journal.segments import Segment
from goaime_migrate.run.checkpoint import Result, Try, Unit
from goaime_migrate.run.pacing import BATCH_BYTES
from goaime_migrate.run.partitions import Range
from goaime_migrate.transform.counts import PassCounts
from goaime_migrate.transform.derivation import MOST, Derivation
from goaime_migrate.transform.insertion import InsertStep, by_key, place_id, place_of, with_keys
from goaime_migrate.up.arrivals import Arrivals, Found, Resumed, settle, settle_listed
from goaime_migrate.up.next_batch import NextBatch
from goaime_migrate.up.others import Others
from goaime_migrate.up.presence import present


class _Portion(NamedTuple):
    """What a batch comes to."""

    documents: int
    """How many were looked at,"""
    upto: bytes | None
    """up to this `_id`,"""
    unchanged: Sequence[bytes]
    """those of which nothing was made that is told elsewhere."""
    arrivals: Arrivals
    counts: PassCounts
    frozen: Sequence[RecordChange] = ()


class Arriving(NextBatch):
    """The next batch of a walk that inserts. It finds how many documents were there already."""

    _tried = False

    def plan(self, reader: Reader, this: Try) -> Unit[Range, int]:
        """Read, make, and say what to insert."""
        walk = self._walk
        walk.chain.tables.rollback()
        can = walk.run.backend.capabilities
        looks = walk.looks or self._tried or not (can.transactions and can.leases)
        self._tried = True
        portion = self._portion(reader, this, self._interrupted(reader), looks=looks)
        arrivals, upto = portion.arrivals, portion.upto
        segment = self._segment(upto, arrivals.entries, portion.unchanged)
        records = segment.adds()
        counts = self._at.counts.copy()
        counts.add(portion.counts)
        counts.arrived(len(arrivals.writes) + arrivals.kept, len(arrivals.fresh))
        at = replace(self._at, cursor=upto, counts=counts).with_segment(len(segment.entries), records)
        changes = Changes(
            first=[*portion.frozen, *records], collection=walk.record.writes, writes=arrivals.writes
        )
        moved = self._partition.next(at, done=upto == self._at.upto)
        name = arrivals.writes[0].id if arrivals.writes else None
        return Unit(changes, Result(moved, arrivals.there, portion.documents, name))

    @abstractmethod
    def _portion(self, reader: Reader, this: Try, earlier: Segment | None, *, looks: bool) -> _Portion:
        """What to insert next; `looks` says whether to look for what is there already."""


class DeriveBatch(Arriving):
    """The next sources, and what is made of them."""

    def _portion(self, reader: Reader, this: Try, earlier: Segment | None, *, looks: bool) -> _Portion:
        walk, step = self._walk, self._chain.step
        documents, upto = self._read(reader, earlier, min(this.size, walk.sources))
        sources = self._sources(reader, documents)
        derived = self._chain.derive(reader, sources, MOST if earlier is None else 2**63)
        if derived.taken < len(sources):
            upto = derived.sources[-1]
        walk.pace_sources(derived.taken, len(sources))
        ids = list(dict.fromkeys(each.id for each in derived.made)) if looks else []
        there = present(reader, walk.record.writes, ids)
        ours = claims.find_made(reader, walk.record.id, there.ids()) if there else {}
        others = Others(reader, walk.record.id, self._chain, walk.where, derived.sources)
        resumed = Resumed.of(earlier, this.missed)
        arrivals = settle(step, derived.made, there, ours, resumed, others.differ)
        told = {entry.source for entry in arrivals.entries}
        written = [write.after for write in arrivals.writes if write.after is not None]
        frozen = [*derived.frozen, *others.frozen, *walk.chain.tables.before_writing(reader, written)]
        unchanged = [source for source in derived.sources if source not in told]
        return _Portion(derived.taken, upto, unchanged, arrivals, derived.counts, frozen)

    @property
    def _chain(self) -> Derivation:
        chain = self._walk.chain
        assert isinstance(chain, Derivation)
        return chain

    def _sources(self, reader: Reader, documents: Sequence[bytes]) -> list[bytes]:
        """Those that are to be derived: neither made by this pass nor looked at by its canary."""
        walk = self._walk
        if not (walk.derives_within or walk.revisits):
            return list(documents)
        ids = [raw_bson.id_of(document) for document in documents]
        made = claims.find_made(reader, walk.record.id, ids) if walk.derives_within else {}
        seen = claims.Claims.beside(reader, walk.record.id, ids) if walk.revisits else ()
        return [
            d
            for identity, d in zip(ids, documents, strict=True)
            if identity not in made and identity not in seen
        ]


class InsertBatch(Arriving):
    """The next documents of a list: their places are what is walked over."""

    def _portion(self, reader: Reader, this: Try, earlier: Segment | None, *, looks: bool) -> _Portion:
        step = self._walk.chain.steps[0]
        assert isinstance(step, InsertStep)
        documents, upto = self._next(earlier, this.size)
        found = found_there(reader, step, documents, looks=looks)
        arrivals = settle_listed(step, documents, found, Resumed.of(earlier, this.missed))
        counts = PassCounts([step.version])
        counts.examined = len(documents)
        return _Portion(len(documents), upto, (), arrivals, counts)

    def _next(self, earlier: Segment | None, size: int) -> tuple[list[bytes], bytes | None]:
        """The documents of the batch and the place up to which they are."""
        listed, start = self._walk.listed, 0 if self._at.cursor is None else place_of(self._at.cursor) + 1
        upto = self._at.upto if earlier is None else earlier.upto
        stop = len(listed) if upto is None else place_of(upto) + 1
        if earlier is not None:
            return listed[start:stop], upto
        documents, total = [], 0
        for document in listed[start : min(stop, start + size)]:
            documents.append(document)
            total += len(document)
            if total >= BATCH_BYTES:
                break
        end = start + len(documents)
        return documents, upto if end == stop else place_id(end - 1)


def found_there(reader: Reader, step: InsertStep, documents: Sequence[bytes], *, looks: bool) -> Found:
    """What of these is in the collection already; `looks`: by their `_id`s too where these are not their keys."""
    wanted_ids = list(map(raw_bson.id_of, documents)) if looks else []
    ids = present(reader, step.collection, wanted_ids)
    if step.key == ("_id",) or not documents:
        return Found(ids)
    wanted = with_keys(map(raw_bson.decode, documents), step.key)
    fields = tuple(dict.fromkeys(path.partition(".")[0] for path in step.key))
    found = reader.documents(step.collection, where=wanted, fields=fields)
    return Found(ids, by_key({raw_bson.id_of(d): raw_bson.decode_any(d) for d in found}, step.key))
