"""Operations that delete documents."""

from __future__ import annotations

from collections.abc import Callable

from goaime_migrate.backends.ports import Filter
from goaime_migrate.operations.base import DocumentOperation, require, require_collection, require_plain
from goaime_migrate.operations.documents import require_filter
from goaime_migrate.operations.signatures import name_of, require_lookups, require_parameters
from goaime_migrate.transform.deletion import DeleteStep, always
from goaime_migrate.transform.lookups import Lookup
from goaime_migrate.transform.step import Step, never

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
        **lookups: Lookup,
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
        return frozenset(lookup.collection for lookup in self.lookups.values())

    def describe(self) -> str:
        """By its filter and the name of its function."""
        where = "" if self.where is None else f" where {self.where}"
        when = "" if self.when is None else f" when {name_of(self.when)}"
        return f"delete documents of {self.collection}{where}{when}"

    def step(self, version: str, source: str) -> Step:
        """A step that asks the function for each document that matches."""
        return DeleteStep(
            version=version,
            collection=self.collection,
            source=source,
            transform=never,
            lookups=self.lookups,
            where=self.where,
            when=always if self.when is None else self.when,
        )
