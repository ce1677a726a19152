"""What `plan` shows: a plan tried on real documents, with zero writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from goaime_migrate.backends.base import Backend
from goaime_migrate.config import Settings
from goaime_migrate.engine import partitions
from goaime_migrate.engine.born import Census
from goaime_migrate.engine.foresight import Descent, Layer
from goaime_migrate.engine.judge import Outcome
from goaime_migrate.engine.preview import Preview, Unfinished, preview
from goaime_migrate.engine.step import Step
from goaime_migrate.errors import MigrateError
from goaime_migrate.events import Listener
from goaime_migrate.executor import require_canary
from goaime_migrate.ledger import Ledger, OperationRecord, PassRecord
from goaime_migrate.migration import Migration, Operation
from goaime_migrate.operations import (
    CreateCollection,
    DocumentOperation,
    DropCollection,
    RenameCollection,
    RunFunctions,
)
from goaime_migrate.planner import Facts, Plan, stages
from goaime_migrate.recorder import step_of
from goaime_migrate.results import (
    Counts,
    Direction,
    DownPreview,
    OnConflict,
    OperationPlan,
    PlanResult,
    Predicted,
    Sample,
    StepPlan,
    WarningCount,
)
from goaime_migrate.reverter import (
    judge,
    level_below,
    parts_of,
    renamed,
    reverse_groups,
    way,
)
from goaime_migrate.worker.process import sharing

_EACH_MORE = 0.7
"""What every further process adds to the speed of the first, since they share a server too."""
_NO_TIME = Predicted(0.0, 0, 0)


def refused(direction: Direction, target: str | None, error: MigrateError) -> PlanResult:
    """The plan that cannot be made."""
    return PlanResult(direction, target, (), _NO_TIME, error)


def up(
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
    forecast = _Forecast(backend, where, pinned, settings, listener)
    groups = _groups(facts, plan, done, pinned)
    if where is not None:
        forecast.limited(groups)
    for group in groups:
        forecast.group(group)
    warnings = [w for found in forecast.previews for w in found.warnings]
    sampled = [found.sampled for found in forecast.previews if found.sampled is not None]
    return PlanResult(
        direction=Direction.UP,
        target=plan.target,
        steps=tuple(_step(m, done.get(m.version, 0), forecast.seen, warnings) for m in migrations),
        predicted=Predicted(
            round(sum(p.seconds for p in forecast.previews), 3),
            sum(p.journal_bytes for p in forecast.previews),
            sum(p.oplog_bytes for p in forecast.previews),
        ),
        refused=forecast.error,
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


def _undoing(operation: OperationRecord) -> str:
    """What taking back an operation that is no pass comes to."""
    function = operation.undo is not None and operation.undo.get("kind") == "function"
    return "run down(db)" if function else f"undo: {operation.text}"


def down(backend: Backend, facts: Facts, book: Ledger, plan: Plan) -> PlanResult:
    """What taking back would find, counted over the whole journal."""
    descents = _Descents(backend, facts, book, plan)
    for group in reverse_groups(book.versions, plan.versions):
        for part in parts_of(book.versions, book.passes, group):
            descents.group(part)
    steps = tuple(
        StepPlan(v, book.versions[v].name, tuple(descents.counted[v]), (), irreversible=False, warnings=())
        for v in plan.versions
    )
    return PlanResult(
        Direction.DOWN,
        plan.target,
        steps,
        _NO_TIME,
        None,
        preview=descents.preview(),
        message=plan.message,
    )


class _Descents:
    """The passes of a way down, each seen through those that are taken back before it."""

    def __init__(self, backend: Backend, facts: Facts, book: Ledger, plan: Plan) -> None:
        self._backend = backend
        self._files = facts.files
        self._book = book
        self._passes = dict(book.passes)
        self._lowest: dict[str, Layer] = {}
        """By collection, as it is called today."""
        self._names: dict[str, str] = {}
        """What collections are called today that will have been renamed by the time."""
        self._total = Outcome()
        self._births = Census()
        self.counted: dict[str, list[OperationPlan]] = {v: [] for v in plan.versions}

    def group(self, group: Sequence[tuple[str, int]]) -> None:
        """What would become of the operations of one pass, or of one other operation."""
        version, index = group[0]
        operation = self._book.versions[version].operations[index]
        record = self._passes.get(operation.pass_id or "")
        if record is None:
            self.counted[version].append(OperationPlan(_undoing(operation), None, None, None, None))
            self._rename(operation.undo)
            return
        counts = self._pass(record, group)
        for v, i in group:
            text = f"undo: {self._book.versions[v].operations[i].text}"
            self.counted[v].append(
                OperationPlan(text, record.collection, counts.matched, counts.changed, counts.unchanged)
            )

    def _pass(self, record: PassRecord, group: Sequence[tuple[str, int]]) -> Counts:
        target = level_below(record, group)
        if target == len(record.steps):
            return Counts()  # that was done before a `down` was cut off
        name = self._names.get(record.collection, record.collection)
        record = replace(record, collection=name)
        descent = Descent(
            record,
            target,
            judge(record, self._files, target, group[0][0], OnConflict.KEEP),
            way(record, self._files, target, None),
            any(record.reverses),
        )
        layer = self._lowest[name] = Layer(self._backend, descent, self._lowest.get(name))
        self._passes[record.id] = self._passes[record.id].down_to(target)
        outcome, births = layer.preview()
        self._total.add(outcome)
        self._births.note(name, births)
        return outcome.counts()

    def _rename(self, undo: Mapping[str, Any] | None) -> None:
        old = str((undo or {}).get("old"))
        new = renamed(undo, old)
        if new is not None:
            self._names[new] = self._names.get(old, old)

    def preview(self) -> DownPreview:
        """The counts over all of them."""
        total, births = self._total, self._births.total
        return DownPreview(
            exact=total.exact + total.already,
            merged=total.merged,
            conflicts=len(total.conflicts),
            born=births.taken_back + births.left,
            left=births.left,
            without_reverse=births.without_reverse,
        )
