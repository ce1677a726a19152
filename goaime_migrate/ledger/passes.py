"""The documents of `schema_versions_progress`: passes as they were pinned, and how far their partitions have come."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, NamedTuple, Self

from bson import Timestamp

from goaime_migrate.backends.ports import JOURNAL, PROGRESS, Delete, Put, Reader, RecordChange
from goaime_migrate.backends.record_codec import Key, Keys, NotStored, record_of
from goaime_migrate.ledger.partitions import TakenBack, Walked, Written, partition
from goaime_migrate.ledger.records import parse, with_format
from goaime_migrate.results import Counts, Document

Pin = Annotated[tuple[str, int, str], Keys(("version", "operation", "checksum"))]
"""A step as it was when the pass was opened: its version, the index of the operation, the checksum of the file."""


class VersionCounts(NamedTuple):
    """What the partitions of an unfinished pass have counted of a version."""

    version: str
    operation: int
    """One of those that are steps of the pass: all are done together."""
    documents: Counts
    warnings: int


@dataclass(frozen=True)
class PassRecord:
    """A pass, as pinned when it was opened, and what its partitions have counted since."""

    id: Annotated[str, Key("_id")]
    collection: str
    steps: tuple[Pin, ...]
    """In order."""
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
    complete: bool
    """Whether the journal knows every document that was there, those too that its filter has left out."""
    reverses: tuple[bool, ...]
    """For each step whether it has a `reverse=`."""
    started_at: datetime | None = None
    since: Timestamp | None = None
    """The cluster time before the first batch, from which on others' writes are watched."""
    run_at: datetime | None = None
    """When the present run, or the last, took it up, and how many documents had been examined by then."""
    run_from: int = 0
    target_level: int | None = None
    """While it is being taken back, the level that it goes to."""
    committed: bool = False
    """Whether a batch has been committed."""
    bounds: tuple[bytes, ...] = ()
    """The raw `_id`s that part its scan, ascending: one partition more than there are bounds."""
    written: tuple[Written, ...] | None = None
    """What its partitions have journaled, once it is finished; while it is not, what they have so far."""
    deployment: str | None = None
    """The replica set in which it was opened, its collection's UUID, and that of the records: whether the database is
    still the same. None where that is not known."""
    uuid: bytes | None = None
    records: bytes | None = None
    restored: bool = False
    """Whether the database was restored while it was unfinished: then every document is looked at before its end."""
    target: str | None = None
    """The collection that it writes, where that is not the one that it walks over,"""
    created: bool = False
    """and whether there was none before it."""
    erased: tuple[str, ...] = ()
    """The hashes of the `_id`s of documents that were erased from its journal, as hexadecimal digits."""
    watched: Timestamp | None = None
    """The cluster time up to which all that others wrote has been looked at, by its tail and by sweeps since; None where
    nobody could watch."""
    sweeps: Annotated[tuple[Written, ...], NotStored] = ()
    """What sweeps have put into its journal since it was finished."""
    examined: Annotated[int, NotStored] = 0
    counted: Annotated[tuple[VersionCounts, ...], NotStored] = ()
    """What its partitions have counted so far, version by version; none once they are gone."""
    taken_back: Annotated[int, NotStored] = 0
    """How many documents have been seen to on the way down,"""
    to_take_back: Annotated[int | None, NotStored] = None
    """and of how many."""

    @property
    def journal_bytes(self) -> int:
        """What its partitions have put into the journal, as far as the releases that did have counted it."""
        return sum(each.size or 0 for each in (*(self.written or ()), *self.sweeps))

    @property
    def swept(self) -> bool:
        """Whether a sweep has ever written in it."""
        return any(each.segments for each in self.sweeps)

    @property
    def writes(self) -> str:
        """The collection that it writes."""
        return self.target or self.collection

    def writing(self, name: str) -> Self:
        """The pass, with another name for the collection that it writes."""
        return replace(self, collection=name) if self.target is None else replace(self, target=name)

    @property
    def versions(self) -> tuple[str, ...]:
        """The versions of its steps, each once."""
        return tuple(dict.fromkeys(version for version, _, _ in self.steps))

    def down_to(self, level: int) -> Self:
        """The pass with its first steps only."""
        return replace(
            self, steps=self.steps[:level], reverses=self.reverses[:level], level=level, target_level=None
        )


_ABSENT: Document = {
    **dict.fromkeys(("written", "deployment", "uuid", "records", "watched")),
    "restored": False,
    "target": None,
    "created": False,
    "erased": [],
}
"""What a pass of an earlier release does not have, and what it is taken for then."""


