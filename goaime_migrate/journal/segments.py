"""The journal: what every written document was before, so that `down` can give it back byte for byte.

A segment is the journal of one batch. It holds for each document that the batch wrote the bytes from before, a hash
of the bytes from after, and a hash of every top-level field that was changed; also the `_id`s of the documents that
were examined and left alone, so that those that were inserted later can be told from them.

Segments of a pass sort by `_id`: kind, partition, sequence number and part (a segment may be larger than a document
can be, so it is cut into parts).
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property, lru_cache, partial
from typing import Any

from bson import Binary

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import (
    JOURNAL,
    Changes,
    Delete,
    Elements,
    Put,
    Reader,
    RecordChange,
    Writer,
)
from goaime_migrate.backends.record_fields import (
    COUNT,
    DATA,
    TEXT,
    Kinds,
    bytes_or_none,
    checked,
    optional,
    reading,
)
from goaime_migrate.errors import NewerFormat
from goaime_migrate.errors.hint import UPGRADE
from goaime_migrate.journal.compression import compress, decompress
from goaime_migrate.ledger import FORMAT
from goaime_migrate.results import Document

HASH = 16
"""Bytes of a hash."""
_PORTION = 500
_HEAD: dict[str, Kinds] = {
    **dict.fromkeys(("pass", "kind"), TEXT),
    "version": optional(TEXT),
    **dict.fromkeys(("partition", "seq", "level", "documents", "parts"), COUNT),
    **dict.fromkeys(("after", "upto"), optional(DATA)),
}


class Kind(StrEnum):
    """Which walk a segment belongs to; `down` goes through them in the reverse of the order they were written."""

    CANARY = "1-canary"
    SCAN = "2-scan"
    TAIL = "3-tail"
    INSERTED = "4-born"
    """Documents inserted since `up` that `down` took back with `reverse=`."""
    LEFT = "5-left"
    """Documents inserted since `up` that a `down` could not take back: the ids alone."""


def digest(data: bytes) -> bytes:
    """A 16-byte hash: SHA-256 cut off, for which processors have instructions."""
    return hashlib.sha256(data).digest()[:HASH]


@dataclass(frozen=True)
class Entry:
    """One document that was written.

    `fields`: changed top-level names, with the hash of the element that was written, or None where the result has no
    such field. With `partial`, `before` and what `after_hash` is of hold some fields of the document only, and the
    change has done nothing but set fields in their places and append others.
    """

    before: bytes
    after_hash: bytes
    fields: dict[str, bytes | None]
    partial: bool = False

    @cached_property
    def id(self) -> bytes:
        """The raw ``{_id: x}``."""
        return raw_bson.id_of(self.before)

    @classmethod
    def of(cls, before: bytes, after: bytes, *, partial: bool = False) -> Entry:
        """The entry for a document that goes from `before` to `after`."""
        return cls(before, digest(after), changed_fields(before, after), partial)

    @classmethod
    def setting(cls, before: bytes, after: bytes, elements: Elements) -> Entry:
        """The partial entry for a document of which it is known what is set, and that nothing else is done."""
        return cls(before, digest(after), {_text(name): digest(e) for name, e in elements}, partial=True)


def changed_fields(before: bytes, after: bytes) -> dict[str, bytes | None]:
    """The top-level fields whose bytes differ, with the hash of what is in `after`, or None where it is absent."""
    old, new = raw_bson.fields(before), raw_bson.fields(after)
    changed: dict[str, bytes | None] = {
        _text(name): digest(element) for name, element in raw_bson.differing(old, new)
    }
    if not old.keys() <= new.keys():
        changed |= {_text(name): None for name in old if name not in new}
    return changed


@lru_cache(maxsize=4096)
def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


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

    @property
    def key(self) -> str:
        """The common beginning of the `_id`s of its records."""
        return f"{self.pass_id}/{self.kind}/{self.partition:04d}/{self.seq:08d}/"

    def records(self) -> list[Document]:
        """The segment as it is stored."""
        cut = compress(self._payload())
        head: Document = {
            "_id": f"{self.key}000",
            "format": FORMAT,
            "pass": self.pass_id,
            "kind": str(self.kind),
            "partition": self.partition,
            "seq": self.seq,
            "after": _binary(self.after),
            "upto": _binary(self.upto),
            "level": self.level,
            "documents": len(self.entries),
            "parts": len(cut),
        }
        if self.version is not None:
            head["version"] = self.version
        if self.kind is not Kind.SCAN:
            head["ids"] = [Binary(digest(identity)) for identity in self.ids]
        rest = [{"_id": f"{self.key}{i:03d}", "pass": self.pass_id} for i in range(1, len(cut))]
        return [{**record, "data": part} for record, part in zip([head, *rest], cut, strict=True)]

    @property
    def ids(self) -> list[bytes]:
        """The documents by whose `_id`s it can be found."""
        examined = self.unchanged if self.kind in (Kind.CANARY, Kind.LEFT) else ()
        return [*(entry.id for entry in self.entries), *examined]

    def puts(self) -> list[RecordChange]:
        """The changes that store it."""
        return [Put(JOURNAL, record) for record in self.records()]

    def _payload(self) -> bytes:
        """The changed fields go by shape, since most documents of a batch have the same ones changed."""
        shapes: dict[tuple[tuple[str, bool], ...], int] = {}
        shape = [
            shapes.setdefault(tuple((name, made is not None) for name, made in e.fields.items()), len(shapes))
            for e in self.entries
        ]
        rest = raw_bson.encode(
            {
                "hashes": b"".join(entry.after_hash for entry in self.entries),
                "partial": bytes(entry.partial for entry in self.entries),
                "unchanged": b"".join(self.unchanged),
                "shapes": [[{"name": _stored(n), "written": w} for n, w in each] for each in shapes],
                "shape": struct.pack(f"<{len(shape)}I", *shape),
                "fields": b"".join(made for e in self.entries for made in e.fields.values() if made),
            }
        )
        return raw_bson.behind_binary("before", [entry.before for entry in self.entries], rest)


def _stored(name: str) -> str | bytes:
    """A field name as it is stored: as bytes where it is not UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return name.encode("utf-8", "surrogateescape")
    return name


