"""The tail of a pass that deletes duplicates: of what others have written the first of its like stays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from goaime_migrate.backends.ports import Reader
from goaime_migrate.journal.index import Locator
from goaime_migrate.journal.segments import Known, known
from goaime_migrate.run.collector import Collector
from goaime_migrate.transform.chain import BatchResult
from goaime_migrate.transform.deduplication import Deduplication
from goaime_migrate.transform.duplicates import find
from goaime_migrate.up.tail import Reconciliation, TailBatch, TailPlan
from goaime_migrate.up.walk import Walk
from goaime_migrate.up.whole import reads_all


class DuplicatesReconciliation(Reconciliation):
    """What was written behind the walk, and what the walk has spared since others had written meanwhile."""

    @property
    def _chain(self) -> Deduplication:
        chain = self._walk.chain
        assert isinstance(chain, Deduplication)
        return chain

    def follow(self, collecting: Collector | None) -> None:
        """Those that were to go and did not may be like each other, although nobody has written them."""
        for ids in self._chain.find_spared(self._walk.run.backend):
            self._reconcile(ids)
        super().follow(collecting)

    def _everything(self) -> Iterator[list[bytes]]:
        """All that would go for how the collection is now."""
        run, step = self._walk.run, self._chain.step
        yield list(find(step.like, *reads_all(run.backend, step)))

    def _plan(self, ids: Sequence[bytes]) -> TailPlan:
        """As for any document, but others may go for these."""
        return _Batch(self._walk, self._locator, ids).plan


class _Batch(TailBatch):
    def __init__(self, walk: Walk, locator: Locator, ids: Sequence[bytes]) -> None:
        super().__init__(walk, locator.scanned(ids))
        self._locator = locator
        self._ids = frozenset(ids)

    def run(self, reader: Reader, documents: Sequence[bytes]) -> BatchResult:
        """What goes of these, and of all that are like them."""
        chain = self._walk.chain
        assert isinstance(chain, Deduplication)
        return chain.again(reader, documents)

    def known_of(self, reader: Reader, result: BatchResult) -> Known:
        """Also of documents that nobody has written."""
        others = [changed.id for changed in result.changed if changed.id not in self._ids]
        if not others:
            return self._known
        found, later = self._locator.scanned(others), known(reader, self._walk.record.id, others)
        return Known(
            {**self._known.entries, **found.entries, **later.entries},
            self._known.unchanged | found.unchanged | later.unchanged,
        )
