"""The ledger: what `schema_versions` and its log say, and the changes that make them say something else.

Reading never writes. A change is a value; the executor commits it in one unit of work together with the lease's
guard, so that nobody whose lease is lost can write a record.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from typing import Any, TypeVar

from bson import ObjectId

from goaime_migrate import __version__, results
from goaime_migrate.backends.base import (
    JOURNAL,
    LOG,
    PROGRESS,
    VERSIONS,
    Delete,
    Owner,
    Put,
    Reader,
    RecordChange,
)
from goaime_migrate.backends.typed import (
    CLUSTER_TIME,
    COUNT,
    DATA,
    FLAG,
    MANY,
    MOMENT,
    NESTED,
    SECONDS,
    TEXT,
    Kinds,
    bytes_or_none,
    checked,
    numbers,
    optional,
    reading,
)
from goaime_migrate.errors import MigrateError, NewerFormat
from goaime_migrate.redaction import redact
from goaime_migrate.results import Counts, Document, State, WarningCount

FORMAT = 1
"""Of every record, the journal's included: a release that changes one raises this, so that none is read in part."""
TOOL = f"goaime-migrate {__version__}"
_Record = TypeVar("_Record")
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
_WARNING = {"version": TEXT, "message": TEXT, "count": COUNT, "examples": MANY}
_COUNTS = dict.fromkeys(("matched", "changed", "unchanged", "conflicts"), COUNT)
_PASS: dict[str, Kinds] = {
    **dict.fromkeys(("_id", "collection"), TEXT),
    **dict.fromkeys(("finished", "filtered", "reverse", "committed", "complete"), FLAG),
    **dict.fromkeys(("level", "run_from"), COUNT),
    **dict.fromkeys(("total", "target_level"), optional(COUNT)),
    "reverses": optional(MANY),
    **dict.fromkeys(("upper", "canary"), optional(DATA)),
    **dict.fromkeys(("started_at", "run_at"), optional(MOMENT)),
    "since": optional(CLUSTER_TIME),
    "settled": optional(FLAG),
    "steps": MANY,
}
_STEP = {"version": TEXT, "operation": COUNT, "checksum": TEXT}
_WALK: dict[str, Kinds] = {
    "_id": TEXT,
    "pass": TEXT,
    "seq": COUNT,
    "done": FLAG,
    "lsids": MANY,
    "fence": COUNT,
}
_RANGE: dict[str, Kinds] = {
    "number": COUNT,
    "tally": NESTED,
    **dict.fromkeys(("after", "upto", "cursor"), optional(DATA)),
}
_PLACE: dict[str, Kinds] = {
    "key": optional(TEXT),
    "offset": COUNT,
    "since": optional(CLUSTER_TIME),
    "documents": COUNT,
    "total": optional(COUNT),
}
_TALLY = {"examined": COUNT, "written": COUNT, "warnings": MANY}
_EVENT = {"at": MOMENT, "action": TEXT, "result": TEXT}
_CI_URLS = ("CI_JOB_URL", "BUILD_URL", "CIRCLE_BUILD_URL", "BUILDKITE_BUILD_URL")


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


@dataclass(frozen=True)
class PassRecord:
    """A pass, as pinned when it was opened."""

    id: str
    collection: str
    steps: tuple[tuple[str, int, str], ...]
    """(version, index of the operation, checksum) in order."""
    level: int
    """How many of its steps are in effect: all of them after `up`."""
    finished: bool
    settled: bool | None
    total: int | None
    upper: bytes | None
    canary: bytes | None
    """The filter of a canary, as BSON."""
    filtered: bool
    """Whether its steps have a `where=`."""
    reverses: tuple[bool, ...] | None
    """For each step whether it has a `reverse=`; None where an earlier release has only recorded that not all have."""
    complete: bool
    """Whether the journal knows every document that was there, those too that its filter has left out."""
    committed: bool = False
    """Whether a batch has been committed."""
    examined: int = 0
    started_at: datetime | None = None
    since: Any = None
    """The cluster time before the first batch, from which on others' writes are watched."""
    run_at: datetime | None = None
    """When the present run, or the last, took it up, and how many documents had been examined by then."""
    run_from: int = 0
    target_level: int | None = None
    """While it is being taken back: the level that it goes to,"""
    taken_back: int = 0
    """how many documents have been seen to,"""
    to_take_back: int | None = None
    """and of how many."""
    bounds: tuple[bytes, ...] = ()
    """The raw `_id`s that part its scan, ascending: one partition more than there are bounds."""

    @property
    def versions(self) -> tuple[str, ...]:
        """The versions of its steps, each once."""
        return tuple(dict.fromkeys(version for version, _, _ in self.steps))

    def down_to(self, level: int) -> PassRecord:
        """The pass with its first steps only."""
        reverses = None if self.reverses is None else self.reverses[:level]
        return replace(self, steps=self.steps[:level], reverses=reverses, level=level, target_level=None)


