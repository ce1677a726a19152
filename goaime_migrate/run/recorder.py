"""The ledger as a run changes it: what is recorded, and what the run has achieved so far.

Every change is written in one unit of work with the lease's guard.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from goaime_migrate import ledger as records
from goaime_migrate.backends.ports import PROGRESS, RecordChange, UserDatabase
from goaime_migrate.errors import MigrateError
from goaime_migrate.journal import segments
from goaime_migrate.ledger import Ledger, OperationRecord, PassRecord, VersionRecord
from goaime_migrate.migration import Migration
from goaime_migrate.operations import DocumentOperation
from goaime_migrate.results import Conflict, Counts, RepairResult, State, WarningCount
from goaime_migrate.run.collector import forget
from goaime_migrate.run.run import Run
from goaime_migrate.run.work import SourceFile
from goaime_migrate.transform.step import Step, listed


@dataclass
class Progress:
    """What a run has achieved so far; a failure leaves it as it stands."""

    versions: list[str] = field(default_factory=list)
    documents: Counts = field(default_factory=Counts)
    conflicts: list[Conflict] = field(default_factory=list)
    warnings: list[WarningCount] = field(default_factory=list)


class Recorder:
    """Versions and passes as this run leaves them, each change recorded when it is made."""

    def __init__(self, runner: Run, migrations: Mapping[str, Migration], ledger: Ledger) -> None:
        self.runner = runner
        self.migrations = migrations
        self.versions = dict(ledger.versions)
        self.passes = dict(ledger.passes)
        self.owner = runner.lease.record.owner
        self.started = time.monotonic()
        """When the present stage began."""
        self.progress = Progress()

    @property
    def seconds(self) -> float:
        """How long the present stage has taken."""
        return time.monotonic() - self.started

    def log(self, direction: str, result: str, version: str) -> None:
        """Log how a run ended; that it cannot be logged matters less than how it ended."""
        with suppress(MigrateError):
            self.runner.record(records.log(self.runner.backend.now(), self.owner, direction, result, version))

    def forget_left_over(self) -> None:
        """Remove what runs that were killed have left of passes that are in effect no more.

        A before-image is only ever removed where the log says that it was given back.
        """
        backend = self.runner.backend
        known = {*self.passes, *(pass_id for r in self.versions.values() for pass_id in r.passes)}
        progress = backend.find(PROGRESS, {}, fields=["kind", "pass"])
        found = {str(d["_id"] if d.get("kind") == "pass" else d["pass"]) for d in progress}
        for pass_id in (found | set(segments.passes(backend))) - known:
            of = pass_id.partition("-")[0]
            if not records.has_journal(backend, pass_id) or records.was_reverted(backend, of):
                self.runner.record(*records.delete_pass(pass_id), *forget(pass_id))
                segments.clear(backend, pass_id)

    def begun(self, migration: Migration) -> VersionRecord:
        """The version as running; a new record where it was pending."""
        known = self.versions.get(migration.version)
        if known is not None:
            texts = tuple(
                replace(o, text=of.describe())
                for o, of in zip(known.operations, migration.operations, strict=False)
            )
            fresh = tuple(OperationRecord(of.describe()) for of in migration.operations[len(texts) :])
            return replace(
                known,
                name=migration.name,
                description=migration.description,
                checksum=migration.checksum,
                state=State.RUNNING,
                error=None,
                operations=texts + fresh,
            )
        return VersionRecord(
            version=migration.version,
            name=migration.name,
            description=migration.description,
            state=State.RUNNING,
            checksum=migration.checksum,
            operations=tuple(OperationRecord(of.describe()) for of in migration.operations),
            started_at=self.runner.backend.now(),
            actor=records.actor(self.owner),
        )

    def timed(self, record: VersionRecord) -> VersionRecord:
        """The record with the time of this stage added to its duration."""
        timed = replace(record, duration_s=round(record.duration_s + time.monotonic() - self.started, 3))
        self.versions[record.version] = timed
        return timed

    def put(self, changed: Iterable[VersionRecord], *more: RecordChange) -> None:
        """Store changed versions, with other changes, in one guarded unit of work."""
        listed = list(changed)
        self.versions |= {record.version: record for record in listed}
        self.runner.record(*(records.put_version(record) for record in listed), *more)

    def stamp(self, versions: Sequence[str]) -> None:
        """Record versions as applied without running them."""
        now = self.runner.backend.now()
        changes: list[RecordChange] = []
        for version in versions:
            record = self.begun(self.migrations[version])
            done = tuple(replace(o, done=True) for o in record.operations)
            stamped = replace(record, state=State.APPLIED, applied_at=now, operations=done)
            changes += [
                records.put_version(stamped),
                records.log(now, self.owner, "stamp", "applied", version),
            ]
        self.runner.record(*changes)

    def repair(self, found: RepairResult) -> None:
        """Accept edited files, and drop the records of versions whose file was removed."""
        now = self.runner.backend.now()
        changes: list[RecordChange] = []
        for version in found.accepted:
            file = self.migrations[version]
            changes.append(records.put_version(replace(self.versions[version], checksum=file.checksum)))
            changes.append(records.log(now, self.owner, "repair", "accepted", version))
            changes += [records.put_pass(p) for p in self._repinned(version, file.checksum)]
        for version in found.dropped:
            changes.append(records.delete_version(version))
            changes.append(records.log(now, self.owner, "repair", "dropped", version))
        self.runner.record(*changes)

    def _repinned(self, version: str, checksum: str) -> list[PassRecord]:
        """The passes of an edited version, pinned to its new code."""
        changed = []
        for p in self.passes.values():
            if version in p.versions:
                steps = tuple((v, i, checksum if v == version else c) for v, i, c in p.steps)
                self.passes[p.id] = replace(p, steps=steps)
                changed.append(self.passes[p.id])
        return changed


def step_of(migration: Migration, index: int) -> Step:
    """A document operation as the engine runs it."""
    operation = migration.operations[index]
    assert isinstance(operation, DocumentOperation)
    return operation.step(migration.version, str(migration.path))


def source_file(migration: Migration) -> SourceFile:
    """The migration's file, as another process will load it."""
    return SourceFile(migration.version, migration.path, migration.checksum)


def findings(backend: UserDatabase, migration: Migration) -> list[str]:
    """What a migration's own `verify(db)` has to say; empty where it holds or there is none."""
    if migration.verify is None:
        return []
    with backend.functions(write=False) as database:
        try:
            return listed(migration.verify(database))
        except (MigrateError, KeyboardInterrupt):
            raise
        except BaseException as error:  # noqa: BLE001 (a statement says no by raising, with whatever it likes)
            return [f"{type(error).__name__}: {error}"]
