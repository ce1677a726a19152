"""What the user of the connection string may do, against what the commands and the pending operations need."""

from __future__ import annotations

from collections.abc import Iterator

from goaime_migrate.backends.ports import RECORDS, name_of
from goaime_migrate.doctor.patient import Patient, Said, fault, warn
from goaime_migrate.operations import DocumentOperation
from goaime_migrate.rules.privileges import needs_down, needs_up, reads_only

Needs = list[tuple[str, tuple[str, ...]]]
_MOST = 6
"""Actions that are listed."""
_KEEPING = ("find", "insert", "update", "remove", "createCollection", "createIndex")
"""What a run does to its own records."""


def privileges(patient: Patient) -> Said | None:
    """Whether this user may read, and may do what `up` and `down` of the pending versions need."""
    if patient.server is None:
        return None
    reading = patient.server.lacking(_reading(patient))
    if reading is not None:
        return fault(f"no command can read: {_listed(reading.actions)}", reading.grant)
    writing = patient.server.lacking(_writing(patient))
    if writing is None:
        if patient.settings.max_lag is not None:
            patient.server.members()  # raises where lag cannot be seen
        return Said("this user may do all that the commands and the pending versions need")
    if reads_only(patient.backend):
        return warn(
            "this user may only read: enough for status, plan, verify, history, try, doctor and wait",
            f"ask as the user who will run `up`; this one would need: {writing.grant}",
        )
    return fault(f"`up` would be refused: {_listed(writing.actions)}", writing.grant)


def _reading(patient: Patient) -> Needs:
    named = {name for operation in patient.pending for name in _named(operation.collection, operation.reads)}
    return [("", ("listCollections",)), *((name, ("find",)) for name in (*_records(patient), *sorted(named)))]


def _writing(patient: Patient) -> Needs:
    follows = patient.backend.capabilities.change_streams
    validated = {
        name for name, info in patient.backend.collections().items() if info.options.get("validator")
    }
    applied = {record.collection for record in patient.ledger.passes.values()}
    written = {o.writes for o in patient.pending if isinstance(o, DocumentOperation)} | applied
    return [
        *((name, _KEEPING) for name in _records(patient)),
        *needs_down(sorted(written)),
        *needs_up(patient.pending, follows=follows),
        *((name, ("bypassDocumentValidation",)) for name in sorted(validated & written)),
    ]


def _records(patient: Patient) -> Iterator[str]:
    return (name_of(each, patient.settings.records) for each in RECORDS)


def _named(collection: str | None, reads: frozenset[str]) -> frozenset[str]:
    return reads if collection is None else reads | {collection}


def _listed(actions: tuple[str, ...]) -> str:
    more = f", and {len(actions) - _MOST} more" if len(actions) > _MOST else ""
    return f"it may not do {', '.join(actions[:_MOST])}{more}"