@dataclass(frozen=True)
class Ledger:
    """Everything recorded, read at one moment."""

    versions: Mapping[str, VersionRecord]
    passes: Mapping[str, PassRecord]

    @property
    def applied(self) -> tuple[str, ...]:
        """The versions that are applied, ascending."""
        return tuple(v for v, r in self.versions.items() if r.state is State.APPLIED)

    @property
    def unfinished(self) -> tuple[VersionRecord, ...]:
        """Versions in any state between pending and applied, ascending."""
        return tuple(r for r in self.versions.values() if r.state is not State.APPLIED)

    @property
    def open_passes(self) -> tuple[PassRecord, ...]:
        """Passes whose walk has not come to its end."""
        return tuple(p for p in self.passes.values() if not p.finished)

    def committed(self, version: str) -> bool:
        """Whether anything of this version may be in effect in the database."""
        record = self.versions[version]
        return any(
            self.passes[o.pass_id].committed
            if o.pass_id and o.pass_id in self.passes
            else o.started or o.done
            for o in record.operations
        )


def read(reader: Reader) -> Ledger:
    """The ledger as it is now. Raises NewerFormat, DamagedRecord."""
    versions = [_parsed(VERSIONS, _version, d) for d in reader.find(VERSIONS, {}, sort=[("_id", 1)])]
    progress = [_parsed(PROGRESS, _of_known_kind, d) for d in reader.find(PROGRESS, {})]
    passes = [_parsed(PROGRESS, pass_record, d) for d in progress if d["kind"] == "pass"]
    steps = {p.id: len(p.steps) for p in passes}
    walks = [_parsed(PROGRESS, lambda d: _walk(d, steps), d) for d in progress if d["kind"] == "partition"]
    ordered = sorted(versions, key=lambda r: int(r.version))
    named = {pass_id for r in versions for pass_id in r.passes}
    left = [
        p for p in passes if p.target_level != 0 or p.id in named
    ]  # others are taken back and to be forgotten
    found = [_with_progress(reader, p, [w for w in walks if w.pass_id == p.id]) for p in left]
    book = Ledger({r.version: r for r in ordered}, {p.id: p for p in found})
    for record in found:
        with reading(PROGRESS, record.id):
            _check_steps(book, record)
    return book


def _check_steps(book: Ledger, record: PassRecord) -> None:
    """Every step of a pass is an operation of a version, unless that was dropped."""
    for version, index, _ in record.steps:
        if version in book.versions and index >= len(book.versions[version].operations):
            raise ValueError(f"{version} has no operation {index}")
    if not record.steps or max(record.level, record.target_level or 0) > len(record.steps):
        raise ValueError(f"{len(record.steps)} steps, level {record.level}, to {record.target_level}")


@dataclass(frozen=True)
class _Walk:
    """How far a partition of a pass has come on its way up, or down."""

    pass_id: str
    down: bool
    seq: int
    documents: int
    total: int | None = None


def _with_progress(reader: Reader, record: PassRecord, walks: Sequence[_Walk]) -> PassRecord:
    """The pass with what its partitions have counted."""
    up, down = [w for w in walks if not w.down], [w for w in walks if w.down]
    return replace(
        record,
        committed=record.committed or any(w.seq > 0 for w in up) or journaled(reader, record.id),
        examined=sum(w.documents for w in up),
        taken_back=sum(w.documents for w in down),
        to_take_back=next((w.total for w in down if w.total is not None), None),
    )


