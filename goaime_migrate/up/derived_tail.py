"""The tail of a pass that derives: sources that others have changed, inserted or deleted are derived from anew.

What a source makes now is held against what the target has, and against what the pass has written there. What nobody
has touched is replaced, or removed where no source makes it any more; what somebody has touched stays, and is a
conflict. The journal knows which sources have ever made a document. Whether they still do only they can tell, so that
before a document is replaced or removed the others are derived from as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import Changes, Reader, RecordChange
from goaime_migrate.errors import Conflicts
from goaime_migrate.errors.hint import DOWN, UP, Hint
from goaime_migrate.journal import claims, segments
from goaime_migrate.journal.claims import Claims
from goaime_migrate.journal.kinds import Kind
from goaime_migrate.journal.segments import Segment
from goaime_migrate.run.checkpoint import Result, Try, Unit
from goaime_migrate.run.partitions import Partition, Range
from goaime_migrate.transform.counts import PassCounts
from goaime_migrate.transform.derivation import MOST, Derivation, Made
from goaime_migrate.up.others import Others
from goaime_migrate.up.products import Comparison, Products, compare
from goaime_migrate.up.tail import Conflict, Reconciliation, TailFound, TailPlan
from goaime_migrate.up.walk import Walk


class DerivedReconciliation(Reconciliation):
    """Sources that were written behind the walk."""

    def _plan(self, ids: Sequence[bytes]) -> TailPlan:
        return Sources(self._walk, Claims.scanned(self._walk.run.backend, self._locator, ids)).plan

    def _everything(self) -> Iterator[list[bytes]]:
        """Every source that there is; and every one that there was."""
        yield from super()._everything()
        walk = self._walk
        for ids in claims.all_sources(walk.run.backend, walk.record.id):
            left = walk.run.backend.by_ids(walk.record.collection, ids, walk.where)
            there = {raw_bson.id_of(document) for document in left}
            yield [identity for identity in ids if identity not in there]

    def _refusal(self, conflicts: Sequence[Conflict]) -> Conflicts:
        identity, _ = conflicts[0]
        target = self._walk.record.writes
        return Conflicts(
            f"what is derived has changed for {len(conflicts)} documents of {target}, and so has the application changed "
            "them, or has only changed one of the sources that make them alike",
            version=self._walk.record.versions[-1],
            id=raw_bson.id_value(identity),
            hint=Hint(
                "make these documents what is derived now, or what was, then: {}; or take it back: {}",
                UP,
                DOWN,
            ),
        )


class _Anew(NamedTuple):
    """What was derived anew."""

    done: int
    """Of how many of the ids that were given;"""
    ids: Sequence[bytes]
    """the sources that this is about, those too that are gone,"""
    present: Sequence[bytes]
    """those of them that are there,"""
    made: Sequence[Made]
    """what these make,"""
    counts: PassCounts
    frozen: list[RecordChange]


class Sources:
    """Sources to derive from anew, with what the scan has made of them."""

    def __init__(self, walk: Walk, scanned: Claims) -> None:
        assert isinstance(walk.chain, Derivation)
        self._walk = walk
        self._chain = walk.chain
        self._scanned = scanned

    def plan(self, reader: Reader, before: Partition, ids: Sequence[bytes], _: Try) -> Unit[Range, TailFound]:
        """Derive, hold it against target and journal, and say what to change."""
        walk = self._walk
        walk.chain.tables.rollback()
        segment = Segment(before.pass_id, Kind.TAIL, 0, before.seq + 1, level=len(walk.chain.steps))
        earlier = segments.read(reader, segment.key)
        anew = self._anew(reader, ids, earlier)
        known = self._scanned.with_those(Claims.beside(reader, before.pass_id, anew.ids))
        others = Others(reader, walk.record.id, self._chain, walk.where, anew.ids)
        comparison = Comparison(self._chain.step, known, others)
        products = compare(comparison, reader, segment, anew.ids, anew.made)
        journaled = replace(segment, entries=tuple(products.entries))
        touched = [d for w in products.writes for d in (w.before, w.after) if d is not None]
        frozen = [*anew.frozen, *others.frozen, *walk.chain.tables.before_writing(reader, touched)]
        records = journaled.puts() if journaled.entries or earlier else []
        at = replace(before.position, counts=_counts(before.position.counts, anew, known, products))
        moved = before.next(at.with_segment(len(journaled.entries), records) if records else at)
        changes = Changes(first=[*frozen, *records], collection=walk.record.writes, writes=products.writes)
        found = TailFound(len(products.writes), products.conflicts)
        return Unit(changes, Result(moved, found, anew.done, ids[0]))

    def _anew(self, reader: Reader, ids: Sequence[bytes], earlier: Segment | None) -> _Anew:
        """What these make now, or as many of the first of them as can be written together.

        With them those of this very batch that was cut off after it had been journaled: what of it is written is not
        known, so that all of it is decided again.
        """
        walk = self._walk
        begun = dict.fromkeys(e.source for e in earlier.entries if e.source) if earlier else {}
        at_hand = list(dict.fromkeys((*ids, *begun)))
        made = claims.find_made(reader, walk.record.id, at_hand) if walk.derives_within else {}
        wanted = [identity for identity in at_hand if identity not in made]
        there = {raw_bson.id_of(d): d for d in reader.by_ids(walk.record.collection, wanted, walk.where)}
        present = [identity for identity in wanted if identity in there]
        most = 2**63 if begun else MOST
        derived = self._chain.derive(reader, [there[identity] for identity in present], most)
        done = len(ids)
        if derived.taken < len(present):
            done = at_hand.index(present[derived.taken])
            at_hand = at_hand[:done]
        return _Anew(done, at_hand, present[: derived.taken], derived.made, derived.counts, derived.frozen)


def _counts(before: PassCounts, anew: _Anew, known: Claims, products: Products) -> PassCounts:
    """The counts, in which each source and each document is once."""
    counts = before.copy()
    anew.counts.examined = sum(identity not in known for identity in anew.present)
    counts.add(anew.counts)
    counts.arrived(
        sum(write.before is None for write in products.writes),
        len({e.source for e in products.entries if e.source is not None and e.source not in known}),
    )
    return counts
