"""Where a pass is parted, so that several processes can walk it side by side."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from goaime_migrate.backends.base import PROGRESS, Backend
from goaime_migrate.backends.ordering import id_key
from goaime_migrate.engine.journal import Kind
from goaime_migrate.engine.passes import Partition, new_partition
from goaime_migrate.ledger import PassRecord

WORTH = 4_000
"""Documents from which on a collection is parted: fewer are walked before another process has started."""
SIZE = 2_000
"""Documents that a partition holds, about; it is more partitions than processes, so that all end together."""
MOST = 256
"""Partitions of one pass; those of a larger collection are larger."""
_DRAWN = 20
"""`_id`s that are drawn for each partition: its size is then right to within a quarter."""


def wanted(backend: Backend, collection: str) -> int:
    """How many partitions a pass over the collection is to have. Reads its metadata only."""
    if not backend.capabilities.workers:
        return 1
    documents = backend.count(collection)
    return 1 if documents < WORTH else max(2, min(MOST, documents // SIZE))


def bounds(backend: Backend, collection: str) -> tuple[bytes, ...]:
    """The raw `_id`s between the partitions, ascending in BSON's order of all types; none for one partition."""
    parts = wanted(backend, collection)
    if parts < 2:
        return ()
    drawn = {id_key(identity): identity for identity in backend.sample_ids(collection, parts * _DRAWN)}
    ordered = [drawn[key] for key in sorted(drawn)]
    places = dict.fromkeys(len(ordered) * part // parts for part in range(1, parts))
    return tuple(ordered[place] for place in places if place < len(ordered))


def partitions(record: PassRecord) -> list[Partition]:
    """The partitions of a pass's scan as they are before anybody has walked in them."""
    edges = [None, *record.bounds, None]
    pairs = pairwise(edges)
    return [new_partition(record, Kind.SCAN, i, after, upto) for i, (after, upto) in enumerate(pairs)]


def stored(backend: Backend, record: PassRecord) -> dict[int, Partition]:
    """The partitions that have been walked in, or are about to be, by their number."""
    found = backend.find(PROGRESS, {"pass": record.id, "kind": "partition", "walk": str(Kind.SCAN)})
    versions: Sequence[str] = [version for version, _, _ in record.steps]
    return {part.number: part for part in (Partition.read(document, versions) for document in found)}


def left(backend: Backend, record: PassRecord) -> list[Partition]:
    """The partitions of a pass that nobody has walked to the end."""
    known = stored(backend, record)
    return [part for part in partitions(record) if part.number not in known or not known[part.number].done]