def _binary(value: bytes | None) -> Binary | None:
    return None if value is None else Binary(value)


def read(reader: Reader, key: str) -> Segment | None:
    """The segment with this key, if there is one."""
    records = reader.find(JOURNAL, _between(key), sort=[("_id", 1)])
    return _assemble(records) if records else None


def keys(reader: Reader, pass_id: str, kind: Kind) -> list[str]:
    """The keys of all segments of this kind, ascending; only the indexed `_id`s are read."""
    records = reader.find(JOURNAL, _between(f"{pass_id}/{kind}/"), sort=[("_id", 1)], fields=["_id"])
    return [record["_id"][:-3] for record in records if record["_id"].endswith("/000")]


def holds(reader: Reader, pass_id: str, kinds: Iterable[Kind]) -> bool:
    """Whether there is a segment of one of these kinds; a short query for each."""
    return any(reader.find(JOURNAL, of_kind(pass_id, kind), limit=1, fields=["_id"]) for kind in kinds)


def count(reader: Reader, pass_id: str) -> int:
    """How many documents the journal of a pass holds."""
    total = 0
    for kind in (Kind.CANARY, Kind.SCAN, Kind.TAIL):
        for record in reader.find(JOURNAL, of_kind(pass_id, kind), fields=["documents"]):
            with reading(JOURNAL, record["_id"]):
                total += checked({"documents": 0, **record}, {"documents": COUNT})["documents"]
    return total


@dataclass
class Known:
    """The newest entries by id, and the ids that were examined and left alone."""

    entries: dict[bytes, Entry] = field(default_factory=dict)
    unchanged: set[bytes] = field(default_factory=set)

    def add(self, segment: Segment, wanted: frozenset[bytes]) -> None:
        """What a segment, newer than all before it, says of the wanted ids."""
        self.entries.update((entry.id, entry) for entry in segment.entries if entry.id in wanted)
        self.unchanged.update(wanted.intersection(segment.unchanged))


def entries_of(reader: Reader, pass_id: str, ids: Sequence[bytes]) -> dict[bytes, Entry]:
    """The newest entry of each of these documents among canary and tail segments."""
    return known(reader, pass_id, ids).entries


