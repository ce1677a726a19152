"""What one operation makes of a single document on its way through several. Nothing is written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from goaime_migrate.backends import raw_bson
from goaime_migrate.results import Document, TriedStep
from goaime_migrate.transform.chain import Chain
from goaime_migrate.transform.chains import chain_of
from goaime_migrate.transform.counts import PassCounts
from goaime_migrate.transform.deduplication import Deduplication
from goaime_migrate.transform.derivation import Derivation
from goaime_migrate.transform.insertion import InsertStep
from goaime_migrate.transform.probe import check_declared_fields
from goaime_migrate.transform.step import Step, broken_promises
from goaime_migrate.up.surroundings import Surroundings
from goaime_migrate.up.whole import reads_all


@dataclass(frozen=True)
class Passage:
    """An operation of a version that a document goes through, in words and as a step."""

    name: str
    """Of the version."""
    operation: str
    step: Step

    def take(self, around: Surroundings) -> TriedStep:
        """What comes of the document, which then stands so. Raises what stops a run.

        A broken promise does not stop it here, and is told.
        """
        if isinstance(self.step, InsertStep):
            return self._insert(self.step, around)
        before = around.document
        chain = chain_of(
            "try", [replace(self.step, model=None, check=None)], began=around.began, freeze=False
        )
        if isinstance(chain, Derivation):
            return self._derive(chain, around)
        if isinstance(chain, Deduplication):
            chain.prepare(*reads_all(around.database, chain.step))
        if self.step.fields is not None:
            check_declared_fields(chain, around, [before])
        result = chain.run(around, [before])
        left = result.applied_to([before])
        around.gone = not left
        around.document = left[0] if left else before
        return replace(
            self._said(before, left[0] if left else None, result.counts, chain),
            problems=tuple(_problems(self.step, chain, around)) if left else (),
        )

    def leave(self, around: Surroundings) -> TriedStep:
        """A document that the filter of the step does not find."""
        note = f"where= does not match this document: {dict(self.step.where or {})}"
        return replace(self._untouched(around), notes=(note,))

    def fail(self, around: Surroundings) -> TriedStep:
        """What has raised."""
        return replace(self._untouched(around), after=None, failed=True)

    def _derive(self, chain: Derivation, around: Surroundings) -> TriedStep:
        """The documents that it would make; the document itself stays as it is."""
        derived = chain.derive(around, [around.document])
        made = tuple(raw_bson.decode_leniently(each.document) for each in derived.made)
        said = self._said(around.document, around.document, derived.counts, chain)
        return replace(said, changed=bool(made), made=made, into=chain.step.writes)

    def _insert(self, step: InsertStep, around: Surroundings) -> TriedStep:
        """Its own documents, whatever this one is."""
        made = tuple(map(raw_bson.decode_leniently, step.with_ids(around.database.records)))
        note = f"inserted where none is there with the same {' and '.join(step.key)}"
        return replace(self._untouched(around), changed=True, made=made, into=step.writes, notes=(note,))

    def _untouched(self, around: Surroundings) -> TriedStep:
        document = raw_bson.decode_leniently(around.document)
        return TriedStep(
            self.step.version, self.name, self.operation, False, (), (), before=document, after=document
        )

    def _said(self, before: bytes, after: bytes | None, counts: PassCounts, chain: Chain) -> TriedStep:
        return TriedStep(
            version=self.step.version,
            name=self.name,
            operation=self.operation,
            changed=after != before,
            warnings=tuple(text for _, text in counts.warnings),
            problems=(),
            before=raw_bson.decode_leniently(before),
            after=_decode(after),
            notes=tuple(_in_vain(self.step, chain)),
        )


def _decode(document: bytes | None) -> Document | None:
    return None if document is None else raw_bson.decode_leniently(document)


def _problems(step: Step, chain: Chain, around: Surroundings) -> Sequence[str]:
    """How the document breaks the promises of a step, once everything is loaded that they ask for."""
    arguments = chain.tables.arguments(step)
    while True:
        chain.tables.misses.clear()
        found = [
            text if name is None or text.startswith(f"{name}: ") else f"{name}: {text}"
            for name, text in broken_promises(step, raw_bson.decode_any(around.document), arguments)
        ]
        if not chain.tables.misses:
            return found
        chain.tables.load(around)


def _in_vain(step: Step, chain: Chain) -> Iterator[str]:
    """The lookups that were asked and have found nothing."""
    for name, lookup in step.looked_up.items():
        table = chain.tables[lookup]
        if table.missed and not table.met:
            yield f"the lookup {name}= finds nothing in {lookup.collection!r} by {lookup.key!r}"
