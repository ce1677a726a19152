"""A pass that an earlier run has begun, as a preview takes it into account."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.bson_order import id_key
from goaime_migrate.backends.ports import PROGRESS, Reader
from goaime_migrate.backends.record_fields import raw_id_or_none
from goaime_migrate.journal.kinds import Kind
from goaime_migrate.journal.segments import entries_of
from goaime_migrate.ledger import PassRecord


@dataclass(frozen=True)
class BegunPass:
    """A pass that was interrupted, or a canary: some documents have its steps behind them already."""

    id: str
    began: datetime | None
    ranges: tuple[tuple[bytes | None, bytes | None], ...]
    """What has been examined: behind the first `_id`, up to the second; None is the beginning, or the end."""

    @classmethod
    def of(cls, reader: Reader, record: PassRecord) -> BegunPass:
        """As the records say. Reads only."""
        parts = reader.find(PROGRESS, {"pass": record.id, "kind": "partition", "walk": str(Kind.SCAN)})
        walked = [(p["after"], p["cursor"]) for p in parts if p["done"] or (p["seq"] and p["cursor"])]
        ranges = tuple((raw_id_or_none(after), raw_id_or_none(upto)) for after, upto in walked)
        return cls(record.id, record.started_at, ranges)

    def migrated(self, reader: Reader, documents: Sequence[bytes]) -> set[bytes]:
        """The ids of those that have been."""
        ids = [raw_bson.id_of(document) for document in documents]
        return {i for i in ids if self.examined(i)} | set(entries_of(reader, self.id, ids))

    def examined(self, identity: bytes) -> bool:
        """Whether its scan has come past an id."""
        key = id_key(identity)
        return any(
            (after is None or id_key(after) < key) and (upto is None or key <= id_key(upto))
            for after, upto in self.ranges
        )
