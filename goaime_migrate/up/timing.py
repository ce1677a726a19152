"""How long the parts of a pass take, each timed on some documents as `up` would do it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import Backend, Filter
from goaime_migrate.run.pacing import largest
from goaime_migrate.run.reading import batches
from goaime_migrate.transform import projection
from goaime_migrate.transform.chain import BatchResult, Chain
from goaime_migrate.transform.deduplication import Deduplication
from goaime_migrate.transform.frozen_lookups import FrozenLookups
from goaime_migrate.transform.step import Step
from goaime_migrate.up.cost import Timed, Way, Work
from goaime_migrate.up.whole import reads_all

_BATCHES = 4
"""Batches that are read to find out how long that takes,"""
_ENOUGH = 2_000
"""and documents that are transformed."""


class Timing:
    """The work of one pass, which its preview is timed with."""

    def __init__(self, backend: Backend, steps: Sequence[Step], carried: Sequence[str] | None = None) -> None:
        self._backend = backend
        self._step = steps[0]
        self._carried = carried
        """The fields that `up` will carry, None where it carries whole documents."""
        self.narrow = carried is not None
        self.work = Work(batch=largest(steps, narrow=self.narrow))
        # A preview handles whole documents: where `up` does not, what that takes says nothing.
        self.reading = Timed() if self.narrow else self.work.reading
        self.transforming = Timed() if self.narrow else self.work.transforming
        self.journaling = Timed() if self.narrow else self.work.journaling
        self.neighbours: Sequence[bytes] = ()
        """Documents that follow each other, as they were read."""

    def prepare(self, chain: Chain, total: int) -> None:
        """What `up` works out before a walk over so many documents begins."""
        tables, once = chain.tables, self.work.once
        if tables.freezes:  # it has been
            return
        tables.unfrozen = {}
        if isinstance(chain, Deduplication):
            once.run(lambda: chain.prepare(*reads_all(self._backend, chain.step)))
        records = once.run(lambda: tables.freeze_small(self._backend, total))
        self.work.freeze(len(records), sum(len(raw_bson.encode(record.document)) for record in records))

    def read(self, where: Filter | None) -> None:
        """Read some batches as `up` does: a sample is found in another way, and a preview reads documents whole.

        Of these the middle one counts, since a server now and then has something else to do first.
        """
        read = batches(self._backend, self._step.collection, where, fields=self._carried)
        taken = [Timed() for _ in range(_BATCHES)]
        for each in taken:
            found = each.run(lambda: next(read, ()))
            each.documents, self.neighbours = len(found), found or self.neighbours
        told = [each for each in taken if each.documents]
        if told:
            self.work.reading = sorted(told, key=lambda each: each.each)[len(told) // 2]

    def run_narrow(
        self, chain: Chain, documents: Sequence[bytes], journal: Callable[[BatchResult], object]
    ) -> None:
        """Transform and journal the carried fields of some documents alone, until there are enough."""
        if self._carried is None or self.work.transforming.documents >= _ENOUGH:
            return
        chain.tables.note_collections(self._backend.collections())
        carried = [projection.part(document, self._carried) for document in documents]
        made = self.work.transforming.run(
            lambda: chain.run(self._backend, carried, self._carried), len(documents)
        )
        self.work.journaling.run(lambda: journal(made), len(documents))

    def way(self, result: BatchResult) -> Way:
        """How `up` writes what changes."""
        if not self._backend.capabilities.deltas:
            return Way.WHOLE
        if result.stages:
            return Way.COMPUTED
        return Way.FIELDS if self.narrow else Way.WHOLE

    def look_up(self, tables: FrozenLookups, factor: float) -> None:
        """What is looked up is kept, once for each key: so many times as many keys as were asked for, if there are."""
        for lookup, sizes in (tables.unfrozen or {}).items():
            keys = len(sizes)
            many = min(factor * keys, max(keys, self._backend.count(lookup.collection)))
            if lookup.collection == self._step.writes:  # each document is kept before it is written
                many = max(many, factor * self.work.written)
            self.work.freeze(round(many), round(many * sum(sizes) / keys))
