"""What a pass that makes documents would do: run over real documents, held against the target, nothing written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import Backend, Filter
from goaime_migrate.events import Listener
from goaime_migrate.journal import claims
from goaime_migrate.journal.digest import digest
from goaime_migrate.journal.entry import Entry
from goaime_migrate.journal.kinds import Kind
from goaime_migrate.journal.segments import Segment
from goaime_migrate.results import Counts, Sample
from goaime_migrate.rules.seen import Seen
from goaime_migrate.run.pacing import LARGEST, Pacing
from goaime_migrate.run.progress import ReadProgress
from goaime_migrate.run.reading import batches
from goaime_migrate.transform.chain import Chain, Changed
from goaime_migrate.transform.chains import chain_of
from goaime_migrate.transform.counts import PassCounts
from goaime_migrate.transform.derivation import Derivation, Derived, DeriveStep, Made
from goaime_migrate.transform.insertion import InsertStep
from goaime_migrate.transform.probe import combine, require_filters
from goaime_migrate.transform.step import Step
from goaime_migrate.up.arrivals import Arrivals, Resumed, settle, settle_listed
from goaime_migrate.up.arriving import found_there
from goaime_migrate.up.begun_pass import BegunPass
from goaime_migrate.up.capable import require_capable, require_lookups
from goaime_migrate.up.presence import present
from goaime_migrate.up.preview import EXAMPLES, EXHAUSTIVE, SAMPLE, Preview
from goaime_migrate.up.timing import Timing

_FRESH = Resumed({})


def preview_arrivals(
    backend: Backend,
    before: Sequence[Step],
    step: InsertStep | DeriveStep,
    canary: Filter | None,
    begun: BegunPass | None,
    listener: Listener,
    watch: Seen,
) -> Preview:
    """What would be inserted, where documents are as the steps `before` leave them. Raises MigrationFailed, Refused.

    `watch` is shown what would be.
    """
    if isinstance(step, InsertStep):
        return _preview_inserts(backend, step, begun, watch)
    return _preview_derives(
        backend,
        chain_of("plan", before, began=backend.now(), freeze=False) if before else None,
        step,
        canary,
        begun,
        listener,
        watch,
    )


def _preview_inserts(backend: Backend, step: InsertStep, begun: BegunPass | None, watch: Seen) -> Preview:
    require_capable(backend, step.collection)
    measure = _Measure(backend, step, begun, watch)
    work = measure.timing.work
    listed = work.transforming.run(lambda: list(step.with_ids(backend.records)), len(step.documents))
    for start in range(0, len(listed), LARGEST):
        documents = listed[start : start + LARGEST]
        found = found_there(backend, step, documents, looks=True)
        counts = PassCounts([step.version])
        counts.examined = len(documents)
        measure.add(settle_listed(step, documents, found, _FRESH), counts)
    return measure.result(1.0, None)


def _preview_derives(
    backend: Backend,
    before: Chain | None,
    step: DeriveStep,
    canary: Filter | None,
    begun: BegunPass | None,
    listener: Listener,
    watch: Seen,
) -> Preview:
    for name in dict.fromkeys((step.collection, step.writes)):
        require_capable(backend, name)
    require_lookups(backend, [step])
    require_filters(backend, [step], canary)
    where = combine(step.where, canary)
    total = backend.count(step.collection, where)
    measure = _Derived(backend, before, step, begun, watch, total)
    looking = ReadProgress(listener, (step.version,), f"plan {step.collection}")
    if total <= EXHAUSTIVE:
        reading = measure.timing.reading
        read: Iterable[list[bytes]] = reading.batches(batches(backend, step.collection, where))
    else:
        measure.timing.read(where)
        read = [backend.sample(step.collection, SAMPLE, where)]
    looking.total, pacing = min(total, EXHAUSTIVE), Pacing()
    for batch in read:
        for part in looking.parts(batch, pacing):
            measure.batch(part)
    measure.hold_to_neighbours(measure.timing.neighbours)
    sampled = None if total <= EXHAUSTIVE else SAMPLE
    factor = 1.0 if sampled is None else total / sampled
    measure.timing.look_up(measure.tables, factor)
    return measure.result(factor, sampled)


class _Measure:
    """Adds up what would be inserted."""

    def __init__(self, backend: Backend, step: Step, begun: BegunPass | None, watch: Seen) -> None:
        self._backend = backend
        self._watch = watch
        self._step = step
        self._begun = begun
        self._counts = PassCounts([step.version])
        self._samples: list[Sample] = []
        self.timing = Timing(backend, [step])

    def add(self, arrivals: Arrivals, counts: PassCounts) -> None:
        """One batch, of which the sources are counted."""
        counts.arrived(len(arrivals.writes), len(arrivals.fresh))
        self._counts.add(counts)
        work, examined = self.timing.work, counts.examined
        work.journal_bytes += work.journaling.run(lambda: _journal_bytes(arrivals), examined)
        documents = [(write.id, write.after) for write in arrivals.writes if write.after is not None]
        work.add(examined, [Changed(i, None, document, (True,)) for i, document in documents])
        self._watch.arrived([document for _, document in documents], examined)
        for identity, document in documents[: EXAMPLES - len(self._samples)]:
            shown = raw_bson.decode_leniently(document)
            self._samples.append(Sample(raw_bson.id_value(identity), None, shown))

    def result(self, factor: float, sampled: int | None) -> Preview:
        """The forecast, extrapolated."""
        counts = self._counts.of(self._step.version)
        matched, changed, unchanged = (
            round(each * factor) for each in (counts.matched, counts.changed, counts.unchanged)
        )
        return Preview(
            counts=[Counts(matched, changed, unchanged, 0)],
            samples=[self._samples],
            warnings=tuple(replace(w, count=round(w.count * factor)) for w in self._counts.warning_counts()),
            work=self.timing.work,
            factor=factor,
            sampled=sampled,
            examined=counts.matched,
            idle="nothing new is made of the documents looked at",
            total=matched,
        )


def _journal_bytes(arrivals: Arrivals) -> int:
    """The bytes of their journal."""
    segment = Segment("plan", Kind.SCAN, 0, 0, entries=tuple(arrivals.entries))
    return sum(len(raw_bson.encode(record)) for record in segment.records())


class _Derived(_Measure):
    """Adds up what would be derived."""

    def __init__(
        self,
        backend: Backend,
        before: Chain | None,
        step: Step,
        begun: BegunPass | None,
        watch: Seen,
        total: int,
    ) -> None:
        super().__init__(backend, step, begun, watch)
        self._before = before
        chain = (
            chain_of("plan", [step], began=backend.now(), freeze=False)
            if begun is None
            else chain_of(begun.id, [step], began=begun.began)
        )
        assert isinstance(chain, Derivation)
        self._chain = chain
        self.tables = chain.tables
        self.tables.note_collections(backend.collections())
        self.timing.prepare(chain, total)
        self._made: dict[bytes, bytes] = {}
        """By the hash of each `_id` that was made a hash of the document: it will be there when it is made again."""

    def batch(self, documents: Sequence[bytes]) -> None:
        """One batch of sources."""
        ready = self._ready(documents)
        while ready:
            derived = self._derive(ready)
            self.add(self._settle(derived.made), derived.counts)
            ready = ready[derived.taken :]

    def hold_to_neighbours(self, documents: Sequence[bytes]) -> None:
        """The journal is as long as it is for sources that follow each other, if there are any.

        What is made of a sample's lies far apart: it is found one by one and not by its neighbourhood, see `traces`.
        """
        ready = self._ready(documents)
        arrivals = self._settle(self._chain.derive(self._backend, ready).made) if ready else Arrivals()
        if arrivals.writes:
            made = self.timing.work.written
            self.timing.work.journal_bytes = round(made / len(arrivals.writes) * _journal_bytes(arrivals))

    def _derive(self, ready: Sequence[bytes]) -> Derived:
        derived = self.timing.transforming.run(lambda: self._chain.derive(self._backend, ready))
        self.timing.transforming.documents += derived.taken
        return derived

    def _ready(self, documents: Sequence[bytes]) -> list[bytes]:
        """The sources as `derive` will get them; those that an unfinished pass has seen to need nothing."""
        left = list(documents)
        if self._begun is not None:
            ids = [raw_bson.id_of(document) for document in documents]
            made = claims.find_made(self._backend, self._begun.id, ids)
            seen = claims.Claims.beside(self._backend, self._begun.id, ids)
            done = {i for i in ids if i in made or i in seen or self._begun.examined(i)}
            left = [d for i, d in zip(ids, documents, strict=True) if i not in done]
        return left if self._before is None else self._before.run(self._backend, left).applied_to(left)

    def _settle(self, made: Sequence[Made]) -> Arrivals:
        ids = list(dict.fromkeys(each.id for each in made))
        there = present(self._backend, self._step.writes, ids)
        ours = claims.find_made(self._backend, self._begun.id, there.ids()) if self._begun else {}
        for each in made:
            known = self._made.get(digest(each.id))
            if known is not None:
                there.add(each.document)
                ours[each.id] = Entry(None, known, inserted=each.id)
        arrivals = settle(self._chain.step, made, there, ours, _FRESH, lambda _: True)
        self._made |= {digest(w.id): digest(w.after) for w in arrivals.writes if w.after is not None}
        return arrivals
