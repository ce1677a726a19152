"""What the applied transforms of a collection would make of documents as they are now. Reads only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import CollectionReader, Reader, RecordChange
from goaime_migrate.errors import MigrationFailed
from goaime_migrate.run.applied import AppliedSteps, Link, Maker
from goaime_migrate.run.makers import forgotten, made_at
from goaime_migrate.transform.chain import BatchResult, Chain, Changed
from goaime_migrate.transform.chains import chain_of
from goaime_migrate.transform.lookup_table import Late
from goaime_migrate.transform.step import Step

PROBED = 100
"""Documents on which it is tried whether the transforms change their own results."""


@dataclass(slots=True)
class Effect:
    """What becomes of one document. `changed`: what each link has done, by its number, where it did anything."""

    id: bytes
    before: bytes
    after: bytes
    stored: bool = True
    """Whether `before` is what the collection has."""
    changed: dict[int, Changed] = field(default_factory=dict)
    matched: list[int] = field(default_factory=list)
    """The links whose `where=` it has matched."""
    failure: MigrationFailed | None = None
    made_at: int = -1
    """The place of the step that has made it, if one has: it is asked of no link before that."""
    forgotten: str | None = None
    """The version that may have made it, after what changes it: only its journal knew, and that was pruned."""

    @property
    def is_old(self) -> bool:
        """Whether it is in an old shape."""
        return self.failure is None and self.before != self.after

    def begin_anew(self, made_at: int) -> None:
        """Nothing was asked yet of what comes after the step that has made it."""
        self.made_at, self.after, self.failure = made_at, self.before, None
        self.changed, self.matched = {}, []

    def versions(self, links: Sequence[Link]) -> list[str]:
        """The versions that change it, ascending."""
        touched = (
            step.version
            for number, changed in self.changed.items()
            for step, was in zip(links[number].steps, changed.touched, strict=True)
            if was
        )
        return list(dict.fromkeys(touched))


class AppliedChain:
    """The applied transforms of a collection, each link with the lookups of its own pass."""

    def __init__(self, backend: CollectionReader, applied: AppliedSteps) -> None:
        self.applied = applied
        self.links = applied.links
        self._parts = [_Part(backend, number, link) for number, link in enumerate(applied.links)]

    def effects(self, reader: Reader, documents: Iterable[bytes], *, stored: bool = True) -> list[Effect]:
        """What becomes of these documents; `stored`: whether they are as the collection has them."""
        found = [Effect(raw_bson.id_of(d), d, d, stored) for d in documents]
        self._apply(reader, found)
        makers = [m for m in self.applied.makers if any(link.place < m.place for link in self.links)]
        if makers:
            self._spare(reader, makers, [effect for effect in found if effect.changed or effect.failure])
        return found

    def _apply(self, reader: Reader, effects: Sequence[Effect]) -> None:
        for part in self._parts:
            part.take(reader, [e for e in effects if e.failure is None and e.made_at < part.place])

    def _spare(self, reader: Reader, makers: Sequence[Maker], effects: Sequence[Effect]) -> None:
        """What one of these has made is asked anew, of what comes after that alone; what may be so is noted."""
        made = made_at(reader, makers, [effect.id for effect in effects])
        ours = [effect for effect in effects if effect.id in made]
        for effect in ours:
            effect.begin_anew(made[effect.id])
        self._apply(reader, ours)
        for effect in effects:
            if effect.changed:
                effect.forgotten = forgotten(makers, self.links[min(effect.changed)].place)

    def find_unsettled(self, reader: Reader, effects: Iterable[Effect]) -> list[Effect]:
        """Those that would change again what they are about to become: old and new cannot be told apart in them."""
        old = {effect.id: effect for effect in effects if effect.is_old}
        again = self.effects(reader, (effect.after for effect in old.values()), stored=False)
        return [old[effect.id] for effect in again if effect.after != effect.before or effect.failure]

    def repeats(self, reader: Reader, number: int, document: bytes) -> bool:
        """Whether a link changes a result of its own again, wherever its `where=` lets it be called."""
        again = Effect(raw_bson.id_of(document), document, document, stored=False)
        self._parts[number].call(reader, again)
        return again.failure is not None or again.after != document

    def frozen(self) -> list[RecordChange]:
        """What is to be kept of what was looked up since `rollback`."""
        return [change for part in self._parts for change in part.frozen]

    def rollback(self) -> None:
        """Begin anew: what was looked up has not been kept."""
        for part in self._parts:
            part.frozen.clear()
            part.chain.tables.rollback()

    def commit(self) -> None:
        """What was looked up is kept."""
        for part in self._parts:
            part.chain.tables.commit()


class _Part:
    """One link, ready to be applied. What its results promise is asked of the outcome of all links, not here."""

    def __init__(self, backend: CollectionReader, number: int, link: Link) -> None:
        self._backend = backend
        self._number = number
        self.place = link.place
        self._step = link.steps[0]
        bare = [replace(step, model=None, check=None) for step in link.steps]
        self.chain = _chain(backend, link, bare)
        self.frozen: list[RecordChange] = []

    def take(self, reader: Reader, effects: Sequence[Effect]) -> None:
        """Apply it to those of these documents that it is about."""
        due = list(self._matching(reader, effects))
        for effect in due:
            effect.matched.append(self._number)
        alone = [e for e in due if self._step.pipeline and not _as_stored(e)]
        for effect in alone:
            self._compute(effect)
        self._run(reader, [e for e in due if e not in alone] if alone else due)

    def call(self, reader: Reader, effect: Effect) -> None:
        """Apply it to a document, whatever its `where=` says of that."""
        if self._step.pipeline:
            self._compute(effect)
        else:
            self._run(reader, [effect])

    def _matching(self, reader: Reader, effects: Sequence[Effect]) -> Iterator[Effect]:
        """A database matches what it has; what it does not have yet is shown to it, one by one."""
        step = self._step
        if step.where is None:
            yield from effects
            return
        ids = [e.id for e in effects if _as_stored(e)]
        there = reader.by_ids(step.collection, ids, step.where, fields=()) if ids else []
        matching = set(map(raw_bson.id_of, there))
        for effect in effects:
            if _as_stored(effect):
                if effect.id in matching:
                    yield effect
            elif self._backend.if_stored(step.collection, effect.after, step.where, ()) is not None:
                yield effect

    def _compute(self, effect: Effect) -> None:
        """Let the server make of a document what it would, if it had it."""
        after = self._backend.if_stored(self._step.collection, effect.after, None, self._step.pipeline)
        if after is not None and after != effect.after:
            self._note(effect, Changed(effect.id, effect.after, after, (True,)))

    def _run(self, reader: Reader, effects: Sequence[Effect]) -> None:
        """Those together that come through together; a document that does not has its failure noted."""
        if not effects:
            return
        try:
            result = self.chain.run(reader, [effect.after for effect in effects])
        except MigrationFailed as error:
            if len(effects) == 1:
                effects[0].failure = error
                return
            half = len(effects) // 2
            self._run(reader, effects[:half])
            self._run(reader, effects[half:])
        else:
            self._note_all(effects, result)

    def _note_all(self, effects: Sequence[Effect], result: BatchResult) -> None:
        self.frozen += result.frozen
        changed = {each.id: each for each in result.changed}
        for effect in effects:
            if effect.id in changed:
                self._note(effect, changed[effect.id])

    def _note(self, effect: Effect, changed: Changed) -> None:
        assert changed.after is not None
        effect.changed[self._number] = changed
        effect.after = changed.after


def _as_stored(effect: Effect) -> bool:
    return effect.stored and effect.after == effect.before


def _chain(backend: CollectionReader, link: Link, steps: Sequence[Step]) -> Chain:
    record = link.record
    if record is None or not link.kept:
        return chain_of("anew", steps, began=record.started_at if record else backend.now(), freeze=False)
    return chain_of(record.id, steps, began=record.started_at, late=Late.ANEW)


def tells_apart(backend: CollectionReader, applied: AppliedSteps, chain: AppliedChain) -> bool:
    """Whether some of the applied transforms of a collection leave alone what all of them have made, as far as is seen.

    It is tried on documents as they are now. A link that raises for one has been applied to it, or never can be.
    """
    made = backend.sample(applied.collection, PROBED)
    for link in applied.links:
        alone = AppliedChain(backend, replace(applied, links=(link,)))
        effects = alone.effects(backend, made, stored=False)
        made = [e.before if e.failure else e.after for e in effects]
    return not any(effect.is_old for effect in chain.effects(backend, made, stored=False))
