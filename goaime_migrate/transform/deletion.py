"""Documents that go, one by one: what a function says of each, ready to be deleted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import Reader
from goaime_migrate.errors import InvalidResult
from goaime_migrate.errors.hint import Hint
from goaime_migrate.transform.chain import BatchResult, Chain, Changed
from goaime_migrate.transform.counts import PassCounts
from goaime_migrate.transform.step import Step, always, call


@dataclass(frozen=True)
class DeleteStep(Step):
    """A step that deletes the documents of which `when` says so, and changes none."""

    when: Callable[..., bool] = always

    @property
    def deletes(self) -> bool:
        """It does nothing else."""
        return True

    @cached_property
    def name(self) -> str:
        """The function's own name."""
        return getattr(self.when, "__name__", repr(self.when))


class Deletion(Chain):
    """The chain of a single step that deletes."""

    def run(
        self, reader: Reader, documents: Sequence[bytes], fields: Sequence[str] | None = None
    ) -> BatchResult:
        """What of these documents goes, each with the place where it stands."""
        step = self.steps[0]
        assert isinstance(step, DeleteStep)
        result = self._all(documents) if step.when is always else super().run(reader, documents, fields)
        note_places(reader, self.steps[0].collection, result.changed)
        return result

    def _all(self, documents: Sequence[bytes]) -> BatchResult:
        """Where no function says which go, all do: none has to be decoded, and nothing is looked up."""
        changed = [Changed(raw_bson.id_of(document), document, None, (True,)) for document in documents]
        counts = PassCounts([self.steps[0].version])
        counts.count((True,), len(documents))
        return BatchResult(changed, [], counts, [])

    def _one(self, original: bytes, identity: bytes, *, exact: bool) -> Changed | bytes:
        (step,) = self.steps
        assert isinstance(step, DeleteStep)
        goes = call(step, step.when, raw_bson.decode_any(original), self._arguments[0], identity)
        if not isinstance(goes, bool):
            raise InvalidResult(
                f"{step.name} returned {type(goes).__name__}; it must say True for a document that goes, or False",
                version=step.version,
                id=raw_bson.id_value(identity),
                hint=Hint("correct {}, then: {}", step.source, step.then),
            )
        return Changed(identity, original, None, (True,)) if goes else identity


def note_places(reader: Reader, collection: str, going: Sequence[Changed]) -> None:
    """Note where documents stand that are about to go, so that they can come back to where they stood."""
    places = reader.places(collection, [each.id for each in going])
    for each, place in zip(going, places, strict=bool(places)):
        each.place = place
