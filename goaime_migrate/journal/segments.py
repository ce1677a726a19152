"""The journal: what every written document was before, so that `down` can give it back byte for byte.

A segment is the journal of one batch. It holds for each document that the batch wrote the bytes from before, a hash
of the bytes from after, and a hash of every top-level field that was changed; also the `_id`s of the documents that
were examined and left alone, so that those that were inserted later can be told from them.

Segments of a pass sort by `_id`: kind, partition, sequence number and part (a segment may be larger than a document
can be, so it is cut into parts).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from bson import Binary

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.bson_order import id_key
from goaime_migrate.backends.ports import JOURNAL, Add, Delete, Put, Reader, RecordChange
from goaime_migrate.backends.record_fields import (
    COUNT,
    DATA,
    MANY,
    TEXT,
    Kinds,
    optional,
    raw_id_or_none,
    reading,
    require_kinds,
)
from goaime_migrate.backends.record_fields import of_kind as value_of_kind
from goaime_migrate.journal import traces
from goaime_migrate.journal.digest import digest
from goaime_migrate.journal.entry import Entry
from goaime_migrate.journal.kinds import WRITTEN, Kind
from goaime_migrate.journal.payload import decode_payload, encode_payload
from goaime_migrate.journal.seal import seal, unseal
from goaime_migrate.results import Document

_PAYLOAD = 2**31 - 1
"""Bytes of the largest document of any kind, which a payload is."""
_HEAD: dict[str, Kinds] = {
    **dict.fromkeys(("pass", "kind"), TEXT),
    "version": optional(TEXT),
    "written": optional(COUNT),
    **dict.fromkeys(("partition", "seq", "level", "documents", "parts"), COUNT),
    **dict.fromkeys(("after", "upto"), optional(DATA)),
}


@dataclass(frozen=True)
class Segment:
    """The journal of one batch over the `_id`s after < _id <= upto (None: from the beginning, to the end)."""

    pass_id: str
    kind: Kind
    partition: int
    seq: int
    after: bytes | None = None
    upto: bytes | None = None
    entries: tuple[Entry, ...] = ()
    unchanged: tuple[bytes, ...] = ()
    level: int = field(default=0)
    """How many steps of the pass are in effect in these documents."""
    version: str | None = None
    """Of documents that were left: the version that has no `reverse=`."""
    written: int | None = None
    """How many entries it had when its batch was committed, where some may have gone since."""
    erased: tuple[bytes, ...] = ()
    """The hashes of the `_id`s of documents that were written, and of which it keeps nothing else any more;"""
    hidden: tuple[bytes, ...] = ()
    """and of others that were examined and left alone."""

    @property
    def key(self) -> str:
        """The common beginning of the `_id`s of its records."""
        return f"{self.pass_id}/{self.kind}/{self.partition:04d}/{self.seq:08d}/"

    def records(self) -> list[Document]:
        """The segment as it is stored."""
        head: Document = {
            "_id": f"{self.key}000",
            "pass": self.pass_id,
            "kind": str(self.kind),
            "partition": self.partition,
            "seq": self.seq,
            "after": _binary(self.after),
            "upto": _binary(self.upto),
            "level": self.level,
            "documents": len(self.entries),
            "unchanged": len(self.unchanged),
            "written": len(self.entries) if self.written is None else self.written,
        }
        if self.version is not None:
            head["version"] = self.version
        for name, hashes in (("erased", self.erased), ("hidden", self.hidden)):
            if hashes:
                head[name] = [Binary(each) for each in hashes]
        if self.kind is not Kind.SCAN:
            head["ids"] = [*traces.exact(self.ids), *self.hashes]
        elif found_by := [*traces.fewest(self._made), *self.hashes]:
            head["ids"] = found_by
        return seal(head, encode_payload(self.entries, self.unchanged), self.key + "{:03d}")

    @property
    def ids(self) -> list[bytes]:
        """The documents by whose `_id`s it can be found where it is none of the scan's."""
        examined = self.unchanged if self.kind in (Kind.CANARY, Kind.LEFT, Kind.SWEEP) else ()
        sources = dict.fromkeys(entry.source for entry in self.entries if entry.source)
        return [*(entry.id for entry in self.entries), *sources, *examined]

    def knows(self, ids: Collection[bytes]) -> set[bytes]:
        """Those of these documents that its batch has examined."""
        return {e.id for e in self.entries if e.id in ids}.union(i for i in self.unchanged if i in ids) | set(
            self.has_erased(ids)
        )

    def has_erased(self, ids: Iterable[bytes]) -> list[bytes]:
        """Those of these documents that were erased from it."""
        hashes = frozenset(self.hashes)
        return [identity for identity in ids if digest(identity) in hashes] if hashes else []

    @property
    def hashes(self) -> tuple[bytes, ...]:
        """Of the `_id`s of all documents that were erased from it."""
        return (*self.erased, *self.hidden)

    @property
    def _made(self) -> list[bytes]:
        """The documents that lie in no range of those that were walked over."""
        return [entry.id for entry in self.entries if entry.before is None]

    def puts(self) -> list[Put]:
        """The changes that store it."""
        return [Put(JOURNAL, record) for record in self.records()]

    def adds(self) -> list[Add]:
        """The changes that store it for the first time."""
        return [Add(JOURNAL, record) for record in self.records()]

    def replacement(self) -> list[RecordChange]:
        """The changes that store it in the place of a larger one with its key."""
        records = self.records()
        rest = {"$gte": f"{self.key}{len(records):03d}", "$lt": f"{self.key}\uffff"}
        return [*(Put(JOURNAL, record) for record in records), Delete(JOURNAL, {"_id": rest})]