def known(reader: Reader, pass_id: str, ids: Sequence[bytes]) -> Known:
    """What canary and tail have done with these documents."""
    found, wanted = Known(), frozenset(ids)
    for key in holders(reader, pass_id, ids):
        segment = read(reader, key)
        if segment is not None and segment.kind is not Kind.LEFT:
            found.add(segment, wanted)
    return found


def holders(reader: Reader, pass_id: str, ids: Sequence[bytes]) -> list[str]:
    """The keys of the segments, other than those of the scan, that hold any of these documents, ascending."""
    hashes = [Binary(digest(i)) for i in ids]  # an `_id` may be too long to be kept once more
    heads = reader.find(JOURNAL, {"ids": {"$in": hashes}, "pass": pass_id}, sort=[("_id", 1)], fields=["_id"])
    return [head["_id"][:-3] for head in heads]


def passes(reader: Reader) -> Iterator[str]:
    """The passes of which anything is kept; one short query each."""
    last = ""
    while found := reader.find(JOURNAL, {"_id": {"$gt": last}}, sort=[("_id", 1)], limit=1, fields=["_id"]):
        pass_id = str(found[0]["_id"]).partition("/")[0]
        yield pass_id
        last = pass_id + "0"  # what sorts next after a slash


def clear(backend: Writer, pass_id: str) -> None:
    """Remove everything that was kept for a pass, lookups included, in portions that a transaction can hold."""
    while records := backend.find(JOURNAL, _between(f"{pass_id}/"), limit=_PORTION, fields=["_id"]):
        backend.transact(partial(_removal, [record["_id"] for record in records]))


def _removal(ids: Sequence[str], _: Reader) -> Changes:
    return Changes(last=[Delete(JOURNAL, {"_id": {"$in": ids}})])


def of_kind(pass_id: str, kind: Kind) -> dict[str, Any]:
    """The filter for the records of one kind."""
    return _between(f"{pass_id}/{kind}/")


def drop_kind(pass_id: str, kind: Kind) -> RecordChange:
    """The change that removes the segments of one kind."""
    return Delete(JOURNAL, _between(f"{pass_id}/{kind}/"))


def _between(prefix: str) -> dict[str, Any]:
    return {"_id": {"$gte": prefix, "$lt": prefix + "\uffff"}}


def _assemble(records: Sequence[Document]) -> Segment:
    head = records[0]
    with reading(JOURNAL, head["_id"]):
        if checked(head, {"format": COUNT})["format"] > FORMAT:
            raise NewerFormat(
                f"the journal of {head['pass']} has format {head['format']}; this release knows up to {FORMAT}",
                hint=UPGRADE,
            )
        checked({"version": None, **head}, _HEAD)
        if len(records) != head["parts"]:
            raise ValueError(f"{len(records)} parts of {head['parts']} are there")
        body = raw_bson.decode(decompress([checked(record, {"data": DATA})["data"] for record in records]))
        before = raw_bson.split(body["before"])
        after = _hashes(body["hashes"])
        parts = zip(before, after, _fields(body), map(bool, body["partial"]), strict=True)
        entries = tuple(Entry(*each) for each in parts)
        if len(entries) != head["documents"]:
            raise ValueError(f"{len(entries)} documents of {head['documents']} are there")
        return Segment(
            head["pass"],
            Kind(head["kind"]),
            head["partition"],
            head["seq"],
            bytes_or_none(head["after"]),
            bytes_or_none(head["upto"]),
            entries,
            tuple(raw_bson.split(body["unchanged"])),
            head["level"],
            head.get("version"),
        )


def _fields(body: Document) -> Iterator[dict[str, bytes | None]]:
    """The changed fields of each entry."""
    shapes = [[(_name(field["name"]), field["written"]) for field in each] for each in body["shapes"]]
    hashes = iter(_hashes(body["fields"]))
    for (shape,) in struct.iter_unpack("<I", body["shape"]):
        yield {name: next(hashes) if written else None for name, written in shapes[shape]}


def _hashes(joined: bytes) -> list[bytes]:
    return [joined[i : i + HASH] for i in range(0, len(joined), HASH)]


def _name(name: Any) -> str:
    return name if isinstance(name, str) else _text(bytes(name))
