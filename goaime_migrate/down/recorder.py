"""The ledger as `down` changes it: operations that are not in effect any more, passes with fewer steps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from goaime_migrate import ledger
from goaime_migrate.backends.ports import PROGRESS, Delete, RecordChange
from goaime_migrate.errors import MigrateError, MigrationFailed
from goaime_migrate.journal.clearing import clear
from goaime_migrate.journal.kinds import Kind
from goaime_migrate.journal.segments import drop_kind
from goaime_migrate.ledger import Ledger, PassRecord
from goaime_migrate.migration import Migration
from goaime_migrate.planner.groups import ForgetSteps, RestorePass, UndoChange
from goaime_migrate.results import Counts, Direction, State
from goaime_migrate.run.collector import forget
from goaime_migrate.run.recorder import Recorder
from goaime_migrate.run.run import Run
from goaime_migrate.run.states import require_arrow, with_state


class DownRecorder(Recorder):
    """Versions and passes as a run of `down` leaves them."""

    def __init__(self, run: Run, migrations: Mapping[str, Migration], read: Ledger) -> None:
        super().__init__(run, migrations, read)
        self._spent: defaultdict[str, float] = defaultdict(float)
        """Seconds that the groups of each version have taken so far,"""
        self._restored: dict[str, Counts] = {}
        """and the documents that they have seen to."""
        self._begun = frozenset(v for v, record in read.versions.items() if record.state is State.REVERTING)
        self._of_group = Counts()
        """What all runs have taken back of the present group."""

    def start_group(self) -> None:
        """The next group of the plan begins now."""
        super().start_group()
        self._of_group = Counts()

    def count(self, versions: Iterable[str], counts: Counts, before: Counts | None) -> None:
        """What this run has taken back of the present group, and what earlier ones had `before`.

        Where those had begun with a version, what it comes to in all is to be told from what this run did.
        """
        self.totals.documents += counts
        self._of_group = counts + (before or Counts())
        for version in versions:
            self._restored[version] = self._restored.get(version, Counts()) + counts
            if version in self._begun:
                self.totals.in_all[version] = self._in_all(version)

    def _in_all(self, version: str) -> Counts:
        return (self.versions[version].taken_back or Counts()) + self._of_group

    def start_versions(self, versions: Iterable[str]) -> None:
        """Record that these versions are being taken back."""
        self.put(replace(with_state(self.versions[v], State.REVERTING), error=None) for v in versions)

    def stop(self, versions: Sequence[str], error: MigrateError) -> None:
        """Record where and why the run has stopped; that it cannot be recorded matters less than the error itself."""
        failed = isinstance(error, MigrationFailed)
        result = "failed" if failed else "interrupted"
        culprit = next((v for v in versions if v == error.version), versions[0])
        took = round(self._spent[culprit] + self.seconds, 3)
        known = [self.versions[culprit]] if failed else []
        with suppress(Exception):
            entry = self.event(self.run.backend.now(), "down", result, culprit, took, error)
            self.put([replace(record, error=ledger.error_record(error)) for record in known], entry)
        self.tell(Direction.DOWN, culprit, result, took, error.code)

    def start_pass(self, record: PassRecord, level: int) -> None:
        """Record that a pass is being taken back to its first `level` steps."""
        now = self.run.backend.now()
        begun = replace(record, target_level=level, run_at=now, run_from=record.taken_back)
        self.run.record(ledger.put_pass(begun))

    def finish_group(self, group: RestorePass | ForgetSteps | UndoChange) -> None:
        """Record that these operations are not in effect any more; versions without any are pending again."""
        for version in group.versions:
            self._spent[version] += self.seconds
            self.versions[version] = replace(self.versions[version], taken_back=self._in_all(version))
        for version, index in group.operations:
            self.versions[version] = self.versions[version].with_operation(
                index, pass_id=None, undo=None, started=False, done=False
            )
        changes = [change for version in group.versions for change in self._left(version)]
        match group:
            case RestorePass():
                self._record_steps_left(group.pass_id, group.level, changes)
            case ForgetSteps():
                self._record_steps_left(group.pass_id, None, changes)
            case UndoChange():
                self.run.record(*changes)
        self._tell_of(version for version in group.versions if version not in self.versions)

    def _tell_of(self, versions: Iterable[str]) -> None:
        for version in versions:
            self.tell(Direction.DOWN, version, "reverted", round(self._spent[version], 3))

    def _left(self, version: str) -> list[RecordChange]:
        """The changes for a version: what is left of it, or that it is pending again."""
        record = self.versions[version]
        if any(o.started for o in record.operations):
            return [ledger.put_version(record)]
        require_arrow(version, record.state, State.PENDING)
        del self.versions[version]
        self.totals.versions.append(version)
        seconds = round(self._spent[version], 3)
        now = self.run.backend.now()
        return [  # a record that is gone without a word counts as lost
            self.event(now, "down", "reverted", version, seconds, None, self._restored.get(version)),
            ledger.delete_version(version),
        ]

    def _record_steps_left(self, pass_id: str, level: int | None, changes: Sequence[RecordChange]) -> None:
        """Record that a pass has so many steps left, or as many as it had, together with the changes for versions."""
        record = self.passes.pop(pass_id)
        if level == 0:  # a version never names a pass that is gone
            self.run.record(*changes, *ledger.delete_pass(pass_id), forget(pass_id))
            clear(self.run.backend, pass_id)
            return
        steps = len(record.steps) if level is None else level
        fewer = replace(record.down_to(steps), finished=True, taken_back=0, to_take_back=None)
        self.passes[pass_id] = fewer
        self.run.record(  # a pass never has a step whose version is gone
            ledger.put_pass(fewer),
            Delete(PROGRESS, {"pass": pass_id, "kind": "partition", "walk": {"$ne": ledger.SWEEP}}),
            drop_kind(pass_id, Kind.INSERTED),
            forget(pass_id),
            *changes,
        )

    def forget_versions(self, versions: Iterable[str]) -> None:
        """Versions of which nothing was ever started are pending again."""
        for version in versions:
            self.versions[version] = with_state(self.versions[version], State.REVERTING)
            self.run.record(*self._left(version))
            self._tell_of([version])
