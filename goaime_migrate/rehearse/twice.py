"""Runs the transforms of finished passes a second time, on what the journal has of the documents before.

The lookups are those that were frozen. What is not the same again would not be when a batch is tried again either, or
on the way back. A `reverse=` is tried on the results: transformed again, what it gives has to be that result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import Backend
from goaime_migrate.journal import segments
from goaime_migrate.journal.digest import digest
from goaime_migrate.journal.entry import Entry
from goaime_migrate.journal.kinds import Kind
from goaime_migrate.ledger import PassRecord
from goaime_migrate.migration import Migration
from goaime_migrate.rehearse.snapshot import Difference, changed_fields
from goaime_migrate.run.code import step_of
from goaime_migrate.transform.chain import Chain
from goaime_migrate.transform.chains import chain_of, replay
from goaime_migrate.transform.step import Step


class Twice:
    """One pass, once more."""

    def __init__(self, backend: Backend, record: PassRecord, files: Mapping[str, Migration]) -> None:
        self._backend = backend
        self._record = record
        self._steps = [step_of(files[version], index) for version, index, _ in record.steps]
        self.tried = 0
        """Documents that were transformed once more."""
        self.reversed = 0
        """Those that a `reverse=` was tried on."""

    @property
    def applies(self) -> bool:
        """Whether these are functions of one document each, which the journal can show again."""
        return not any(step.pipeline or step.deletes or step.inserts for step in self._steps)

    @property
    def has_reverse(self) -> bool:
        """Whether one of its steps has a `reverse=`."""
        return self.applies and any(step.reverse for step in self._steps)

    def impure(self, check: Callable[[], None]) -> Iterator[Difference]:
        """Documents of which another call makes something else."""
        chain = self._chain(self._steps)
        for entries in self._entries(check):
            images = [entry.before for entry in entries if entry.before is not None]
            once, again = (replay(chain, self._backend, images) for _ in range(2))
            self.tried += len(images)
            for entry, first, second in zip(entries, once, again, strict=True):
                if first is None or second is None or digest(first) != entry.after_hash or first != second:
                    yield self._impure(entry, first, second)

    def not_reversed(self, check: Callable[[], None]) -> Iterator[Difference]:
        """Results that are others after `reverse=` and the transform. Raises MigrationFailed."""
        for entries in self._entries(check):
            images = [e.before for e in entries if e.before is not None and not e.partial]
            for step in self._steps:
                images = self._through(step, images)
                if step.reverse is not None:
                    back = self._through(step, self._through(step.reversed(), images))
                    self.reversed += len(images)
                    for result, again in zip(images, back, strict=True):
                        if result != again:
                            yield self._not_reversed(step, result, again)

    def _through(self, step: Step, documents: Sequence[bytes]) -> list[bytes]:
        return self._chain([step]).run(self._backend, documents).applied_to(documents)

    def _chain(self, steps: Sequence[Step]) -> Chain:
        return chain_of(self._record.id, steps, began=self._record.started_at)

    def _entries(self, check: Callable[[], None]) -> Iterator[list[Entry]]:
        """What the pass has changed, batch by batch."""
        for kind in (Kind.SCAN, Kind.TAIL) if self.applies else ():
            for key in segments.keys(self._backend, self._record.id, kind):
                check()
                segment = segments.read(self._backend, key)
                if segment is not None:
                    yield [entry for entry in segment.entries if not entry.comes_or_goes]

    def _impure(self, entry: Entry, first: bytes | None, second: bytes | None) -> Difference:
        identity, names = raw_bson.id_value(entry.id), ", ".join(self._record.versions)
        which = f"{names}: {self._record.collection}: the document {identity!r}"
        if first is None or second is None:
            return Difference(f"{which} was transformed, and is refused the second time", identity)
        fields = changed_fields(first, second) or list(self._unequal(entry, first))
        what = f" in {', '.join(fields)}" if fields else ""
        text = f"{which} becomes another one the second time{what}"
        return Difference(text, identity, fields[0] if fields else None)

    @staticmethod
    def _unequal(entry: Entry, result: bytes) -> Iterator[str]:
        """The fields of a result that are not what the journal has the hashes of."""
        there = {name.decode(errors="replace"): value for name, value in raw_bson.fields(result).items()}
        for name, known in entry.fields.items():
            found = there.get(name)
            if (None if found is None else digest(found)) != known:
                yield name

    def _not_reversed(self, step: Step, result: bytes, again: bytes) -> Difference:
        identity = raw_bson.id_value(raw_bson.id_of(result))
        fields = changed_fields(result, again)
        what = f" in {', '.join(fields)}" if fields else " in the order of its fields"
        return Difference(
            f"{step.version}: {step.collection}: the document {identity!r}, taken back by reverse= and transformed "
            f"again, is another one{what}",
            identity,
            fields[0] if fields else None,
        )
