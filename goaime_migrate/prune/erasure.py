"""Erasing one document from all that is kept: nothing is left of it but the hash of its `_id`.

Each segment is written anew in one unit of work, with the word in the record of its pass: so an erasure that was cut
off has erased some of it, each wholly, and the next one does the rest.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import Backend, Changes, GuardFailed, RecordChange, Write
from goaime_migrate.errors import UnknownDocument
from goaime_migrate.journal import audit, erasing, segments
from goaime_migrate.journal.digest import digest
from goaime_migrate.journal.index import holding
from goaime_migrate.journal.paging import size_of
from goaime_migrate.journal.same_id import SameId, same_id
from goaime_migrate.journal.segments import Segment
from goaime_migrate.ledger import PassRecord, log, put_pass, put_version
from goaime_migrate.operations.collections import ASIDE
from goaime_migrate.planner.lineage import Lineage, lineage
from goaime_migrate.prune.lookups import erased_lookups
from goaime_migrate.prune.mentions import Mentions
from goaime_migrate.prune.selection import Kept
from goaime_migrate.prune.unfinished import require_finished
from goaime_migrate.results import ErasedDocument, PruneResult, Value
from goaime_migrate.run import collector
from goaime_migrate.run.run import Run


@dataclass(frozen=True)
class Part:
    """Something that has the document: what becomes of it, in one unit of work."""

    versions: tuple[str, ...]
    freed: int
    """Bytes of what was kept of it, as a document."""
    changes: Sequence[RecordChange] = ()
    aside: str = ""
    """The collection that is kept aside,"""
    document: bytes = b""
    """and what it has of it."""


@dataclass(frozen=True)
class Erasure:
    """One document that is to be erased."""

    backend: Backend
    kept: Kept
    collection: str
    id: Value

    @cached_property
    def _ids(self) -> SameId:
        return same_id(self.id)

    @cached_property
    def _hashes(self) -> frozenset[str]:
        return frozenset(digest(identity).hex() for identity in self._ids)

    @cached_property
    def _line(self) -> Lineage:
        return lineage(self.kept.ledger, self.collection, self.kept.there)

    @cached_property
    def _dropped(self) -> list[str]:
        """The collections kept aside that were called so."""
        called = "|".join(map(re.escape, sorted(self._line.names)))
        was = re.compile(rf"{re.escape(ASIDE)}\.[^.]+\.(?:{called})(?:\.\d+)?")
        return [name for name in self.kept.aside if was.fullmatch(name)]

    def foresee(self) -> PruneResult:
        """What would be erased. Raises Refused, UnknownDocument, JournalIncomplete, DamagedRecord, NewerFormat."""
        self._require_finished()
        self._require_whole()
        parts = list(self._parts())
        if not (parts or self._line.visits or self._dropped or self.collection in self.kept.there):
            raise UnknownDocument(
                f"there is no collection {self.collection}, and no version has written or read one of this name",
                hint="the name as it is today, or as it was before a migration renamed it",
                id=self.id,
            )
        return self._result([part.versions for part in parts], sum(part.freed for part in parts))

    def carry_out(self, run: Run) -> PruneResult:
        """Erase it, under the lease. Raises what `foresee` does, LeaseLost, Interrupted."""
        self._require_finished()
        self._require_whole()
        found, freed = list[tuple[str, ...]](), 0
        for part in self._parts():
            run.check()
            if part.aside:
                _delete(run, part)
            said = [] if found or part.aside else [self._event(run)]
            run.record(*part.changes, *said)
            found.append(part.versions)
            freed += part.freed
        return self._result(found, freed)

    def _result(self, found: Sequence[tuple[str, ...]], freed: int) -> PruneResult:
        versions = sorted({version for each in found for version in each}, key=int)
        erased = ErasedDocument(self.collection, self.id, tuple(versions))
        return PruneResult(erased=erased, freed_bytes=freed, notes=tuple(self._notes(bool(versions))))

    def _notes(self, erased: bool) -> Iterator[str]:
        before = [p for p in self.kept.ledger.passes.values() if not self._hashes.isdisjoint(p.erased)]
        if not erased and before:
            listed = sorted({version for p in before for version in p.versions}, key=int)
            yield f"it was erased before, from what {', '.join(listed)} had kept"
        today = self._line.today
        if today not in self.kept.aside and self._ids.documents(self.backend, today):
            yield f"the document itself is in {today}: it is the application's, delete it there"
        elif not (erased or before):
            yield f'{today} has no document with this _id either; its type matters: "7" is not 7'

    def _event(self, run: Run) -> RecordChange:
        owner, (first, *_) = run.lease.record.owner, sorted(self._hashes)
        result = f"erased a document of {self.collection} (hash of _id: {first})"
        return log(run.backend.now(), owner, "prune", result, None)

    def _require_finished(self) -> None:
        require_finished(self.backend, self.kept.ledger, self._line, self._ids)

    def _require_whole(self) -> None:
        for record in self.kept.ledger.journaled:
            audit.require_whole(self.backend, record)

    # what has it

    def _parts(self) -> Iterator[Part]:
        walked = {visit.record.id for visit in self._line.visits}
        for record in self.kept.ledger.journaled:
            if record.id in walked:
                yield from self._segments(record)
            for frozen in erased_lookups(self.backend, record.id, self._line.names, self._ids):
                freed = max(0, size_of(frozen.records) - size_of(frozen.kept))
                yield Part(record.versions, freed, frozen.changes)
        for name in self._dropped:
            yield from self._aside(name)
        yield from self._from_collected()
        yield from self._mentions()

    def _from_collected(self) -> Iterator[Part]:
        """Its `_id` among those that a sweep is to look at."""
        for visit in self._line.visits:
            changes = collector.forget_erased(self.backend, collector.sweeping(visit.record.id), self._ids)
            if changes:
                yield Part(visit.record.versions, 0, changes)

    def _segments(self, record: PassRecord) -> Iterator[Part]:
        for key in [segment.key for segment in holding(self.backend, record.id, self._ids)]:
            segment = segments.read(self.backend, key)
            if segment is not None:
                changed, part = self._segment(record, segment)
                if part.changes:
                    record = changed
                    yield part
        if record.upper in self._ids:
            end = erasing.greatest(self.backend, record.id, self._ids)
            yield Part(record.versions, 0, [put_pass(self._with_end(record, end))])

    def _segment(self, record: PassRecord, segment: Segment) -> tuple[PassRecord, Part]:
        """The record of the pass then, and what is to be stored."""
        left, edge = erasing.without(segment, self._ids), None
        replaced = [] if left == segment else [left]
        if segment.upto in self._ids:
            edge, replaced = erasing.moved_end(self.backend, left, self._ids)
        grown = _size(left) - _size(segment) if replaced else 0
        freed = sum(len(entry.before or b"") for entry in segment.entries if entry.id in self._ids)
        hashes = frozenset(each.hex() for each in {*left.erased} - {*segment.erased})
        changed = _note(self._with_end(record, edge), segment, grown, hashes)
        changes = [change for each in replaced for change in each.replacement()]
        if changed != record:
            changes.append(put_pass(changed))
        return changed, Part(record.versions, freed, changes)

    def _with_end(self, record: PassRecord, edge: bytes | None) -> PassRecord:
        """The record of a pass with another end in the place of the document."""
        if edge is None:
            return record
        bounds = tuple(edge if bound in self._ids else bound for bound in record.bounds)
        return replace(record, bounds=bounds, upper=edge if record.upper in self._ids else record.upper)

    def _aside(self, name: str) -> Iterator[Part]:
        """The document in a collection that was kept aside."""
        version = name.removeprefix(f"{ASIDE}.").partition(".")[0]
        for document in self._ids.documents(self.backend, name):
            yield Part((version,), len(document), aside=name, document=document)

    def _mentions(self) -> Iterator[Part]:
        """What is said of it in records."""
        mentions = Mentions(self.id, self._ids)
        for version, record in self.kept.ledger.versions.items():
            without = mentions.in_version(record)
            if without != record:
                yield Part((version,), 0, [put_version(without)])
        for of, change in mentions.in_log(self.backend):
            yield Part(() if of is None else (of,), 0, [change])


def _size(segment: Segment) -> int:
    return size_of(segment.records())


def _note(record: PassRecord, segment: Segment, grown: int, hashes: frozenset[str]) -> PassRecord:
    """The record of a pass that says what was erased from its journal, and how much is left of that."""
    erased = tuple(dict.fromkeys((*record.erased, *sorted(hashes))))
    mine = (str(segment.kind), segment.partition)
    written = record.written and tuple(
        each._replace(size=max(0, each.size + grown))
        if (each.kind, each.partition) == mine and each.size is not None
        else each
        for each in record.written
    )
    return replace(record, erased=erased, written=written)


def _delete(run: Run, part: Part) -> None:
    """Delete the document from a collection that is kept aside. Raises LeaseLost."""
    run.lease.renew()
    write = Write(raw_bson.id_of(part.document), part.document, None)
    try:
        run.backend.transact(
            lambda _: Changes(collection=part.aside, writes=[write], last=(run.lease.guard(),))
        )
    except GuardFailed as error:
        raise run.fenced_error() from error
