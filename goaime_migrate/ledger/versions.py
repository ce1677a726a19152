"""A document of `schema_versions`: a version that is not pending."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from goaime_migrate.backends.ports import VERSIONS, Delete, Put, RecordChange
from goaime_migrate.backends.record_fields import (
    COUNT,
    FLAG,
    MANY,
    MOMENT,
    NESTED,
    SECONDS,
    TEXT,
    Kinds,
    checked,
    optional,
)
from goaime_migrate.errors import MigrateError
from goaime_migrate.ledger.records import FORMAT, TOOL, WARNING, storable, utc
from goaime_migrate.results import Counts, Document, State, WarningCount

_VERSION: dict[str, Kinds] = {
    **dict.fromkeys(("_id", "name", "description", "state", "checksum"), TEXT),
    **dict.fromkeys(("operations", "warnings"), MANY),
    **dict.fromkeys(("documents", "error"), optional(NESTED)),
    **dict.fromkeys(("started_at", "applied_at"), optional(MOMENT)),
    "duration_s": SECONDS,
    "rollback": optional(TEXT),
    "actor": NESTED,
}
_OPERATION = {
    "text": TEXT,
    "pass": optional(TEXT),
    "undo": optional(NESTED),
    "started": FLAG,
    "done": FLAG,
}
_COUNTS = dict.fromkeys(("matched", "changed", "unchanged", "conflicts"), COUNT)


@dataclass(frozen=True)
class OperationRecord:
    """One operation of a recorded version. `pass_id` of a document operation; `undo` of any other, once it is done."""

    text: str
    pass_id: str | None = None
    undo: Document | None = None
    started: bool = False
    done: bool = False


@dataclass(frozen=True)
class VersionRecord:
    """A version that is not pending."""

    version: str
    name: str
    description: str
    state: State
    checksum: str
    operations: tuple[OperationRecord, ...]
    documents: Counts | None = None
    warnings: tuple[WarningCount, ...] = ()
    started_at: datetime | None = None
    applied_at: datetime | None = None
    duration_s: float = 0.0
    error: Document | None = None
    rollback: str | None = None
    """None, or "pruned" once the journal is gone."""
    actor: Document = field(default_factory=dict)

    def with_operation(self, index: int, **changes: Any) -> VersionRecord:
        """The record with one of its operations changed."""
        operations = list(self.operations)
        operations[index] = replace(operations[index], **changes)
        return replace(self, operations=tuple(operations))

    @property
    def passes(self) -> tuple[str, ...]:
        """The passes that its operations were part of."""
        return tuple(o.pass_id for o in self.operations if o.pass_id is not None)


def put_version(record: VersionRecord) -> RecordChange:
    """Store a version."""
    return Put(
        VERSIONS,
        {
            "_id": record.version,
            "format": FORMAT,
            "name": record.name,
            "description": storable(record.description),
            "state": str(record.state),
            "checksum": record.checksum,
            "operations": [
                {
                    "text": storable(o.text),
                    "pass": o.pass_id,
                    "undo": o.undo,
                    "started": o.started,
                    "done": o.done,
                }
                for o in record.operations
            ],
            "documents": None if record.documents is None else vars(record.documents).copy(),
            "warnings": [
                vars(w) | {"message": storable(w.message), "examples": list(w.examples)}
                for w in record.warnings
            ],
            "started_at": record.started_at,
            "applied_at": record.applied_at,
            "duration_s": record.duration_s,
            "error": record.error,
            "rollback": record.rollback,
            "actor": record.actor,
            "tool": TOOL,
        },
    )


def delete_version(version: str) -> RecordChange:
    """Make a version pending again."""
    return Delete(VERSIONS, {"_id": version})


def error_record(error: MigrateError) -> Document:
    """An error as it is kept with the version that it stopped."""
    name = None if error.field is None else storable(error.field, 200)
    return {"code": error.code, "message": storable(error.message, 2_000), "id": error.id, "field": name}


def version_record(document: Document) -> VersionRecord:
    """A version from what `put_version` stores. Raises ValueError."""
    int(checked(document, _VERSION)["_id"])
    if document["state"] == State.PENDING:
        raise ValueError("a version that is pending has no record")
    counts = document["documents"]
    return VersionRecord(
        version=document["_id"],
        name=document["name"],
        description=document["description"],
        state=State(document["state"]),
        checksum=document["checksum"],
        operations=tuple(
            OperationRecord(o["text"], o["pass"], o["undo"], o["started"], o["done"])
            for o in (checked(each, _OPERATION) for each in document["operations"])
        ),
        documents=None if counts is None else Counts(**checked(counts, _COUNTS)),
        warnings=tuple(
            WarningCount(**(checked(w, WARNING) | {"examples": tuple(w["examples"])}))
            for w in document["warnings"]
        ),
        started_at=utc(document["started_at"]),
        applied_at=utc(document["applied_at"]),
        duration_s=document["duration_s"],
        error=document["error"],
        rollback=document["rollback"],
        actor=document["actor"],
    )
