"""Documents that a pass has made, as its journal knows them: which they are, and what they were made of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from goaime_migrate.backends.ports import Reader
from goaime_migrate.journal import segments
from goaime_migrate.journal.digest import digest
from goaime_migrate.journal.entry import Entry
from goaime_migrate.journal.index import Locator, any_of
from goaime_migrate.journal.kinds import Kind
from goaime_migrate.journal.segments import Segment


def find_made(reader: Reader, pass_id: str, ids: Iterable[bytes]) -> dict[bytes, Entry]:
    """An entry of each of these documents that the pass has made."""
    found = any_of(reader, pass_id, ids)
    return {identity: entry for identity, entry in found.items() if entry.before is None}


def written(reader: Reader, pass_id: str, ids: Sequence[bytes]) -> set[bytes]:
    """Those of these documents that a pass which only makes some has made, or erased from its journal since."""
    found = {*find_made(reader, pass_id, ids)}
    left = [identity for identity in ids if identity not in found]
    for segment in _holding(reader, pass_id, left) if left else ():
        found.update(identity for identity in left if digest(identity) in segment.erased)
    return found


def latest(reader: Reader, pass_id: str, ids: Sequence[bytes], *, until: str) -> dict[bytes, Entry]:
    """The newest entry of each of these documents that the pass has made, of the segments before the one `until`."""
    found: dict[bytes, Entry] = {}
    wanted = frozenset(ids)
    for segment in _holding(reader, pass_id, ids):
        if segment.key < until:
            found.update((e.id, e) for e in segment.entries if e.before is None and e.id in wanted)
    return found


class Claims:
    """What documents have been made of which sources, as far as the journal tells."""

    def __init__(self) -> None:
        self._made: defaultdict[bytes, dict[bytes, None]] = defaultdict(dict)
        self._seen: set[bytes] = set()

    def __contains__(self, source: bytes) -> bool:
        """Whether a source has been looked at."""
        return source in self._seen

    def of(self, source: bytes) -> Iterable[bytes]:
        """The raw `_id`s of what was made of a source, in order."""
        return self._made.get(source, {})

    def add(self, segment: Segment, wanted: frozenset[bytes]) -> None:
        """What a segment tells of these sources."""
        for entry in segment.entries:
            if entry.source in wanted:
                self._made[entry.source][entry.id] = None
                self._seen.add(entry.source)
        self._seen.update(wanted.intersection(segment.unchanged))

    @classmethod
    def scanned(cls, reader: Reader, locator: Locator, sources: Sequence[bytes]) -> Claims:
        """What the scan has made of these, found by the ranges that it has walked."""
        claims, wanted = cls(), frozenset(sources)
        for key in dict.fromkeys(map(locator.key, sources)):
            segment = segments.read(reader, key) if key else None
            if segment is not None:
                claims.add(segment, wanted)
        return claims

    @classmethod
    def beside(cls, reader: Reader, pass_id: str, sources: Sequence[bytes]) -> Claims:
        """What canary and tail have made of these."""
        claims, wanted = cls(), frozenset(sources)
        for segment in _holding(reader, pass_id, sources):
            if segment.kind is not Kind.SCAN:
                claims.add(segment, wanted)
        return claims

    def with_those(self, others: Claims) -> Claims:
        """These and those."""
        both = Claims()
        for claims in (self, others):
            both._seen |= claims._seen
            for source, ids in claims._made.items():
                both._made[source] |= ids
        return both


def sources_of(reader: Reader, pass_id: str, identity: bytes) -> Iterator[list[bytes]]:
    """The sources that a document was made of at some time, some at a time: whoever knows enough need not ask on."""
    for segment in _holding(reader, pass_id, [identity]):
        found = dict.fromkeys(e.source for e in segment.entries if e.id == identity and e.source)
        if found:
            yield list(found)


def all_sources(reader: Reader, pass_id: str) -> Iterator[list[bytes]]:
    """Every source of which anything was made, some at a time."""
    for kind in (Kind.CANARY, Kind.SCAN, Kind.TAIL):
        for key in segments.keys(reader, pass_id, kind):
            segment = segments.read(reader, key)
            found = dict.fromkeys(e.source for e in segment.entries if e.source) if segment else {}
            if found:
                yield list(found)


def _holding(reader: Reader, pass_id: str, ids: Sequence[bytes]) -> Iterator[Segment]:
    """The segments that are found by any of these documents, the oldest first."""
    for key in segments.holders(reader, pass_id, ids):
        segment = segments.read(reader, key)
        if segment is not None and segment.kind is not Kind.LEFT:
            yield segment
