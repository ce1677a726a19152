"""What the journal of a pass has of documents that a sweep has had the last word of. Reads only.

A sweep's entry gives a document back as it was just before, and no older one is applied to it. So it may still show what
the pass had made of it in the first place, which whoever takes the pass back is told.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

from goaime_migrate.backends.ports import Reader
from goaime_migrate.journal import segments
from goaime_migrate.journal.entry import Entry
from goaime_migrate.journal.index import Locator, swept
from goaime_migrate.journal.kinds import WRITTEN, Kind
from goaime_migrate.journal.segments import Segment

TOLD = "a document comes back as it was before a sweep, with what this version had made of it before that"
"""The warning."""
Older = Mapping[bytes, Sequence[Entry]]
"""By document, the newest first."""
Targets = Callable[[Reader, Sequence[Entry]], list[Entry | None]]
"""The entries that lead from where their documents are to go."""
Read = Callable[[str], Segment | None]
"""A segment by its key, as it is met."""


class Overruled:
    """Finds the entries of a pass that are not applied."""

    def __init__(self, reader: Reader, pass_id: str, targets: Targets) -> None:
        self._reader = reader
        self._pass_id = pass_id
        self._targets = targets

    def by(self, reader: Reader, key: str, ids: Sequence[bytes], read: Read) -> Older:
        """Those of these documents that a segment has the last word of; none where it is no sweep's."""
        found: defaultdict[bytes, list[Entry]] = defaultdict(list)
        if not ids or _kind(key) != Kind.SWEEP:
            return found
        held = (each for each in segments.holders(reader, self._pass_id, ids) if _kind(each) in WRITTEN)
        keys = {*held, *filter(None, map(self._locator.key, ids))}
        wanted = frozenset(ids)
        for older in sorted((each for each in keys if each < key), reverse=True):
            segment = read(older)
            mine = [] if segment is None else [e for e in segment.entries if e.id in wanted]
            for entry, target in zip(mine, self._targets(reader, mine), strict=True):
                found[entry.id].append(target or entry)
        return found

    @cached_property
    def _locator(self) -> Locator:
        return Locator(self._reader, self._pass_id)


def find_marked(reader: Reader, segment: Segment) -> list[bytes]:
    """The documents that a sweep's segment has the last word of without having changed them."""
    if segment.kind is not Kind.SWEEP:
        return []
    written = {entry.id for entry in segment.entries}
    ids = [identity for identity in segment.unchanged if identity not in written]
    newer = swept(reader, segment.pass_id, ids, after=segment.key)
    return [identity for identity in ids if identity not in newer]


def _kind(key: str) -> str:
    return key.split("/")[1]