def journaled(reader: Reader, pass_id: str) -> bool:
    """Whether a batch has begun: without transactions its documents may be written before the cursor moves."""
    segments = {"_id": {"$gte": f"{pass_id}/1", "$lt": f"{pass_id}/9"}}
    return bool(reader.find(JOURNAL, segments, limit=1, fields=["_id"]))


def _of_known_kind(document: Document) -> Document:
    if document["kind"] not in ("pass", "partition"):
        raise ValueError(f"kind is {document['kind']!r:.100}")
    return document


def _walk(document: Document, steps: Mapping[str, int]) -> _Walk:
    """A partition's pass, how many batches it has committed, and how many documents it has seen to."""
    checked(document, _WALK)
    for session in document["lsids"]:
        checked(session, {})
    if document["walk"] == "down":
        place = checked({"documents": 0, "total": None, **document}, _PLACE)
        return _Walk(document["pass"], True, document["seq"], place["documents"], place["total"])
    tally = checked(checked(document, _RANGE)["tally"], _TALLY)
    for name in ("changed", "conflicts"):
        numbers(tally[name], steps.get(document["pass"]))
    for warning in tally["warnings"]:
        checked(warning, _WARNING)
    return _Walk(document["pass"], False, document["seq"], tally["examined"])


def _parsed(collection: str, parse: Callable[[Document], _Record], document: Document) -> _Record:
    """A record as a value. Raises NewerFormat, DamagedRecord."""
    newer = document.get("format", 0)
    if isinstance(newer, int) and newer > FORMAT:
        raise NewerFormat(
            f"the record {document['_id']!r} has format {document['format']}; {TOOL} knows up to {FORMAT}",
            hint="upgrade: pip install --upgrade goaime-migrate",
        )
    with reading(collection, document.get("_id")):
        return parse(document)


def history(reader: Reader) -> tuple[results.HistoryEntry, ...]:
    """The log, oldest first. Raises DamagedRecord."""
    return tuple(_parsed(LOG, _event, d) for d in reader.find(LOG, {}, sort=[("at", 1), ("_id", 1)]))


def _event(document: Document) -> results.HistoryEntry:
    d = {"version": None, "duration_s": None, "who": "", "host": "", "tool": "", **document}
    checked(d, _EVENT | dict.fromkeys(("who", "host", "tool"), TEXT))
    checked(d, {"version": optional(TEXT), "duration_s": optional(SECONDS)})
    return results.HistoryEntry(
        at=d["at"].replace(tzinfo=UTC),
        version=d["version"],
        action=d["action"],
        result=d["result"],
        duration_s=d["duration_s"],
        who=d["who"],
        host=d["host"],
        tool=d["tool"],
    )


def was_reverted(reader: Reader, version: str) -> bool:
    """Whether the log says that a version has ever been taken back."""
    event = {"version": version, "action": "down", "result": "reverted"}
    return bool(reader.find(LOG, event, limit=1, fields=["_id"]))


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


def put_pass(record: PassRecord) -> Put:
    """Store a pass; what its partitions count is not part of it."""
    return Put(
        PROGRESS,
        {
            "_id": record.id,
            "kind": "pass",
            "format": FORMAT,
            "collection": record.collection,
            "steps": [{"version": v, "operation": i, "checksum": c} for v, i, c in record.steps],
            "level": record.level,
            "finished": record.finished,
            "settled": record.settled,
            "total": record.total,
            "upper": record.upper,
            "canary": record.canary,
            "filtered": record.filtered,
            "reverse": all(record.reverses or (False,)),
            "complete": record.complete,
            "reverses": None if record.reverses is None else list(record.reverses),
            "started_at": record.started_at,
            "since": record.since,
            "run_at": record.run_at,
            "run_from": record.run_from,
            "target_level": record.target_level,
            "committed": record.committed,
            "bounds": list(record.bounds),
        },
    )


def delete_pass(pass_id: str) -> tuple[RecordChange, RecordChange]:
    """Forget a pass and its partitions."""
    return Delete(PROGRESS, {"_id": pass_id}), Delete(PROGRESS, {"pass": pass_id})


