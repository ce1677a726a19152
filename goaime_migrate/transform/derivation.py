"""Documents that are made out of others: what a function gives for each source, ready to be written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import GeneratorType
from typing import Any, NamedTuple

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import Reader, RecordChange
from goaime_migrate.errors import InvalidResult, MigrateError, MigrationFailed
from goaime_migrate.errors.hint import Hint
from goaime_migrate.results import Document
from goaime_migrate.transform.chain import Chain
from goaime_migrate.transform.counts import PassCounts
from goaime_migrate.transform.lookups import PLAIN
from goaime_migrate.transform.step import Step, encoded, is_id, transform_failed

MOST = 12 * 1024 * 1024
"""Bytes that one unit of work makes, if no single source makes more."""
_OVERHEAD = 500
"""Bytes that a document costs beside its own: in the journal, in a command, in the server's log."""


_LISTS = (GeneratorType, list, tuple)
"""What needs no closer look."""
_NO_LISTS = (str, bytes, Mapping)


def _nothing(_: Document) -> None:
    """Makes no document."""


@dataclass(frozen=True)
class DeriveStep(Step):
    """A step whose function `derive` makes documents for `target`; what it walks over stays as it is."""

    target: str = ""
    derive: Callable[..., Iterable[Document] | None] = _nothing

    @property
    def inserts(self) -> bool:
        """It does."""
        return True

    @property
    def writes(self) -> str:
        """The target."""
        return self.target

    @cached_property
    def name(self) -> str:
        """The function's own name."""
        return getattr(self.derive, "__name__", repr(self.derive))


class Made(NamedTuple):
    """A document that was made, and the raw `_id` of its source."""

    source: bytes
    id: bytes
    document: bytes


class Derived(NamedTuple):
    """What was made of the first of some documents: the others are for another unit of work."""

    sources: list[bytes]
    """The raw `_id`s of those,"""
    made: list[Made]
    counts: PassCounts
    """Of the sources; what of it is new the collection will tell."""
    frozen: list[RecordChange]

    @property
    def taken(self) -> int:
        """How many they are."""
        return len(self.sources)


class _Outcome(NamedTuple):
    source: bytes
    made: list[Made]
    size: int
    """Bytes that these take."""
    told: PassCounts | None


class Derivation(Chain):
    """The chain of a single step that derives."""

    @cached_property
    def step(self) -> DeriveStep:
        """Its step."""
        (step,) = self.steps
        assert isinstance(step, DeriveStep)
        return step

    def derive(self, reader: Reader, sources: Sequence[bytes], most: int = MOST) -> Derived:
        """What comes of documents, of at least one and of no more than make `most` bytes together."""
        outcomes: list[_Outcome | None] = [None] * len(sources)
        budget = _Budget(len(sources), most)

        def attempt(slot: int) -> bool:
            if slot < budget.taken:
                outcomes[slot] = outcome = self._made_of(sources[slot])
                if outcome is None:
                    return False
                budget.spend(slot, outcome.size)
            return True

        frozen = self._in_rounds(reader, sources, attempt)
        counts = PassCounts([self.steps[0].version])
        for asked in self._asked:
            asked.begin(counts)
        found = [outcome for outcome in outcomes[: budget.taken] if outcome is not None]
        counts.count(None, len(found))
        for outcome in found:
            if outcome.told is not None:
                counts.add(outcome.told)
        made = [each for outcome in found for each in outcome.made]
        return Derived([outcome.source for outcome in found], made, counts, frozen)

    def _made_of(self, source: bytes) -> _Outcome | None:
        """What one document gives, None where a lookup has to be loaded first."""
        identity, step = raw_bson.id_of(source), self.step
        self._begin()
        try:
            made, size = list[Made](), 0
            # Each as it comes: a generator may go on changing the very dict that it has given.
            for item in _given(step, raw_bson.decode_any(source), self._arguments[0], identity):
                raw = _encoded(step, item, len(made), identity)
                made.append(Made(identity, raw_bson.id_of(raw), raw))
                size += _OVERHEAD + len(raw)
        except MigrationFailed:
            if self.tables.misses:
                return None
            raise
        if self.tables.misses:
            return None
        return _Outcome(identity, made, size, self._told(identity))

    def _told(self, identity: bytes) -> PassCounts | None:
        """What is to be told of a source; nothing of most."""
        if not (self._noted or self._asked):
            return None
        told = PassCounts([self.steps[0].version])
        self._tell(told, identity)
        return told


def _encoded(step: DeriveStep, item: Any, place: int, source: bytes) -> bytes:
    """What a function has given, as it is written."""
    if type(item) is not dict or type(item.get("_id", item)) not in PLAIN:
        _require_document(step, item, place, source)
    return encoded(step, item if next(iter(item)) == "_id" else {"_id": item["_id"], **item}, source)


def _require_document(step: DeriveStep, item: Any, place: int, identity: bytes) -> None:
    """Refuse what is no document, or has no `_id` that a collection could know it by. Raises InvalidResult."""
    if not isinstance(item, dict):
        raise _invalid(step, identity, f"gave {type(item).__name__} in place {place}, not a dict")
    if "_id" not in item:
        raise _invalid(step, identity, f"made a document without an _id: {item!r:.100}", "_id")
    if not is_id(item["_id"]):
        text = f"made a document with an _id that MongoDB does not take: {item['_id']!r:.100}"
        raise _invalid(step, identity, text, "_id")


class _Budget:
    """How many of the first documents can be taken together."""

    def __init__(self, sources: int, most: int) -> None:
        self.taken = sources
        self._most = most
        self._spent = [0] * sources
        self._total = 0

    def spend(self, slot: int, size: int) -> None:
        """A source has made so much. Those behind it wait if it is too much: they are given up, the last first."""
        self._spent[slot] = size
        self._total += size
        while self._total > self._most and self.taken > 1:
            self.taken -= 1
            self._total -= self._spent[self.taken]


def _given(
    step: DeriveStep, document: Document, arguments: Mapping[str, Any], identity: bytes
) -> Iterator[Any]:
    """What the function returns or yields. Raises TransformFailed, InvalidResult."""
    try:
        result: Any = step.derive(document, **arguments)
        if result is None:
            return
        if not isinstance(result, _LISTS) and (
            not isinstance(result, Iterable) or isinstance(result, _NO_LISTS)
        ):
            raise _invalid(
                step,
                identity,
                f"returned {type(result).__name__}; it must return a list of documents, or None",
            )
        yield from result
    except (KeyboardInterrupt, MigrateError, GeneratorExit):
        raise
    except BaseException as error:
        raise transform_failed(step, error, identity) from error


def _invalid(step: Step, identity: bytes, what: str, field: str | None = None) -> InvalidResult:
    return InvalidResult(
        f"{step.name} {what}",
        version=step.version,
        id=raw_bson.id_value(identity),
        field=field,
        hint=Hint("correct {}, then: {}", step.source, step.then),
    )
