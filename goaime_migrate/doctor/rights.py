"""What the user of the connection string may do, against what the commands and the pending operations need."""

from __future__ import annotations

from collections.abc import Iterator

from goaime_migrate.backends.ports import RECORDS, Need, name_of
from goaime_migrate.doctor.patient import Patient, Said, fault, warn
from goaime_migrate.migration import Migration, Operation
from goaime_migrate.operations import DocumentOperation
from goaime_migrate.rules.privileges import need_down, needs_records, needs_up, reads_only

Needs = list[Need]
_MOST = 6
"""Actions that are listed."""


def privileges(patient: Patient) -> Said | None:
    """Whether this user may read, and may do what `up` and `down` of the pending versions need."""
    if patient.server is None:
        return None
    reading = patient.server.lacking(_reading(patient)) or patient.server.lacking(_looking(patient))
    if reading is not None:
        return fault(f"not all can be read that the commands need: {_list(reading.actions)}", reading.grant)
    up, down = _up(patient), _down(patient)
    lacking = patient.server.lacking([*up, *down])
    if lacking is None:
        if patient.settings.max_lag is not None:
            patient.server.members()  # raises where lag cannot be seen
        return Said("this user may do all that the commands and the pending versions need")
    if reads_only(patient.backend, patient.pending):
        return warn(
            "this user may only read: enough for status, plan, verify, history, try, doctor and wait",
            f"ask as the user who will run `up`; this one would need: {lacking.grant}",
        )
    refused = patient.server.lacking(up)
    command, actions = ("down", lacking.actions) if refused is None else ("up", refused.actions)
    return fault(f"`{command}` would be refused: {_list(actions)}", lacking.grant)


def _reading(patient: Patient) -> Needs:
    return [
        Need("", ("listCollections",)),
        *(Need(name_of(each, patient.settings.records), ("find",)) for each in RECORDS),
    ]


def _looking(patient: Patient) -> Needs:
    """What `plan` looks at, of the collections that are there the indexes too: views have none."""
    named = {name for operation in patient.pending for name in _named(operation)}
    stored = {name for name, info in patient.backend.collections().items() if info.kind != "view"}
    return [Need(name, ("find", "listIndexes") if name in stored else ("find",)) for name in sorted(named)]


def _up(patient: Patient) -> Needs:
    """What `up` asks for, which does not ask where nothing is pending."""
    if not patient.pending:
        return []
    return [*needs_records(patient.backend), *needs_up(patient.backend, patient.pending)]


def _down(patient: Patient) -> Needs:
    """To take back what is applied, and what is pending once it is applied too."""
    written = [(o.writes, o) for o in patient.pending if isinstance(o, DocumentOperation)]
    taken = [*written, *_applied_operations(patient)]
    validated = {n for n, info in patient.backend.collections().items() if info.options.get("validator")}
    passed_over = sorted(validated & {name for name, _ in taken})
    return [
        *needs_records(patient.backend),
        *(need_down(name, operation) for name, operation in taken),
        *(Need(name, ("bypassDocumentValidation",)) for name in passed_over),
    ]


def _applied_operations(patient: Patient) -> Iterator[tuple[str, Operation | None]]:
    """The steps of all passes: the collection that each has written, and its operation where its file is there."""
    for record in patient.ledger.passes.values():
        for version, number, _ in record.steps:
            yield record.target or record.collection, _operation(patient.facts.code.get(version), number)


def _operation(file: Migration | None, number: int) -> Operation | None:
    return file.operations[number] if file is not None and number < len(file.operations) else None


def _named(operation: Operation) -> frozenset[str]:
    return operation.reads if operation.collection is None else operation.reads | {operation.collection}


def _list(actions: tuple[str, ...]) -> str:
    more = f", and {len(actions) - _MOST} more" if len(actions) > _MOST else ""
    return f"it may not do {', '.join(actions[:_MOST])}{more}"
