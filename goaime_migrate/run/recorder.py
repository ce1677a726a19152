"""The ledger as a run changes it: what is recorded, and what the run has achieved so far.

Every change is written in one unit of work with the lease's guard.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

from goaime_migrate import ledger
from goaime_migrate.backends.ports import PROGRESS, VERSIONS, RecordChange
from goaime_migrate.errors import MigrateError
from goaime_migrate.events import Notice, VersionFinished
from goaime_migrate.journal import clearing
from goaime_migrate.ledger import Ledger, OperationRecord, PassRecord, VersionRecord
from goaime_migrate.migration import Migration
from goaime_migrate.results import Conflict, Counts, Direction, State, WarningCount, Work
from goaime_migrate.run.collector import forget
from goaime_migrate.run.run import Run
from goaime_migrate.run.states import require_arrow, with_state

if TYPE_CHECKING:
    from goaime_migrate.results import RepairResult


@dataclass
class RunTotals:
    """What a run has achieved so far; a failure leaves it as it stands."""

    versions: list[str] = field(default_factory=list)
    documents: Counts = field(default_factory=Counts)
    in_all: dict[str, Counts] = field(default_factory=dict)
    """By version, what it has done together with the runs before it."""
    conflicts: list[Conflict] = field(default_factory=list)
    more_conflicts: int = 0
    warnings: list[WarningCount] = field(default_factory=list)


class Recorder:
    """Versions and passes as this run leaves them, each change recorded when it is made."""

    def __init__(self, run: Run, migrations: Mapping[str, Migration], read: Ledger) -> None:
        self.run = run
        self.migrations = migrations
        self.versions = dict(read.versions)
        self.passes = dict(read.passes)
        self.owner = run.lease.record.owner
        self.totals = RunTotals()
        self._started = time.monotonic()

    def start_group(self) -> None:
        """The next group of the plan begins now."""
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        """How long the present group has taken."""
        return time.monotonic() - self._started

    @contextmanager
    def outliving(self, version: str, function: str) -> Iterator[None]:
        """Users' code may drop the whole database: what is recorded is then written anew, once, and that is told."""
        passes = self.run.backend.count(PROGRESS)
        try:
            yield
        finally:
            self.run.lease.renew()
            backend = self.run.backend
            # A server's count can be wrong after a failover: what it says is only a reason to look.
            fewer = backend.count(VERSIONS) < len(self.versions) or backend.count(PROGRESS) < passes
            if fewer and self._lacks_records():
                self._write_anew(version, function)

    def _lacks_records(self) -> bool:
        known = ((VERSIONS, self.versions), (PROGRESS, self.passes))
        find = self.run.backend.find
        return any(
            not ids.keys() <= {d["_id"] for d in find(name, {}, fields=["_id"])} for name, ids in known
        )

    def _write_anew(self, version: str, function: str) -> None:
        backend = self.run.backend
        backend.prepare()
        for each in self.versions.values():
            if each.documents and each.documents.changed and not self._has_journal(each):
                self.versions[each.version] = replace(each, rollback="pruned")
        self.run.record(
            *(ledger.put_version(each) for each in self.versions.values()),
            *(ledger.put_pass(each) for each in self.passes.values()),
            self.event(backend.now(), function, "records written anew", version),
        )
        self.run.emit(
            Notice(
                f"{function}(db) of {version} has removed this tool's own records: which versions are applied was "
                "written anew; versions whose journal is gone can no longer be taken back"
            )
        )

    def _has_journal(self, record: VersionRecord) -> bool:
        return any(ledger.has_journal(self.run.backend, pass_id) for pass_id in record.passes)

    def forget_left_over(self) -> None:
        """Remove what runs that were killed have left of passes that are in effect no more.

        A before-image is only ever removed where the log says that it was given back.
        """
        backend = self.run.backend
        known = {*self.passes, *(pass_id for r in self.versions.values() for pass_id in r.passes)}
        progress = backend.find(PROGRESS, {}, fields=["kind", "pass"])
        found = {str(d["_id"] if d.get("kind") == "pass" else d["pass"]) for d in progress}
        for pass_id in (found | set(clearing.passes(backend))) - known:
            of = pass_id.partition("-")[0]
            if not ledger.has_journal(backend, pass_id) or ledger.was_reverted(backend, of):
                self.run.record(*ledger.delete_pass(pass_id), forget(pass_id))
                clearing.clear(backend, pass_id)

    def running(self, migration: Migration, since: datetime | None = None) -> VersionRecord:
        """The version as running, a new record where it was pending: since then, or now. Raises DamagedRecord."""
        known = self.versions.get(migration.version)
        if known is not None:
            texts = tuple(
                replace(o, text=of.describe())
                for o, of in zip(known.operations, migration.operations, strict=False)
            )
            fresh = tuple(OperationRecord(of.describe()) for of in migration.operations[len(texts) :])
            return replace(
                with_state(known, State.RUNNING),
                name=migration.name,
                description=migration.description,
                checksum=migration.checksum,
                helpers=migration.helpers,
                error=None,
                operations=texts + fresh,
            )
        require_arrow(migration.version, State.PENDING, State.RUNNING)
        return VersionRecord(
            version=migration.version,
            name=migration.name,
            description=migration.description,
            state=State.RUNNING,
            checksum=migration.checksum,
            operations=tuple(OperationRecord(of.describe()) for of in migration.operations),
            started_at=since or self.run.backend.now(),
            actor=ledger.actor(self.owner),
            helpers=migration.helpers,
        )

    def put(self, changed: Iterable[VersionRecord], *more: RecordChange) -> None:
        """Store changed versions, with other changes, in one guarded unit of work."""
        listed = list(changed)
        self.versions |= {record.version: record for record in listed}
        self.run.record(*(ledger.put_version(record) for record in listed), *more)

    def event(
        self,
        at: datetime,
        action: str,
        result: str,
        version: str,
        took: float | None = None,
        error: MigrateError | None = None,
        documents: Counts | None = None,
        warnings: int = 0,
    ) -> RecordChange:
        """An event for the log, with what this run has done for the version."""
        work = Work(self.owner.run, documents, warnings, self.run.odometer.pace(version))
        return ledger.log(at, self.owner, action, result, version, took, error, work)

    def tell(
        self, direction: Direction, version: str, result: str, took: float, error: str | None = None
    ) -> None:
        """Tell that the run is done with a version, once that is recorded."""
        self.run.emit(VersionFinished(direction, version, result, error, took))

    def stamp(self, versions: Sequence[str]) -> None:
        """Record versions as applied without running them."""
        now = self.run.backend.now()
        changes: list[RecordChange] = []
        for version in versions:
            record = with_state(self.running(self.migrations[version]), State.APPLIED)
            done = tuple(replace(o, done=True) for o in record.operations)
            changes += [
                ledger.put_version(replace(record, applied_at=now, operations=done)),
                self.event(now, "stamp", "applied", version),
            ]
        self.run.record(*changes)

    def repair(self, found: RepairResult) -> None:
        """Accept edited files, drop the records of removed ones, and let those of renumbered ones follow them."""
        now = self.run.backend.now()
        changes: list[RecordChange] = [  # said before: a record that is gone without a word counts as lost
            self.event(now, "repair", f"{ledger.RENUMBERED}{each.before}", each.now)
            for each in found.renumbered
        ]
        changes += self._renumber({each.before: each.now for each in found.renumbered})
        for version in found.accepted:
            file = self.migrations[version]
            changes.append(
                ledger.put_version(
                    replace(self.versions[version], checksum=file.checksum, helpers=file.helpers)
                )
            )
            changes.append(self.event(now, "repair", "accepted", version))
            changes += [ledger.put_pass(p) for p in self._repin(version, file.checksum)]
        for version in found.dropped:
            changes.append(self.event(now, "repair", "dropped", version))
            changes.append(ledger.delete_version(version))
        self.run.record(*changes)

    def _renumber(self, numbers: Mapping[str, str]) -> list[RecordChange]:
        """The records of versions under other numbers, their passes with them; in their old order.

        The id of a pass is only a name: its journal and how far it has come stay where they are. Without
        transactions the order matters: no record is removed or written over before its successor is there.
        """
        higher = sorted((v for v in numbers if int(numbers[v]) > int(v)), key=int, reverse=True)
        lower = sorted(numbers.keys() - set(higher), key=int)
        new = {numbers[v]: replace(self.versions[v], version=numbers[v]) for v in numbers}
        passes = [
            replace(p, steps=tuple((numbers.get(v, v), i, c) for v, i, c in p.steps))
            for p in self.passes.values()
            if not numbers.keys().isdisjoint(p.versions)
        ]
        self.versions = {v: r for v, r in self.versions.items() if v not in numbers} | new
        self.passes |= {p.id: p for p in passes}
        return [
            *(ledger.put_version(new[numbers[v]]) for v in (*higher, *lower)),
            *map(ledger.put_pass, passes),
            *(ledger.delete_version(v) for v in numbers if v not in new),
        ]

    def _repin(self, version: str, checksum: str) -> list[PassRecord]:
        """The passes of an edited version, pinned to its new code."""
        changed = []
        for p in self.passes.values():
            if version in p.versions:
                steps = tuple((v, i, checksum if v == version else c) for v, i, c in p.steps)
                self.passes[p.id] = replace(p, steps=steps)
                changed.append(self.passes[p.id])
        return changed
