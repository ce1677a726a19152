"""The documents of `schema_versions_progress`: passes as they were pinned, and how far their partitions have come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from goaime_migrate.backends.ports import JOURNAL, PROGRESS, Delete, Put, Reader, RecordChange
from goaime_migrate.backends.record_fields import (
    CLUSTER_TIME,
    COUNT,
    DATA,
    FLAG,
    MANY,
    MOMENT,
    NESTED,
    TEXT,
    Kinds,
    bytes_or_none,
    checked,
    numbers,
    optional,
)
from goaime_migrate.ledger.records import FORMAT, WARNING, parsed, utc
from goaime_migrate.results import Document

_PASS: dict[str, Kinds] = {
    **dict.fromkeys(("_id", "collection"), TEXT),
    **dict.fromkeys(("finished", "filtered", "committed", "complete"), FLAG),
    **dict.fromkeys(("level", "run_from"), COUNT),
    **dict.fromkeys(("total", "target_level"), optional(COUNT)),
    **dict.fromkeys(("upper", "canary"), optional(DATA)),
    **dict.fromkeys(("started_at", "run_at"), optional(MOMENT)),
    "since": optional(CLUSTER_TIME),
    "settled": optional(FLAG),
    **dict.fromkeys(("steps", "reverses", "bounds"), MANY),
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
    reverses: tuple[bool, ...]
    """For each step whether it has a `reverse=`."""
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
        return replace(
            self, steps=self.steps[:level], reverses=self.reverses[:level], level=level, target_level=None
        )


@dataclass(frozen=True)
class _Walk:
    """How far a partition of a pass has come on its way up, or down."""

    pass_id: str
    down: bool
    seq: int
    documents: int
    total: int | None = None


def read(reader: Reader) -> list[PassRecord]:
    """All passes that are recorded, with what their partitions have counted. Raises NewerFormat, DamagedRecord."""
    progress = [parsed(PROGRESS, _of_known_kind, d) for d in reader.find(PROGRESS, {})]
    passes = [parsed(PROGRESS, pass_record, d) for d in progress if d["kind"] == "pass"]
    steps = {p.id: len(p.steps) for p in passes}
    walks = [parsed(PROGRESS, lambda d: _walk(d, steps), d) for d in progress if d["kind"] == "partition"]
    return [_with_progress(reader, p, [w for w in walks if w.pass_id == p.id]) for p in passes]


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
        place = checked({"total": None, **document}, _PLACE)  # it is said once for all partitions
        return _Walk(document["pass"], True, document["seq"], place["documents"], place["total"])
    tally = checked(checked(document, _RANGE)["tally"], _TALLY)
    for name in ("changed", "conflicts"):
        numbers(tally[name], steps.get(document["pass"]))
    for warning in tally["warnings"]:
        checked(warning, WARNING)
    return _Walk(document["pass"], False, document["seq"], tally["examined"])


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
            "complete": record.complete,
            "reverses": list(record.reverses),
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


def pass_record(document: Document) -> PassRecord:
    """A pass from what `put_pass` stores."""
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
        reverses=_reverses(document["reverses"], len(steps)),
        complete=document["complete"],
        committed=document["committed"],
        started_at=utc(document["started_at"]),
        since=document["since"],
        run_at=utc(document["run_at"]),
        run_from=document["run_from"],
        target_level=document["target_level"],
        bounds=tuple(checked({"bound": b}, {"bound": DATA})["bound"] for b in document["bounds"]),
    )


def _reverses(flags: Sequence[Any], steps: int) -> tuple[bool, ...]:
    if len(flags) != steps:
        raise ValueError(f"{len(flags)} flags, {steps} steps")
    return tuple(checked({"flag": flag}, {"flag": FLAG})["flag"] for flag in flags)