def _binary(value: bytes | None) -> Binary | None:
    return None if value is None else Binary(value)


def read(reader: Reader, key: str) -> Segment | None:
    """The segment with this key, if there is one."""
    records = reader.find(JOURNAL, within(key), sort=[("_id", 1)])
    return assemble(records) if records else None


def keys(reader: Reader, pass_id: str, kind: Kind) -> list[str]:
    """The keys of all segments of this kind, ascending; only the indexed `_id`s are read."""
    records = reader.find(JOURNAL, within(f"{pass_id}/{kind}/"), sort=[("_id", 1)], fields=["_id"])
    return [record["_id"][:-3] for record in records if record["_id"].endswith("/000")]


def holds(reader: Reader, pass_id: str, kinds: Iterable[Kind]) -> bool:
    """Whether there is a segment of one of these kinds; a short query for each."""
    return any(reader.find(JOURNAL, of_kind(pass_id, kind), limit=1, fields=["_id"]) for kind in kinds)


def count(reader: Reader, pass_id: str) -> int:
    """How many documents the journal of a pass holds."""
    total = 0
    for kind in WRITTEN:
        for record in reader.find(JOURNAL, of_kind(pass_id, kind), fields=["documents"]):
            with reading(JOURNAL, record["_id"]):
                total += require_kinds({"documents": 0, **record}, {"documents": COUNT})["documents"]
    return total


@dataclass
class Known:
    """The newest entries by id, and the ids that were examined and left alone."""

    entries: dict[bytes, Entry] = field(default_factory=dict)
    unchanged: set[bytes] = field(default_factory=set)

    def add(self, segment: Segment, wanted: frozenset[bytes]) -> None:
        """What a segment, newer than all before it, says of the wanted ids."""
        if segment.kind is Kind.SWEEP:
            for identity in wanted.intersection(segment.unchanged):
                self.entries.pop(identity, None)
        self.entries.update((entry.id, entry) for entry in segment.entries if entry.id in wanted)
        self.unchanged.update(wanted.intersection(segment.unchanged), segment.has_erased(wanted))


