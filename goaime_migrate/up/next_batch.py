"""What the batches of all walks have in common: where they begin, and how they are journaled."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import Reader
from goaime_migrate.journal import segments
from goaime_migrate.journal.entry import Entry
from goaime_migrate.journal.kinds import Kind
from goaime_migrate.journal.segments import Segment
from goaime_migrate.run.checkpoint import Try, Unit
from goaime_migrate.run.pacing import BATCH_BYTES
from goaime_migrate.run.partitions import Partition, Range

if TYPE_CHECKING:
    from goaime_migrate.up.walk import Walk


class NextBatch(ABC):
    """The next batch of a partition."""

    def __init__(self, walk: Walk, partition: Partition) -> None:
        self._walk = walk
        self._partition = partition
        self._at = partition.position
        self._kind = Kind(partition.walk)

    @abstractmethod
    def plan(self, reader: Reader, this: Try) -> Unit[Range, int]:
        """Read, decide, and say what to change. It may be called several times."""

    def _read(self, reader: Reader, earlier: Segment | None, limit: int) -> tuple[list[bytes], bytes | None]:
        """The documents of the batch and the `_id` up to which they were examined."""
        walk, collection = self._walk, self._walk.record.collection
        if earlier is not None:
            again = reader.documents(collection, after=self._at.cursor, upto=earlier.upto, where=walk.where)
            return again, earlier.upto
        documents = reader.documents(
            collection,
            after=self._at.cursor,
            upto=self._at.upto,
            where=walk.where,
            limit=limit,
            max_bytes=BATCH_BYTES,
            fields=walk.fields,
        )
        full = len(documents) >= limit or sum(map(len, documents)) >= BATCH_BYTES
        return documents, raw_bson.id_of(documents[-1]) if documents and full else self._at.upto

    def _segment(self, upto: bytes | None, entries: Sequence[Entry], unchanged: Sequence[bytes]) -> Segment:
        before, level = self._partition, len(self._walk.chain.steps)
        return Segment(
            before.pass_id,
            self._kind,
            self._at.number,
            before.seq + 1,
            self._at.cursor,
            upto,
            tuple(entries),
            tuple(unchanged),
            level,
        )

    def _interrupted(self, reader: Reader) -> Segment | None:
        """The journal of this very batch, from a run that was cut off between it and the cursor.

        Only without transactions can there be one.
        """
        if self._walk.run.backend.capabilities.transactions:
            return None
        return segments.read(reader, self._segment(None, (), ()).key)
