"""Taking a pass back, from its journal, to the level where only its first `target` steps are in effect.

Segments are taken in the reverse of the order in which they were written (see `rollback`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from goaime_migrate.backends.ports import Reader
from goaime_migrate.down import rollback
from goaime_migrate.down.decisions import Decisions, Outcome
from goaime_migrate.down.inserted import Inserted, ReverseChain
from goaime_migrate.down.late_writes import LateWrites
from goaime_migrate.down.reversal import Reversal
from goaime_migrate.down.rollback import Rollback, WayBack
from goaime_migrate.events import BatchCommitted
from goaime_migrate.journal import segments
from goaime_migrate.journal.kinds import WRITTEN
from goaime_migrate.ledger import PassRecord
from goaime_migrate.results import Counts
from goaime_migrate.run import collector
from goaime_migrate.run.checkpoint import adopt
from goaime_migrate.run.collector import Collector
from goaime_migrate.run.run import Run
from goaime_migrate.transform.counts import PassCounts


def segment_keys(reader: Reader, pass_id: str) -> list[str]:
    """The keys of a pass's segments in the order in which they are taken back: that of `up`, backwards.

    So a unique index that let every document forward lets it back again.
    """
    return [key for kind in WRITTEN for key in reversed(segments.keys(reader, pass_id, kind))]


@dataclass
class Restore:
    """A pass being taken back."""

    run: Run
    record: PassRecord
    target: int
    decisions: Decisions
    versions: tuple[str, ...]
    reverses: ReverseChain = field(default_factory=ReverseChain)

    def __post_init__(self) -> None:
        self.outcome = Outcome()
        """What this run has done so far; an error leaves it as it stands."""
        self.inserted: Inserted | None = None
        """What was inserted since `up`, once that is known."""
        self.before: Counts | None = None
        """What earlier runs have done, as far as that was counted."""
        self.told = PassCounts(())
        """What those and this one have to warn of."""
        self._done = 0

    def take_back(self) -> None:
        """Restore all documents. Raises Interrupted, LeaseLost, Conflicts with all before recorded."""
        at = self._adopt()
        watching = self._watch(at)
        try:
            at = self._rollback(at)
            if self.target == 0:
                at = LateWrites(self.run, self.record, at, watching).take_back()
        finally:
            if watching is not None:
                watching.stop()
        self.inserted = Reversal(self.run, self.record, self.reverses, self.target, at).take_back()

    def _adopt(self) -> WayBack:
        """The restore's own checkpoint, with this run's fence and session."""
        backend, pass_id = self.run.backend, self.record.id
        self._done = rollback.documents_seen(backend, pass_id)
        fresh = rollback.way_back(pass_id, backend.operation_time(), segments.count(backend, pass_id))
        (at,) = adopt(self.run, [fresh], self.run.sessions)
        self.before = at.position.counts
        self.told.add(at.position.told)
        return at

    def _watch(self, at: WayBack) -> Collector | None:
        """Collect what others write, from where this restore has begun: all of its own sessions are known.

        Of a collection that an earlier run has dropped, since nothing was left in it, nothing is told.
        """
        if self.record.created and self.record.writes not in self.run.backend.collections():
            return None
        return collector.start(
            self.run, self.record.writes, at.id, at.position.since, [dict(s) for s in at.sessions]
        )

    def _rollback(self, at: WayBack) -> WayBack:
        """Take back what sweeps, the tail, the scan and the canary have written."""
        total = at.position.total

        def tell(outcome: Outcome, documents: int) -> None:
            self.outcome.add(outcome)
            self.told.add(outcome.told)
            self._done += documents
            self.run.emit(BatchCommitted(self.versions, self._done, total))

        begun = rollback.offsets(self.run.backend, self.record.id)
        back = Rollback(self.run, self.record, self.target, self.decisions, self.versions, begun)
        return back.through(segment_keys(self.run.backend, self.record.id), at, tell)
