"""Documents that were inserted since `up`: those that the journal has never seen, and how they are counted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import Reader
from goaime_migrate.journal import segments
from goaime_migrate.journal.kinds import Kind
from goaime_migrate.ledger import PassRecord
from goaime_migrate.transform.chain import Chain

_BATCH = 500
LISTED = (Kind.CANARY, Kind.TAIL, Kind.INSERTED, Kind.LEFT, Kind.SWEEP)
"""Those whose segments are found by the documents in them."""


@dataclass(frozen=True)
class Inserted:
    """How many documents were inserted since `up`, and their fate. `without_reverse`: versions that stop them."""

    taken_back: int = 0
    left: int = 0
    without_reverse: tuple[str, ...] = ()

    @classmethod
    def of(cls, documents: int, missing: str | None) -> Inserted:
        """So many documents; where a `reverse=` is missing they are left."""
        if missing is None or not documents:
            return cls(taken_back=documents)
        return cls(left=documents, without_reverse=(missing,))

    def __add__(self, other: Inserted) -> Inserted:
        versions = dict.fromkeys((*self.without_reverse, *other.without_reverse))
        return Inserted(self.taken_back + other.taken_back, self.left + other.left, tuple(versions))


class InsertedTotals:
    """What all passes of one way down have found, each document counted once.

    What was inserted since a pass was inserted since those below it too: the last pass over a collection finds them all.
    """

    def __init__(self) -> None:
        self._latest: dict[str, Inserted] = {}

    def note(self, collection: str, found: Inserted | None) -> None:
        """What a pass has found; None where it could not tell."""
        if found is not None:
            before = self._latest.get(collection, Inserted())
            versions = dict.fromkeys((*before.without_reverse, *found.without_reverse))
            self._latest[collection] = replace(found, without_reverse=tuple(versions))

    def rename(self, old: str, new: str) -> None:
        """A collection has been given another name."""
        if old in self._latest:
            self._latest[new] = self._latest.pop(old)

    @property
    def total(self) -> Inserted:
        """Over all collections."""
        return sum(self._latest.values(), Inserted())


@dataclass(frozen=True)
class ReverseChain:
    """How far documents that were inserted since `up` can be taken back."""

    chain: Chain | None = None
    """The reverses to call, that of the last step first; None where there is none."""
    missing: str | None = None
    """The version of the step on the way that has no `reverse=`."""
    heir: str | None = None
    """The pass that has to know of those that are left, since it has reverses of its own."""


@dataclass
class Unjournaled:
    """Ids that no walk of a pass has seen."""

    fresh: list[bytes] = field(default_factory=list)
    done: list[bytes] = field(default_factory=list)
    """Those that a `down` which was cut off has taken back already."""
    left: dict[bytes, str] = field(default_factory=dict)
    """Those that an earlier `down` has left, with the version that has no `reverse=`."""

    def count(self, missing: str | None) -> Inserted:
        """The count of them."""
        total = Inserted.of(len(self.fresh) + len(self.done), missing)
        for version in self.left.values():
            total += Inserted.of(1, version)
        return total


def inserted_since(reader: Reader, record: PassRecord) -> Iterator[Unjournaled]:
    """What was inserted since `up`, in the order of the collection."""
    indexed = segments.holds(reader, record.id, LISTED)
    for ids in _ids_outside_the_scan(reader, record):
        yield classify(reader, record.id, ids) if indexed and ids else Unjournaled(ids)


def classify(reader: Reader, pass_id: str, ids: Sequence[bytes]) -> Unjournaled:
    """Those of these ids, which the scan has not seen, that nothing else has seen either."""
    found: defaultdict[Kind, dict[bytes, str | None]] = defaultdict(dict)
    for key in segments.holders(reader, pass_id, ids):
        segment = segments.read(reader, key)
        if segment is not None:
            for identity in (*segment.ids, *segment.has_erased(ids)):
                # the first to leave a document is what has stopped it
                found[segment.kind].setdefault(identity, segment.version)
    seen = found[Kind.CANARY] | found[Kind.TAIL] | found[Kind.SWEEP]
    result = Unjournaled()
    for identity in ids:
        version = found[Kind.LEFT].get(identity)
        if version is not None:
            result.left[identity] = version
        elif identity in found[Kind.INSERTED]:
            result.done.append(identity)
        elif identity not in seen:
            result.fresh.append(identity)
    return result


def _ids_outside_the_scan(reader: Reader, record: PassRecord) -> Iterator[list[bytes]]:
    """Ids that the scan has not seen.

    What an unfinished pass has not come to yet was not inserted since: it is as it always was.
    """
    cursor: bytes | None = None
    beyond = [None] if record.finished else []
    for key in [*segments.keys(reader, record.id, Kind.SCAN), *beyond]:
        segment = None if key is None else segments.read(reader, key)
        known = set() if segment is None else {*(e.id for e in segment.entries), *segment.unchanged}
        upto = None if segment is None else segment.upto
        after = cursor if segment is None else segment.after  # between two segments nobody has been yet
        for ids in _ids(reader, record.collection, after, upto):
            seen = known if segment is None else known.union(segment.has_erased(ids))
            yield [i for i in ids if i not in seen]
        if upto is None:
            return
        cursor = upto


def _ids(reader: Reader, collection: str, after: bytes | None, upto: bytes | None) -> Iterator[list[bytes]]:
    while True:
        found = reader.documents(collection, after=after, upto=upto, limit=_BATCH, fields=())
        yield [raw_bson.id_of(document) for document in found]
        if len(found) < _BATCH:
            return
        after = raw_bson.id_of(found[-1])
