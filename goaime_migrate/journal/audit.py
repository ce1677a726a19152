"""Whether all of a pass's journal is there: what its partitions say they have written, against what is kept.

Before anything is given back from a journal all of it is looked at, so that no document is written for a journal that
cannot give the others back, and none that is missing in it is taken for one that was inserted since.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from goaime_migrate.backends.ports import JOURNAL, Reader
from goaime_migrate.backends.record_fields import (
    COUNT,
    DATA,
    optional,
    raw_id_or_none,
    reading,
    require_kinds,
)
from goaime_migrate.errors import JournalIncomplete
from goaime_migrate.errors.hint import DOWN, FROM_BACKUP, Hint
from goaime_migrate.journal.kinds import Kind
from goaime_migrate.journal.paging import payloads, size_of
from goaime_migrate.journal.seal import intact_parts, is_sealed
from goaime_migrate.ledger import PassRecord, Written
from goaime_migrate.results import Document

_PASSES = 50
"""Passes that one query asks for."""
_ADVICE = Hint(
    "{}, then: {}; without one, keep what is applied and change the documents forward in a new migration",
    FROM_BACKUP,
    DOWN,
)


class _Head(NamedTuple):
    """What a segment says of itself; only its key is known where no record was read."""

    documents: int = 0
    after: bytes | None = None
    upto: bytes | None = None


_Partitions = defaultdict[tuple[str, int], dict[int, _Head]]
"""The segments of each partition by their numbers in it."""


def incomplete(reader: Reader, records: Iterable[PassRecord]) -> list[JournalIncomplete]:
    """The passes of which segments are missing, told by the indexed keys of those that are there."""
    listed, found = list(records), []
    for start in range(0, len(listed), _PASSES):
        some = listed[start : start + _PASSES]
        there = _by_key(reader, some)
        for record in some:
            if _missing(record, there[record.id])[0]:
                found.append(_error(reader, record))
    return found


def _by_key(reader: Reader, records: Sequence[PassRecord]) -> defaultdict[str, _Partitions]:
    """What is there of each pass."""
    found: defaultdict[str, _Partitions] = defaultdict(lambda: defaultdict(dict))
    ranges = [{"_id": {"$gte": f"{record.id}/{Kind.CANARY}/", "$lt": f"{record.id}/7"}} for record in records]
    for record in reader.find(JOURNAL, {"$or": ranges}, fields=["_id"]) if ranges else []:
        pass_id, _, rest = str(record["_id"]).partition("/")
        if rest.endswith("/000"):
            _note(found[pass_id], rest, _Head())
    return found


def require_whole(reader: Reader, record: PassRecord) -> int:
    """Read all that a pass has journaled, once: how many bytes. Raises JournalIncomplete, DamagedRecord, NewerFormat.

    What a digest vouches for is not unpacked; segments of format 1 have none, and are.
    """
    there: _Partitions = defaultdict(dict)
    size = 0
    for payload in payloads(reader, f"{record.id}/"):
        head = payload[0]
        size += size_of(payload)
        with reading(JOURNAL, head["_id"]):
            sealed = is_sealed(head)
            if sealed:
                intact_parts(payload)
            if "seq" in head:
                _note(there, head["_id"].partition("/")[2], _read(head))
        if "seq" in head and not sealed:
            from goaime_migrate.journal import segments

            segments.assemble(payload)
    if _missing(record, there, counted=True) != (0, 0):
        raise _error(reader, record)
    return size


def _note(there: _Partitions, key: str, head: _Head) -> None:
    """Note a segment by the part of its `_id` behind the pass."""
    kind, number, seq, _ = key.split("/")
    there[kind, int(number)][int(seq)] = head


def _read(head: Document) -> _Head:
    kinds = {"written": COUNT, "after": optional(DATA), "upto": optional(DATA)}
    require_kinds(head, {"documents": COUNT, "seq": COUNT})
    found = require_kinds({"written": head["documents"], **head}, kinds)
    return _Head(found["written"], raw_id_or_none(found["after"]), raw_id_or_none(found["upto"]))


def _missing(record: PassRecord, there: _Partitions, *, counted: bool = False) -> tuple[int, int]:
    """How many segments are missing, and how many documents as they were before, where those were `counted`."""
    gone = documents = 0
    for of in _expected(record):
        kept = {
            seq: head for seq, head in there[of.kind, of.partition].items() if of.seq is None or seq <= of.seq
        }
        gone += _segments(of, kept) - len(kept)
        if counted and of.documents is not None:
            documents += of.documents - sum(head.documents for head in kept.values())
        elif counted and of.seq is None and gone == 0:
            gone += _breaks(_edges(record, of), [head for _, head in sorted(kept.items())])
    return gone, documents


def _expected(record: PassRecord) -> Sequence[Written]:
    """What its partitions have written: of a pass that a release has finished which did not count, at least which."""
    if record.written is not None:
        return (*record.written, *record.sweeps)
    canary = [] if record.canary is None else [Written(Kind.CANARY, 0)]
    scan = [Written(Kind.SCAN, number) for number in range(len(record.bounds) + 1)]
    return [*canary, *scan, *record.sweeps]


def _segments(of: Written, kept: dict[int, _Head]) -> int:
    """How many segments there have to be. Of a walk every unit of work has one, the first of them the number 1."""
    if of.segments is not None:
        return of.segments
    if of.kind == Kind.TAIL:
        return len(kept)
    return max((1, *kept)) if of.seq is None else of.seq


def _edges(record: PassRecord, of: Written) -> tuple[bytes | None, bytes | None]:
    """Where a partition begins and ends."""
    if of.kind == Kind.CANARY:
        return None, record.upper
    edges = (None, *record.bounds, None)
    return edges[of.partition], edges[of.partition + 1]


def _breaks(edges: tuple[bytes | None, bytes | None], heads: Sequence[_Head]) -> int:
    """How often the segments of a walk do not join on to each other, or to the edges of its partition."""
    ends = [edges[0], *(head.upto for head in heads)]
    starts = [*(head.after for head in heads), edges[1]]
    return sum(end != start for end, start in zip(ends, starts, strict=True))


def _error(reader: Reader, record: PassRecord) -> JournalIncomplete:
    """What is missing, by what the heads of the others say."""
    there: _Partitions = defaultdict(dict)
    between = {
        "_id": {"$gte": f"{record.id}/{Kind.CANARY}/", "$lt": f"{record.id}/7"},
        "seq": {"$exists": True},
    }
    for head in reader.find(JOURNAL, between, fields=["seq", "documents", "written", "after", "upto"]):
        with reading(JOURNAL, head["_id"]):
            _note(there, head["_id"].partition("/")[2], _read(head))
    gone, lost = _missing(record, there, counted=True)
    expected = _expected(record)
    segments_in_all = sum(_segments(of, there[of.kind, of.partition]) for of in expected)
    text = f"{gone:,} of {segments_in_all:,} segments are missing"
    if all(of.documents is not None for of in expected):
        total = sum(of.documents or 0 for of in expected)
        text += f", and with them {lost:,} of {total:,} documents as they were before"
    versions = ", ".join(record.versions)
    return JournalIncomplete(
        f"the journal of {versions} over {record.collection} is incomplete: {text}",
        version=record.versions[-1],
        hint=_ADVICE,
    )
