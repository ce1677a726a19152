"""Looks at a dump from above, in memory."""

from __future__ import annotations

from collections.abc import Sequence

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.embedded.lease import LeasedDump
from goaime_migrate.backends.embedded.matching import matcher
from goaime_migrate.backends.embedded.unique import KeyTable, checkable
from goaime_migrate.backends.ports import EqualKeys, Filter, Room, Size
from goaime_migrate.results import Document


class DumpSurvey(LeasedDump):
    """The survey of a dump."""

    def size(self, collection: str) -> Size:
        """Counted."""
        documents = self.documents(collection)
        return Size(len(documents), sum(map(len, documents)))

    def equal_keys(self, collection: str, index: Document, *, limit: int, seconds: float) -> EqualKeys:
        """By the index that the dump itself would keep."""
        table = KeyTable(checkable(index))
        for document in self.documents(collection):
            table.add(document)
        groups = table.groups()
        return EqualKeys(tuple(groups[:limit]), complete=len(groups) <= limit)

    def misfits(self, collection: str, wanted: Filter, documents: Sequence[bytes]) -> list[bytes]:
        """As far as a dump knows filters."""
        matches = matcher(wanted)
        return [raw_bson.id_of(document) for document in documents if not matches(document)]

    def room(self) -> Room:
        """What the disk under the directory has."""
        import shutil

        return Room(disk=shutil.disk_usage(self._root).free)
