"""What `plan` shows of the way up: its operations tried on real documents, with zero writes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from typing import Any

from goaime_migrate.backends.ports import Backend
from goaime_migrate.config import Settings
from goaime_migrate.errors import MigrateError, MissingPrivilege
from goaime_migrate.errors.hint import PLAN, UP
from goaime_migrate.events import Listener, Notice
from goaime_migrate.migration import Migration, Operation
from goaime_migrate.operations import (
    CreateCollection,
    CreateIndex,
    DropCollection,
    RenameCollection,
    RunFunctions,
    SetValidator,
)
from goaime_migrate.planner import (
    Facts,
    NewPass,
    OperationRef,
    PinnedPass,
    StateChange,
    UpPlan,
    require_canary,
)
from goaime_migrate.results import (
    Direction,
    OperationPlan,
    PlanResult,
    Sample,
    StepPlan,
    WarningCount,
)
from goaime_migrate.run import misfits, partitions
from goaime_migrate.run.code import step_of
from goaime_migrate.run.preflight import only_reads, require_up
from goaime_migrate.run.work import sharing
from goaime_migrate.transform.derivation import DeriveStep
from goaime_migrate.transform.insertion import InsertStep
from goaime_migrate.transform.step import Step
from goaime_migrate.up.arrivals_preview import preview_arrivals
from goaime_migrate.up.pass_ import comes_or_goes
from goaime_migrate.up.prediction import Prediction
from goaime_migrate.up.preview import Preview, Unfinished, preview

_EACH_MORE = 0.7
"""What every further process adds to the speed of the first, since they share a server too."""
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
    found = _Forecast(backend, facts, where, settings, listener)
    found.walk(plan)
    warnings = [w for p in found.previews for w in p.warnings]
    sampled = [p.sampled for p in found.previews if p.sampled is not None]
    left: defaultdict[str, list[int]] = defaultdict(list)
    for version, number in (ref for group in plan.groups for ref in group.operations):
        left[version].append(number)
    return PlanResult(
        direction=Direction.UP,
        target=plan.target,
        steps=tuple(_step(facts.files[v], left[v], found.seen, warnings) for v in plan.versions),
        predicted=found.prediction.made(),
        refused=found.error,
        sampled=max(sampled, default=None),
        message=plan.message,
    )


class _Forecast:
    """The effects of a plan, pass by pass. What cannot be known before an earlier step is applied is not guessed.

    Plain transforms are run one after the other on the same documents. A filter, a pipeline or a lookup sees only
    what is stored: after an earlier step that changes it, its effect cannot be foreseen.
    """

    def __init__(
        self,
        backend: Backend,
        facts: Facts,
        where: Mapping[str, Any] | None,
        settings: Settings,
        listener: Listener,
    ) -> None:
        self._settings = settings
        self._listener = listener
        self._backend = backend
        self._files = facts.files
        self._versions = facts.versions
        self._passes = facts.passes
        self._where = where
        self._unfinished: dict[str, Unfinished] = {}
        """By collection, the pass that `up` goes on with: some documents have its steps behind them already."""
        self._before: dict[str, list[Step]] = {}
        self._since: dict[str, list[Step]] = {}
        self._changed: dict[str, str] = {}
        """The collections that earlier steps change, with the version that does."""
        self._unforeseen: dict[str, str] = {}
        """Those among them of which it is not known how they will look."""
        self._functions: dict[str, str] = {}
        """The versions of plain functions, with the text of their files: they may do anything to what these name."""
        self.seen: dict[OperationRef, Seen] = {}
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
            if isinstance(error, MissingPrivilege) and only_reads(self._backend):
                self._listener(Notice("this user may only read: plan it as the user who will run up as well"))
            else:
                self.error = error
        for group in plan.groups:
            match group:
                case StateChange():
                    (ref,) = group.operations
                    self._other(ref, self._operation(ref))
                case NewPass() | PinnedPass() if self.error is None:
                    self._pass(group)

    def _pass(self, group: NewPass | PinnedPass) -> None:
        steps = [step_of(self._files[v], number) for v, number in group.operations]
        if isinstance(group, PinnedPass):
            record = self._passes[group.pass_id]
            self._unfinished[steps[0].collection] = Unfinished.of(self._backend, record)
        obstacle = self._obstacle(steps)
        if (function := self._named_by(_used(steps))) is not None:
            self._leave_open(group, _UNKNOWN.format(function))
        elif obstacle is not None:
            self._leave_open(group, f"its effect cannot be foreseen before {obstacle} is applied", obstacle)
        else:
            self._foresee(group, steps)
        self._remember(group, steps)

    def _other(self, ref: OperationRef, operation: Operation) -> None:
        version = ref.version
        if isinstance(operation, RunFunctions):
            self.prediction.leave_out(f"up(db) of {version}")
            self._functions[version] = self._files[version].path.read_text(encoding="utf-8", errors="replace")
        if isinstance(operation, RenameCollection):
            self._unforeseen |= {operation.old: version, operation.new: version}
        elif isinstance(operation, CreateCollection | DropCollection):
            self._unforeseen[operation.name] = version
        elif isinstance(operation, CreateIndex):
            self.prediction.add_index(self._backend.count(operation.collection))
        elif isinstance(operation, SetValidator):
            planned = OperationPlan(operation.describe(), operation.collection, None, None, None)
            self.seen[ref] = (planned, (), self._misfits(operation))

    def _misfits(self, operation: SetValidator) -> list[str]:
        """What is to be said of documents that a validator would refuse, if there are any."""
        name = operation.collection
        earlier = self._named_by({name}) or self._unforeseen.get(name) or self._changed.get(name)
        if earlier is None:
            return misfits.notes(self._backend, operation)
        return [f"which documents its validator would refuse cannot be foreseen before {earlier} is applied"]

    def _named_by(self, used: Set[str]) -> str | None:
        """The last version whose plain function names one of these collections: nothing is known of it then."""
        named = (v for v, text in self._functions.items() if any(name in text for name in used))
        return max(named, key=int, default=None)

    def _obstacle(self, steps: Sequence[Step]) -> str | None:
        """The version that has to be applied before the effect of these steps can be known."""
        walked = steps[0].collection
        for collection in (walked, steps[0].writes, *sorted(_looked_up(steps[:1]))):
            if collection in self._unforeseen:
                return self._unforeseen[collection]
        stored_only = {walked} if steps[0].on_stored else set()
        stored_only |= {steps[0].writes} - {walked}
        others = sorted(stored_only | _looked_up(steps))
        return next((self._changed[c] for c in others if c in self._changed), None)

    def _foresee(self, group: NewPass | PinnedPass, steps: Sequence[Step]) -> None:
        collection = steps[0].collection
        try:
            found = self._preview(group, steps)
        except MigrateError as caught:
            if self._functions:  # which may mend what has stopped this
                self._leave_open(group, _UNKNOWN.format(max(self._functions, key=int)))
            else:
                self.error = caught.advise(caught.hint.instead(UP, PLAN))
            return
        self.previews.append(found)
        self.prediction.add(found.work, found.factor, self._speed(collection))
        for position, ref in enumerate(group.operations):
            counts = found.counts[position]
            text = self._operation(ref).describe()
            self.seen[ref] = (
                OperationPlan(text, collection, counts.matched, counts.changed, counts.unchanged),
                found.samples[position],
                [*found.notes[position], *self._notes(collection)],
            )

    def _preview(self, group: NewPass | PinnedPass, steps: Sequence[Step]) -> Preview:
        """What it would do to real documents. Raises MigrateError."""
        collection, step = steps[0].collection, steps[0]
        before, unfinished = self._before.get(collection, ()), self._unfinished.get(collection)
        if isinstance(step, InsertStep | DeriveStep):
            pinned = unfinished if isinstance(group, PinnedPass) else None
            return preview_arrivals(self._backend, before, step, self._where, pinned, self._listener)
        since = None if isinstance(group, PinnedPass) else self._since.get(collection, ())
        return preview(self._backend, before, steps, self._where, unfinished, since, self._listener)

    def _speed(self, collection: str) -> float:
        """How many times as fast as this process alone those are that will share the pass."""
        shares = 1 if self._where else partitions.wanted(self._backend, collection)
        return 1 + _EACH_MORE * (sharing(self._settings, shares) - 1)

    def _leave_open(self, group: NewPass | PinnedPass, note: str, obstacle: str | None = None) -> None:
        """`obstacle`: the version that has to be applied before; it may be the very same."""
        for ref in group.operations:
            operation = self._operation(ref)
            self.prediction.leave_out(f"{operation.describe()} of {ref.version}")
            planned = OperationPlan(operation.describe(), operation.collection, None, None, None)
            self.seen[ref] = (planned, (), [_OWN if ref.version == obstacle else note])

    def _notes(self, collection: str) -> list[str]:
        notes = []
        if collection not in self._backend.collections():
            notes.append(f"there is no collection {collection!r}")
        if self._functions:
            last = max(self._functions, key=int)
            notes.append(f"up(db) of {last} runs before and may change what is shown here")
        return notes

    def _remember(self, group: NewPass | PinnedPass, steps: Sequence[Step]) -> None:
        collection, version = steps[0].writes, group.versions[-1]
        self._changed[collection] = version
        if steps[0].where or steps[0].pipeline or comes_or_goes(steps):
            self._unforeseen[collection] = version
            return
        self._before.setdefault(collection, []).extend(steps)
        if isinstance(group, NewPass):
            self._since.setdefault(collection, []).extend(steps)

    def _operation(self, ref: OperationRef) -> Operation:
        return self._files[ref.version].operations[ref.number]


def _used(steps: Sequence[Step]) -> set[str]:
    """The collections that these steps read or write."""
    return {steps[0].collection, steps[0].writes, *_looked_up(steps)}


def _looked_up(steps: Sequence[Step]) -> set[str]:
    """The collections that these steps look documents up in."""
    return {name for step in steps for lookup in step.looked_up.values() for name in lookup.reads}


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
