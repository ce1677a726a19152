"""Sweeps all collections that can be, under the lease; or looks what that would do, without."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace

from goaime_migrate.backends.bson_order import id_key
from goaime_migrate.backends.ports import Backend
from goaime_migrate.backends.ports.change_stream import CollectionGone, HistoryLost
from goaime_migrate.errors import (
    CannotTell,
    LeaseLost,
    MigrateError,
    MigrationFailed,
    MissingPrivilege,
    ServerUnreachable,
)
from goaime_migrate.errors.hint import UP, Command, Hint
from goaime_migrate.events import Listener, Notice
from goaime_migrate.ledger import Ledger, log
from goaime_migrate.planner import Facts
from goaime_migrate.results import Counts, SweepResult, Work
from goaime_migrate.rules.privileges import needs_sweep
from goaime_migrate.run import reading
from goaime_migrate.run.applied import applied_steps
from goaime_migrate.run.effects import AppliedChain
from goaime_migrate.run.pacing import LARGEST
from goaime_migrate.run.run import Run
from goaime_migrate.sweep.chains import chain_to_sweep, to_sweep
from goaime_migrate.sweep.collection import CollectionSweep, reaches_from
from goaime_migrate.sweep.counts import SweepCounts
from goaime_migrate.sweep.deciding import Decider

SWEEP = Command(("sweep",))
_MEND = Hint("correct the document, or what writes it, then: {}", SWEEP)
_LOOK_S = 0.05
"""How long nothing is done between two looks at what has come,"""
_SCAN_S = 1.0
"""and between two looks at all there is, where nobody tells what has come."""
_NOTE_S = 5.0
"""How often it is recorded how far it has come, while it follows."""


def sweep(run: Run, facts: Facts, ledger: Ledger, target: str | None, follow_s: float | None) -> SweepResult:
    """Bring forward what was written in an old shape; what stops that is the result's error.

    `follow_s`: stay, and look at what comes, until nothing was to be brought forward for so many seconds.
    """
    plan = _Plan(run.backend, facts, ledger, target)
    plan.require_privileges(run.backend)
    plan.tell(run.backend, run.listener)
    began = time.monotonic()
    works = [CollectionSweep(run, chain, plan.superseded) for chain in plan.chains]
    error: MigrateError | None = None
    try:
        _work(run, works, follow_s)
    except MigrateError as found:
        error = found.advise(found.hint.instead(UP, SWEEP))
    finally:
        for work in works:
            work.stop()
    counts = [work.counts for work in works]
    _log(run, counts, time.monotonic() - began, error)
    return _result(counts, sum(len(each.left) for each in counts), error or plan.refused)


def preview(
    backend: Backend, facts: Facts, ledger: Ledger, target: str | None, listener: Listener
) -> SweepResult:
    """What a sweep would do. Reads only."""
    plan = _Plan(backend, facts, ledger, target)
    plan.tell(backend, listener)
    counts, due = [], 0
    for chain in plan.chains:
        of_chain, decider = SweepCounts(chain), Decider(backend, chain, plan.superseded, backend.now())
        for documents in _written_since(backend, chain):
            of_chain.look(chain.effects(backend, documents))
            found = decider.decide(backend, documents)
            of_chain.decide(found)
            due += len(found.due)
        counts.append(of_chain)
    remaining = due + sum(len(each.left) for each in counts)
    return replace(_result(counts, remaining, plan.refused), dry_run=True)


class _Plan:
    """What is swept, and why the rest is not."""

    def __init__(self, backend: Backend, facts: Facts, ledger: Ledger, target: str | None) -> None:
        applied = [facts.code[v] for v in ledger.applied if v in facts.code]
        self.superseded = frozenset(old for m in applied for old in m.supersedes)
        self.chains: list[AppliedChain] = []
        self.refused: CannotTell | None = None
        """Of the first collection that cannot be swept."""
        wanted = to_sweep(facts, ledger, target)
        everything = applied_steps(applied, ledger)
        for each in wanted:
            try:
                self.chains.append(chain_to_sweep(backend, each, everything))
            except CannotTell as error:
                self.refused = self.refused or error

    def require_privileges(self, backend: Backend) -> None:
        """Raises MissingPrivilege."""
        steps = [step for chain in self.chains for link in chain.links for step in link.steps]
        reads = sorted({lookup.collection for step in steps for lookup in step.looked_up.values()})
        swept = [chain.applied.collection for chain in self.chains]
        backend.require_actions(list(needs_sweep(backend, swept, reads)))

    def tell(self, backend: Backend, listener: Listener) -> None:
        """What is done only once, what is not as it was, and what is not there."""
        there = backend.collections() if self.chains else ()
        for chain in self.chains:
            if (name := chain.applied.collection) not in there:
                listener(Notice(f"{name}: there is no such collection any more, and so nothing to look at"))
            for step in chain.applied.left_out:
                does = "inserts or derives documents" if step.inserts else "deletes documents"
                listener(
                    Notice(f"{step.version} {does}: that is done once, and a sweep does not do it again")
                )
            for version in dict.fromkeys(m.version for m in chain.applied.makers if not m.kept):
                listener(
                    Notice(
                        f"{version} may have made documents of {name}: its journal, which knew, was pruned"
                    )
                )
            for link in chain.links:
                if link.looks_up_anew:
                    listener(
                        Notice(
                            f"what {link.versions[-1]} had looked up is not kept any more: it is looked up anew"
                        )
                    )


def _work(run: Run, works: Sequence[CollectionSweep], follow_s: float | None) -> None:
    for work in works:
        work.start()
    for work in works:
        work.catch_up()
        work.note()
    if follow_s is not None and run.backend.capabilities.leases:
        _follow(run, works, follow_s)
    for work in works:
        work.close()


def _follow(run: Run, works: Sequence[CollectionSweep], quiet_s: float) -> None:
    """Look at what comes, until for so long nothing was to be brought forward. Raises Interrupted, LeaseLost."""
    last = noted = time.monotonic()
    pause = _LOOK_S if all(work.followed for work in works) else _SCAN_S
    while works and time.monotonic() - last < quiet_s:
        run.check()
        if sum([work.follow() for work in works]):
            last = time.monotonic()
        if time.monotonic() - noted >= _NOTE_S:
            noted = time.monotonic()
            for work in works:
                work.note()
        time.sleep(pause)


def _written_since(backend: Backend, chain: AppliedChain) -> Iterable[list[bytes]]:
    """The documents that a sweep would look at: those written since, or all."""
    name = chain.applied.collection
    ids = _ids_written(backend, chain)
    if ids is None:
        yield from reading.batches(backend, name)
        return
    ordered = sorted(ids, key=id_key)
    for start in range(0, len(ordered), LARGEST):
        yield backend.by_ids(name, ordered[start : start + LARGEST])


def _ids_written(backend: Backend, chain: AppliedChain) -> set[bytes] | None:
    """The ids of what was written since the last sweep or `up`; None where that is not known."""
    since, now = reaches_from(chain, backend.origin()), backend.operation_time()
    stream = None if since is None else backend.watch(chain.applied.collection, since, None, [])
    if stream is None or since is None or now is None:
        return None
    found: set[bytes] = set()
    try:
        while since < now:
            portion = stream.read()
            found.update(portion.ids)
            since = portion.at
    except (HistoryLost, CollectionGone, MissingPrivilege):
        return None  # a sweep itself would say so
    finally:
        stream.close()
    return found


def _log(run: Run, counts: Iterable[SweepCounts], seconds: float, error: MigrateError | None) -> None:
    """The versions that have changed anything are noted in the log."""
    result = "swept" if error is None else "failed" if isinstance(error, MigrationFailed) else "interrupted"
    counted: dict[str, Counts] = {}
    for swept in (entry for each in counts for entry in each.results()):
        counted[swept.version] = counted.get(swept.version, Counts()) + swept.documents
    now, owner = run.backend.now(), run.lease.record.owner
    entries = [
        log(
            now,
            owner,
            "sweep",
            result,
            v,
            round(seconds, 3),
            error,
            Work(owner.run, documents, 0, run.odometer.pace(v)),
        )
        for v, documents in counted.items()
        if documents.changed
    ]
    if entries and not isinstance(error, LeaseLost | ServerUnreachable):
        run.record(*entries)


def _result(counts: Sequence[SweepCounts], remaining: int, error: MigrateError | None) -> SweepResult:
    """With the first document that cannot be brought forward as the error, where there is no other."""
    failed = next((each for of_chain in counts for each in of_chain.failures.values()), None)
    if error is None and failed is not None:
        error = failed.advise(_MEND if not failed.hint else failed.hint.instead(UP, SWEEP))
    swept = tuple(entry for each in counts for entry in each.results())
    return SweepResult(swept, remaining, error)
