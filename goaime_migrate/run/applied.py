"""Which transforms are in effect in each collection: those of its applied versions, in order, as one chain.

What they make of a document that was written in an old shape since is what `sweep` writes; that they change nothing in
any other is what `verify` holds against documents.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import NamedTuple

from goaime_migrate.ledger import Ledger, PassRecord
from goaime_migrate.migration import Migration
from goaime_migrate.operations import DocumentOperation, DropCollection, RenameCollection, RunFunctions
from goaime_migrate.run.code import step_of
from goaime_migrate.transform.step import Step


@dataclass(frozen=True)
class Link:
    """Steps that follow each other in one pass: they have the same `where=`, and share what was looked up."""

    steps: tuple[Step, ...]
    record: PassRecord | None
    """The pass, None where there was none: the version was recorded without being run."""
    kept: bool = True
    """Whether what was looked up is kept with the pass."""
    place: int = 0
    """Of the first of them among all steps that change documents of the collection, or make any."""

    @property
    def versions(self) -> tuple[str, ...]:
        """The versions of its steps, each once."""
        return tuple(dict.fromkeys(step.version for step in self.steps))

    @property
    def changes_its_results(self) -> bool:
        """Whether it is known to change again what it has made, wherever it is called."""
        known = self.record is not None and self.record.settled is False
        return known and self.steps[0].where is None and not self.steps[0].pipeline

    @property
    def looks_up_anew(self) -> bool:
        """Whether its functions are given what is there now, and not what they were given in the pass."""
        return not (self.kept and self.record) and any(step.looked_up for step in self.steps)


@dataclass(frozen=True)
class Maker:
    """A step that inserts documents into a collection, or derives them for it: no earlier step was meant for these."""

    version: str
    record: PassRecord
    kept: bool
    """Whether its journal is, which knows them."""
    place: int
    """Among the steps of the collection, as that of a link."""


@dataclass(frozen=True)
class AppliedSteps:
    """The transforms of one collection, as it is called now."""

    collection: str
    links: tuple[Link, ...] = ()
    left_out: tuple[Step, ...] = ()
    """What inserts documents into it, deletes some of it, or derives others from it: that is done once."""
    function: str | None = None
    """The version of a plain function that ran after the first of them: nobody knows what it has done."""
    makers: tuple[Maker, ...] = ()
    """What has made documents of the collection, ascending."""

    @property
    def versions(self) -> tuple[str, ...]:
        """The versions of its steps, each once."""
        return tuple(dict.fromkeys(v for link in self.links for v in link.versions))


def applied_steps(migrations: Sequence[Migration], ledger: Ledger) -> list[AppliedSteps]:
    """The transforms of these migrations, which are applied, ascending, by collection."""
    found: dict[str, _Growing] = {}
    for m in migrations:
        for index, operation in enumerate(m.operations):
            match operation:
                case RenameCollection() if operation.old in found:
                    found[operation.new] = found.pop(operation.old)
                case DropCollection():
                    found.pop(operation.name, None)
                case RunFunctions():
                    for each in found.values():
                        each.ran(m.version)
                case DocumentOperation() if index < len(ledger.versions[m.version].operations):
                    _add(found, step_of(m, index), ledger)
    return [
        AppliedSteps(name, tuple(each.links(name)), tuple(each.left_out), each.function, tuple(each.makers))
        for name, each in sorted(found.items())
    ]


class _Placed(NamedTuple):
    """A step that changes documents, with its pass."""

    step: Step
    record: PassRecord | None
    kept: bool
    place: int

    @property
    def together(self) -> object:
        """What it has in common with those that it shares a link with."""
        return (self.step.version, self.step.number) if self.record is None else self.record.id


@dataclass
class _Growing:
    """The steps of a collection so far."""

    steps: list[_Placed] = field(default_factory=list)
    makers: list[Maker] = field(default_factory=list)
    left_out: list[Step] = field(default_factory=list)
    function: str | None = None

    @property
    def _place(self) -> int:
        return len(self.steps) + len(self.makers)

    def add(self, step: Step, record: PassRecord | None, kept: bool) -> None:
        if step.inserts or step.deletes:
            self.left_out.append(step)
        else:
            self.steps.append(_Placed(step, record, kept, self._place))

    def made(self, step: Step, record: PassRecord | None, kept: bool) -> None:
        if record is not None:  # what was only recorded has made nothing
            self.makers.append(Maker(step.version, record, kept, self._place))

    def ran(self, version: str) -> None:
        if self.steps and self.function is None:
            self.function = version

    def links(self, collection: str) -> Iterator[Link]:
        for _, group in groupby(self.steps, lambda placed: placed.together):
            steps = list(group)
            first = steps[0]
            mine = tuple(replace(placed.step, collection=collection) for placed in steps)
            yield Link(mine, first.record, first.kept, first.place)


def _add(found: dict[str, _Growing], step: Step, ledger: Ledger) -> None:
    known = _pass(ledger, step)
    found.setdefault(step.collection, _Growing()).add(step, *known)
    if step.inserts:
        found.setdefault(step.writes, _Growing()).made(step, *known)


def _pass(ledger: Ledger, step: Step) -> tuple[PassRecord | None, bool]:
    """The pass in which a step was applied, and whether its journal is kept."""
    version = ledger.versions[step.version]
    record = ledger.passes.get(version.operations[step.number].pass_id or "")
    return record, not version.rollback
