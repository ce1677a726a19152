"""What a way down over several passes would do. Reads only.

A pass is judged on its documents as the passes above it would have left them. Those are asked batch by batch, for the
documents that a segment is about: what they would do is never kept for longer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import chain

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import Reader
from goaime_migrate.down import inserted
from goaime_migrate.down.decisions import Decisions, Outcome, last_words, lower
from goaime_migrate.down.inserted import Inserted, ReverseChain, Unjournaled
from goaime_migrate.down.overruled import Older, Overruled, find_marked
from goaime_migrate.down.restore import segment_keys
from goaime_migrate.down.rollback import offsets
from goaime_migrate.errors import MigrationFailed
from goaime_migrate.journal import segments
from goaime_migrate.journal.entry import Entry
from goaime_migrate.journal.index import Locator
from goaime_migrate.journal.kinds import WRITTEN, Kind
from goaime_migrate.journal.segments import Segment
from goaime_migrate.ledger import PassRecord

_SEGMENTS = 8
"""How many segments each pass keeps at hand: neighbours are asked for one after the other."""
Due = tuple[Sequence[Entry], Sequence[Entry | None]]


@dataclass(frozen=True)
class DownPass:
    """A pass that is to be taken back to its first `target` steps, as `Restore` would do it.

    The record's collection is what it is called today; passes that are taken back first may rename it.
    """

    record: PassRecord
    target: int
    decisions: Decisions
    reverses: ReverseChain
    reversible: bool
    """Whether any of its steps has a `reverse=`: then it will know what was left above it, see `reversal.Notes`."""


class PassPreview:
    """A pass between the documents as `above` it leaves them and those that are left to what is below."""

    def __init__(self, reader: Reader, down: DownPass, above: PassPreview | None) -> None:
        self._reader = reader
        self._record = down.record
        self._target = down.target
        self._decisions = down.decisions
        self._reverses = down.reverses
        self._reversible = down.reversible
        self._above = above
        self._overruled = Overruled(reader, down.record.id, down.decisions.targets)
        self._deleting: list[str] = []
        """The segments with documents that were deleted, once they are previewed."""
        self._due = lru_cache(maxsize=_SEGMENTS)(self._read_due)

    def preview(self) -> tuple[Outcome, Inserted | None]:
        """What would be done to the documents of its journal, and those that were inserted since `up`."""
        total = Outcome()
        for key in segment_keys(self._reader, self._record.id):
            entries, targets = self._due(key)
            if any(entry.is_deletion for entry in entries):
                self._deleting.append(key)
            if entries and self._is_as_stored:
                older = self._older(key, [entry.id for entry in entries])
                total.add(self._decisions.documents(self._reader, entries, targets, older=older)[1])
            elif entries:
                ids = [entry.id for entry in entries]
                found, older = self._found(ids, key), self._older(key, ids)
                total.add(self._decisions.decide(self._reader, found, entries, targets, older=older)[1])
            total.add(Outcome.without(self._erased(key)))
            total.add(self._left_alone(key))
        return total, self._inserted()

    def _older(self, key: str, ids: Sequence[bytes]) -> Older:
        return self._overruled.by(self._reader, key, ids, self.segment)

    def _left_alone(self, key: str) -> Outcome:
        """What a sweep's segment has of documents without having changed them; no other is asked."""
        segment = self.segment(key) if _kind(key) == Kind.SWEEP else None
        if segment is None or segment.level <= self._target:
            return Outcome()
        older = self._older(key, find_marked(self._reader, segment))
        there = self._found(list(older), key).values() if older else ()
        return self._decisions.left_alone(self._reader, there, older)

    @property
    def _is_as_stored(self) -> bool:
        """Whether nothing is taken back of its documents before each of its segments is."""
        return self._above is None and not self._indexed

    def _erased(self, key: str) -> Sequence[bytes]:
        """The hashes of what was erased from a segment; a pass of which nothing was erased is not asked."""
        segment = self.segment(key) if self._record.erased else None
        return () if segment is None or segment.level <= self._target else segment.erased

    # documents

    def leaves(self, ids: Sequence[bytes]) -> dict[bytes, bytes]:
        """These documents, by id, as they would be after it."""
        found = self._found(ids, "")
        if self._reverses.chain is None or not self._record.complete:
            return found
        left = self._stopped_above(ids)
        fresh = [found[i] for i in self._inserted_of(ids).fresh if i in found and i not in left]
        try:
            reversed_ones = self._reverses.chain.run(self._reader, fresh).changed
        except MigrationFailed:
            return found  # that is where `down` would stop
        return found | {changed.id: changed.after for changed in reversed_ones if changed.after is not None}

    def _found(self, ids: Sequence[bytes], key: str) -> dict[bytes, bytes]:
        """These documents as they would be met when it is the turn of the segment with this key."""
        found, wanted = self._enter(ids), frozenset(ids)
        for earlier in self._holders(ids, key):
            entries, targets = self._due(earlier)
            mine = [pair for pair in zip(entries, targets, strict=True) if pair[0].id in wanted]
            writes, _ = self._decisions.decide(
                self._reader, found, [entry for entry, _ in mine], [target for _, target in mine]
            )
            for write in writes:
                if write.after is None:
                    del found[write.id]
                else:
                    found[write.id] = write.after
        return found

    def _enter(self, ids: Sequence[bytes]) -> dict[bytes, bytes]:
        return self._stored(ids) if self._above is None else self._above.leaves(ids)

    def _stored(self, ids: Sequence[bytes]) -> dict[bytes, bytes]:
        return {raw_bson.id_of(d): d for d in self._reader.by_ids(self._record.writes, ids)}

    # the journal

    def _holders(self, ids: Sequence[bytes], key: str) -> list[str]:
        """The segments with any of these documents that are taken back before that with this key, in their order."""
        keys: set[str | None] = set()
        if self._indexed:
            listed = segments.holders(self._reader, self._record.id, ids)
            keys |= {each for each in listed if _kind(each) in WRITTEN}
        if not key or _kind(key) == Kind.CANARY:  # no document is in two segments of the scan
            keys |= set(map(self._locator.key, ids))
        return sorted((each for each in keys if each is not None and each > key), reverse=True)

    def _read_due(self, key: str) -> Due:
        """The entries of a segment that are to be taken back, with what they lead to.

        What an earlier `down` has taken back before it was cut off is not.
        """
        segment = self.segment(key)
        if segment is None or segment.level <= self._target:
            return (), ()
        targets = self._decisions.targets(self._reader, segment.entries)
        stop = len(segment.entries) - (0 if self._continues else self._offsets.get(key, 0))
        return last_words(self._reader, key, segment.entries[:stop], targets[:stop])

    def segment(self, key: str) -> Segment | None:
        """A segment of the journal as it would be met."""
        if not self._continues:
            return segments.read(self._reader, key)
        assert self._above is not None
        return self._above.lower(key)

    def lower(self, key: str) -> Segment | None:
        """The same as it would be left."""
        segment = self.segment(key)
        if segment is None or segment.level <= self._target:
            return segment
        return lower(segment, self._target, self._decisions.targets(self._reader, segment.entries))

    @property
    def _continues(self) -> bool:
        """Whether the one above is the same pass, of which fewer steps are taken back."""
        return self._above is not None and self._above._record.id == self._record.id

    @cached_property
    def _locator(self) -> Locator:
        return Locator(self._reader, self._record.id)

    @cached_property
    def _indexed(self) -> bool:
        """Whether there may be segments that are found by the documents in them, and not by their ranges."""
        makes_some = not self._record.complete  # or has a filter, or deletes: then nothing is found so
        return makes_some or segments.holds(self._reader, self._record.id, inserted.LISTED)

    @cached_property
    def _offsets(self) -> dict[str, int]:
        return offsets(self._reader, self._record.id)

    # what was inserted since `up`

    def _inserted(self) -> Inserted | None:
        if not self._record.complete:
            return None
        total = Inserted()
        for found in chain(inserted.inserted_since(self._reader, self._record), self._returned()):
            self._leave_out_made(found.fresh)
            left = self._stopped_above(found.fresh + found.done)
            for version in left.values():
                total += Inserted.of(1, version)
            rest = replace(
                found,
                fresh=[i for i in found.fresh if i not in left],
                done=[i for i in found.done if i not in left],
            )
            total += rest.count(self._reverses.missing)
        return total

    def _returned(self) -> Iterator[Unjournaled]:
        """The same for documents that are not stored now: those above bring them back before it is the turn of this."""
        for ids in () if self._above is None else self._above.returning():
            yield self._inserted_of(ids)

    def returning(self) -> Iterator[list[bytes]]:
        """Documents that are not stored and that it or one above it may bring back, each once."""
        if self._above is not None:
            yield from self._above.returning()
        for key in self._deleting:
            ids = [entry.id for entry in self._due(key)[0] if entry.is_deletion]
            there = self._enter(ids).keys() | self._stored(ids).keys()
            yield [identity for identity in ids if identity not in there]

    def _leave_out_made(self, ids: list[bytes]) -> None:
        """Documents that a pass above has made, and takes away: they will not be met."""
        if self._above is not None and ids:
            there = self._above.leaves(ids)
            ids[:] = [identity for identity in ids if identity in there]

    def _stopped_above(self, ids: Sequence[bytes]) -> dict[bytes, str]:
        """Those of these ids that are left above, where this pass will know of them."""
        if self._above is None or not ids or not self._reversible:
            return {}
        return self._above.stopped(ids)

    def stopped(self, ids: Sequence[bytes]) -> dict[bytes, str]:
        """Those of these documents that it or one above it leaves, with the version that has no `reverse=`."""
        found = {} if self._above is None else self._above.stopped(ids)
        rest = [identity for identity in ids if identity not in found]
        if rest and self._record.complete:
            mine = self._inserted_of(rest)
            found |= mine.left
            if self._reverses.missing is not None:
                found |= dict.fromkeys((*mine.fresh, *mine.done), self._reverses.missing)
        return found

    def _inserted_of(self, ids: Sequence[bytes]) -> Unjournaled:
        """Those of these documents that were inserted since it."""
        known = self._locator.scanned(ids)
        unknown = [i for i in ids if i not in known.entries and i not in known.unchanged]
        if not self._record.finished:
            unknown = [i for i in unknown if self._locator.walked(i)]
        return (
            inserted.classify(self._reader, self._record.id, unknown)
            if self._indexed
            else Unjournaled(unknown)
        )


def _kind(key: str) -> str:
    return key.split("/")[1]
