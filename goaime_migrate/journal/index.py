"""Finding documents in the journal of a pass by their `_id`."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from goaime_migrate.backends.bson_order import id_key
from goaime_migrate.backends.ports import JOURNAL, Reader
from goaime_migrate.backends.record_fields import DATA, optional, reading, require_kinds
from goaime_migrate.journal import segments, traces
from goaime_migrate.journal.digest import digest
from goaime_migrate.journal.entry import Entry
from goaime_migrate.journal.kinds import Kind
from goaime_migrate.journal.same_id import SameId
from goaime_migrate.journal.segments import Known, Segment
from goaime_migrate.results import Document


class Locator:
    """The scanned ranges of a pass, in the order of `_id`s."""

    def __init__(self, reader: Reader, pass_id: str) -> None:
        self._reader = reader
        heads = _heads(reader, pass_id, Kind.SCAN)
        self._ends: list[tuple[Any, str]] = [
            (id_key(bytes(head["upto"])), head["_id"][:-3]) for head in heads if head["upto"] is not None
        ]
        self._last = next((head["_id"][:-3] for head in heads if head["upto"] is None), None)
        self._starts = {
            head["_id"][:-3]: id_key(bytes(head["after"])) for head in heads if head["after"] is not None
        }

    def key(self, identity: bytes) -> str | None:
        """The key of the segment in whose range an id lies; None beyond all ranges.

        In a pass that was not walked to its end the id may lie before that range, where nobody has been.
        """
        at = bisect_left(self._ends, (id_key(identity), ""))
        return self._ends[at][1] if at < len(self._ends) else self._last

    def walked(self, identity: bytes) -> bool:
        """Whether an id lies in a range that has been walked."""
        key = self.key(identity)
        return key is not None and (key not in self._starts or self._starts[key] < id_key(identity))

    def scanned(self, ids: Sequence[bytes]) -> Known:
        """What the scan did with these documents."""
        wanted, known = frozenset(ids), Known()
        for key in dict.fromkeys(map(self.key, ids)):
            segment = segments.read(self._reader, key) if key else None
            if segment is not None:
                known.add(segment, wanted)
        return known


def holding(reader: Reader, pass_id: str, ids: SameId) -> Iterator[Segment]:
    """The segments that may hold anything of a document, in the order in which they were written.

    The scan's are found by their ranges, the others by the hashes in their heads; where there may be other bytes than
    those that are listed, all others are. A canary's range may end with a document that it has not met.
    """
    locator = Locator(reader, pass_id)
    walked = (key for identity in ids if (key := locator.key(identity)) is not None)
    canary = _heads(reader, pass_id, Kind.CANARY)
    ends = (head["_id"][:-3] for head in canary if head["upto"] is not None and bytes(head["upto"]) in ids)
    others = segments.holders(reader, pass_id, None if ids.key else list(ids))
    for key in sorted({*walked, *ends, *others}):
        segment = segments.read(reader, key)
        if segment is not None:
            yield segment


def superseded(reader: Reader, key: str, entries: Sequence[Entry]) -> set[bytes]:
    """Those of the entries of a segment of which the pass has a newer one that is the last word, by id.

    What an older one says is not how the pass has left it: so it is with documents that come or go, and with those
    that a sweep has brought forward.
    """
    pass_id, kind, _ = key.split("/", 2)
    ids = [entry.id for entry in entries if entry.comes_or_goes]
    found = Locator(reader, pass_id).scanned(ids) if ids and kind == Kind.CANARY else Known()
    forward = swept(reader, pass_id, (entry.id for entry in entries), after=key)
    return {*found.entries, *any_of(reader, pass_id, ids, after=key), *forward}


def swept(reader: Reader, pass_id: str, ids: Iterable[bytes], *, after: str = "") -> set[bytes]:
    """Those of these documents that a sweep has brought forward, in a segment behind the one `after`."""
    hashes = {digest(identity): identity for identity in ids}
    behind = max(f"{after}\uffff" if after else "", f"{pass_id}/{Kind.SWEEP}/")
    between = {"_id": {"$gte": behind, "$lt": f"{pass_id}/{Kind.SWEEP}/\uffff"}}
    if not hashes or not reader.find(JOURNAL, between, limit=1, fields=["_id"]):
        return set()
    wanted = {"ids": {"$in": list(hashes)}, "pass": pass_id, **between}
    heads = reader.find(JOURNAL, wanted, fields=["ids"])
    return {hashes[each] for head in heads for each in map(bytes, head["ids"]) if each in hashes}


def any_of(reader: Reader, pass_id: str, ids: Iterable[bytes], *, after: str = "") -> dict[bytes, Entry]:
    """An entry of each of these documents, whichever is found first, in the segments behind the one `after`.

    Thousands of segments may have entries of the same few documents, if these were derived from as many. So it is
    asked for one segment after the other until all of them are known.
    """
    left = {digest(identity): identity for identity in ids}
    found: dict[bytes, Entry] = {}
    read: list[str] = []
    behind = {"$gt": f"{after}\uffff"} if after else {}
    while left:
        wanted = {"ids": {"$in": traces.of_any(left.values())}, "pass": pass_id}
        heads = reader.find(JOURNAL, {**wanted, "_id": {**behind, "$nin": read}}, limit=1, fields=["_id"])
        segment = segments.read(reader, heads[0]["_id"][:-3]) if heads else None
        if segment is None:
            return found
        read.append(heads[0]["_id"])
        found.update((entry.id, entry) for entry in segment.entries if digest(entry.id) in left)
        # Some are of a source, perhaps, and of no document that was written.
        for known in (*map(digest, segment.ids), *segment.hashes):
            left.pop(known, None)
    return found


def _heads(reader: Reader, pass_id: str, kind: Kind) -> list[Document]:
    """The first record of each segment of this kind: where its range begins and ends."""
    found = reader.find(JOURNAL, segments.of_kind(pass_id, kind), sort=[("_id", 1)], fields=["after", "upto"])
    return [_checked(head) for head in found if "upto" in head]


def _checked(head: Document) -> Document:
    with reading(JOURNAL, head["_id"]):
        return require_kinds(head, dict.fromkeys(("after", "upto"), optional(DATA)))
