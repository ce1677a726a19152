"""The two kinds of operations: those that walk over documents, and those that change a state of the database."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import (
    RECORDS_NAME,
    Catalogue,
    CollectionReader,
    Need,
    UserDatabase,
    is_ours,
)
from goaime_migrate.errors import InvalidMigration
from goaime_migrate.results import Document

if TYPE_CHECKING:
    from goaime_migrate.transform.step import Step


class DocumentOperation(ABC):
    """Changes documents of one collection, each by itself; the engine journals and restores them."""

    collection: str
    walks = True
    selective = True
    reversible = True
    actions: tuple[str, ...] = ("update",)
    """What it takes beyond reading to be allowed on the collection that it writes, in the server's words."""

    @property
    @abstractmethod
    def fusion(self) -> object | None:
        """What has to be equal for two neighbours to share a pass; None for one that shares with nobody."""

    @property
    @abstractmethod
    def reads(self) -> frozenset[str]:
        """The collections that it looks documents up in."""

    @abstractmethod
    def describe(self) -> str:
        """One line for people."""

    @property
    def writes(self) -> str:
        """The collection that it writes."""
        return self.collection

    @property
    def needs(self) -> tuple[Need, ...]:
        """What it takes to be allowed to write."""
        return (Need(self.writes, self.actions),)

    @property
    def names(self) -> frozenset[str]:
        """The collections that it names."""
        return self.reads | {self.collection, self.writes}

    @abstractmethod
    def step(self, version: str, source: str) -> Step:
        """The operation as the engine runs it."""


class StateDatabase(Catalogue, CollectionReader, UserDatabase, Protocol):
    """What state operations look at and change: neither units of work nor the lease."""


class StateOperation(ABC):
    """Changes an index, a validator, a collection, or whatever a user's function changes.

    `prepare` looks at the database and says, as a document, how the change will be undone; that is recorded before
    `apply` changes anything. Both may be called again after a crash, `apply` with what was recorded the first time.
    """

    collection: str | None = None
    walks = False
    selective = False
    reversible = True
    fusion = None
    reads: frozenset[str] = frozenset()
    actions: tuple[str, ...] = ()
    """What it takes to be allowed on its collection, in the server's words."""

    @property
    def names(self) -> frozenset[str]:
        """The collections that it names."""
        return frozenset() if self.collection is None else frozenset({self.collection})

    @property
    def needs(self) -> tuple[Need, ...]:
        """What it takes to be allowed to do it."""
        return () if self.collection is None else (Need(self.collection, self.actions),)

    @abstractmethod
    def describe(self) -> str:
        """One line for people."""

    def require(  # noqa: B027 (most have nothing to refuse)
        self, backend: StateDatabase, changed: frozenset[str] = frozenset()
    ) -> None:
        """Refuse what cannot be done as the database is now, before anything else is. Reads only. Raises Refused.

        `changed`: the collections whose indexes or names other operations of the plan change before this one.
        """

    @abstractmethod
    def prepare(self, backend: StateDatabase, version: str) -> Document:
        """How to undo it: ``{"kind": …}`` with what the undoing needs. Reads only."""

    @abstractmethod
    def apply(self, backend: StateDatabase, undo: Document) -> None:
        """Make the change, unless it is there already."""


def require(condition: object, message: str, hint: str = "") -> None:
    """Refuse a declaration. Raises InvalidMigration, to which the loader adds the file."""
    if not condition:
        raise InvalidMigration(message, hint=hint)


def require_collection(value: object) -> None:
    """Refuse what is no collection of the user's."""
    require_name(value, "the collection")
    require_not_ours(str(value))


def require_not_ours(name: str) -> None:
    """Refuse the name of a collection of this tool, as they are called where nothing else is said, or of the server."""
    require(not is_ours(name, RECORDS_NAME), f"{name} is the tool's own collection")
    require(
        not name.startswith("system."),
        f"{name} is the server's own collection: there are no transactions and no change streams on it",
        hint="write to it in a plain up(db), if at all",
    )


def require_name(value: object, what: str) -> None:
    """Refuse a collection, field or index name that is not one."""
    require(isinstance(value, str) and value and "\0" not in value, f"{what} must be a name, not {value!r}")


def require_encodable(value: Document, what: str) -> None:
    """Refuse what no database could hold."""
    try:
        raw_bson.encode(value)
    except raw_bson.UNENCODABLE as error:
        raise InvalidMigration(
            f"{what} cannot be encoded as BSON: {error}", hint="write it with values that BSON knows"
        ) from error


def is_model(kind: object) -> bool:
    """Whether it is a pydantic model. Whoever has a class to ask about has waited for that library already."""
    if not isinstance(kind, type):
        return False
    from pydantic import BaseModel

    return issubclass(kind, BaseModel)


def require_plain(function: Callable[..., Any], what: str, *, lists: bool = False) -> None:
    """Refuse a function that does nothing when it is called: an async one, and a generator unless it `lists` findings.

    Its call would return something that nobody runs, and what it did not do would count as done.
    """
    called = function if inspect.isroutine(function) else type(function).__call__
    kinds = (function, called)
    is_async = any(inspect.iscoroutinefunction(f) or inspect.isasyncgenfunction(f) for f in kinds)
    require(not is_async, f"{what} must not be async", "def, not async def")
    require(
        lists or not any(map(inspect.isgeneratorfunction, kinds)),
        f"{what} must not be a generator: it has a yield, and would do nothing",
        "a function that does it at once, with no yield",
    )
