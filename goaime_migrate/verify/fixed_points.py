"""Stragglers: documents that the applied transforms would change, though they leave their own results alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import Backend
from goaime_migrate.errors import MissingCapability
from goaime_migrate.results import Straggler, UncheckedPromise, Value
from goaime_migrate.run.applied import AppliedSteps, Link
from goaime_migrate.run.effects import AppliedChain, Effect, tells_apart
from goaime_migrate.run.pacing import Pacing
from goaime_migrate.run.progress import ReadProgress
from goaime_migrate.run.reading import batches

_EXAMPLES = 5


@dataclass(frozen=True)
class FixedPoints:
    """What was found of one collection."""

    versions: tuple[str, ...] = ()
    """Those whose transforms have promised to change nothing any more; those with a `model=` promise that instead."""
    checked: int = 0
    stragglers: tuple[Straggler, ...] = ()
    unchecked: tuple[UncheckedPromise, ...] = ()


def fixed_points(
    backend: Backend, applied: AppliedSteps, sample: int | None, looking: ReadProgress
) -> FixedPoints:
    """Hold a collection, or a sample of it, against its applied transforms.

    Where old and new cannot be told apart, nothing is claimed.
    """
    links = tuple(link for link in applied.links if _is_settled(link))
    promising = _promising(links)
    if not promising:
        return FixedPoints()
    if applied.function is not None:
        return _without_check(
            applied, f"{applied.function} has run up(db) since: nobody can tell what that has changed"
        )
    chain = AppliedChain(backend, replace(applied, links=links))
    try:
        if not tells_apart(backend, applied, chain):
            return _without_check(
                applied, "documents in an old shape cannot be told from those that were migrated"
            )
        found = _Found(chain)
        for batch in _documents(backend, applied.collection, sample, looking):
            found.look(backend, batch)
    except MissingCapability as error:
        return _without_check(applied, error.message)
    return FixedPoints(promising, found.checked, tuple(found.stragglers()), tuple(found.unchecked()))


def _is_settled(link: Link) -> bool:
    """Whether it may promise a fixed point. What is looked up anew may have changed since."""
    return not (link.changes_its_results or link.looks_up_anew)


def _promising(links: Sequence[Link]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(s.version for link in links for s in link.steps if s.model is None))


def _without_check(applied: AppliedSteps, reason: str) -> FixedPoints:
    return FixedPoints(unchecked=(UncheckedPromise(applied.versions[-1], applied.collection, reason),))


def _documents(
    backend: Backend, collection: str, sample: int | None, looking: ReadProgress
) -> Iterator[Sequence[bytes]]:
    """All documents, or a sample, some at a time."""
    drawn = None if sample is None else backend.sample(collection, sample)
    looking.total = backend.count(collection) if drawn is None else len(drawn)
    pacing = Pacing()
    for batch in batches(backend, collection) if drawn is None else [drawn]:
        yield from looking.parts(batch, pacing)


class _Found:
    """What was found so far."""

    def __init__(self, chain: AppliedChain) -> None:
        self._chain = chain
        self._counts: dict[str, int] = {}
        self._examples: dict[str, list[Value]] = {}
        self._failed = self._unsettled = 0
        self._forgotten = Counter[str]()
        self.checked = 0

    def look(self, backend: Backend, documents: Sequence[bytes]) -> None:
        """Look at some documents."""
        effects = self._chain.effects(backend, documents)
        self.checked += len(effects)
        self._failed += sum(effect.failure is not None for effect in effects)
        self._forgotten.update(e.forgotten for e in effects if e.is_old and e.forgotten)
        old = [effect for effect in effects if effect.is_old and not effect.forgotten]
        unsettled = {effect.id for effect in self._chain.find_unsettled(backend, old)} if old else set()
        self._unsettled += len(unsettled)
        for effect in old:
            if effect.id not in unsettled:
                self._note(effect)

    def _note(self, effect: Effect) -> None:
        version = effect.versions(self._chain.links)[0]
        self._counts[version] = self._counts.get(version, 0) + 1
        examples = self._examples.setdefault(version, [])
        if len(examples) < _EXAMPLES:
            examples.append(raw_bson.id_value(effect.id))

    def stragglers(self) -> Iterator[Straggler]:
        """By the first version that would change them."""
        for version in self._chain.applied.versions:
            if version in self._counts:
                examples = tuple(self._examples[version])
                yield Straggler(version, self._chain.applied.collection, self._counts[version], examples)

    def unchecked(self) -> Iterator[UncheckedPromise]:
        """Documents of which nothing can be said."""
        applied = self._chain.applied
        last = applied.versions[-1]
        reasons = [
            (last, self._failed, "the transforms raise"),
            (last, self._unsettled, "old and new cannot be told apart"),
        ]
        lost = "it may have made them after what would change them: its journal, which knew, was pruned"
        reasons += [(version, number, lost) for version, number in sorted(self._forgotten.items())]
        for version, number, why in reasons:
            if number:
                yield UncheckedPromise(version, applied.collection, f"{number:,} documents: {why}")
