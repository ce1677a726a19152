"""Where a database stands: files and ledger put together for `status`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from goaime_migrate import planner
from goaime_migrate.backends.ports import PAUSED, Backend, LeaseRecord
from goaime_migrate.errors import DatabaseRestored, JournalPruned, Problem
from goaime_migrate.errors.hint import DOWN, REPAIR, UP, Command, Hint
from goaime_migrate.ledger import Ledger, PassRecord, VersionCounts, VersionRecord
from goaime_migrate.planner import Facts
from goaime_migrate.results import (
    Counts,
    LockStatus,
    Progress,
    State,
    StatusResult,
    StatusWarning,
    VersionStatus,
)

_WORKING = (State.RUNNING, State.REVERTING)
_SAY_SO = Hint("if a dump was restored as a whole that was made while no run was at work, say so: {}", REPAIR)
_LOOK = Hint(
    "look whether its documents are in the new shape: {}; what is not can be brought back with: {}; {}",
    Command(("verify",)),
    DOWN,
    _SAY_SO,
)
_GO_ON = Hint(
    "{}, or {}, goes on where that is proved to be safe, and says so where it is not; {}", UP, DOWN, _SAY_SO
)


def standing(backend: Backend, facts: Facts, ledger: Ledger) -> StatusResult:
    """Every version with its state."""
    lease = backend.read_lease()
    lock = lock_status(lease)
    live = lock is not None and lock.live
    run = None
    if lease is not None and live and any(record.state in _WORKING for record in ledger.versions.values()):
        run = _Run(backend.now(), lease)
    versions = tuple(_version(v, facts, ledger, live, run) for v in facts.known)
    return StatusResult(
        database=backend.database_name,
        server=backend.server,
        mode=backend.capabilities.mode,
        current=facts.current,
        head=facts.head,
        pending=tuple(v.version for v in versions if v.state is not State.APPLIED),
        problems=(
            *(p.problem() for p in planner.problems(facts)),
            *_gaps(backend, facts, ledger, lease),
        ),
        lock=lock if live else None,
        versions=versions,
        waiting=lease.waiting if lease is not None and live else None,
        warnings=(
            *(StatusWarning(w.code, w.message, w.hint) for w in planner.warnings(facts)),
            *_moved(backend, ledger),
            *_kept_no_more(ledger),
        ),
        journal_bytes=sum(record.journal_bytes for record in ledger.journaled),
    )


def _gaps(backend: Backend, facts: Facts, ledger: Ledger, lease: LeaseRecord | None) -> list[Problem]:
    """What is missing of the journals. While a run is at work records and journals are not of one moment."""
    kept = ledger.journaled
    if not ledger.versions or (lease is not None and lease.live):
        return []
    found = list(planner.lost_passes(facts))
    if kept:
        from goaime_migrate.journal import audit

        found += audit.incomplete(backend, kept)
    if found and backend.read_lease() != lease:  # a run has begun, or come to its end
        return []
    return [Problem(error.code, error.version, error.message, error.hint) for error in found]


def _moved(backend: Backend, ledger: Ledger) -> Iterator[StatusWarning]:
    """What the journals of some versions are not about any more."""
    if not ledger.passes:
        return
    from goaime_migrate.run.origin import moved_passes

    found = moved_passes(ledger, backend.origin())
    unfinished = {
        record.id
        for record in ledger.passes.values()
        if not record.finished or record.target_level is not None
    }
    for text in dict.fromkeys(found.values()):
        open_ones = any(found[pass_id] == text and pass_id in unfinished for pass_id in found)
        yield StatusWarning(DatabaseRestored.code, text, _GO_ON if open_ones else _LOOK)


def _kept_no_more(ledger: Ledger) -> Iterator[StatusWarning]:
    """What `down` cannot give back any more, since somebody has said so."""
    by: dict[str, list[str]] = {}
    for version, record in ledger.versions.items():
        if record.rollback:
            by.setdefault(record.pruned_by, []).append(version)
    for text, versions in by.items():
        yield StatusWarning(
            JournalPruned.code,
            f"{', '.join(versions)} can be taken back no more: {text}",
            Hint("go back no further than: {}", DOWN.to(versions[-1])),
        )
    for p in ledger.passes.values():
        if p.erased and not any(ledger.versions[v].rollback for v in p.versions if v in ledger.versions):
            documents = "1 document was" if len(p.erased) == 1 else f"{len(p.erased)} documents were"
            yield StatusWarning(
                JournalPruned.code,
                f"{documents} erased from the journal of {', '.join(p.versions)} over {p.collection}",
                Hint("{} leaves what was erased as it is, and counts it", DOWN),
            )


class _Run(NamedTuple):
    """A run that is at work, by the server's clock."""

    now: datetime
    lease: LeaseRecord

    @property
    def paused(self) -> bool:
        """Whether it rests, or was told to: nobody knows for how long."""
        told, waiting = self.lease.throttle, self.lease.waiting
        return (told is not None and told.paused) or (waiting is not None and waiting.reason == PAUSED)

    def at_work(self, since: datetime) -> float:
        """Seconds from then on in which it was not paused."""
        rested = sum(
            max(0.0, (pause.until - max(pause.since, since)).total_seconds()) for pause in self.lease.pauses
        )
        return max(0.001, (self.now - since).total_seconds() - rested)

    def seconds_on(self, record: VersionRecord, passes: Sequence[PassRecord]) -> float:
        """Seconds since it began with this version, or took it up again."""
        begun = [
            m
            for m in (self.lease.acquired_at, record.started_at, *(p.run_at for p in passes))
            if m is not None
        ]
        return round(max(0.0, (self.now - max(begun, default=self.now)).total_seconds()), 3)


