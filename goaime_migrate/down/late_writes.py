"""What others wrote while a pass was taken back, looked at again.

An application may put a document back as it read it before it was restored: in the new shape. Fields that are once
more what the migration had written are taken back once more; everything else is the application's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.bson_order import id_key
from goaime_migrate.backends.ports import PROGRESS, Changes, Collision, GuardFailed, Move, Reader, Write
from goaime_migrate.errors import DuplicateKey
from goaime_migrate.journal import segments
from goaime_migrate.journal.index import Locator
from goaime_migrate.journal.reconcile import backward, reappeared
from goaime_migrate.journal.segments import Entry, Kind, Known
from goaime_migrate.ledger import PassRecord
from goaime_migrate.results import OnConflict
from goaime_migrate.run import pacing
from goaime_migrate.run.collector import Collector, HistoryGone
from goaime_migrate.run.run import Run, contended


@dataclass
class LateWrites:
    """The last part of a restore. `progress` is its record, which carries the fence."""

    runner: Run
    record: PassRecord
    progress: str
    seq: int
    collector: Collector | None

    def run(self) -> int:
        """Look at what was written; returns the sequence number that the restore has come to."""
        if not self.runner.backend.capabilities.leases:
            return self.seq  # nobody else can have written
        locator = Locator(self.runner.backend, self.record.id)
        try:
            if self.collector is None:
                raise HistoryGone
            for ids in self.collector.rounds(self.runner):
                self._look_at(locator, ids)
        except HistoryGone:
            for ids in self._everything():
                self._look_at(locator, ids)
        return self.seq

    def _everything(self) -> Iterator[list[bytes]]:
        """Every document of the journal, where it is not known what was written."""
        for kind in (Kind.TAIL, Kind.SCAN, Kind.CANARY):
            for key in segments.keys(self.runner.backend, self.record.id, kind):
                segment = segments.read(self.runner.backend, key)
                yield [] if segment is None else [entry.id for entry in segment.entries]

    def _look_at(self, locator: Locator, ids: Iterable[bytes]) -> None:
        ordered = sorted(ids, key=id_key)
        for start in range(0, len(ordered), pacing.LARGEST):
            batch = ordered[start : start + pacing.LARGEST]
            self._batch(batch, locator.scanned(batch))

    def _batch(self, ids: Sequence[bytes], known: Known) -> None:
        tries = 0
        while True:
            self.runner.check()
            try:
                missed = self.runner.transact(lambda reader: self._work(reader, ids, known)).missed
            except GuardFailed:
                self.seq = self._moved()
                return
            except (Collision, DuplicateKey) as error:
                if len(ids) > 1:
                    self._batch(ids[: len(ids) // 2], known)
                    self._batch(ids[len(ids) // 2 :], known)
                    return
                if isinstance(error, DuplicateKey):
                    return  # a unique index does not let it go back, as the restore itself has found
                tries += 1
                if tries >= pacing.PATIENCE:
                    raise contended(self.record.versions[-1], ids[0], error, "down") from error
                continue
            if not missed:
                self.seq += 1
                return

    def _moved(self) -> int:
        """The place that a batch whose answer was lost has moved to. Raises LeaseLost."""
        seq = int(self.runner.partition(self.progress)["seq"])
        if seq == self.seq:
            raise self.runner.fenced()
        return seq

    def _work(self, reader: Reader, ids: Sequence[bytes], known: Known) -> Changes:
        later = segments.entries_of(reader, self.record.id, ids)
        writes: list[Write] = []
        for document in reader.by_ids(self.record.collection, ids):
            identity = raw_bson.id_of(document)
            entries = [e for e in (later.get(identity), known.entries.get(identity)) if e is not None]
            restored = _without_the_migration(document, entries)
            if restored != document:
                writes.append(Write(identity, document, restored))
        guard = {"_id": self.progress, "fence": self.runner.lease.fence, "seq": self.seq}
        return Changes(
            collection=self.record.collection,
            writes=writes,
            last=(Move(PROGRESS, guard, {"seq": self.seq + 1}),),
            bypass_validation=True,
        )


def _without_the_migration(document: bytes, entries: Sequence[Entry]) -> bytes:
    """The document with every field that is as the migration had written it taken back, newest entry first."""
    for entry in entries:
        if reappeared(document, entry):
            document = backward(document, entry, OnConflict.KEEP).document
    return document
