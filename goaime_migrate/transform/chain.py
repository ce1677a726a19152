"""The steps of a pass, applied to one document: decode once, transform, check, encode."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import Elements, Filter, Reader, RecordChange, Write
from goaime_migrate.errors import (
    MigrationFailed,
    TransformFailed,
)
from goaime_migrate.errors.hint import UP, Hint
from goaime_migrate.journal.entry import Entry, hashes_of
from goaime_migrate.journal.segments import Known
from goaime_migrate.memory import without_collection
from goaime_migrate.results import Document
from goaime_migrate.transform.asked import Asked, Note
from goaime_migrate.transform.changes import ChangeDetector, Undecided
from goaime_migrate.transform.counts import PassCounts
from goaime_migrate.transform.frozen_lookups import FrozenLookups
from goaime_migrate.transform.rewriting import require_same_id, splice
from goaime_migrate.transform.step import Step, apply, encoded, keeps_promises, promise_broken

_REFERENCE = b"\x02$ref\0"
"""What begins a document that Python knows as a reference, and a server as any other."""
_ROUNDS = 200
"""How often a transform may ask for keys that depend on documents it has just been given."""


@dataclass(slots=True)
class Changed:
    """A document that the chain changes; `touched` says which steps did.

    Without `before` it is inserted, without `after` it is deleted. With `sets`, the elements by name that it sets and
    all it does, both hold only the fields that are carried.
    """

    id: bytes
    before: bytes | None
    after: bytes | None
    touched: tuple[bool, ...]
    sets: Elements | None = None
    source: bytes | None = None
    """The raw `_id` of the document that an inserted one was derived from."""
    place: bytes | None = None
    """Where a deleted one stands, as `Reader.places` tells it."""
    hashes: Mapping[str, bytes | None] | None = None
    """Those of the changed fields, as an `Entry` has them, if they are known: where all documents get the same."""

    def entry(self) -> Entry:
        """What the journal keeps of it."""
        if self.before is None:
            return Entry.insertion(self.id, self.after, self.source)
        if self.after is None:
            return Entry.deletion(self.before, self.place)
        if self.sets is None:
            return Entry.of(self.before, self.after, self.hashes)
        return Entry.setting(self.before, self.after, self.hashes or hashes_of(self.sets))

    def write(self) -> Write:
        """How it is written."""
        return Write(self.id, self.before, self.after, self.sets is not None, self.sets)


@dataclass
class BatchResult:
    """What the chain makes of a batch."""

    changed: list[Changed]
    unchanged: list[bytes]
    """Raw ids."""
    counts: PassCounts
    frozen: list[RecordChange]
    stages: Sequence[Document] = ()
    """Update stages with which the server makes the very same of all these documents,"""
    where: Filter | None = None
    """if they match this."""
    once: bool = True
    """Whether none of them has a field twice that the stages set or remove."""
    told: Sequence[tuple[bytes, Sequence[Note]]] = ()
    """The warnings, by document."""

    def applied_to(self, documents: Iterable[bytes]) -> list[bytes]:
        """The documents as they are then, in their order, without those that are deleted."""
        after = {changed.id: changed.after for changed in self.changed}
        results = (after.get(raw_bson.id_of(document), document) for document in documents)
        return [result for result in results if result is not None]

    def count_new(self, known: Known) -> PassCounts:
        """The counts where some of the documents have been examined, and counted, before.

        What is told of one that was left alone then, and is again, has been told.
        """
        counts = PassCounts(self.counts.versions)
        counts.lookups = self.counts.lookups
        left = known.unchanged.intersection(self.unchanged)
        for identity, notes in self.told:
            if identity not in left:
                counts.warn(notes, identity)
        for changed in self.changed:
            if changed.id not in known.entries:
                counts.count(changed.touched)
                counts.examined -= changed.id in known.unchanged
        for identity in self.unchanged:
            counts.examined += identity not in known.entries and identity not in known.unchanged
        return counts


class Chain:
    """Steps with their lookup tables. Pure but for the tables' cache: the same bytes in, the same bytes out."""

    def __init__(self, steps: Sequence[Step], tables: FrozenLookups) -> None:
        self.steps = tuple(steps)
        self.tables = tables
        self._arguments = [tables.arguments(step) for step in steps]
        self._asked = [
            Asked(step.version, name, tables[lookup])
            for step in steps
            for name, lookup in step.looked_up.items()
        ]
        self._detector = ChangeDetector(len(self.steps), self._encoded)
        self._identity = b""
        """Of the document that the steps are being applied to."""
        self._noted: list[Note] = []
        self._notes: list[tuple[bytes, list[Note]]] = []
        self._stages = (
            [stage for step in steps for stage in step.stages] if all(s.stages for s in steps) else []
        )
        self._sweeps = True
        """Whether a server makes the same of the documents looked at so far, with these stages."""
        self._version = steps[0].version if steps else ""

    def beside(self) -> Chain:
        """The same steps for another thread. They take turns: `run` changes what is one for the whole process."""
        return type(self)(self.steps, self.tables.beside())

    def run(
        self, reader: Reader, documents: Sequence[bytes], fields: Sequence[str] | None = None
    ) -> BatchResult:
        """Apply all steps to each document, loading lookups as they are asked for.

        `fields`: all that the documents hold of those in the collection; None where they are whole.
        """
        outcomes: list[Changed | bytes | None] = [None] * len(documents)
        counts = PassCounts(step.version for step in self.steps)
        self._sweeps = bool(self._stages)
        for asked in self._asked:
            asked.begin(counts)
        frozen = self._in_rounds(reader, documents, lambda i: self._try(documents[i], i, outcomes, counts))
        changed = [o for o in outcomes if isinstance(o, Changed)]
        frozen += self.tables.before_writing(reader, [c.before for c in changed if c.before is not None])
        stages = self._stages if self._sweeps else ()
        unchanged = [o for o in outcomes if isinstance(o, bytes)]
        return BatchResult(changed, unchanged, counts, frozen, stages, told=self._notes)

    def _in_rounds(
        self, reader: Reader, documents: Sequence[bytes], attempt: Callable[[int], bool]
    ) -> list[RecordChange]:
        """Attempt each document by its place until it comes through, loading lookups as they are asked for.

        The records that freeze what was looked up.
        """
        self._notes = []
        frozen: list[RecordChange] = []
        waiting: Iterable[int] = range(len(documents))
        self.tables.trim()
        with self._warnings(), without_collection():
            for _ in range(_ROUNDS):
                deferred = [i for i in waiting if not attempt(i)]
                if not deferred:
                    return frozen
                frozen += self.tables.load(reader)
                waiting = deferred
        raise self._restless(documents[next(iter(waiting))])

    def _restless(self, document: bytes) -> TransformFailed:
        return TransformFailed(
            f"the transform asks for other keys each time it is called, {_ROUNDS} times over",
            version=self._version,
            id=raw_bson.id_value(raw_bson.id_of(document)),
            hint=Hint("a transform must be pure: it may use no random value and no clock, then: {}", UP),
        )

    def _try(
        self, document: bytes, slot: int, outcomes: list[Changed | bytes | None], counts: PassCounts
    ) -> bool:
        """Whether the document came through; False where a lookup has to be loaded first."""
        identity = raw_bson.id_of(document)
        outcome = self._outcome(document, identity)
        if outcome is None:
            return False
        outcomes[slot] = outcome
        counts.count(outcome.touched if isinstance(outcome, Changed) else None)
        self._tell(counts, identity)
        return True

    def _begin(self) -> None:
        """Forget what was asked for, and said, for another document."""
        self.tables.misses.clear()
        self._noted.clear()
        for asked in self._asked:
            asked.table.forget_answers()

    def _tell(self, counts: PassCounts, identity: bytes) -> None:
        """Count what was said of a document."""
        notes = self._noted.copy()
        for asked in self._asked:
            asked.tell(counts, identity)
            if asked.table.several:
                notes.append(asked.one_of_several)
        if notes:
            self._notes.append((identity, notes))
            counts.warn(notes, identity)

    def _outcome(self, original: bytes, identity: bytes) -> Changed | bytes | None:
        """What becomes of a document, None where a lookup is missing.

        At first it is encoded once, at the end. Where that does not tell which steps have changed it, or anything is
        wrong with it, it is done again with a look at its bytes after every step.
        """
        for exact in (False, True):
            self._begin()
            try:
                outcome = self._one(original, identity, exact=exact)
            except (Undecided, MigrationFailed):
                if self.tables.misses:
                    return None
                if exact:
                    raise
                continue
            return None if self.tables.misses else outcome
        raise AssertionError("the second time is exact")

    def _one(self, original: bytes, identity: bytes, *, exact: bool) -> Changed | bytes:
        document = raw_bson.decode_any(original)
        base = raw_bson.encode(document)
        self._sweeps = self._sweeps and base == original and not may_refer(original)

        self._identity, detector, touched = identity, self._detector, []
        detector.begin(base, exact=exact)
        for position, (step, arguments) in enumerate(zip(self.steps, self._arguments, strict=True)):
            detector.before(position, document)
            self._version = step.version
            document = apply(step, step.transform, document, arguments, identity)
            touched.append(detector.changed(position, document))
            if not keeps_promises(step, document, arguments):
                raise promise_broken(step, document, arguments, identity)
        if not any(touched):
            return identity
        last = len(self.steps) - 1
        current = self._encoded(last, document) if detector.known is None else detector.known
        if base != original:
            current = splice(original, document, self.steps[last].version, identity)
        require_same_id(identity, current, self.steps[last].version)
        return Changed(identity, original, current, tuple(touched))

    def _encoded(self, position: int, document: Document) -> bytes:
        """The bytes of a document that the step at a position has made."""
        return encoded(self.steps[position], document, self._identity)

    @contextmanager
    def _warnings(self) -> Iterator[None]:
        """Collect what transforms warn with; other people's kinds of warnings go where they always go."""
        with warnings.catch_warnings():
            warnings.simplefilter("always", UserWarning)
            shown = warnings.showwarning

            def note(message: Any, category: type[Warning], *rest: Any, **more: Any) -> None:
                if issubclass(category, UserWarning):
                    self._noted.append((self._version, str(message)))
                else:
                    shown(message, category, *rest, **more)

            warnings.showwarning = note
            yield


def may_refer(document: bytes) -> bool:
    """Whether there may be a reference in a document; one byte is found ten times quicker than several."""
    return b"$" in document and _REFERENCE in document
