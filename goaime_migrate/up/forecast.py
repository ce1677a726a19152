"""What `plan` shows of the way up: its operations tried on real documents, with zero writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from goaime_migrate.backends.ports import Backend
from goaime_migrate.config import Settings
from goaime_migrate.errors import MigrateError
from goaime_migrate.events import Listener
from goaime_migrate.ledger import Ledger, PassRecord
from goaime_migrate.migration import Migration, Operation
from goaime_migrate.operations import (
    CreateCollection,
    DocumentOperation,
    DropCollection,
    RenameCollection,
    RunFunctions,
)
from goaime_migrate.planner import Facts, Plan, stages
from goaime_migrate.results import (
    Direction,
    OperationPlan,
    PlanResult,
    Predicted,
    Sample,
    StepPlan,
    WarningCount,
)
from goaime_migrate.run import partitions
from goaime_migrate.run.recorder import step_of
from goaime_migrate.run.work import sharing
from goaime_migrate.transform.step import Step
from goaime_migrate.up.executor import require_canary
from goaime_migrate.up.preview import Preview, Unfinished, preview

_EACH_MORE = 0.7
"""What every further process adds to the speed of the first, since they share a server too."""
_NO_TIME = Predicted(0.0, 0, 0)


def forecast(
    backend: Backend,
    facts: Facts,
    book: Ledger,
    plan: Plan,
    where: Mapping[str, Any] | None,
    settings: Settings,
    listener: Listener,
) -> PlanResult:
    """The effects of `up`, version by version; a document that would stop the run is named in `refused`."""
    migrations = [facts.files[v] for v in plan.versions]
    done = {v: sum(o.done for o in book.versions[v].operations) for v in plan.versions if v in book.versions}
    pinned = _pinned(book, plan)
    found = _Forecast(backend, where, pinned, settings, listener)
    groups = _groups(facts, plan, done, pinned)
    if where is not None:
        found.limited(groups)
    for group in groups:
        found.group(group)
    warnings = [w for p in found.previews for w in p.warnings]
    sampled = [p.sampled for p in found.previews if p.sampled is not None]
    return PlanResult(
        direction=Direction.UP,
        target=plan.target,
        steps=tuple(_step(m, done.get(m.version, 0), found.seen, warnings) for m in migrations),
        predicted=Predicted(
            round(sum(p.seconds for p in found.previews), 3),
            sum(p.journal_bytes for p in found.previews),
            sum(p.oplog_bytes for p in found.previews),
        ),
        refused=found.error,
        sampled=max(sampled, default=None),
        message=plan.message,
    )


Group = Sequence[tuple[Migration, int]]
Seen = tuple[OperationPlan, Sequence[Sample], Sequence[str]]


class _Forecast:
    """The effects of a plan, pass by pass. What cannot be known before an earlier step is applied is not guessed.

    Plain transforms are run one after the other on the same documents. A filter, a pipeline or a lookup sees only
    what is stored: after an earlier step that changes it, its effect cannot be foreseen.
    """

    def __init__(
        self,
        backend: Backend,
        where: Mapping[str, Any] | None,
        pinned: PassRecord | None,
        settings: Settings,
        listener: Listener,
    ) -> None:
        self._settings = settings
        self._listener = listener
        self._backend = backend
        self._where = where
        self._pinned = pinned
        self._unfinished = None if pinned is None else Unfinished.of(backend, pinned.id)
        self._before: dict[str, list[Step]] = {}
        self._since: dict[str, list[Step]] = {}
        self._changed: dict[str, str] = {}
        """The collections that earlier steps change, with the version that does."""
        self._unforeseen: dict[str, str] = {}
        """Those among them of which it is not known how they will look."""
        self._function: str | None = None
        self.seen: dict[tuple[str, int], Seen] = {}
        self.previews: list[Preview] = []
        self.error: MigrateError | None = None

    def limited(self, groups: Sequence[Group]) -> None:
        """A canary is refused as `up` would refuse it."""
        try:
            require_canary(groups)
        except MigrateError as error:
            self.error = error

    def group(self, group: Group) -> None:
        """The effects of operations that run as one pass, or of a single other operation."""
        migration, index = group[0]
        operation = migration.operations[index]
        if not isinstance(operation, DocumentOperation):
            self._other(migration.version, operation)
        elif self.error is None:
            steps = [step_of(m, i) for m, i in group]
            obstacle = self._obstacle(operation, steps)
            if obstacle is None:
                self._foreseen(group, steps)
            else:
                self._not_foreseen(group, obstacle)
            self._remember(group, steps)

    def _other(self, version: str, operation: Operation) -> None:
        if isinstance(operation, RunFunctions):
            self._function = version
        if isinstance(operation, RenameCollection):
            self._unforeseen |= {operation.old: version, operation.new: version}
        elif isinstance(operation, CreateCollection | DropCollection):
            self._unforeseen[operation.name] = version

    def _obstacle(self, operation: DocumentOperation, steps: Sequence[Step]) -> str | None:
        """The version that has to be applied before the effect of these steps can be known."""
        for collection in (operation.collection, *sorted(operation.reads)):
            if collection in self._unforeseen:
                return self._unforeseen[collection]
        stored_only = {operation.collection} if steps[0].where or steps[0].pipeline else set()
        looked_up = {lookup.collection for step in steps for lookup in step.lookups.values()}
        return next((self._changed[c] for c in sorted(stored_only | looked_up) if c in self._changed), None)

    def _foreseen(self, group: Group, steps: Sequence[Step]) -> None:
        collection = steps[0].collection
        resumed = self._pinned is not None and self._pinned.collection == collection
        try:
            found = preview(
                self._backend,
                self._before.get(collection, ()),
                steps,
                self._where,
                self._unfinished if resumed else None,
                None if self._resumes(group) else self._since.get(collection, ()),
                self._listener,
            )
        except MigrateError as caught:
            caught.hint = caught.hint.replace("then: goaime-migrate up", "then: goaime-migrate plan")
            self.error = caught
            return
        self.previews.append(replace(found, seconds=found.seconds / self._speed(collection)))
        for position, (m, index) in enumerate(group):
            counts = found.counts[position]
            text = m.operations[index].describe()
            planned = OperationPlan(text, collection, counts.matched, counts.changed, counts.unchanged)
            self.seen[m.version, index] = (
                planned,
                found.samples[position],
                [*found.notes[position], *self._notes(collection)],
            )

    def _speed(self, collection: str) -> float:
        """How many times as fast as this process alone those are that will share the pass."""
        shares = 1 if self._where else partitions.wanted(self._backend, collection)
        return 1 + _EACH_MORE * (sharing(self._settings, shares) - 1)

    def _not_foreseen(self, group: Group, obstacle: str) -> None:
        """`obstacle`: the version that has to be applied before; it may be the very same."""
        for m, index in group:
            note = (
                "what its later operations do cannot be foreseen before its first ones have done their work"
                if m.version == obstacle
                else f"its effect cannot be foreseen before {obstacle} is applied"
            )
            operation = m.operations[index]
            planned = OperationPlan(operation.describe(), operation.collection, None, None, None)
            self.seen[m.version, index] = (planned, (), [note])

    def _notes(self, collection: str) -> list[str]:
        notes = []
        if collection not in self._backend.collections():
            notes.append(f"there is no collection {collection!r}")
        if self._function is not None:
            notes.append(f"up(db) of {self._function} runs before and may change what is shown here")
        return notes

    def _remember(self, group: Group, steps: Sequence[Step]) -> None:
        collection, version = steps[0].collection, group[-1][0].version
        self._changed[collection] = version
        if steps[0].where or steps[0].pipeline:
            self._unforeseen[collection] = version
            return
        self._before.setdefault(collection, []).extend(steps)
        if not self._resumes(group):
            self._since.setdefault(collection, []).extend(steps)

    def _resumes(self, group: Group) -> bool:
        """Whether the group is the pass that an earlier run has begun."""
        return self._pinned is not None and self._pinned.steps[0][:2] == (group[0][0].version, group[0][1])


def _pinned(book: Ledger, plan: Plan) -> PassRecord | None:
    """The pass that `up` will go on with, if part of its documents are migrated."""
    going_on = (p for p in book.open_passes if p.committed and p.target_level is None)
    return next((p for p in going_on if set(p.versions) & set(plan.versions)), None)


def _groups(
    facts: Facts, plan: Plan, done: Mapping[str, int], pinned: PassRecord | None
) -> list[list[tuple[Migration, int]]]:
    """What `up` will do, pass by pass: first an unfinished one exactly as it was pinned."""
    migrations = [facts.files[v] for v in plan.versions]
    if pinned is None:
        return stages(migrations, done)
    first = [(facts.files[v], index) for v, index, _ in pinned.steps]
    return [first, *stages(migrations, {**done, **{m.version: index + 1 for m, index in first}})]


def _step(
    migration: Migration,
    done: int,
    seen: Mapping[tuple[str, int], Seen],
    warnings: Sequence[WarningCount],
) -> StepPlan:
    operations: list[OperationPlan] = []
    samples: list[Sample] = []
    notes: list[str] = []
    for index, operation in enumerate(migration.operations[done:], done):
        if (migration.version, index) in seen:
            planned, shown, said = seen[migration.version, index]
            operations.append(planned)
            samples += shown
            notes += said
        else:
            operations.append(OperationPlan(operation.describe(), operation.collection, None, None, None))
        if isinstance(operation, RunFunctions):
            notes.append("plain up(db) starts again after a crash: it must be idempotent")
    return StepPlan(
        version=migration.version,
        name=migration.name,
        operations=tuple(operations),
        samples=tuple(samples),
        irreversible=not migration.reversible,
        warnings=tuple(w for w in warnings if w.version == migration.version),
        notes=tuple(dict.fromkeys(notes)),
    )
