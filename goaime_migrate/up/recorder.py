"""The ledger as `up` changes it: passes that are opened and finished, versions that are applied or stopped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from goaime_migrate import ledger
from goaime_migrate.backends.ports import PROGRESS, Delete, RecordChange
from goaime_migrate.errors import Conflicts, Interrupted, MigrateError, MigrationFailed
from goaime_migrate.ledger import Ledger, PassRecord, VersionRecord
from goaime_migrate.migration import Migration
from goaime_migrate.results import Counts, Direction, State
from goaime_migrate.run.collector import forget
from goaime_migrate.run.recorder import Recorder
from goaime_migrate.run.run import Run
from goaime_migrate.run.states import require_arrow, with_state
from goaime_migrate.transform.counts import PassCounts


class UpRecorder(Recorder):
    """Versions and passes as a run of `up` leaves them."""

    def __init__(self, run: Run, migrations: Mapping[str, Migration], read: Ledger) -> None:
        super().__init__(run, migrations, read)
        self._begun = frozenset(read.versions)

    # passes

    def forget_passes(self, pass_ids: Sequence[str]) -> None:
        """Forget passes of which no batch was committed: their operations have not started.

        A version never names a pass that is gone.
        """
        changes: list[RecordChange] = []
        for pass_id in pass_ids:
            for version, index, _ in self.passes.pop(pass_id).steps:
                if version in self.versions:
                    record = self.versions[version].with_operation(index, pass_id=None, started=False)
                    self.versions[version] = record
                    changes.append(ledger.put_version(record))
        changes += [change for pass_id in pass_ids for change in ledger.delete_pass(pass_id)]
        if changes:
            self.run.record(*changes)

    def open_pass(self, record: PassRecord) -> None:
        """Record a new pass, its versions as running."""
        for version, index, _ in record.steps:
            running = self.running(self.migrations[version], record.started_at)
            self.versions[version] = running.with_operation(index, pass_id=record.id, started=True)
        self.passes[record.id] = record
        self.run.record(
            ledger.put_pass(record), *(ledger.put_version(self.versions[v]) for v in record.versions)
        )

    def resume_pass(self, pass_id: str) -> PassRecord:
        """Record that this run goes on with an unfinished pass, its versions as running; the pass."""
        known = self.passes[pass_id]
        record = replace(known, run_at=self.run.backend.now(), run_from=known.examined)
        self.passes[pass_id] = record
        running = [self.running(self.migrations[v]) for v in record.versions]
        self.put(running, ledger.put_pass(record))
        return record

    def finish_pass(self, record: PassRecord, counts: PassCounts) -> None:
        """The walk is over: counts and warnings go to the versions, the partitions are not needed any more.

        Without transactions the order matters: a finished pass has versions that know it, and an unfinished one has
        its partitions, or it would be walked again from the beginning.
        """
        self.passes[record.id] = record
        steps = (v for v, index, _ in record.steps if not self.versions[v].operations[index].done)
        fresh = dict.fromkeys(steps)
        warnings = counts.warning_counts()
        for version, index, _ in record.steps:
            if version in fresh:
                self.versions[version] = self.versions[version].with_operation(index, done=True)
        for version in fresh:
            mine = tuple(w for w in warnings if w.version == version)
            of = self.versions[version]
            documents = (of.documents or Counts()) + counts.of(version)
            self.versions[version] = replace(of, documents=documents, warnings=(*of.warnings, *mine))
            self.totals.warnings += mine
        self.run.record(
            *(ledger.put_version(self._add_time(self.versions[v])) for v in record.versions),
            ledger.put_pass(record),
            Delete(PROGRESS, {"pass": record.id, "kind": "partition"}),
            forget(record.id),
        )

    def finish_canary(self, record: PassRecord, counts: PassCounts) -> None:
        """Some documents are migrated: the versions are partial."""
        now = self.run.backend.now()
        tried = [self._add_time(with_state(self.versions[v], State.PARTIAL)) for v in record.versions]
        self.put(tried, *(self.event(now, "up", "canary", v.version, v.duration_s) for v in tried))
        self.totals.warnings += counts.warning_counts()
        for each in tried:
            self.tell(Direction.UP, each.version, "canary", each.duration_s)

    # versions

    def finish_operation(self, version: str, index: int) -> None:
        """An operation that is no step of a pass is done."""
        self.put([self._add_time(self.versions[version].with_operation(index, done=True))])

    def apply(self, record: VersionRecord) -> None:
        """All operations of a version are done, if by an earlier run, and its `verify` holds."""
        now = self.run.backend.now()
        applied = with_state(with_state(record, State.RUNNING), State.APPLIED)
        warnings = sum(found.count for found in record.warnings)
        entry = self.event(
            now, "up", "applied", record.version, record.duration_s, None, record.documents, warnings
        )
        self.put([replace(applied, applied_at=now, error=None)], entry)
        self.totals.versions.append(record.version)
        self.tell(Direction.UP, record.version, "applied", record.duration_s)
        self.note_in_all(record.version, record.documents)

    def note_in_all(self, version: str, documents: Counts | None) -> None:
        """What a version has by now; it is to be told from what this run did where earlier ones had begun with it."""
        if documents is not None and version in self._begun:
            self.totals.in_all[version] = documents

    def count_partly(self, record: PassRecord, counts: PassCounts) -> None:
        """What the versions of a pass have that is stopped within it."""
        for version, index in {version: index for version, index, _ in record.steps}.items():
            of = self.versions[version]
            if not of.operations[index].done:
                before = self.totals.in_all.get(version, of.documents or Counts())
                self.note_in_all(version, before + counts.of(version))

    def stop(self, versions: Sequence[str], error: MigrateError) -> None:
        """Record where and why the run has stopped: at the error's own version, or at the last of these.

        That one has failed, the others are partial; if it is no failure of a migration all are, or pending if nothing
        of them had started.
        """
        failed, at = isinstance(error, MigrationFailed), error.version or versions[-1]
        known = [with_state(self.versions[v], State.RUNNING) for v in versions if v in self.versions]
        untouched = [] if failed else [r for r in known if not any(o.started or o.done for o in r.operations)]
        for record in untouched:
            require_arrow(record.version, record.state, State.PENDING)
            del self.versions[record.version]
        changed = [self._stop_record(r, error, at) for r in known if r.version in self.versions]
        result = "failed" if failed else "interrupted"
        took = next((r.duration_s for r in changed if r.version == at), round(self.seconds, 3))
        with suppress(Exception):  # whatever its record meets, the error itself matters more
            entry = self.event(
                self.run.backend.now(), "up", result, at, took, error, self.totals.in_all.get(at)
            )
            self.put(changed, *(ledger.delete_version(r.version) for r in untouched), entry)
        self.tell(Direction.UP, at, result, took, error.code)

    def _stop_record(self, record: VersionRecord, error: MigrateError, at: str) -> VersionRecord:
        # A conflict is the application's doing: the migration itself has not failed.
        failed = isinstance(error, MigrationFailed) and not isinstance(error, Conflicts)
        state = State.FAILED if failed and record.version == at else State.PARTIAL
        said = None if record.version != at or isinstance(error, Interrupted) else ledger.error_record(error)
        return replace(self._add_time(with_state(record, state)), error=said)

    def _add_time(self, record: VersionRecord) -> VersionRecord:
        """The record with the time of this group added to its duration."""
        timed = replace(record, duration_s=round(record.duration_s + self.seconds, 3))
        self.versions[record.version] = timed
        return timed
