"""Deleting what is kept: journals that nobody will need any more, and all that is kept of one document."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from goaime_migrate import planner, results
from goaime_migrate.backends.ports import Backend
from goaime_migrate.errors import Interrupted, UnknownTarget, UsageError
from goaime_migrate.errors.hint import Hint
from goaime_migrate.migrator.listening import command
from goaime_migrate.migrator.under_lease import UnderLease

if TYPE_CHECKING:
    from goaime_migrate.planner import Facts
    from goaime_migrate.prune.selection import Kept, Selection
    from goaime_migrate.run.run import Run


class Pruner(UnderLease):
    """The methods of the facade that delete what is kept. With `dry_run` they only say what it would be."""

    @command
    def prune(
        self, *, keep: float | None = None, versions: Sequence[str] = (), dry_run: bool = False
    ) -> results.PruneResult:
        """Delete the journals of these versions, or of all that were applied `keep` seconds ago or earlier.

        They can be taken back no more. Members of one pass go together. Raises UnknownTarget, Refused.
        """
        from goaime_migrate.prune import pruning, selection

        if (keep is None) == (not versions):
            raise UsageError("what is to be pruned?", hint="say either keep= or versions=")

        def select(facts: Facts, kept: Kept) -> Selection:
            if keep is None:
                return selection.by_version(kept, [_version(each, facts) for each in versions])
            return selection.by_age(kept, keep, backend.now(), _history(backend))

        backend = self._sources.backend(write=not dry_run)
        facts, ledger = self._sources.facts(backend)
        found = pruning.foresee(backend, ledger, select(facts, pruning.find_kept(backend, ledger)))
        if dry_run or found.empty:
            return found

        def work(run: Run) -> results.PruneResult:
            facts, ledger = self._sources.facts(backend)
            return pruning.prune(run, ledger, select(facts, pruning.find_kept(backend, ledger)))

        return self._go(backend, work)

    @command
    def erase(self, collection: str, id: Any, *, dry_run: bool = False) -> results.PruneResult:
        """Erase one document from every journal, from frozen lookups, collections kept aside, and messages.

        Raises Refused while a pass is unfinished.
        """
        from goaime_migrate.prune import pruning
        from goaime_migrate.prune.erasure import Erasure

        backend = self._sources.backend(write=not dry_run)

        def erasure() -> Erasure:
            _, ledger = self._sources.facts(backend)
            return Erasure(backend, pruning.find_kept(backend, ledger), collection, id)

        found = erasure().foresee()
        if dry_run or found.empty:
            return found
        return self._go(backend, lambda run: erasure().carry_out(run))

    def _go(self, backend: Backend, work: Callable[[Run], results.PruneResult]) -> results.PruneResult:
        try:
            return self._under_the_lease(backend, work, "prune")
        except Interrupted as error:
            raise error.advise(Hint("the same command again does the rest")) from None


def _history(backend: Backend) -> Sequence[results.HistoryEntry]:
    from goaime_migrate.ledger import history

    return history(backend)


def _version(text: str, facts: Facts) -> str:
    found = planner.resolve(text, facts, results.Direction.UP)
    if found == planner.BASE:
        raise UnknownTarget("base is no version", hint="--version 0003, or --keep 0d for all")
    return found
