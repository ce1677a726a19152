"""What `plan` shows of the way down, with zero writes."""

from __future__ import annotations

from goaime_migrate.backends.ports import Backend
from goaime_migrate.down.code import decisions, reverse_chain, undoing
from goaime_migrate.down.decisions import Outcome
from goaime_migrate.down.inserted import InsertedTotals
from goaime_migrate.down.preview import DownPass, PassPreview
from goaime_migrate.down.reverter import require_journals
from goaime_migrate.errors import Conflicts, MigrateError, MissingPrivilege, Refused
from goaime_migrate.ledger import Ledger, OperationRecord, PassRecord
from goaime_migrate.planner import DownPlan, Facts
from goaime_migrate.planner.groups import DownGroup, ForgetSteps, OperationRef, RestorePass
from goaime_migrate.results import (
    Counts,
    Direction,
    DownPreview,
    OnConflict,
    OperationPlan,
    PlanResult,
    Predicted,
    StepPlan,
)
from goaime_migrate.rules.privileges import reads_only
from goaime_migrate.run.preflight import require_down

_NO_TIME = Predicted(0.0, 0, 0)


def forecast(
    backend: Backend, facts: Facts, ledger: Ledger, plan: DownPlan, on_conflict: OnConflict
) -> PlanResult:
    """What taking back would find, counted over the whole journal, or as far as the first conflict that stops it."""
    unusable = without_journal(backend, facts, ledger, plan)
    if unusable is not None:
        return PlanResult.unmade(Direction.DOWN, plan.target, unusable)
    found = _Forecast(backend, facts, ledger, plan, on_conflict)
    refused = _refusal(backend, ledger, plan)
    try:
        for group in plan.groups:
            found.group(group)
    except MigrateError as error:  # where it is refused anyway it counts as far as that can be seen
        if refused is None and not isinstance(error, Conflicts):
            raise
        refused = refused or error
    steps = tuple(found.step(v) for v in plan.versions)
    return PlanResult(
        Direction.DOWN,
        plan.target,
        steps,
        _NO_TIME,
        refused,
        preview=found.preview(),
        message=plan.message,
    )


def without_journal(backend: Backend, facts: Facts, ledger: Ledger, plan: DownPlan) -> Refused | None:
    """Why a way down cannot begin: what it would give back is not whole, or of another database."""
    try:
        require_journals(backend, plan, ledger.passes, facts.code)
    except Refused as error:
        return error
    return None


def _refusal(backend: Backend, ledger: Ledger, plan: DownPlan) -> MigrateError | None:
    """What `down` would refuse beforehand."""
    try:
        require_down(backend, plan, ledger.versions, ledger.passes)
    except MigrateError as error:
        return None if isinstance(error, MissingPrivilege) and reads_only(backend) else error
    return None


class _Forecast:
    """The passes of a plan, each seen through those that are taken back before it."""

    def __init__(
        self, backend: Backend, facts: Facts, ledger: Ledger, plan: DownPlan, on_conflict: OnConflict
    ) -> None:
        self._backend = backend
        self._on_conflict = on_conflict
        self._files = facts.code
        self._ledger = ledger
        self._left: dict[str, PassRecord] = {}
        """What will be left of passes of which some steps have been taken back."""
        self._lowest: dict[str, PassPreview] = {}
        """By collection, as it is called today."""
        self._total = Outcome()
        self._inserted = InsertedTotals()
        self.counted: dict[str, list[OperationPlan]] = {v: [] for v in plan.versions}

    def group(self, group: DownGroup) -> None:
        """What would become of the operations of one group."""
        match group:
            case RestorePass():
                self._count(group, self._pass(group))
            case ForgetSteps():
                self._count(group, Counts())  # that was done before a `down` was cut off
            case _:
                ref = group.operations[0]
                text = undoing(self._operation(ref))
                self.counted[ref.version].append(OperationPlan(text, None, None, None, None))

    def _count(self, group: RestorePass | ForgetSteps, counts: Counts) -> None:
        collection = self._ledger.passes[group.pass_id].writes
        for ref in group.operations:
            text = f"undo: {self._operation(ref).text}"
            self.counted[ref.version].append(
                OperationPlan(text, collection, counts.matched, counts.changed, counts.unchanged)
            )

    def _pass(self, group: RestorePass) -> Counts:
        whole = self._left.get(group.pass_id) or self._ledger.passes[group.pass_id]
        record = whole.writing(group.today)
        down = DownPass(
            record,
            group.level,
            decisions(record, self._files, group.level, group.versions[0], self._on_conflict),
            reverse_chain(record, self._files, group.level, None),
            any(record.reverses),
        )
        layer = self._lowest[group.today] = PassPreview(self._backend, down, self._lowest.get(group.today))
        self._left[group.pass_id] = whole.down_to(group.level)
        outcome, inserted = layer.preview()
        self._total.add(outcome)
        self._inserted.note(group.today, inserted)
        return outcome.counts()

    def _operation(self, ref: OperationRef) -> OperationRecord:
        return self._ledger.versions[ref.version].operations[ref.number]

    def step(self, version: str) -> StepPlan:
        """What would become of a version."""
        name, told = self._ledger.versions[version].name, self._total.told.warning_counts()
        warnings = tuple(each for each in told if each.version == version)
        return StepPlan(
            version, name, tuple(self.counted[version]), (), irreversible=False, warnings=warnings
        )

    def preview(self) -> DownPreview:
        """The counts over all of them."""
        total, inserted = self._total, self._inserted.total
        return DownPreview(
            exact=total.exact + total.already - total.before_sweep,
            merged=total.merged,
            conflicts=total.in_conflict,
            born=inserted.taken_back + inserted.left,
            left=inserted.left,
            without_reverse=inserted.without_reverse,
            erased=len(total.erased),
            before_sweep=total.before_sweep,
        )
