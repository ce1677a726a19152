"""A document of `schema_versions`: a version that is not pending."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Annotated, Any, NamedTuple, Self

from goaime_migrate.backends.ports import VERSIONS, Delete, Put, RecordChange
from goaime_migrate.backends.record_codec import Key, record_of
from goaime_migrate.errors import MigrateError
from goaime_migrate.ledger.records import TOOL, storable, with_format
from goaime_migrate.migration import Helper
from goaime_migrate.results import Counts, Document, State, VersionError, WarningCount


@dataclass(frozen=True)
class OperationRecord:
    """One operation of a recorded version. `pass_id` of a document operation; `undo` of any other, once it is done."""

    text: str
    pass_id: Annotated[str | None, Key("pass")] = None
    undo: Document | None = None
    started: bool = False
    done: bool = False


class Pruning(NamedTuple):
    """When a journal was pruned, and who has said so."""

    at: datetime
    who: str
    host: str


@dataclass(frozen=True)
class VersionRecord:
    """A version that is not pending."""

    version: Annotated[str, Key("_id")]
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
    error: VersionError | None = None
    rollback: str | None = None
    """None, or "pruned" once the journal is gone."""
    actor: Document = field(default_factory=dict)
    helpers: tuple[Helper, ...] = ()
    """The modules beside the migrations that it imported, as they were."""
    pruned: Pruning | None = None
    """Where `rollback` says so, unless the records were lost in another way."""
    taken_back: Counts | None = None
    """What has been taken back of it, pass by pass, by runs of `down` that were cut off."""

    def with_operation(self, index: int, **changes: Any) -> Self:
        """The record with one of its operations changed."""
        operations = list(self.operations)
        operations[index] = replace(operations[index], **changes)
        return replace(self, operations=tuple(operations))

    @property
    def passes(self) -> tuple[str, ...]:
        """The passes that its operations were part of."""
        return tuple(o.pass_id for o in self.operations if o.pass_id is not None)

    @property
    def pruned_by(self) -> str:
        """By whom its journal was pruned and when, for people."""
        if self.pruned is None:
            return "its journal was lost with the records"
        at, who, host = self.pruned
        by = f"{who or 'somebody'} on {host or 'an unknown host'}"
        return f"its journal was pruned by {by} at {at:%Y-%m-%d %H:%M} UTC"


def put_version(record: VersionRecord) -> RecordChange:
    """Store a version."""
    document = with_format(_storable(record))
    if not record.helpers:
        del document["helpers"]  # as it was before there were any
    for absent in ("pruned", "taken_back"):
        if document[absent] is None:
            del document[absent]
    return Put(VERSIONS, {**document, "tool": TOOL})


def _storable(record: VersionRecord) -> VersionRecord:
    """The record with what users' code says in it as it may be kept."""
    return replace(
        record,
        description=storable(record.description),
        operations=tuple(replace(o, text=storable(o.text)) for o in record.operations),
        warnings=tuple(replace(w, message=storable(w.message)) for w in record.warnings),
    )


def delete_version(version: str) -> RecordChange:
    """Make a version pending again."""
    return Delete(VERSIONS, {"_id": version})


def error_record(error: MigrateError) -> VersionError:
    """An error as it is kept with the version that it stopped."""
    name = None if error.field is None else storable(error.field, 200)
    return VersionError(error.code, storable(error.message, 2_000), error.id, name)


def version_record(document: Document) -> VersionRecord:
    """A version from what `put_version` stores. Raises KeyError, TypeError, ValueError."""
    record = record_of(VersionRecord, {"helpers": [], "pruned": None, "taken_back": None, **document})
    int(record.version)
    if record.state is State.PENDING:
        raise ValueError("a version that is pending has no record")
    return record
