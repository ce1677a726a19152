"""What `plan` shows: a plan tried on real documents, with zero writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from goaime_migrate.backends.base import Backend
from goaime_migrate.engine import restore
from goaime_migrate.engine.chain import Step
from goaime_migrate.engine.judge import Outcome
from goaime_migrate.engine.preview import Preview, Unfinished, preview
from goaime_migrate.errors import MigrateError
from goaime_migrate.ledger import Ledger, PassRecord
from goaime_migrate.migration import Migration
from goaime_migrate.operations import DocumentOperation, RunFunctions
from goaime_migrate.planner import Facts, Plan, stages
from goaime_migrate.recorder import step_of
from goaime_migrate.results import (
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
from goaime_migrate.reverter import judge, level_below, reverse_groups

_NO_TIME = Predicted(0.0, 0, 0)


def refused(direction: Direction, target: str | None, error: MigrateError) -> PlanResult:
    """The plan that cannot be made."""
    return PlanResult(direction, target, (), _NO_TIME, error)


def up(
    backend: Backend, facts: Facts, book: Ledger, plan: Plan, where: Mapping[str, Any] | None
) -> PlanResult:
    """The effects of `up`, version by version; a document that would stop the run is named in `refused`."""
    migrations = [facts.files[v] for v in plan.versions]
    done = {v: sum(o.done for o in book.versions[v].operations) for v in plan.versions if v in book.versions}
    seen: dict[tuple[str, int], tuple[OperationPlan, Sequence[Sample], Sequence[str]]] = {}
    previews: list[Preview] = []
    before: dict[str, list[Step]] = {}
    since: dict[str, list[Step]] = {}
    error: MigrateError | None = None
    pinned = _pinned(book, plan)
    unfinished = None if pinned is None else Unfinished.of(backend, pinned.id)
    for group in _groups(facts, plan, done, pinned):
        operation = group[0][0].operations[group[0][1]]
        if error is not None or not isinstance(operation, DocumentOperation):
            continue
        steps = [step_of(m, index) for m, index in group]
        try:
            resumed = pinned is not None and pinned.collection == operation.collection
            resumes = pinned is not None and pinned.steps[0][:2] == (group[0][0].version, group[0][1])
            found = preview(
                backend,
                before.get(operation.collection, ()),
                steps,
                where,
                unfinished if resumed else None,
                None if resumes else since.get(operation.collection, ()),
            )
        except MigrateError as caught:
            error = caught
            continue
        previews.append(found)
        plain = [s for s in steps if s.where is None and not s.pipeline]
        before.setdefault(operation.collection, []).extend(plain)
        if not resumes:
            since.setdefault(operation.collection, []).extend(plain)
        for position, (m, index) in enumerate(group):
            counts = found.counts[position]
            text = m.operations[index].describe()
            planned = OperationPlan(
                text, operation.collection, counts.matched, counts.changed, counts.unchanged
            )
            seen[m.version, index] = (planned, found.samples[position], found.notes[position])
    warnings = [w for found in previews for w in found.warnings]
    sampled = [found.sampled for found in previews if found.sampled is not None]
    return PlanResult(
        direction=Direction.UP,
        target=plan.target,
        steps=tuple(_step(m, done.get(m.version, 0), seen, warnings) for m in migrations),
        predicted=Predicted(
            round(sum(p.seconds for p in previews), 3),
            sum(p.journal_bytes for p in previews),
            sum(p.oplog_bytes for p in previews),
        ),
        refused=error,
        sampled=max(sampled, default=None),
        message=plan.message,
    )


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
    seen: Mapping[tuple[str, int], tuple[OperationPlan, Sequence[Sample], Sequence[str]]],
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
        notes=tuple(notes),
    )


def down(backend: Backend, facts: Facts, book: Ledger, plan: Plan) -> PlanResult:
    """What taking back would find, counted over the whole journal."""
    total = Outcome()
    counted: dict[str, list[OperationPlan]] = {v: [] for v in plan.versions}
    for group in reverse_groups(book.versions, plan.versions):
        version, index = group[0]
        operation = book.versions[version].operations[index]
        if operation.pass_id is None or operation.pass_id not in book.passes:
            counted[version].append(OperationPlan(f"undo: {operation.text}", None, None, None, None))
            continue
        record = book.passes[operation.pass_id]
        target = level_below(record, group)
        decider = judge(record, facts.files, target, version, OnConflict.KEEP)
        outcome = restore.preview(backend, record, decider)
        total.add(outcome)
        counts = outcome.counts()
        for v, i in group:
            text = f"undo: {book.versions[v].operations[i].text}"
            counted[v].append(
                OperationPlan(text, record.collection, counts.matched, counts.changed, counts.unchanged)
            )
    steps = tuple(
        StepPlan(v, book.versions[v].name, tuple(counted[v]), (), irreversible=False, warnings=())
        for v in plan.versions
    )
    return PlanResult(
        Direction.DOWN,
        plan.target,
        steps,
        _NO_TIME,
        None,
        preview=total.preview() if plan.versions else DownPreview(),
        message=plan.message,
    )
