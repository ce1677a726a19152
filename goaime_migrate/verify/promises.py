"""Checking promises again: every document of a collection against `model=` and `check=`.

Most documents keep theirs, which is found out in the quickest way there is: by the server, where it can tell, or by one
look at the decoded document for all steps. Only where that finds fault is a document judged promise by promise, each
with a decoded document of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest
from typing import Any, TypeVar

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import CollectionReader, Reader
from goaime_migrate.events import silent
from goaime_migrate.journal import segments
from goaime_migrate.journal.segments import Kind
from goaime_migrate.memory import without_collection
from goaime_migrate.results import VerifyFailure
from goaime_migrate.run.pacing import Pacing
from goaime_migrate.run.progress import ReadProgress
from goaime_migrate.run.reading import batches
from goaime_migrate.transform.frozen_lookups import FrozenLookups
from goaime_migrate.transform.lookups import Lookup
from goaime_migrate.transform.step import Step, broken_promises
from goaime_migrate.verify.prefilter import Prefilter, sieve

MOST = 1_000
"""Failures that are listed; from then on documents are only counted."""
_JUDGED = 100
"""Documents that the server does not vouch for are fetched by so many."""

_Finding = TypeVar("_Finding")


def migrated(
    backend: CollectionReader, collection: str, pass_id: str, sample: int | None
) -> Iterator[list[bytes]]:
    """The documents that a pass with a filter has written: its promises are about no others."""
    for kind in (Kind.CANARY, Kind.SCAN, Kind.TAIL):
        for key in segments.keys(backend, pass_id, kind):
            segment = segments.read(backend, key)
            if segment is not None and (sample is None or sample > 0):
                ids = [entry.id for entry in segment.entries][:sample]
                yield backend.by_ids(collection, ids)
                sample = None if sample is None else sample - len(ids)


class Auditor:
    """Holds documents against the promises of some steps on their collection.

    `passes` are those in which the steps were applied: what they have looked up in their own collection is asked for
    there, as it was before them. All other lookups are read anew.
    """

    def __init__(self, steps: Sequence[Step], passes: Sequence[str | None] = ()) -> None:
        anew = FrozenLookups("verify", _lookups(steps), freeze=False)
        frozen = [
            anew if known is None else FrozenLookups(known, _lookups([step]), writes=step.collection)
            for step, known in zip_longest(steps, passes)
        ]
        self._tables = [anew, *(each for each in frozen if each is not anew)]
        self._promises = [
            (
                step,
                {n: (own if v.collection == step.collection else anew)[v] for n, v in step.lookups.items()},
            )
            for step, own in zip(steps, frozen, strict=True)
        ]
        self.checked = 0
        self.failures: list[VerifyFailure] = []

    def whole(
        self,
        backend: CollectionReader,
        collection: str,
        sample: int | None,
        looking: ReadProgress | None = None,
    ) -> None:
        """Check all documents of a collection, or a sample of them."""
        looking, pacing = looking or ReadProgress(silent, (), ""), Pacing()
        if sample is not None:
            drawn = backend.sample(collection, sample)
            looking.total = len(drawn)
            for part in looking.parts(drawn, pacing):
                self.batch(backend, part)
            return
        looking.total = backend.count(collection)
        sifted = sieve([step for step, _ in self._promises]) if backend.capabilities.schemas else None
        if sifted is not None:
            self._sift(backend, collection, sifted, looking)
            return
        for batch in batches(backend, collection):
            for part in looking.parts(batch, pacing):
                self.batch(backend, part)

    def batch(self, reader: Reader, documents: Sequence[bytes]) -> None:
        """Check some whole documents."""
        self.checked += len(documents)
        if self._promises and not self._enough:
            with without_collection():
                kept = self._settled(reader, documents, self._keeps)
            self._judge(reader, [d for d, kept in zip(documents, kept, strict=True) if not kept])

    @property
    def _enough(self) -> bool:
        return len(self.failures) >= MOST

    def _sift(
        self, backend: CollectionReader, collection: str, sieve: Prefilter, looking: ReadProgress
    ) -> None:
        """Count all documents, and judge those that the sieve keeps back, as they are when they are fetched.

        A document that is inserted behind the walk is neither counted nor judged, as ever.
        """
        after: bytes | None = None
        for batch in batches(backend, collection, fields=sieve.fields):
            upto = raw_bson.id_of(batch[-1])
            self.checked += len(batch)
            if not self._enough:
                suspects = _suspects(backend, collection, sieve, after, upto)
                if suspects or sieve.validators:
                    with without_collection():
                        kept_back = list(_ids_kept_back(batch, suspects, sieve))
                    self._fetch_and_judge(backend, collection, kept_back)
            looking.seen(len(batch))
            after = upto

    def _fetch_and_judge(self, reader: Reader, collection: str, ids: Sequence[bytes]) -> None:
        for start in range(0, len(ids), _JUDGED):
            some = ids[start : start + _JUDGED]
            found = {raw_bson.id_of(document): document for document in reader.by_ids(collection, some)}
            self._judge(reader, [found[i] for i in some if i in found])

    def _judge(self, reader: Reader, documents: Sequence[bytes]) -> None:
        for found in self._settled(reader, documents, self._broken):
            if not self._enough:
                self.failures += found

    def _settled(
        self, reader: Reader, documents: Sequence[bytes], look: Callable[[bytes], _Finding]
    ) -> list[_Finding]:
        """What a look at each document finds, with the lookups loaded that it asks for."""
        findings: dict[int, _Finding] = {}
        waiting: Sequence[int] = range(len(documents))
        for tables in self._tables:
            tables.trim()
        while waiting:
            deferred = []
            for slot in waiting:
                for tables in self._tables:
                    tables.misses.clear()
                findings[slot] = look(documents[slot])
                if any(tables.misses for tables in self._tables):
                    deferred.append(slot)
            for tables in self._tables if deferred else ():
                tables.load(reader)
            waiting = deferred
        return [findings[slot] for slot in range(len(documents))]

    def _keeps(self, document: bytes) -> bool:
        """Whether the document keeps every promise, as far as one decoded document for all of them tells."""
        decoded = raw_bson.decode_any(document)
        return not any(
            True for step, arguments in self._promises for _ in broken_promises(step, decoded, arguments)
        )

    def _broken(self, document: bytes) -> list[VerifyFailure]:
        identity: Any = raw_bson.id_value(raw_bson.id_of(document))
        return [
            VerifyFailure(step.version, step.collection, identity, name, reason)
            for step, arguments in self._promises
            for name, reason in broken_promises(step, raw_bson.decode_any(document), arguments)
        ]


def _lookups(steps: Sequence[Step]) -> list[Lookup]:
    return [lookup for step in steps for lookup in step.lookups.values()]


def _suspects(
    reader: Reader, collection: str, sieve: Prefilter, after: bytes | None, upto: bytes
) -> frozenset[bytes]:
    """The raw ids after < `_id` <= upto of the documents that the server does not vouch for."""
    if sieve.suspects is None:
        return frozenset()
    found = reader.documents(collection, after=after, upto=upto, where=sieve.suspects, fields=())
    return frozenset(map(raw_bson.id_of, found))


def _ids_kept_back(batch: Sequence[bytes], suspects: frozenset[bytes], sieve: Prefilter) -> Iterator[bytes]:
    for document in batch:
        identity = raw_bson.id_of(document)
        if identity in suspects or (sieve.validators and not sieve.passes(raw_bson.decode_any(document))):
            yield identity
