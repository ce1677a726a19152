"""What is known of collections while a plan is foreseen, operation by operation, and what is not any more."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from goaime_migrate.backends.ports import Filter
from goaime_migrate.migration import Migration, Operation
from goaime_migrate.operations import CreateCollection, DropCollection, RenameCollection, RunFunctions
from goaime_migrate.transform.step import Step


class Known:
    """The steps that documents have behind them, and the versions that stand in the way of knowing more."""

    def __init__(self) -> None:
        self.before: defaultdict[str, list[Step]] = defaultdict(list)
        """By collection, the steps of earlier versions of the plan."""
        self.since: defaultdict[str, list[Step]] = defaultdict(list)
        """Those among them that no pass has begun with."""
        self._changed: dict[str, str] = {}
        """The collections that earlier steps change, with the version that does."""
        self._unforeseen: dict[str, str] = {}
        """Those among them of which it is not known how they will look."""
        self._functions: dict[str, str] = {}
        """The versions of plain functions, with the text of their files: they may do anything to what these name."""

    @property
    def function(self) -> str | None:
        """The last version with a plain function."""
        return max(self._functions, key=int, default=None)

    def change(self, migration: Migration, operation: Operation) -> None:
        """Take note of an operation that walks over no documents."""
        version = migration.version
        if isinstance(operation, RunFunctions):
            self._functions[version] = migration.path.read_text(encoding="utf-8", errors="replace")
        if isinstance(operation, RenameCollection):
            self._unforeseen |= {operation.old: version, operation.new: version}
        elif isinstance(operation, CreateCollection | DropCollection):
            self._unforeseen[operation.name] = version

    def function_naming(self, steps: Sequence[Step]) -> str | None:
        """The last version whose plain function names a collection of these steps: nothing is known of it then."""
        used = {steps[0].collection, steps[0].writes, *_looked_up(steps)}
        named = (v for v, text in self._functions.items() if any(name in text for name in used))
        return max(named, key=int, default=None)

    def obstacle(self, steps: Sequence[Step]) -> str | None:
        """The version that has to be applied before the effect of these steps can be known."""
        walked = steps[0].collection
        for collection in (walked, steps[0].writes, *sorted(_looked_up(steps[:1]))):
            if collection in self._unforeseen:
                return self._unforeseen[collection]
        stored_only = {walked} if steps[0].on_stored and not self._finds_the_same(steps[0]) else set()
        stored_only |= {steps[0].writes} - {walked}
        others = sorted(stored_only | _looked_up(steps))
        return next((self._changed[c] for c in others if c in self._changed), None)

    def _finds_the_same(self, step: Step) -> bool:
        """Whether its filter finds the same documents before and after the earlier steps: nothing else is stored only."""
        if step.where is None or step.pipeline or step.deletes or step.inserts:
            return False
        looks_at, earlier = _looked_at(step.where), self.before[step.collection]
        return looks_at is not None and all(
            each.fields is not None and looks_at.isdisjoint(each.fields) for each in earlier
        )

    def remember(self, steps: Sequence[Step], version: str, *, fresh: bool) -> None:
        """Take note of a pass; `fresh` where none of its documents has been migrated yet."""
        collection = steps[0].writes
        self._changed[collection] = version
        if steps[0].where or steps[0].pipeline or steps[0].deletes or steps[0].inserts:
            self._unforeseen[collection] = version
            return
        self.before[collection] += steps
        if fresh:
            self.since[collection] += steps


def _looked_at(where: Filter) -> frozenset[str] | None:
    """The top-level fields that a filter looks at; None where it may see all of a document, or is none."""
    found = set[str]()
    for key, condition in where.items():
        if key in ("$and", "$or", "$nor") and isinstance(condition, list):
            parts = [_looked_at(each) if isinstance(each, Mapping) else None for each in condition]
            if None in parts:
                return None
            found = found.union(*filter(None, parts))
        elif key.startswith("$"):
            return None
        else:
            found.add(key.partition(".")[0])
    return frozenset(found)


def _looked_up(steps: Sequence[Step]) -> set[str]:
    """The collections that these steps look documents up in."""
    return {name for step in steps for lookup in step.looked_up.values() for name in lookup.reads}
