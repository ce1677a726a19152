"""What `plan` shows of the way down, with zero writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from goaime_migrate.backends.ports import Backend
from goaime_migrate.down.decisions import Outcome
from goaime_migrate.down.inserted import InsertedTotals
from goaime_migrate.down.preview import DownPass, PassPreview
from goaime_migrate.down.reverter import judge, level_below, parts_of, renamed, reverse_groups, way
from goaime_migrate.ledger import Ledger, OperationRecord, PassRecord
from goaime_migrate.planner import Facts, Plan
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

_EACH_MORE = 0.7
"""What every further process adds to the speed of the first, since they share a server too."""
_NO_TIME = Predicted(0.0, 0, 0)


def _undoing(operation: OperationRecord) -> str:
    """What taking back an operation that is no pass comes to."""
    function = operation.undo is not None and operation.undo.get("kind") == "function"
    return "run down(db)" if function else f"undo: {operation.text}"


def forecast(backend: Backend, facts: Facts, book: Ledger, plan: Plan) -> PlanResult:
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
        self._lowest: dict[str, PassPreview] = {}
        """By collection, as it is called today."""
        self._names: dict[str, str] = {}
        """What collections are called today that will have been renamed by the time."""
        self._total = Outcome()
        self._births = InsertedTotals()
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
        descent = DownPass(
            record,
            target,
            judge(record, self._files, target, group[0][0], OnConflict.KEEP),
            way(record, self._files, target, None),
            any(record.reverses),
        )
        layer = self._lowest[name] = PassPreview(self._backend, descent, self._lowest.get(name))
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
