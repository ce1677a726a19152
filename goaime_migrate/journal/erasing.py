"""A segment with nothing left of some documents but the hashes of their `_id`s.

Their `_id`s must not stay as the ends of ranges either: a range then ends with the document before, and the next one
begins there, with the hashes in both.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from bson import MinKey

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.bson_order import id_key
from goaime_migrate.backends.ports import JOURNAL, Reader
from goaime_migrate.journal import segments
from goaime_migrate.journal.digest import digest
from goaime_migrate.journal.kinds import Kind
from goaime_migrate.journal.segments import Segment

_LOWEST = raw_bson.encode({"_id": MinKey()})
"""The end of a range in which there is nothing."""


def without(segment: Segment, ids: Collection[bytes]) -> Segment:
    """The segment without these documents, its range as it was."""
    erased = [digest(entry.id) for entry in segment.entries if entry.id in ids]
    hidden = [digest(identity) for identity in segment.unchanged if identity in ids]
    rest = (entry for entry in segment.entries if entry.id not in ids)
    left = replace(
        segment,
        entries=tuple(entry._replace(source=None) if entry.source in ids else entry for entry in rest),
        unchanged=tuple(identity for identity in segment.unchanged if identity not in ids),
    )
    return _knowing(left, erased, hidden)


def _knowing(segment: Segment, erased: Iterable[bytes], hidden: Iterable[bytes]) -> Segment:
    """The segment with more hashes."""
    return replace(
        segment,
        erased=tuple(dict.fromkeys((*segment.erased, *erased))),
        hidden=tuple(dict.fromkeys((*segment.hidden, *hidden))),
    )


def moved_end(reader: Reader, left: Segment, ids: Collection[bytes]) -> tuple[bytes, list[Segment]]:
    """Where the range of a segment ends that has ended with a document which is `left` out of it.

    Also the segments that are to be stored because of that, in their order: the one behind comes first.
    """
    edge = _edge(left)
    behind = _behind(reader, left)
    if behind is None or (behind.after != edge and behind.after not in ids):
        return edge, [replace(left, upto=edge)]
    knowing = _knowing(replace(behind, after=edge), left.erased, left.hidden)
    return edge, [knowing, replace(left, upto=edge)]


def _edge(segment: Segment) -> bytes:
    """The greatest `_id` in a segment; where it has none, that before its range."""
    walked = (entry.source if entry.before is None else entry.id for entry in segment.entries)
    return max((*filter(None, walked), *segment.unchanged), key=id_key, default=segment.after or _LOWEST)


def greatest(reader: Reader, pass_id: str, ids: Collection[bytes]) -> bytes:
    """The greatest `_id` that the scan of a pass has met but for these: its last range has no end of its own."""
    scan = segments.of_kind(pass_id, Kind.SCAN)
    found = reader.find(JOURNAL, scan, sort=[("_id", -1)], limit=1, fields=["_id"])
    last = segments.read(reader, found[0]["_id"][:-3]) if found else None
    return _LOWEST if last is None else _edge(without(last, ids))


def _behind(reader: Reader, segment: Segment) -> Segment | None:
    """The next segment of its kind."""
    kind = f"{segment.pass_id}/{segment.kind}/"
    later = {"_id": {"$gt": f"{segment.key}\uffff", "$lt": f"{kind}\uffff"}}
    found = reader.find(JOURNAL, later, sort=[("_id", 1)], limit=1, fields=["_id"])
    return segments.read(reader, found[0]["_id"][:-3]) if found else None
