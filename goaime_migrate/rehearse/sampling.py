"""Finds out what a sample needs: the steps are run on it once, only to see what they look up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import Backend
from goaime_migrate.errors import MigrationFailed
from goaime_migrate.events import Listener
from goaime_migrate.migration import Migration, Operation
from goaime_migrate.operations import RenameCollection, RunFunctions
from goaime_migrate.operations.collections import TIME_SERIES
from goaime_migrate.planner import Facts, UpPlan
from goaime_migrate.rehearse.wanted import Wanted, Watched, by_ids
from goaime_migrate.run.code import step_of
from goaime_migrate.run.progress import ReadProgress
from goaime_migrate.transform.chain import Chain
from goaime_migrate.transform.chains import chain_of, replay
from goaime_migrate.transform.deduplication import DuplicatesStep
from goaime_migrate.transform.derivation import Derivation
from goaime_migrate.transform.insertion import InsertStep, with_keys
from goaime_migrate.transform.pipeline import Pipeline
from goaime_migrate.transform.step import Step

_FEW = 1_000
"""Documents of a version's own that one query asks for."""


class Sampling:
    """What is to be copied for a plan, and what is to be said of it."""

    def __init__(self, source: Backend, facts: Facts, plan: UpPlan, listener: Listener) -> None:
        self._source = source
        self._files = [facts.files[v] for v in plan.versions]
        self._plan = plan
        self._listener = listener
        self._there = source.collections()
        self._passes: dict[str, list[Chain]] = {}
        """The passes over each collection, by the name that it has today, in their order."""
        self.wanted = Wanted()
        self.notes: list[str] = []
        self._find_passes(facts)
        self.collections = [name for name in self._there if name in self._named()]
        """Those that the plan is about; all of them where a function may touch any."""

    @property
    def declared(self) -> set[str]:
        """The collections that declared operations name: without them nothing is proved."""
        return {name for m in self._files for o in m.operations for name in o.names}

    def _named(self) -> set[str]:
        operations = [o for m in self._files for o in m.operations]
        if any(isinstance(o, RunFunctions) for o in operations) or any(m.verify for m in self._files):
            return set(self._there)
        return self.declared

    def _find_passes(self, facts: Facts) -> None:
        today: dict[str, str] = {}
        changed: set[str] = set()
        for group in self._plan.groups:
            first = _operation(facts.files, group.operations[0])
            if isinstance(first, RenameCollection):
                today[first.new] = today.pop(first.old, first.old)
            elif first.walks:
                steps = [step_of(facts.files[v], number) for v, number in group.operations]
                name = today.get(steps[0].collection, steps[0].collection)
                self._passes.setdefault(name, []).append(
                    self._chain([replace(step, collection=name) for step in steps])
                )
                self._want_whole(steps, changed)
                changed.add(steps[0].writes)

    def _chain(self, steps: Sequence[Step]) -> Chain:
        chain = chain_of("rehearse", steps, began=self._source.now(), freeze=False)
        chain.tables.note_collections(self._there)
        return chain

    def _want_whole(self, steps: Sequence[Step], changed: set[str]) -> None:
        """What lookups read that cannot be told key by key: aggregations, and what earlier versions change."""
        for step in steps:
            for lookup in step.looked_up.values():
                if lookup.pipeline is not None:
                    for name in sorted(lookup.reads & self._there.keys()):
                        self._add_whole(name, f"{step.version} aggregates it")
                elif lookup.collection in changed and lookup.key != "_id":
                    why = f"{step.version} looks into it by what an earlier version may write"
                    self._add_whole(lookup.collection, why)

    def _add_whole(self, name: str, why: str) -> None:
        if self.wanted.add_whole(name):
            self.notes.append(f"all of {name} is copied: {why}")

    def take_all(self) -> None:
        """Every document of these collections."""
        for name in self.collections:
            self.wanted.add_whole(name)

    def take(self, size: int) -> None:
        """So many documents of each collection that is changed, with what they need; each filter gets as many of its own.

        What is looked up in a collection that is changed itself needs more in turn.
        """
        looked_up = {name for m in self._files for o in m.operations for name in o.reads}
        for name in self.collections:
            if self._there[name].kind == TIME_SERIES and name in looked_up:
                self._add_whole(name, "its measurements are looked up, and come in no order")
            if self._there[name].kind != "collection":
                continue
            if name not in looked_up or name in self._passes or self._is_changed(name):
                self._sample(name, size)
            if self.wanted.is_whole(name):
                self._follow(name, self.wanted.documents(self._source, name))
        self._want_own()
        while fresh := self.wanted.fresh():
            for name, ids in fresh.items():
                self._follow(name, by_ids(self._source, name, ids))

    def _is_changed(self, name: str) -> bool:
        """Whether an operation changes the state of a collection, or a function may change anything."""
        operations = [o for m in self._files for o in m.operations]
        return any(isinstance(o, RunFunctions) or (not o.walks and name in o.names) for o in operations)

    def _sample(self, name: str, size: int) -> None:
        """Where a filter cannot be asked, `up` will say so on the copy."""
        filters = [chain.steps[0].where for chain in self._passes.get(name, ()) if chain.steps[0].where]
        for where in (None, *filters):
            with suppress(MigrationFailed):
                self.wanted.add(name, map(raw_bson.id_of, self._source.sample(name, size, where)))

    def _want_own(self) -> None:
        """What stands where a version's own documents are to be inserted."""
        for chain in (each for passes in self._passes.values() for each in passes):
            step = chain.steps[0]
            if not isinstance(step, InsertStep) or step.collection not in self._there:
                continue
            own = list(step.with_ids(self._source.records))
            for start in range(0, len(own), _FEW):
                some = [raw_bson.decode(document) for document in own[start : start + _FEW]]
                either = {"$or": [with_keys(some, step.key), {"_id": {"$in": [d["_id"] for d in some]}}]}
                found = self._source.documents(step.collection, where=either, fields=())
                self.wanted.add(step.collection, map(raw_bson.id_of, found))

    def _follow(self, name: str, found: Iterable[list[bytes]]) -> None:
        """Run the passes over documents of a collection, to see what they look up."""
        passes = self._passes.get(name)
        if not passes:
            return
        versions = dict.fromkeys(step.version for chain in passes for step in chain.steps)
        progress = ReadProgress(self._listener, versions, f"sample {name}")
        for batch in found:
            documents = batch
            for chain in passes:
                documents = self._through(chain, documents)
            progress.add(len(batch))

    def _through(self, chain: Chain, documents: list[bytes]) -> list[bytes]:
        """The documents after a pass, as far as that can be known before it is stored. What it refuses is left out."""
        watched, step = Watched(self._source, self.wanted), chain.steps[0]
        if isinstance(step, DuplicatesStep):
            self._want_alike(step, documents)
        elif isinstance(chain, Derivation):
            with suppress(MigrationFailed):
                for made in _derived(chain, watched, documents):
                    self.wanted.add(step.writes, made)
        elif not isinstance(step, InsertStep) and not isinstance(chain, Pipeline):
            return [d for d in replay(chain, watched, documents) if d is not None]
        return documents

    def _want_alike(self, step: DuplicatesStep, documents: Sequence[bytes]) -> None:
        decoded = [raw_bson.decode_leniently(document) for document in documents]
        if decoded:
            alike = self._source.documents(
                step.collection, where=with_keys(decoded, step.like.paths), fields=()
            )
            self.wanted.add(step.collection, map(raw_bson.id_of, alike))


def _operation(files: Mapping[str, Migration], ref: tuple[str, int]) -> Operation:
    version, number = ref
    return files[version].operations[number]


def _derived(chain: Derivation, watched: Watched, documents: Sequence[bytes]) -> Iterator[list[bytes]]:
    """The `_id`s of what is made of documents, some at a time."""
    left = list(documents)
    while left:
        derived = chain.derive(watched, left)
        yield [made.id for made in derived.made]
        left = left[derived.taken :]