def entries_of(reader: Reader, pass_id: str, ids: Sequence[bytes]) -> dict[bytes, Entry]:
    """The newest entry of each of these documents among canary, tail and sweep segments."""
    return known(reader, pass_id, ids).entries


def known(reader: Reader, pass_id: str, ids: Sequence[bytes]) -> Known:
    """What canary, tail and sweeps have done with these documents."""
    found, wanted = Known(), frozenset(ids)
    for key in holders(reader, pass_id, ids):
        segment = read(reader, key)
        if segment is not None and segment.kind is not Kind.LEFT:
            found.add(segment, wanted)
    return found


def holders(reader: Reader, pass_id: str, ids: Sequence[bytes] | None) -> list[str]:
    """The keys of the segments that are found by any of these documents (None: any at all), ascending.

    They need not hold one: see `traces`.
    """
    # An `_id` may be too long to be kept once more.
    wanted = {"$exists": True} if ids is None else {"$in": traces.of_any(ids)}
    heads = reader.find(JOURNAL, {"ids": wanted, "pass": pass_id}, sort=[("_id", 1)], fields=["_id"])
    return [head["_id"][:-3] for head in heads]


def of_kind(pass_id: str, kind: Kind) -> dict[str, Any]:
    """The filter for the records of one kind."""
    return within(f"{pass_id}/{kind}/")


def drop_kind(pass_id: str, kind: Kind) -> RecordChange:
    """The change that removes the segments of one kind."""
    return Delete(JOURNAL, within(f"{pass_id}/{kind}/"))


def within(prefix: str) -> dict[str, Any]:
    """The filter for the records whose `_id`s begin so."""
    return {"_id": {"$gte": prefix, "$lt": prefix + "\uffff"}}


def assemble(records: Sequence[Document]) -> Segment:
    """The segment that these records hold, in their order. Raises DamagedRecord, NewerFormat."""
    head = records[0]
    with reading(JOURNAL, head["_id"]):
        require_kinds({"version": None, "written": None, **head}, _HEAD)
        entries, unchanged = decode_payload(unseal(records, _most(head), single=True))
        segment = Segment(
            head["pass"],
            Kind(head["kind"]),
            head["partition"],
            head["seq"],
            raw_id_or_none(head["after"]),
            raw_id_or_none(head["upto"]),
            entries,
            unchanged,
            head["level"],
            head.get("version"),
            head.get("written", head["documents"]),
            *(_hashes(name, head.get(name, [])) for name in ("erased", "hidden")),
        )
        _require_coherent(segment, head)
        return segment


def _hashes(name: str, found: Any) -> tuple[bytes, ...]:
    """Raises TypeError."""
    return tuple(bytes(value_of_kind(DATA, name, each)) for each in value_of_kind(MANY, name, found))


def _most(head: Document) -> int:
    """Bytes that its batch can have made of so many documents; format 1 does not say how many it left alone."""
    documents: int = 1 + head["documents"] + head.get("unchanged", _PAYLOAD)
    return min(_PAYLOAD, 2 * documents * raw_bson.MAX_DOCUMENT)


def _require_coherent(segment: Segment, head: Document) -> None:
    """What a segment holds is what its head says. Raises ValueError."""
    if head["_id"] != f"{segment.key}000":
        raise ValueError(f"it says of itself that it is {segment.key}000")
    if len(segment.entries) != head["documents"]:
        raise ValueError(f"{len(segment.entries)} documents of {head['documents']} are there")
    after = None if segment.after is None else id_key(segment.after)
    upto = None if segment.upto is None else id_key(segment.upto)
    if after is None and upto is None:
        return
    walked = (entry.source if entry.before is None else entry.id for entry in segment.entries)
    for identity in (*filter(None, walked), *segment.unchanged):
        key = id_key(identity)
        if (after is not None and key <= after) or (upto is not None and key > upto):
            raise ValueError(f"the document {raw_bson.id_value(identity)!r} lies outside of its range")
