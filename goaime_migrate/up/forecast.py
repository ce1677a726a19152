"""What `plan` shows of the way up: its operations tried on real documents, with zero writes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from goaime_migrate.backends.ports import Backend
from goaime_migrate.config import Settings
from goaime_migrate.errors import MigrateError, MissingPrivilege, OperationFailed, ResultTooLarge, WouldFail
from goaime_migrate.errors.hint import PLAN, UP, Hint
from goaime_migrate.events import Listener, Notice
from goaime_migrate.journal import audit
from goaime_migrate.migration import Migration, Operation
from goaime_migrate.operations import RunFunctions
from goaime_migrate.planner import Facts, UpPlan
from goaime_migrate.planner.fusion import require_canary
from goaime_migrate.planner.groups import NewPass, OperationRef, PinnedPass, StateChange
from goaime_migrate.results import (
    Counts,
    Direction,
    Finding,
    OperationPlan,
    PlanResult,
    Sample,
    StepPlan,
    WarningCount,
)
from goaime_migrate.rules.privileges import reads_only
from goaime_migrate.rules.refusal import refusal
from goaime_migrate.rules.review import Review
from goaime_migrate.run import partitions
from goaime_migrate.run.code import step_of
from goaime_migrate.run.preflight import require_up
from goaime_migrate.run.restored import require_decided
from goaime_migrate.run.work import sharing
from goaime_migrate.transform.derivation import DeriveStep
from goaime_migrate.transform.insertion import InsertStep
from goaime_migrate.transform.step import Step
from goaime_migrate.up.arrivals_preview import preview_arrivals
from goaime_migrate.up.begun_pass import BegunPass
from goaime_migrate.up.cost import Shared
from goaime_migrate.up.known import Known
from goaime_migrate.up.parallel_scan import shares
from goaime_migrate.up.prediction import Prediction
from goaime_migrate.up.preview import Preview, preview

_FOUND = Hint("do what is said of it, then: {}", PLAN)
_OWN = "what its later operations do cannot be foreseen before its first ones have done their work"
_UNKNOWN = "what up(db) of {0} does cannot be foreseen, and so not what this does before {0} is applied"
Seen = tuple[OperationPlan, Sequence[Sample], Sequence[str]]


def forecast(
    backend: Backend,
    facts: Facts,
    plan: UpPlan,
    where: Mapping[str, Any] | None,
    settings: Settings,
    listener: Listener,
) -> PlanResult:
    """The effects of `up`, version by version; a document that would stop the run is named in `refused`."""
    found = _Forecast(backend, facts, plan, where, settings, listener)
    found.walk(plan)
    predicted = found.prediction.made(len(plan.versions))
    findings = found.review.findings(predicted)
    warnings = [w for p in found.previews for w in p.warnings]
    sampled = [p.sampled for p in found.previews if p.sampled is not None]
    left: defaultdict[str, list[int]] = defaultdict(list)
    for version, number in (ref for group in plan.groups for ref in group.operations):
        left[version].append(number)
    return PlanResult(
        direction=Direction.UP,
        target=plan.target,
        steps=tuple(_step(facts.files[v], left[v], found.seen, warnings) for v in plan.versions),
        predicted=predicted,
        refused=_refusal(found.error, findings),
        unforeseen=tuple(dict.fromkeys(found.unforeseen)),
        sampled=max(sampled, default=None),
        message=plan.message,
        findings=findings,
    )


def _refusal(stopped: MigrateError | None, findings: Sequence[Finding]) -> MigrateError | None:
    """What stops the run at a document; else the error for these findings, where what to do is said.

    What a rule says goes first where it is no document that stops it: a query that the server does not know, or a
    result that is too large, which is no fault of the migration's code.
    """
    if stopped is not None and not isinstance(stopped, OperationFailed | ResultTooLarge):
        return stopped
    error = refusal(findings) or stopped
    return error.advise(_FOUND) if isinstance(error, WouldFail) else error


class _Forecast:
    """The effects of a plan, pass by pass. What cannot be known before an earlier step is applied is not guessed.

    Plain transforms are run one after the other on the same documents. A filter, a pipeline or a lookup sees only
    what is stored: after an earlier step that changes it, its effect cannot be foreseen.
    """

    def __init__(
        self,
        backend: Backend,
        facts: Facts,
        plan: UpPlan,
        where: Mapping[str, Any] | None,
        settings: Settings,
        listener: Listener,
    ) -> None:
        self.review = Review(backend, facts, plan, settings, where, listener)
        self._settings = settings
        self._listener = listener
        self._backend = backend
        self._files = facts.files
        self._versions = facts.versions
        self._passes = facts.passes
        self._where = where
        self._begun: dict[str, BegunPass] = {}
        """By collection, the pass that `up` goes on with: some documents have its steps behind them already."""
        self._known = Known()
        self.seen: dict[OperationRef, Seen] = {}
        self.unforeseen: list[str] = []
        self.previews: list[Preview] = []
        self.prediction = Prediction(backend)
        self.error: MigrateError | None = None

    def walk(self, plan: UpPlan) -> None:
        """The effects of all groups, one after the other. What `up` would refuse beforehand is refused."""
        try:
            if self._where is not None:
                require_canary(plan, self._files)
            require_up(self._backend, plan, self._files, self._versions)
        except MigrateError as error:
            declared = [self._operation(ref) for group in plan.groups for ref in group.operations]
            if isinstance(error, MissingPrivilege) and reads_only(self._backend, declared):
                self._listener(Notice("this user may only read: plan it as the user who will run up as well"))
            else:
                self.error = error
        for place, group in enumerate(plan.groups):
            match group:
                case StateChange():
                    (ref,) = group.operations
                    self._known.change(self._files[ref.version], self._operation(ref))
                    self.prediction.change(ref.version, self._operation(ref))
                case NewPass() | PinnedPass() if self.error is None:
                    self._pass(place, group)

    def _pass(self, place: int, group: NewPass | PinnedPass) -> None:
        steps = [step_of(self._files[v], number) for v, number in group.operations]
        if isinstance(group, PinnedPass):
            record = self._passes[group.pass_id]
            self._begun[steps[0].collection] = BegunPass.of(self._backend, record)
        obstacle = self._known.obstacle(steps)
        if (function := self._known.function_naming(steps)) is not None:
            self._leave_open(place, group, _UNKNOWN.format(function))
        elif obstacle is not None:
            note = f"its effect cannot be foreseen before {obstacle} is applied"
            self._leave_open(place, group, note, obstacle)
        else:
            self._foresee(place, group, steps)
        self._known.remember(steps, group.versions[-1], fresh=isinstance(group, NewPass))

    def _foresee(self, place: int, group: NewPass | PinnedPass, steps: Sequence[Step]) -> None:
        collection = steps[0].collection
        try:
            self._require_resumable(group, steps)
            found = self._preview(place, group, steps)
        except MigrateError as caught:
            self.review.failed(place, caught)
            if self._known.function is not None:  # which may mend what has stopped this
                self._leave_open(place, group, _UNKNOWN.format(self._known.function))
            else:
                self.error = caught.advise(caught.hint.instead(UP, PLAN))
            return
        self.review.done(place, found.total, found.settled, found.warnings)
        self.previews.append(found)
        found.work.batch = self._settings.batch_size or found.work.batch
        self.prediction.add(found.work, found.factor, self._shared(steps))
        for position, ref in enumerate(group.operations):
            counts = found.counts[position]
            text = self._operation(ref).describe()
            self.seen[ref] = (
                OperationPlan(text, collection, counts.matched, counts.changed, counts.unchanged),
                found.samples[position],
                [*_idle(found, counts, text), *self._notes()],
            )

    def _require_resumable(self, group: NewPass | PinnedPass, steps: Sequence[Step]) -> None:
        """Raises JournalIncomplete, DamagedRecord, DatabaseRestored for an unfinished pass that `up` refuses."""
        if isinstance(group, PinnedPass):
            record = self._passes[group.pass_id]
            audit.require_whole(self._backend, record)
            require_decided(self._backend, record, steps, UP)

    def _preview(self, place: int, group: NewPass | PinnedPass, steps: Sequence[Step]) -> Preview:
        """What it would do to real documents, with the rules looking on. Raises MigrateError."""
        collection, step, watch = steps[0].collection, steps[0], self.review.watch(place)
        before, begun = self._known.before.get(collection, ()), self._begun.get(collection)
        if isinstance(step, InsertStep | DeriveStep):
            pinned = begun if isinstance(group, PinnedPass) else None
            return preview_arrivals(self._backend, before, step, self._where, pinned, self._listener, watch)
        since = None if isinstance(group, PinnedPass) else self._known.since.get(collection, ())
        return preview(self._backend, before, steps, self._where, begun, since, self._listener, watch)

    def _shared(self, steps: Sequence[Step]) -> Shared:
        """Who will share the pass."""
        if self._where:
            return Shared()
        documents = partitions.count_documents(self._backend, steps[0])
        parts = partitions.count_wanted(self._backend, steps, documents)
        worth = shares(self._backend.capabilities, steps, documents, parts)
        return Shared(sharing(self._settings, worth), parts > 1)

    def _leave_open(
        self, place: int, group: NewPass | PinnedPass, note: str, obstacle: str | None = None
    ) -> None:
        """`obstacle`: the version that has to be applied before; it may be the very same."""
        self.review.unknown(place, note)
        self.unforeseen += group.versions
        for ref in group.operations:
            operation = self._operation(ref)
            self.prediction.leave_out(f"{operation.describe()} of {ref.version}")
            planned = OperationPlan(operation.describe(), operation.collection, None, None, None)
            self.seen[ref] = (planned, (), [_OWN if ref.version == obstacle else note])

    def _notes(self) -> list[str]:
        if self._known.function is None:
            return []
        return [f"up(db) of {self._known.function} runs before and may change what is shown here"]

    def _operation(self, ref: OperationRef) -> Operation:
        return self._files[ref.version].operations[ref.number]


def _idle(found: Preview, counts: Counts, text: str) -> list[str]:
    return [f"{text}: {found.idle}: {found.examined:,}"] if found.examined and not counts.changed else []


def _step(
    migration: Migration,
    left: Sequence[int],
    seen: Mapping[OperationRef, Seen],
    warnings: Sequence[WarningCount],
) -> StepPlan:
    operations: list[OperationPlan] = []
    samples: list[Sample] = []
    notes: list[str] = []
    for number in left:
        operation, ref = migration.operations[number], OperationRef(migration.version, number)
        if ref in seen:
            planned, shown, said = seen[ref]
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
