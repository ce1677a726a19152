"""One batch of a walk: what it reads, what becomes of it, and what is to be changed."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import replace

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import Changes, Reader, Sweep
from goaime_migrate.journal import reconcile, segments
from goaime_migrate.journal.entry import Entry
from goaime_migrate.journal.kinds import Kind
from goaime_migrate.journal.segments import Known, Segment
from goaime_migrate.run.checkpoint import Result, Try, Unit
from goaime_migrate.run.partitions import Range
from goaime_migrate.transform import projection
from goaime_migrate.transform.chain import BatchResult, Changed
from goaime_migrate.transform.probe import combine
from goaime_migrate.up.next_batch import NextBatch


class Batch(NextBatch):
    """The next batch of a walk that changes documents where they are.

    It finds how many documents had to be read as a whole after all.
    """

    def plan(self, reader: Reader, this: Try) -> Unit[Range, int]:
        """Read, transform, and say what to change."""
        walk, before = self._walk, self._partition
        walk.chain.tables.rollback()
        earlier = self._interrupted(reader)
        documents, upto = self._read(reader, earlier, this.size)
        seen = self._seen(reader, documents)
        todo, kept, left = self._classify(documents, earlier, seen.entries)
        result, misfits = self._transform(reader, todo)
        kept += _taken_for_deleted(result, earlier)
        kept = still_kept(kept, this.missed)
        segment = self._segment(
            upto,
            [*kept, *(c.entry() for c in result.changed)],
            [*result.unchanged, *left, *self._left_out(reader, upto)],
        )
        counts = self._at.counts.copy()
        counts.add(result.count_new(seen) if walk.revisits else result.counts)
        for entry in kept:
            counts.count((True,) if entry.comes_or_goes else None)
        records = segment.adds()
        at = replace(self._at, cursor=upto, counts=counts).with_segment(len(segment.entries), records)
        moved = before.next(at, done=upto == self._at.upto)
        sweep = None if kept or left else self._sweep(result, upto)
        changes = Changes(
            first=[*result.frozen, *records],
            collection=walk.record.collection,
            writes=() if sweep else [c.write() for c in result.changed],
            sweep=sweep,
        )
        name = raw_bson.id_of(documents[-1]) if documents else None
        return Unit(changes, Result(moved, misfits, len(documents), name))

    def _transform(self, reader: Reader, documents: Sequence[bytes]) -> tuple[BatchResult, int]:
        """The batch after the chain. Where carrying some fields is not enough, the documents are read as a whole."""
        walk = self._walk
        result = walk.chain.run(reader, documents, walk.fields)
        if walk.fields is None:
            return result, 0
        step = walk.chain.steps[0]
        narrowed = (projection.narrow(c, step, walk.fields) for c in result.changed)
        fitting = [changed for changed in narrowed if changed is not None]
        kept = {changed.id for changed in fitting}
        others = [changed.id for changed in result.changed if changed.id not in kept]
        if others:
            whole = walk.chain.run(reader, reader.by_ids(walk.record.collection, others))
            fitting += whole.changed
            result.frozen.extend(whole.frozen)
            result.stages = result.stages if whole.stages else ()
            result.once = result.once and whole.once
        return replace(result, changed=fitting), len(others)

    def _sweep(self, result: BatchResult, upto: bytes | None) -> Sweep | None:
        """The batch as one update, where the server can make the very same of it."""
        walk = self._walk
        if not (walk.sweeps and result.stages and result.changed):
            return None
        if walk.fields is not None and len(walk.fields) > 1 and not all(map(_sets_all, result.changed)):
            return None  # the stages set a field to what it is: if it stands twice, the second as well
        changed = len(result.changed)
        documents = changed + (0 if result.where else len(result.unchanged))
        where = combine(walk.where, result.where)
        return Sweep(self._at.cursor, upto, where, result.stages, documents, changed, once=result.once)

    def _seen(self, reader: Reader, documents: Sequence[bytes]) -> Known:
        """What a canary has done with the documents before."""
        if not self._walk.revisits:
            return Known()
        return segments.known(reader, self._walk.record.id, [raw_bson.id_of(d) for d in documents])

    def _classify(
        self, documents: list[bytes], earlier: Segment | None, seen: Mapping[bytes, Entry]
    ) -> tuple[list[bytes], list[Entry], list[bytes]]:
        """Documents to transform; entries to keep as they are; ids of documents that are already migrated."""
        known = {} if earlier is None else {entry.id: entry for entry in earlier.entries}
        if not known and not seen:
            return documents, [], []
        todo, kept, left = [], [], []
        for document in documents:
            identity = raw_bson.id_of(document)
            entry = known.get(identity) or seen.get(identity)
            verdict = reconcile.forward(document, entry, settled=bool(self._walk.record.settled))
            if verdict is reconcile.Forward.TRANSFORM:
                todo.append(document)
            elif identity in known:
                kept.append(known[identity])
            else:
                left.append(identity)
        read = {raw_bson.id_of(document) for document in documents}
        kept += [entry for identity, entry in known.items() if identity not in read]  # `where` is past them
        return todo, kept, left

    def _left_out(self, reader: Reader, upto: bytes | None) -> list[bytes]:
        """Ids in the range that `where` left out, so that `reverse=` will know them from documents inserted later.

        A canary has nothing to say of those that are none of its own.
        """
        walk = self._walk
        if not walk.where or not walk.record.complete or self._kind is not Kind.SCAN:
            return []
        others = reader.documents(
            walk.record.collection,
            after=self._at.cursor,
            upto=upto,
            where={"$nor": [walk.where]},
            fields=(),
        )
        return [raw_bson.id_of(document) for document in others]


def _sets_all(changed: Changed) -> bool:
    """Whether all fields that are carried of a document are set, if it is not known as a whole."""
    if changed.sets is None or changed.before is None:
        return True
    return raw_bson.fields(changed.before).keys() <= {b"_id", *(name for name, _ in changed.sets)}


def _taken_for_deleted(result: BatchResult, earlier: Segment | None) -> list[Entry]:
    """What an interrupted batch meant to delete and is there, and is none of those that go.

    Somebody has changed it before it was deleted, or put it back after: nobody knows. What was journaled is kept.
    """
    if earlier is None:
        return []
    stays = set(result.unchanged)
    kept = [entry for entry in earlier.entries if entry.comes_or_goes and entry.id in stays]
    found = {entry.id for entry in kept}
    result.unchanged[:] = [identity for identity in result.unchanged if identity not in found]
    result.counts.examined -= len(found)
    return kept


def still_kept(entries: Iterable[Entry], missed: Container[bytes]) -> list[Entry]:
    """What stays of the journal of a try before: not that a document went which others had changed by then."""
    return [entry for entry in entries if not entry.comes_or_goes or entry.id not in missed]