def log(
    at: datetime, owner: Owner, action: str, result: str, version: str | None, duration_s: float | None = None
) -> RecordChange:
    """An event for the log."""
    return Put(
        LOG,
        {
            "_id": ObjectId(),
            "format": FORMAT,
            "at": at,
            "version": version,
            "action": action,
            "result": result,
            "duration_s": duration_s,
            "who": owner.who,
            "host": owner.host,
            "tool": TOOL,
        },
    )


def error_record(error: MigrateError) -> Document:
    """An error as it is kept with the version that it stopped."""
    name = None if error.field is None else storable(error.field, 200)
    return {"code": error.code, "message": storable(error.message, 2_000), "id": error.id, "field": name}


def storable(text: str, length: int | None = None) -> str:
    """What users' code says, as it may be kept in a record: without secrets, cut, and such that BSON can hold it.

    Every text of theirs that goes into a record goes through here. What a record needs word for word, to undo an
    operation, does not.
    """
    return redact(text)[:length].encode("utf-8", "backslashreplace").decode()


@cache
def _git_commit() -> str | None:
    import subprocess

    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"],  # noqa: S607 (git is where PATH says)
            capture_output=True,
            text=True,
            timeout=2,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def actor(owner: Owner) -> Document:
    """Who applies a version, from where and from what code."""
    env = os.environ
    url = next((env[name] for name in _CI_URLS if env.get(name)), None)
    if url is None and env.get("GITHUB_RUN_ID"):
        url = f"{env.get('GITHUB_SERVER_URL')}/{env.get('GITHUB_REPOSITORY')}/actions/runs/{env['GITHUB_RUN_ID']}"
    return {
        "user": owner.who,
        "host": owner.host,
        "pid": owner.pid,
        "ci_url": url and storable(url),
        "git_commit": _git_commit(),
    }


def _version(document: Document) -> VersionRecord:
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
            WarningCount(**(checked(w, _WARNING) | {"examples": tuple(w["examples"])}))
            for w in document["warnings"]
        ),
        started_at=_utc(document["started_at"]),
        applied_at=_utc(document["applied_at"]),
        duration_s=document["duration_s"],
        error=document["error"],
        rollback=document["rollback"],
        actor=document["actor"],
    )


def pass_record(document: Document) -> PassRecord:
    """A pass from what `put_pass` stores."""
    checked(document, dict.fromkeys(("reverse", "filtered"), FLAG))
    knows = document["reverse"] or not document["filtered"]
    document = {"reverses": None, "complete": knows, **document}  # earlier releases have not stored these
    steps = [checked(step, _STEP) for step in checked(document, _PASS)["steps"]]
    for step in steps:
        int(step["version"])
    return PassRecord(
        id=document["_id"],
        collection=document["collection"],
        steps=tuple((s["version"], s["operation"], s["checksum"]) for s in steps),
        level=document["level"],
        finished=document["finished"],
        settled=document["settled"],
        total=document["total"],
        upper=bytes_or_none(document["upper"]),
        canary=bytes_or_none(document["canary"]),
        filtered=document["filtered"],
        reverses=_reverses(document, len(steps)),
        complete=document["complete"],
        committed=document["committed"],
        started_at=_utc(document["started_at"]),
        since=document["since"],
        run_at=_utc(document["run_at"]),
        run_from=document["run_from"],
        target_level=document["target_level"],
        bounds=tuple(checked({"bound": b}, {"bound": DATA})["bound"] for b in document.get("bounds", ())),
    )


def _reverses(document: Document, steps: int) -> tuple[bool, ...] | None:
    """Which steps of a pass have a `reverse=`; earlier releases have recorded whether all have."""
    listed = document["reverses"]
    if listed is None:
        return (document["reverse"],) * steps if document["reverse"] or steps == 1 else None
    if len(listed) != steps:
        raise ValueError(f"{len(listed)} flags, {steps} steps")
    return tuple(checked({"flag": flag}, {"flag": FLAG})["flag"] for flag in listed)


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.replace(tzinfo=UTC)
