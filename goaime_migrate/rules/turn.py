"""An operation of a plan when its turn comes: what the database will be by then, and what was seen of its documents."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from goaime_migrate.backends.ports import Backend, Filter
from goaime_migrate.config import Settings
from goaime_migrate.migration import Operation
from goaime_migrate.operations import DeriveDocuments, DocumentOperation, InsertDocuments, RunFunctions
from goaime_migrate.planner.groups import OperationRef
from goaime_migrate.rules.findings import Location
from goaime_migrate.rules.outline import Outline, Shape
from goaime_migrate.rules.registry import Said
from goaime_migrate.rules.seen import Question, Seen
from goaime_migrate.rules.source import File

LARGE = 100_000
"""Documents that a large collection has,"""
LARGE_BYTES = 1_000_000_000
"""or bytes of them."""
SCANNED = 10_000
"""Documents from which on a scan of a collection is told."""
MOST_READ = 20_000
"""Documents up to which a collection is read whole."""
PATIENCE_S = 10.0
"""How long the server may look for equal keys in one collection."""
GROUPS = 100
"""Groups of equal keys that are asked for."""
Kind = TypeVar("Kind")


@dataclass
class Turn:
    """One group of a plan: the operations of a pass, or a single other one."""

    refs: Sequence[OperationRef]
    operations: Sequence[Operation]
    files: Mapping[str, File]
    """Those of its versions."""
    before: Outline
    database: Backend
    settings: Settings
    tell: Callable[[str], None] = lambda _: None
    """Tells people what takes a while."""
    place: int = 0
    function: str = ""
    """The last version before it with a plain function, of which nobody knows what it does."""
    begun: bool = False
    """Whether an earlier run has begun with it: what it finds may be its own work."""
    resumed: bool = False
    """Whether it is a pass that an earlier run has begun: some documents have it behind them."""
    where: Filter | None = None
    """Which documents a pass walks over."""
    asked: Sequence[Question] = ()
    """What its rules want to know of the results of that pass:"""
    seen: Seen | None = None
    """What the last pass over its collection, up to and including itself, was seen to make of the documents."""
    unknown: str = ""
    """Why that could not be seen."""
    later: Sequence[Operation] = ()
    """The operations of the plan that come after it."""
    walks: bool = field(init=False)

    def __post_init__(self) -> None:
        self.walks = self.operations[0].walks

    @property
    def collection(self) -> str | None:
        """The collection that it works on."""
        return self.operations[0].collection

    @property
    def written(self) -> str | None:
        """The collection that it writes: for what derives and inserts, not the one that is walked over."""
        operation = self.operations[0]
        return operation.writes if isinstance(operation, DocumentOperation) else operation.collection

    @property
    def shape(self) -> Shape | None:
        """What it writes as it will be by then; None where there will be none."""
        return self.before.get(self.written)

    @property
    def makes(self) -> bool:
        """Whether it makes documents, beside those that what it writes has already."""
        return isinstance(self.operations[0], InsertDocuments | DeriveDocuments)

    @property
    def walked(self) -> Shape | None:
        """What it walks over."""
        return self.before.get(self.collection)

    @property
    def stored(self) -> str | None:
        """What the collection that it writes is called now."""
        return self.shape.stored if self.shape else None

    @property
    def untouched(self) -> bool:
        """Whether its documents are then as they are now."""
        shape = self.shape
        return shape is None or not (shape.passes or shape.unknown or self.walks)

    @property
    def unseen(self) -> str:
        """Why it is not known what documents will be by then, or not of all that were to be seen; empty where it is."""
        if self.unknown or (self.shape is not None and self.shape.unknown):
            return self.unknown or (self.shape.unknown if self.shape else "")
        if self.seen is None:
            return "what comes before it would be refused"
        return "a document stops the pass before it" if self.seen.error is not None else ""

    def only(self, kind: type[Kind]) -> Kind | None:
        """Its one operation, if it is of this kind."""
        operation: object = self.operations[0]
        return operation if isinstance(operation, kind) else None

    def answers(self, kind: type[Kind]) -> Iterator[Kind]:
        """The answers to its questions of this kind."""
        return (each for each in self.asked if isinstance(each, kind))

    def location_of(self, said: Said) -> Location:
        """Where what is said of it belongs: to one of its operations, or to the last."""
        version, number = said.ref or self.refs[-1]
        operation = self.operations[list(self.refs).index(OperationRef(version, number))]
        file = self.files[version]
        return Location(file, version, operation.collection, file.line_of(number))

    @property
    def is_function(self) -> bool:
        """Whether it is a plain function."""
        return isinstance(self.operations[0], RunFunctions)
