"""The collections as they will be when an operation's turn comes: names, indexes, validators, whose results they hold."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field

from goaime_migrate.backends.index_identity import inherit_collation
from goaime_migrate.backends.ports import Catalogue
from goaime_migrate.migration import Operation
from goaime_migrate.operations import (
    CreateCollection,
    CreateIndex,
    DropCollection,
    DropIndex,
    RenameCollection,
    SetValidator,
)
from goaime_migrate.results import Document

ALL = "*"
_KINDS = {"view": "viewOn", "timeseries": "timeseries"}
"""The options by which collections of other kinds are created."""


@dataclass
class Shape:
    """One collection, as it will be."""

    name: str
    stored: str | None = None
    """What it is called now; None for one that is not there yet."""
    kind: str = "collection"
    options: Document = field(default_factory=dict)
    indexes: list[Document] = field(default_factory=list)
    passes: list[int] = field(default_factory=list)
    """The places, in the plan, of the passes that its documents have behind them."""
    unknown: str = ""
    """Why its documents cannot be foreseen."""


class Outline:
    """All collections, from the catalogue on through the operations of a plan."""

    def __init__(self, shapes: Mapping[str, Shape]) -> None:
        self.shapes = dict(shapes)

    @classmethod
    def of(cls, catalogue: Catalogue, named: Container[str]) -> Outline:
        """As it is now; of collections that are not named their names alone."""
        return cls(
            {
                name: Shape(
                    name,
                    name,
                    info.kind,
                    dict(info.options),
                    catalogue.indexes(name) if name in named and info.kind != "view" else [],
                )
                for name, info in catalogue.collections().items()
            }
        )

    def now(self) -> Outline:
        """The same, to be kept while this goes on."""
        return Outline(deepcopy(self.shapes))

    def get(self, name: str | None) -> Shape | None:
        """The collection of this name, if there is one by then."""
        return self.shapes.get(name or "")

    def obtain(self, name: str) -> Shape:
        """The same, made where there is none."""
        return self.shapes.setdefault(name, Shape(name))

    def change(self, operation: Operation) -> None:
        """What an operation that walks over no documents makes of it."""
        match operation:
            case CreateCollection():
                kind = next((k for k, option in _KINDS.items() if option in operation.options), "collection")
                self.shapes.setdefault(
                    operation.name, Shape(operation.name, kind=kind, options=dict(operation.options))
                )
            case DropCollection():
                self.shapes.pop(operation.name, None)
            case RenameCollection() if operation.old in self.shapes and operation.new not in self.shapes:
                shape = self.shapes.pop(operation.old)
                shape.name = operation.new
                self.shapes[operation.new] = shape
            case CreateIndex():
                shape = self.obtain(operation.collection)
                gone = (operation.name, operation.replaces)
                kept = [index for index in shape.indexes if index["name"] not in gone]
                shape.indexes = [*kept, inherit_collation(operation.index, shape.options)]
            case DropIndex() if there := self.get(operation.collection):
                there.indexes = [i for i in there.indexes if not is_dropped(i, operation.name)]
            case SetValidator():
                self.obtain(operation.collection).options.update(operation.options)
            case _:
                pass


def is_dropped(index: Document, name: str) -> bool:
    """Whether `DropIndex` of this name drops the index."""
    return index["name"] != "_id_" and name in (ALL, index["name"])


def unique(indexes: Sequence[Document]) -> Iterator[Document]:
    """The unique ones, but for that on `_id`, which no pass touches."""
    return (index for index in indexes if index.get("unique") and index["name"] != "_id_")