def lock_status(lease: LeaseRecord | None) -> LockStatus | None:
    """The lease as a result."""
    if lease is None:
        return None
    owner, gone = lease.owner, lease.live and _is_gone(lease)
    return LockStatus(
        owner.run,
        owner.who,
        owner.host,
        owner.pid,
        lease.fence,
        lease.acquired_at,
        lease.expires_at,
        lease.live and not gone,
        gone,
        lease.throttle,
    )


def _is_gone(lease: LeaseRecord) -> bool:
    from goaime_migrate.run.lock import is_gone  # which most commands do without

    return is_gone(lease)


def _version(version: str, facts: Facts, ledger: Ledger, live: bool, run: _Run | None) -> VersionStatus:
    record = ledger.versions.get(version)
    file = facts.code.get(version) if record else facts.files.get(version)
    name = record.name if record else facts.known[version]
    description = file.description if file else (record.description if record else "")
    checksum = file.checksum if file else (record.checksum if record else None)
    if record is None:
        return VersionStatus(version, name, description, State.PENDING, None, None, None, 0, None, checksum)
    passes, counted = _under_way(record, ledger), _counts_of(record, ledger)
    kept = () if record.rollback else record.passes
    run = run if record.state in _WORKING else None
    return VersionStatus(
        version=version,
        name=name,
        description=description,
        state=State.PARTIAL if record.state is State.RUNNING and not live else record.state,
        applied_at=record.applied_at,
        duration_s=run.seconds_on(record, passes) if run else record.duration_s,
        documents=sum((c.documents for c in counted), record.documents or Counts())
        if counted
        else record.documents,
        warnings=sum(w.count for w in record.warnings) + sum(c.warnings for c in counted),
        progress=_progress(record, passes[0], run) if passes else None,
        checksum=checksum,
        error=record.error,
        journal_bytes=sum(ledger.passes[p].journal_bytes for p in dict.fromkeys(kept) if p in ledger.passes),
    )


def _under_way(record: VersionRecord, ledger: Ledger) -> list[PassRecord]:
    """The passes of a version that have not come to their end, on the way up or down."""
    mine = _passes(record, ledger)
    if record.state is State.REVERTING:
        return [p for p in mine if p.target_level is not None]
    return [p for p in mine if not p.finished]


def _counts_of(record: VersionRecord, ledger: Ledger) -> list[VersionCounts]:
    """What unfinished passes have counted of a version, which its own record has when they are finished."""
    counts = [c for p in _passes(record, ledger) if not p.finished for c in p.counted]
    return [c for c in counts if c.version == record.version and not record.operations[c.operation].done]


def _passes(record: VersionRecord, ledger: Ledger) -> list[PassRecord]:
    return [ledger.passes[p] for p in dict.fromkeys(record.passes) if p in ledger.passes]


def _progress(version: VersionRecord, record: PassRecord, run: _Run | None) -> Progress:
    """How far an unfinished pass of a version has come; with rate and time left while it runs, and is not paused."""
    if version.state is State.REVERTING:
        return _measure(record, record.taken_back, record.to_take_back, run)
    return _measure(record, record.examined, record.total, run)


def _measure(record: PassRecord, done: int, total: int | None, run: _Run | None) -> Progress:
    rate = eta = None
    by_this_run = done - record.run_from
    if run is not None and not run.paused and record.run_at is not None and by_this_run > 0:
        rate = round(by_this_run / run.at_work(record.run_at), 1)
        if total is not None and rate:
            eta = round(max(0, total - done) / rate, 1)
    return Progress(done, total, rate, eta)
