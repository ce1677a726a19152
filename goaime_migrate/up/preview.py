"""What a pass would do: its steps run over real documents, and nothing written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.bson_order import id_key
from goaime_migrate.backends.ports import Backend, Filter
from goaime_migrate.errors import MigrationFailed
from goaime_migrate.events import Listener, silent
from goaime_migrate.journal.entry import Entry, hashes_of
from goaime_migrate.journal.kinds import Kind
from goaime_migrate.journal.segments import Segment
from goaime_migrate.results import Counts, Document, Sample, WarningCount
from goaime_migrate.rules.seen import Seen
from goaime_migrate.run.pacing import FIRST, Pacing
from goaime_migrate.run.progress import ReadProgress
from goaime_migrate.run.reading import batches
from goaime_migrate.transform import projection
from goaime_migrate.transform.chain import BatchResult, Chain, Changed
from goaime_migrate.transform.chains import chain, chain_of
from goaime_migrate.transform.counts import PassCounts
from goaime_migrate.transform.probe import check_declared_fields, combine, require_filters
from goaime_migrate.transform.step import Step
from goaime_migrate.up.begun_pass import BegunPass
from goaime_migrate.up.capable import require_capable, require_lookups
from goaime_migrate.up.cost import Work
from goaime_migrate.up.timing import Timing

EXHAUSTIVE = 20_000
"""Collections up to this size are read whole; of larger ones a sample is, and the counts are extrapolated."""
SAMPLE = 2_000
EXAMPLES = 2
"""Documents that are shown before and after each step."""


@dataclass
class Preview:
    """The forecast for one pass. Counts and samples by the position of the step."""

    counts: list[Counts]
    samples: list[list[Sample]]
    warnings: tuple[WarningCount, ...] = ()
    work: Work = field(default_factory=Work)
    factor: float = 1.0
    """How many times as much as was worked on there is to be done."""
    sampled: int | None = None
    examined: int = 0
    idle: str = "none of the documents looked at changes"
    """What is said of a step that does nothing to any."""
    settled: bool | None = None
    """Whether the steps leave their own results as they are; None where that was not tried."""
    total: int = 0


def preview(
    backend: Backend,
    before: Sequence[Step],
    steps: Sequence[Step],
    canary: Filter | None,
    begun: BegunPass | None = None,
    since: Sequence[Step] | None = None,
    listener: Listener = silent,
    watch: Seen | None = None,
) -> Preview:
    """Run `steps` on documents as the not yet applied steps `before` them will leave them. Raises MigrationFailed.

    Documents that a `begun` pass has migrated need only the steps `since`; None where the steps are the pass's own.
    `watch` is shown each batch and what becomes of it.
    """
    collection = steps[0].collection
    require_capable(backend, collection)
    require_lookups(backend, steps)
    require_filters(backend, steps, canary)
    where = combine(steps[0].where, canary)
    total = backend.count(collection, where)
    carried = projection.carried(steps, backend.capabilities, total)
    measure = _Measure(backend, before, steps, begun, since, carried, watch or Seen())
    measure.prepare(total)
    looking = ReadProgress(listener, dict.fromkeys(step.version for step in steps), f"plan {collection}")
    pacing = Pacing()
    if carried is not None or total > EXHAUSTIVE:
        measure.timing.read(where)
    if total <= EXHAUSTIVE:
        looking.total = total
        for batch in measure.timing.reading.batches(batches(backend, collection, where)):
            for part in looking.parts(batch, pacing):
                measure.batch(part)
        return measure.result(1.0, None, total)
    # In order, as a batch has them: so their journal compresses better.
    sample = sorted(backend.sample(collection, SAMPLE, where), key=lambda d: id_key(raw_bson.id_of(d)))
    looking.total = len(sample)
    for part in looking.parts(sample, pacing):
        measure.batch(part)
    return measure.result(total / max(1, len(sample)), len(sample), total)


class _Measure:
    """Adds up what batches show."""

    def __init__(
        self,
        backend: Backend,
        before: Sequence[Step],
        steps: Sequence[Step],
        begun: BegunPass | None,
        since: Sequence[Step] | None,
        carried: Sequence[str] | None,
        watch: Seen,
    ) -> None:
        self._watch = watch
        self._settled: bool | None = None
        self._backend = backend
        self._begun = begun
        self._resumes = since is None
        self._since = _anew(backend, since) if since else None
        self._steps = tuple(steps)
        self._before = self._looking(before, resumes=True) if before else None
        self._chain = self._looking(steps, resumes=self._resumes)
        self._chain.tables.note_collections(backend.collections())
        self.timing = Timing(backend, steps, carried)
        self.work = self.timing.work
        self._prefixes: dict[int, Chain] = {}
        self._counts = PassCounts(step.version for step in steps)
        self._changed = [0] * len(steps)
        self._held = all(step.fields is None for step in steps) or any(step.pipeline for step in steps)
        self._samples: list[list[Sample]] = [[] for _ in steps]
        self._carried = carried
        """The fields that `up` will carry, None where it carries whole documents."""

    def prepare(self, total: int) -> None:
        """What `up` works out before it walks over so many documents."""
        self.timing.prepare(self._chain, total)

    def batch(self, documents: Sequence[bytes]) -> None:
        """One batch of documents."""
        ready = self._ready(documents)
        self._hold_to_declared_fields(ready)
        if self.timing.narrow:
            chain = self._looking(self._steps, resumes=self._resumes)
            self.timing.run_narrow(chain, ready, self._journal_bytes)
        result = self.timing.transforming.run(lambda: self._chain.run(self._backend, ready), len(documents))
        self._counts.add(result.counts)
        self._watch.batch(ready, result)
        self._try_again(ready, result)
        self.work.add(len(documents), result.changed, self.timing.way(result))
        journaled = self.timing.journaling.run(lambda: self._journal_bytes(result), len(documents))
        self.work.journal_bytes += journaled
        for changed in result.changed:
            self._show(changed)

    def _journal_bytes(self, result: BatchResult) -> int:
        """The bytes of its journal."""
        entries = tuple(map(self._entry, result.changed))
        segment = Segment("plan", Kind.SCAN, 0, 0, entries=entries, unchanged=tuple(result.unchanged))
        return sum(len(raw_bson.encode(record)) for record in segment.records())

    def _entry(self, changed: Changed) -> Entry:
        """As `up` will journal it: where it carries some fields only, these. Raises UndeclaredField, as it would."""
        if self._carried is None or changed.before is None or changed.after is None:
            return changed.entry()
        narrow = projection.narrow(changed, self._steps[0], self._carried)
        if narrow is None or narrow.sets is None:
            return changed.entry()
        before, after = (projection.part(d, self._carried) for d in (changed.before, changed.after))
        return Entry.setting(before, after, hashes_of(narrow.sets))

    def _try_again(self, ready: Sequence[bytes], result: BatchResult) -> None:
        """Apply the steps to their own first results, as `up` does."""
        elsewhere = any(step.pipeline or step.deletes for step in self._steps)
        if self._settled is not None or not ready or elsewhere:
            return
        results = result.applied_to(ready[:FIRST])
        try:
            self._settled = not self._chain.run(self._backend, results).changed
        except MigrationFailed:
            self._settled = False

    def _looking(self, steps: Sequence[Step], *, resumes: bool) -> Chain:
        """Steps of the pass that has begun, if there is one and it `resumes` with them: their lookups are frozen."""
        known = self._begun
        if known is None or not resumes:
            return _anew(self._backend, steps)
        return chain_of(known.id, steps, began=known.began)

    def _hold_to_declared_fields(self, ready: Sequence[bytes]) -> None:
        """As `up` does with its first documents. Raises UndeclaredField, and what the steps raise."""
        if not self._held and ready:
            check_declared_fields(self._chain, self._backend, ready[:FIRST])
            self._held = True

    def _ready(self, documents: Sequence[bytes]) -> list[bytes]:
        """The documents as the steps will meet them."""
        if self._begun is None:
            return _after(self._before, self._backend, documents)
        migrated = self._begun.migrated(self._backend, documents)
        fresh = [d for d in documents if raw_bson.id_of(d) not in migrated]
        rest = [] if self._resumes else [d for d in documents if raw_bson.id_of(d) in migrated]
        return _after(self._before, self._backend, fresh) + _after(self._since, self._backend, rest)

    def _show(self, changed: Changed) -> None:
        for position, touched in enumerate(changed.touched):
            self._changed[position] += touched
            if touched and len(self._samples[position]) < EXAMPLES:
                before, after = changed.before, changed.after
                if before is not None and after is not None and not self._steps[0].pipeline:
                    before, after = self._up_to(position, before), self._up_to(position + 1, before)
                sample = Sample(raw_bson.id_value(changed.id), _decode(before), _decode(after))
                self._samples[position].append(sample)

    def _up_to(self, position: int, document: bytes) -> bytes:
        if position == 0:
            return document
        if position not in self._prefixes:
            self._prefixes[position] = chain(self._steps[:position], self._chain.tables)
        return _after(self._prefixes[position], self._backend, [document])[0]

    def result(self, factor: float, sampled: int | None, total: int) -> Preview:
        """The forecast, extrapolated."""
        counts = [_scale(self._counts.examined, changed, factor) for changed in self._changed]
        self.timing.look_up(self._chain.tables, factor)
        return Preview(
            counts=counts,
            samples=self._samples,
            warnings=tuple(replace(w, count=round(w.count * factor)) for w in self._counts.warning_counts()),
            work=self.work,
            factor=factor,
            sampled=sampled,
            examined=self._counts.examined,
            settled=self._settled,
            total=total,
        )


def _decode(document: bytes | None) -> Document | None:
    return None if document is None else raw_bson.decode_leniently(document)


def _anew(backend: Backend, steps: Sequence[Step]) -> Chain:
    """Steps whose lookups are answered by what is there now."""
    return chain_of("plan", steps, began=backend.now(), freeze=False)


def _after(chain: Chain | None, reader: Backend, documents: Sequence[bytes]) -> list[bytes]:
    """The documents after a chain, in the same order."""
    if chain is None or not documents:
        return list(documents)
    return chain.run(reader, documents).applied_to(documents)


def _scale(examined: int, changed: int, factor: float) -> Counts:
    matched, changed = round(examined * factor), round(changed * factor)
    return Counts(matched, changed, matched - changed, 0)
