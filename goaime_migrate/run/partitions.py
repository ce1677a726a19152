"""Partitions: ranges of `_id`s that several processes can walk side by side, and how far they have come."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import PROGRESS, CollectionReader, Put, Reader
from goaime_migrate.backends.record_fields import raw_id_or_none
from goaime_migrate.journal.kinds import Kind
from goaime_migrate.ledger import PassRecord
from goaime_migrate.results import Document
from goaime_migrate.run.checkpoint import Checkpoint
from goaime_migrate.run.pacing import LARGEST, LARGEST_LIGHT, is_light
from goaime_migrate.transform import projection
from goaime_migrate.transform.counts import PassCounts
from goaime_migrate.transform.insertion import InsertStep, place_id
from goaime_migrate.transform.step import Step

WORTH = 4_000
"""Documents from which on a collection is parted: fewer are walked before another process has started."""
SIZE = 1_000
"""Documents that a partition holds, about: two batches. There are many more than threads, so that none is left idle."""
_LIGHT = LARGEST_LIGHT // LARGEST
"""So many times as many where batches are that much larger."""
MOST = 256
"""Partitions of one pass, if the last were not divided; those of a larger collection are larger."""
_TAPERED = 4
"""The last partitions are divided, half of them in two and half in four: a smaller end is reached by all together."""
_QUARTERS = 4


@dataclass(frozen=True)
class Range:
    """A range of `_id`s, how far a walk has come in it, and what it has counted there."""

    number: int
    after: bytes | None
    upto: bytes | None
    cursor: bytes | None
    """The last `_id` that was examined."""
    counts: PassCounts
    segments: int | None = 0
    """How many segments of the journal it has written, how many documents they had, and how many bytes they take; None
    where the release that began with it has not counted them."""
    documents: int | None = 0
    size: int | None = 0

    def record(self) -> Document:
        """As it is stored."""
        return {
            "number": self.number,
            "after": self.after,
            "upto": self.upto,
            "cursor": self.cursor,
            "segments": self.segments,
            "documents": self.documents,
            "size": self.size,
            "tally": self.counts.record(),
        }

    def read(self, record: Document) -> Range:
        """From what is stored."""
        return Range(
            record["number"],
            raw_id_or_none(record["after"]),
            raw_id_or_none(record["upto"]),
            raw_id_or_none(record["cursor"]),
            PassCounts.read(self.counts.versions, record["tally"]),
            record.get("segments"),
            record.get("documents"),
            record.get("size"),
        )

    def with_segment(self, documents: int, records: Sequence[Put]) -> Range:
        """The same with one more segment of so many documents in the journal, in these records."""
        if self.segments is None or self.documents is None:
            return self
        return replace(
            self,
            segments=self.segments + 1,
            documents=self.documents + documents,
            size=None
            if self.size is None
            else self.size + sum(len(raw_bson.encode(r.document)) for r in records),
        )


Partition = Checkpoint[Range]


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
    counts = PassCounts(version for version, _, _ in record.steps)
    position = Range(number, after, upto, after, counts)
    return Checkpoint(partition_id(record.id, kind, number), record.id, str(kind), position)


def sweeping_partition(record: PassRecord) -> Partition:
    """The partition in which sweeps write after a pass, before the first of them."""
    position = Range(0, None, None, None, PassCounts(()))
    return Checkpoint(partition_id(record.id, Kind.SWEEP, 0), record.id, str(Kind.SWEEP), position)


def count_documents(backend: CollectionReader, step: Step) -> int:
    """How many documents there are to walk over, where nothing else is said. Reads metadata only."""
    return len(step.documents) if isinstance(step, InsertStep) else backend.count(step.collection)


def count_wanted(backend: CollectionReader, steps: Sequence[Step], documents: int) -> int:
    """How many partitions of full size a pass of these steps over so many documents is to have."""
    if documents < WORTH or not backend.capabilities.workers:
        return 1
    narrow = projection.carried(steps, backend.capabilities, documents) is not None
    size = SIZE * _LIGHT if is_light(steps, narrow=narrow) else SIZE
    return max(2, min(MOST, documents // size))


def bounds(backend: CollectionReader, steps: Sequence[Step], check: Callable[[], None]) -> tuple[bytes, ...]:
    """The raw `_id`s between the partitions, ascending in the server's order; none for one partition.

    They are counted off along the index on `_id`, since a sample of the server may leave out whole regions; `check`
    is called on the way. Of a list they are places.
    """
    step = steps[0]
    documents = count_documents(backend, step)
    parts = count_wanted(backend, steps, documents)
    if parts < 2:
        return ()
    quarter = max(1, documents // (_QUARTERS * parts))
    distances = [quarter * size for size in _quarters(parts)[:-1]]
    if isinstance(step, InsertStep):
        return tuple(place_id(number - 1) for number in accumulate(distances))
    found: list[bytes] = []
    for identity in backend.ids_apart(step.collection, distances):
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


def stored_partitions(backend: Reader, record: PassRecord) -> list[Partition]:
    """The partitions of a pass's scan as they are now."""
    found = backend.find(PROGRESS, {"pass": record.id, "kind": "partition", "walk": str(Kind.SCAN)})
    known = {document["_id"]: document for document in found}
    return [part.read(known[part.id]) if part.id in known else part for part in partitions(record)]


def partitions_left(backend: Reader, record: PassRecord) -> list[Partition]:
    """The partitions of a pass that nobody has walked to the end."""
    return [part for part in stored_partitions(backend, record) if not part.done]