def read(reader: Reader) -> list[PassRecord]:
    """All passes that are recorded, with what their partitions have counted. Raises NewerFormat, DamagedRecord."""
    progress = [parse(PROGRESS, _of_known_kind, d) for d in reader.find(PROGRESS, {})]
    passes = [parse(PROGRESS, pass_record, d) for d in progress if d["kind"] == "pass"]
    steps = {p.id: len(p.steps) for p in passes}
    partitions: dict[str, list[Walked | TakenBack]] = {}
    for document in progress:
        if document["kind"] == "partition":
            found = parse(PROGRESS, lambda d: partition(d, steps), document)
            partitions.setdefault(found.pass_id, []).append(found)
    return [_with_progress(reader, p, partitions.get(p.id, ())) for p in passes]


def _with_progress(
    reader: Reader, record: PassRecord, partitions: Sequence[Walked | TakenBack]
) -> PassRecord:
    """The pass with what its partitions have counted."""
    up = [each for each in partitions if isinstance(each, Walked) and not each.sweeps]
    down = [each for each in partitions if isinstance(each, TakenBack)]
    return replace(
        record,
        committed=record.committed or any(each.seq > 0 for each in up) or has_journal(reader, record.id),
        examined=sum(each.counts.examined for each in up),
        counted=tuple(_count_versions(record, up)) if up else (),
        written=record.written if record.finished else tuple(each.written for each in up),
        taken_back=sum(each.documents for each in down),
        sweeps=tuple(each.written for each in partitions if isinstance(each, Walked) and each.sweeps),
        to_take_back=next((each.total for each in down if each.total is not None), None),
    )


def _count_versions(record: PassRecord, partitions: Sequence[Walked]) -> Iterator[VersionCounts]:
    """Version by version. That a lookup finds nothing is known at the end of the pass, and no warning before."""
    examined = sum(each.counts.examined for each in partitions)
    written = sum(each.counts.written for each in partitions)
    warned = Counter[str]()
    for warning in (w for each in partitions for w in each.counts.warnings):
        warned[warning.version] += warning.count
    for version, operation in {version: operation for version, operation, _ in record.steps}.items():
        mine = [position for position, (each, _, _) in enumerate(record.steps) if each == version]
        changed = sum(each.counts.changed[i] for each in partitions for i in mine)
        conflicts = sum(max(each.counts.conflicts[i] for i in mine) for each in partitions)
        unchanged = examined - min(changed, written) - conflicts
        yield VersionCounts(
            version, operation, Counts(examined, changed, unchanged, conflicts), warned[version]
        )


def written(reader: Reader, record: PassRecord) -> tuple[Written, ...]:
    """What the partitions of an unfinished pass have put into the journal so far. Raises DamagedRecord."""
    steps = {record.id: len(record.steps)}
    found = reader.find(PROGRESS, {"pass": record.id, "kind": "partition"}, sort=[("_id", 1)])
    partitions = [parse(PROGRESS, lambda d: partition(d, steps), document) for document in found]
    return tuple(each.written for each in partitions if isinstance(each, Walked))


def has_journal(reader: Reader, pass_id: str) -> bool:
    """Whether a batch has begun: without transactions its documents may be written before the cursor moves."""
    segments = {"_id": {"$gte": f"{pass_id}/1", "$lt": f"{pass_id}/9"}}
    return bool(reader.find(JOURNAL, segments, limit=1, fields=["_id"]))


def _of_known_kind(document: Document) -> Document:
    if document["kind"] not in ("pass", "partition"):
        raise ValueError(f"kind is {document['kind']!r:.100}")
    return document


def put_pass(record: PassRecord) -> Put:
    """Store a pass; what its partitions count is not part of it."""
    document = with_format(record, kind="pass")
    if not record.erased:
        del document["erased"]
    if record.watched is None:
        del document["watched"]
    return Put(PROGRESS, document)


def delete_pass(pass_id: str) -> tuple[RecordChange, RecordChange]:
    """Forget a pass and its partitions."""
    return Delete(PROGRESS, {"_id": pass_id}), Delete(PROGRESS, {"pass": pass_id})


def pass_record(document: Document) -> PassRecord:
    """A pass from what `put_pass` stores. Raises KeyError, TypeError, ValueError."""
    if isinstance(written := document.get("written"), list):
        sized = [{"size": None, **each} if isinstance(each, dict) else each for each in written]
        document = {**document, "written": sized}
    record = record_of(PassRecord, _ABSENT | document)
    for version, _, _ in record.steps:
        int(version)
    if len(record.reverses) != len(record.steps):
        raise ValueError(f"{len(record.reverses)} flags, {len(record.steps)} steps")
    return record
