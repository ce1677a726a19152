"""Partitions: ranges of `_id`s that several processes can walk side by side, and how far they have come."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from goaime_migrate.backends.ports import PROGRESS, CollectionReader, Reader
from goaime_migrate.backends.record_fields import bytes_or_none
from goaime_migrate.journal.segments import Kind
from goaime_migrate.ledger import FORMAT, PassRecord
from goaime_migrate.results import Document
from goaime_migrate.transform.counts import PassCounts

WORTH = 4_000
"""Documents from which on a collection is parted: fewer are walked before another process has started."""
SIZE = 1_000
"""Documents that a partition holds, about: two batches. There are many more than threads, so that none is left idle."""
MOST = 256
"""Partitions of one pass, if the last were not divided; those of a larger collection are larger."""
_TAPERED = 4
"""The last partitions are divided, half of them in two and half in four: a smaller end is reached by all together."""
_QUARTERS = 4


@dataclass(frozen=True)
class Partition:
    """A range of `_id`s and how far a walk has come in it. `cursor` is the last `_id` that was examined."""

    pass_id: str
    kind: Kind
    number: int
    after: bytes | None
    upto: bytes | None
    cursor: bytes | None
    seq: int
    done: bool
    tally: PassCounts

    @property
    def id(self) -> str:
        """The `_id` of its record."""
        return partition_id(self.pass_id, self.kind, self.number)

    def record(self, fence: int, session: Document | None) -> Document:
        """The partition as it is first stored."""
        return {
            "_id": self.id,
            "kind": "partition",
            "format": FORMAT,
            "pass": self.pass_id,
            "walk": str(self.kind),
            "number": self.number,
            "fence": fence,
            "after": self.after,
            "upto": self.upto,
            "lsids": [] if session is None else [session],
            **self.position(),
        }

    def position(self) -> Document:
        """What changes with every batch."""
        return {"cursor": self.cursor, "seq": self.seq, "done": self.done, "tally": self.tally.record()}

    @classmethod
    def read(cls, record: Document, versions: Sequence[str]) -> Partition:
        """The partition from its record."""
        return cls(
            record["pass"],
            Kind(record["walk"]),
            record["number"],
            bytes_or_none(record["after"]),
            bytes_or_none(record["upto"]),
            bytes_or_none(record["cursor"]),
            record["seq"],
            record["done"],
            PassCounts.read(versions, record["tally"]),
        )


def partition_id(pass_id: str, kind: Kind, number: int) -> str:
    """The `_id` of a partition's record."""
    return f"{pass_id}#{kind}/{number:04d}"


def number_of(partition: str) -> int:
    """The number in the `_id` of a partition's record."""
    return int(partition.rpartition("/")[2])


def new_partition(
    record: PassRecord, kind: Kind, number: int = 0, after: bytes | None = None, upto: bytes | None = None
) -> Partition:
    """A partition that nobody has walked in yet."""
    versions = [version for version, _, _ in record.steps]
    return Partition(record.id, kind, number, after, upto, after, 0, False, PassCounts(versions))


def wanted(backend: CollectionReader, collection: str) -> int:
    """How many partitions of full size a pass over the collection is to have. Reads its metadata only."""
    return _parts(backend.count(collection)) if backend.capabilities.workers else 1


def _parts(documents: int) -> int:
    return 1 if documents < WORTH else max(2, min(MOST, documents // SIZE))


def bounds(backend: CollectionReader, collection: str, check: Callable[[], None]) -> tuple[bytes, ...]:
    """The raw `_id`s between the partitions, ascending in the server's order; none for one partition.

    They are counted off along the index on `_id`, since a sample of the server may leave out whole regions; `check`
    is called on the way.
    """
    documents = backend.count(collection)
    parts = _parts(documents)
    if parts < 2 or not backend.capabilities.workers:
        return ()
    quarter = max(1, documents // (_QUARTERS * parts))
    found: list[bytes] = []
    for identity in backend.ids_apart(collection, [quarter * size for size in _quarters(parts)[:-1]]):
        found.append(identity)
        check()
    return tuple(found)


def _quarters(parts: int) -> list[int]:
    """The sizes of partitions in quarters of the full one, which add up to so many full ones: the last taper off."""
    halved = min(parts, _TAPERED) // 2
    return [_QUARTERS] * (parts - 2 * halved) + [2] * (2 * halved) + [1] * (4 * halved)


def partitions(record: PassRecord) -> list[Partition]:
    """The partitions of a pass's scan as they are before anybody has walked in them."""
    edges = [None, *record.bounds, None]
    pairs = pairwise(edges)
    return [new_partition(record, Kind.SCAN, i, after, upto) for i, (after, upto) in enumerate(pairs)]


def stored(backend: Reader, record: PassRecord) -> dict[int, Partition]:
    """The partitions that have been walked in, or are about to be, by their number."""
    found = backend.find(PROGRESS, {"pass": record.id, "kind": "partition", "walk": str(Kind.SCAN)})
    versions: Sequence[str] = [version for version, _, _ in record.steps]
    return {part.number: part for part in (Partition.read(document, versions) for document in found)}


def left(backend: Reader, record: PassRecord) -> list[Partition]:
    """The partitions of a pass that nobody has walked to the end."""
    known = stored(backend, record)
    return [part for part in partitions(record) if part.number not in known or not known[part.number].done]
