"""What others wrote while a pass was taken back, looked at again.

An application may put a document back as it read it before it was restored: in the new shape. Fields that are once
more what the migration had written are taken back once more; everything else is the application's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.bson_order import id_key
from goaime_migrate.backends.ports import Changes, Reader, Write
from goaime_migrate.down.rollback import JournalPosition, WayBack
from goaime_migrate.errors import DuplicateKey
from goaime_migrate.journal import segments
from goaime_migrate.journal.entry import Entry
from goaime_migrate.journal.index import Locator, swept
from goaime_migrate.journal.kinds import WRITTEN
from goaime_migrate.journal.reconcile import backward, reappeared
from goaime_migrate.journal.segments import Known
from goaime_migrate.ledger import PassRecord
from goaime_migrate.results import OnConflict
from goaime_migrate.run.checkpoint import Result, Try, Unit, commit_all
from goaime_migrate.run.collector import Collector, HistoryGone
from goaime_migrate.run.pacing import LARGEST, Pacing
from goaime_migrate.run.run import Run


@dataclass
class LateWrites:
    """The last part of a restore, under the same checkpoint."""

    run: Run
    record: PassRecord
    at: WayBack
    collector: Collector | None

    def take_back(self) -> WayBack:
        """Look at what was written; the checkpoint afterwards."""
        if not self.run.backend.capabilities.leases:
            return self.at  # nobody else can have written
        locator = Locator(self.run.backend, self.record.id)
        try:
            if self.collector is None:
                raise HistoryGone
            for ids in self.collector.rounds(self.run):
                self._look_at(locator, ids)
        except HistoryGone:
            for ids in self._everything():
                self._look_at(locator, ids)
        return self.at

    def _everything(self) -> Iterator[list[bytes]]:
        """Every document of the journal, where it is not known what was written."""
        for kind in WRITTEN:
            for key in segments.keys(self.run.backend, self.record.id, kind):
                segment = segments.read(self.run.backend, key)
                yield [] if segment is None else [entry.id for entry in segment.entries]

    def _look_at(self, locator: Locator, ids: Iterable[bytes]) -> None:
        ordered = sorted(ids, key=id_key)
        for start in range(0, len(ordered), LARGEST):
            batch = ordered[start : start + LARGEST]
            self._batches(batch, locator.scanned(batch))

    def _batches(self, ids: Sequence[bytes], known: Known) -> None:
        """Units of work over these documents. What a unique index does not let go back stays as it is.

        The restore itself has found the same of such a document.
        """
        pace, version = Pacing(LARGEST, LARGEST), self.record.versions[-1]

        def plan(reader: Reader, at: WayBack, ids: Sequence[bytes], _: Try) -> Unit[JournalPosition, None]:
            changes = self._changes(reader, ids, known)
            return Unit(changes, Result(at.next(at.position), None, len(ids), ids[0]))

        while ids:
            try:
                for done in commit_all(self.run, self.at, ids, plan, pace, version):
                    self.at, ids = done.next, ids[done.documents :]
            except DuplicateKey:
                tried = min(pace.size, len(ids))
                ids = ids[1:] if tried == 1 else ids
                pace.halve(tried)

    def _changes(self, reader: Reader, ids: Sequence[bytes], known: Known) -> Changes:
        later = segments.entries_of(reader, self.record.id, ids)
        forward = swept(reader, self.record.id, ids)
        writes: list[Write] = []
        for document in reader.by_ids(self.record.writes, ids):
            identity = raw_bson.id_of(document)
            scanned = None if identity in forward else known.entries.get(identity)
            entries = [e for e in (later.get(identity), scanned) if e is not None]
            restored = _without_the_migration(document, entries)
            if restored != document:
                writes.append(Write(identity, document, restored))
        return Changes(collection=self.record.writes, writes=writes, bypass_validation=True)


def _without_the_migration(document: bytes, entries: Sequence[Entry]) -> bytes | None:
    """The document with every field that is as the migration had written it taken back, newest entry first.

    None for one that the migration had inserted, and that is there as it was.
    """
    found: bytes | None = document
    for entry in entries:
        if found is not None and reappeared(found, entry):
            found = backward(found, entry, OnConflict.KEEP).document
    return found
