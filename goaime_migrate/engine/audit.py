"""Checking promises again: every document of a collection against `model=` and `check=`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from bson.errors import BSONError

from goaime_migrate.backends import raw
from goaime_migrate.backends.base import Backend, Reader
from goaime_migrate.engine import journal
from goaime_migrate.engine.chain import Step, broken_promises
from goaime_migrate.engine.journal import Kind
from goaime_migrate.engine.lookups import Tables
from goaime_migrate.engine.scan import batches
from goaime_migrate.results import VerifyFailure

MOST = 1_000
"""Failures that are listed; the walk ends when there are more."""


def documents(backend: Backend, collection: str, sample: int | None) -> Iterator[list[bytes]]:
    """All documents of a collection, batch by batch, or a sample of them."""
    if sample is not None:
        yield backend.sample(collection, sample)
        return
    yield from batches(backend, collection)


def migrated(backend: Backend, collection: str, pass_id: str, sample: int | None) -> Iterator[list[bytes]]:
    """The documents that a pass with a filter has written: its promises are about no others."""
    for kind in (Kind.CANARY, Kind.SCAN, Kind.TAIL):
        for key in journal.keys(backend, pass_id, kind):
            segment = journal.read(backend, key)
            if segment is not None and (sample is None or sample > 0):
                ids = [entry.id for entry in segment.entries][:sample]
                yield backend.by_ids(collection, ids)
                sample = None if sample is None else sample - len(ids)


class Auditor:
    """Holds documents against the promises of some steps on their collection."""

    def __init__(self, steps: Sequence[Step]) -> None:
        lookups = [lookup for step in steps for lookup in step.lookups.values()]
        self._steps = steps
        self._tables = Tables("verify", list(dict.fromkeys(lookups)), freeze=False)
        self.checked = 0
        self.failures: list[VerifyFailure] = []

    def batch(self, reader: Reader, batch: Sequence[bytes]) -> None:
        """Check some documents."""
        self.checked += len(batch)
        waiting: Sequence[bytes] = batch
        while waiting and len(self.failures) < MOST:
            deferred = [document for document in waiting if not self._document(document)]
            if deferred:
                self._tables.load(reader)
            waiting = deferred

    def _document(self, document: bytes) -> bool:
        """Whether it could be judged; False where a lookup has to be loaded first."""
        self._tables.misses.clear()
        found = list(self._judged(document))
        if self._tables.misses:
            return False
        self.failures += found
        return True

    def _judged(self, document: bytes) -> Iterator[VerifyFailure]:
        identity: Any = raw.id_value(raw.id_of(document))
        for step in self._steps:
            arguments = {name: self._tables[lookup] for name, lookup in step.lookups.items()}
            try:
                decoded = raw.decode(document)
            except (BSONError, UnicodeDecodeError):
                decoded = raw.decode_leniently(document)
            for name, reason in broken_promises(step, decoded, arguments):
                yield VerifyFailure(step.version, step.collection, identity, name, reason)
