"""A pass: one walk over one collection for one or several versions, batch by batch.

A batch reads, transforms and then changes documents, journal and checkpoint together: the cursor moves only with the
work.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from goaime_migrate.backends.ports import Filter, SweepRefused
from goaime_migrate.events import BatchCommitted
from goaime_migrate.ledger import PassRecord
from goaime_migrate.run.checkpoint import adopt, commit
from goaime_migrate.run.pacing import Pacing, largest
from goaime_migrate.run.partitions import Partition
from goaime_migrate.run.run import Run
from goaime_migrate.transform.chain import Chain
from goaime_migrate.transform.derivation import Derivation, DeriveStep
from goaime_migrate.transform.insertion import InsertStep
from goaime_migrate.up.arriving import DeriveBatch, InsertBatch
from goaime_migrate.up.batch import Batch
from goaime_migrate.up.next_batch import NextBatch

_SELDOM = 10
"""If more than one document in so many has to be read as a whole after all, all are."""


class ScanProgress:
    """How many documents each partition has examined, told as one number whenever one of them changes."""

    def __init__(self, run: Run, record: PassRecord) -> None:
        self._run = run
        self._record = record
        self._examined: dict[str, int] = {}

    def start(self, partitions: Iterable[Partition] = ()) -> None:
        """Begin anew, with what these have examined so far."""
        self._examined = {partition.id: partition.position.counts.examined for partition in partitions}

    def report(self, partition: str, examined: int) -> None:
        """This is how far a partition has come."""
        self._examined[partition] = examined
        done = sum(self._examined.values())
        self._run.emit(BatchCommitted(self._record.versions, done, self._record.total))


@dataclass
class Walk:
    """A pass being walked by this process."""

    run: Run
    record: PassRecord
    chain: Chain
    where: Filter | None
    fields: Sequence[str] | None = None
    """The fields that are carried, None where documents are read as a whole: each batch may do either."""
    revisits: bool = False
    """Whether documents may be met that the pass has already written: after a canary, and in the tail."""

    def __post_init__(self) -> None:
        self._pacing = Pacing(self.run.options.batch_size or self._largest)
        self.sweeps = self.run.backend.capabilities.deltas
        """Whether batches that the server can compute by itself are one update each."""
        self.looks = False
        """Whether documents that are made are looked for before they are inserted: the last ones were there already."""
        self.sources = self._largest
        """How many documents to derive from at a time."""
        self.progress = ScanProgress(self.run, self.record)

    @property
    def _largest(self) -> int:
        return largest(self.chain.steps, narrow=self.fields is not None)

    @cached_property
    def listed(self) -> list[bytes]:
        """The documents to insert, where these are of the migration itself."""
        (step,) = self.chain.steps
        return list(step.with_ids(self.run.backend.records)) if isinstance(step, InsertStep) else []

    @property
    def derives_within(self) -> bool:
        """Whether what it makes stands among what it makes it of."""
        step = self.chain.steps[0]
        return isinstance(step, DeriveStep) and step.writes == step.collection

    def pace_sources(self, taken: int, given: int) -> None:
        """So many of those that were read could be derived from in one batch."""
        self.sources = 2 * taken if taken < given else min(self._largest, 2 * self.sources)

    def _next(self, partition: Partition) -> NextBatch:
        """The next batch of a partition."""
        if isinstance(self.chain, Derivation):
            return DeriveBatch(self, partition)
        if isinstance(self.chain.steps[0], InsertStep):
            return InsertBatch(self, partition)
        return Batch(self, partition)

    def beside(self, run: Run) -> Walk:
        """The same walk for another thread, which paces its own batches."""
        return replace(self, run=run, chain=self.chain.beside())

    def alone(self, partition: Partition) -> None:
        """Walk to the end of a partition that only this process walks in. Raises as `through` does."""
        (adopted,) = adopt(self.run, [partition], self.run.sessions)
        self.through(adopted)

    def through(self, partition: Partition) -> Partition:
        """Walk from the cursor to the end. Raises MigrationFailed, Interrupted, LeaseLost with all before recorded."""
        while not partition.done:
            partition = self._batch(partition)
        return partition

    def _batch(self, partition: Partition) -> Partition:
        """One batch; the partition afterwards."""
        plan, version = self._next(partition).plan, self.record.versions[-1]
        try:
            done = commit(self.run, partition, plan, self._pacing, version)
        except SweepRefused:
            self.sweeps = False  # written one by one, a document that is refused will be named
            return partition
        if done.replied:
            self.chain.tables.commit()
        if done.found * _SELDOM > done.documents:
            self.fields = None
        self.looks = done.found > 0
        self.progress.report(partition.id, done.next.position.counts.examined)
        return done.next
