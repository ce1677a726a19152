"""Operations that delete documents."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from goaime_migrate.backends.ports import Filter
from goaime_migrate.operations.base import (
    DocumentOperation,
    require,
    require_collection,
    require_name,
    require_plain,
)
from goaime_migrate.operations.documents import require_filter
from goaime_migrate.operations.signatures import collections_of, name_of, require_lookups, require_parameters
from goaime_migrate.transform.lookups import Lookup, Now
from goaime_migrate.transform.step import Step, always, never

_OPTIONS = ("where", "when")


class DeleteDocuments(DocumentOperation):
    """Delete the documents of a collection that match `where` and of which `when` returns True.

    `when` gets a copy of the document, and each `Lookup` under its keyword. At least one of the two has to be given;
    where both are, both have to agree. What was deleted is journaled: `down` brings it back.
    """

    fusion = None
    actions = ("remove",)

    def __init__(
        self,
        collection: str,
        *,
        where: Filter | None = None,
        when: Callable[..., bool] | None = None,
        **lookups: Lookup | Now,
    ) -> None:
        require_collection(collection)
        require_filter(where)
        require(
            where or when is not None,
            "neither where= nor when= says which documents go",
            "where={'obsolete': True}; to delete all of them: DropCollection",
        )
        require(when is None or callable(when), f"when= must be a function, not {when!r}")
        if when is not None:
            require_plain(when, "when=")
        function = always if when is None else when
        require_lookups(function, lookups, options=_OPTIONS)
        require_parameters(function, lookups, "when=", name_of(function))
        self.collection = collection
        self.where = dict(where) if where else None
        self.when = when
        self.lookups = lookups

    @property
    def reads(self) -> frozenset[str]:
        """The collections of its lookups."""
        return collections_of(self.lookups)

    def describe(self) -> str:
        """By its filter and the name of its function."""
        where = "" if self.where is None else f" where {self.where}"
        when = "" if self.when is None else f" when {name_of(self.when)}"
        return f"delete documents of {self.collection}{where}{when}"

    def step(self, version: str, source: str) -> Step:
        """A step that asks the function for each document that matches."""
        from goaime_migrate.transform.deletion import DeleteStep

        return DeleteStep(
            version=version,
            collection=self.collection,
            source=source,
            transform=never,
            lookups=self.lookups,
            where=self.where,
            when=always if self.when is None else self.when,
        )


class DeleteDuplicates(DocumentOperation):
    """Of documents with the same key delete all but the first in the order of `sort`, by default of their `_id`s.

    `key` is a path or a list of paths. Keys are equal as in a unique index: numbers by value, an absent field as null,
    an array by each of its elements; with several paths all have to be equal. A document goes if one that stays has any
    key of its. `where` limits both those that stay and those that go. Afterwards a unique index over `key` can be
    created. What was deleted is journaled: `down` brings it back.
    """

    fusion = None
    reads: frozenset[str] = frozenset()
    actions = ("remove",)

    def __init__(
        self,
        collection: str,
        key: str | Sequence[str],
        *,
        sort: str | Sequence[tuple[str, int]] | None = None,
        where: Filter | None = None,
    ) -> None:
        require_collection(collection)
        paths = _paths(key)
        require_filter(where)
        self.collection = collection
        self.key = paths
        self.sort = _order(sort)
        self.where = dict(where) if where else None

    def describe(self) -> str:
        """By its key and what stays."""
        where = "" if self.where is None else f" where {self.where}"
        key, order = ", ".join(self.key), self.sort or (("_id", 1),)
        first = ", ".join(path if way > 0 else f"{path} descending" for path, way in order)
        return f"delete duplicates in {self.collection}{where} by {key}, all but the first by {first}"

    def step(self, version: str, source: str) -> Step:
        """A step that knows which documents are alike."""
        from goaime_migrate.transform.deduplication import DuplicatesStep
        from goaime_migrate.transform.duplicates import Likeness

        return DuplicatesStep(
            version=version,
            collection=self.collection,
            source=source,
            transform=never,
            where=self.where,
            like=Likeness(self.key, self.sort),
        )


def _paths(key: object) -> tuple[str, ...]:
    """A key as it may be written: one path, or a list of them."""
    listed = [key] if isinstance(key, str) else key
    require(
        isinstance(listed, list | tuple) and listed,
        f"the key must be a path or a list of paths, not {key!r}",
        "DeleteDuplicates('c', 'email')",
    )
    assert isinstance(listed, list | tuple)
    for path in listed:
        _require_path(path, "the key")
    require(len(set(listed)) == len(listed), f"the key names a path twice: {key!r}")
    require("_id" not in listed, "no two documents have the same _id", "name the fields that make duplicates")
    return tuple(listed)


def _order(sort: object) -> tuple[tuple[str, int], ...]:
    """A sort as it may be written: one path, or a list of (path, 1 or -1)."""
    if sort is None:
        return ()
    listed = [(sort, 1)] if isinstance(sort, str) else sort
    form = "sort='created_at' or sort=[('created_at', -1)]"
    require(
        isinstance(listed, list | tuple) and listed and all(map(_is_direction, listed)),
        f"sort= must be a path or a list of (path, 1 or -1), not {sort!r}",
        form,
    )
    assert isinstance(listed, list | tuple)
    for path, _ in listed:
        _require_path(path, "sort=")
        require(not path.startswith("-"), f"sort= has a field {path!r}", f"sort=[({path[1:]!r}, -1)]")
    return tuple((path, way) for path, way in listed)


def _is_direction(entry: object) -> bool:
    if not isinstance(entry, list | tuple) or len(entry) != 2:
        return False
    return type(entry[1]) is int and entry[1] in (1, -1)


def _require_path(path: object, what: str) -> None:
    """Refuse what leads nowhere in an index, or to a place in an array that may be another's tomorrow."""
    require_name(path, f"every path of {what}")
    for part in str(path).split("."):
        require(
            part != "$[]",
            f"{what} has {path!r}",
            f"an array counts with each element: {str(path).replace('.$[]', '')!r}",
        )
        require(part, f"{what} has an empty part in {path!r}")
        require(not part.isdecimal(), f"{what} names a place in an array: {path!r}", "name the array itself")
        require(not part.startswith("$"), f"{what} has {path!r}, whose part {part!r} begins with $")
