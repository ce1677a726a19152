"""How a state operation is undone: from its record alone, by a function that the kind of the record names."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from goaime_migrate.backends.ports import Need

if TYPE_CHECKING:
    from goaime_migrate.operations.base import StateDatabase
    from goaime_migrate.results import Document

    Undo = Callable[[StateDatabase, Document], None]
    Needed = Callable[[Document], tuple[Need, ...]]

_UNDO: dict[str, tuple[Undo, Undo | None, Needed]] = {}


def undoes(
    kind: str, *, unless: Undo | None = None, actions: tuple[str, ...] = (), needs: Needed | None = None
) -> Callable[[Undo], Undo]:
    """Register the function that undoes what was recorded as `kind`.

    `unless` raises Refused where that cannot be done; `actions` are what it takes to be allowed on its collection,
    `needs` says so of a record where that is not all.
    """

    def register(function: Undo) -> Undo:
        _UNDO[kind] = function, unless, needs or (lambda undo: (Need(str(undo.get("collection")), actions),))
        return function

    return register


@undoes("nothing")
def _nothing(_: StateDatabase, __: Document) -> None:
    """The database was already as the operation wanted it."""


def _all_kinds() -> dict[str, tuple[Undo, Undo | None, Needed]]:
    """Those of all operations, whether a file of today declares one or not."""
    from goaime_migrate.operations import collections, indexes, validators  # noqa: F401 (they register theirs)

    return _UNDO


def undo_operation(backend: StateDatabase, undo: Document) -> None:
    """Undo a state operation from its record alone; the migration's file is not needed."""
    require_undoing(backend, undo)
    _all_kinds()[undo["kind"]][0](backend, undo)


def require_undoing(backend: StateDatabase, undo: Document) -> None:
    """Refuse to undo what cannot be undone as the database is now. Reads only. Raises Refused."""
    _, refuse, _ = _all_kinds()[undo["kind"]]
    if refuse is not None:
        refuse(backend, undo)


def needs_of(undo: Document) -> tuple[Need, ...]:
    """What it takes to be allowed to undo it."""
    known = _all_kinds().get(undo.get("kind", ""))
    return () if known is None else known[2](undo)
