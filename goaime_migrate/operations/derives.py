"""Documents made out of those of a collection, for another one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from goaime_migrate.backends.ports import Filter
from goaime_migrate.operations.base import DocumentOperation, require, require_collection, require_plain
from goaime_migrate.operations.documents import require_filter
from goaime_migrate.operations.signatures import collections_of, name_of, require_lookups, require_parameters
from goaime_migrate.results import Document
from goaime_migrate.transform.lookups import Lookup, Now
from goaime_migrate.transform.step import never

if TYPE_CHECKING:
    from goaime_migrate.transform.derivation import DeriveStep


class DeriveDocuments(DocumentOperation):
    """Make documents for `target` out of every document of `source` (that matches `where`).

    The function gets a copy of a document, and each `Lookup` under its keyword, and returns or yields documents, each
    with its `_id`, or None for none. The sources stay as they are: what it changes in its copy is discarded.
    """

    fusion = None
    actions = ("insert", "update", "remove")  # what is made follows its sources while the pass runs

    def __init__(
        self,
        source: str,
        target: str,
        derive: Callable[..., Iterable[Document] | None],
        *,
        where: Filter | None = None,
        **lookups: Lookup | Now,
    ) -> None:
        require_collection(source)
        require_collection(target)
        require(callable(derive), f"derive must be a function, not {derive!r}")
        require_plain(derive, "derive", lists=True)
        require_filter(where)
        require_lookups(derive, lookups, options=("where",))
        require_parameters(derive, lookups, "derive", name_of(derive))
        self.collection = source
        self.target = target
        self.derive = derive
        self.where = dict(where) if where else None
        self.lookups = lookups

    @property
    def reads(self) -> frozenset[str]:
        """The collections of its lookups."""
        return collections_of(self.lookups)

    @property
    def writes(self) -> str:
        """The target."""
        return self.target

    def describe(self) -> str:
        """By both collections and the name of its function."""
        where = "" if self.where is None else f" where {self.where}"
        return f"derive {self.target} from {self.collection} with {name_of(self.derive)}{where}"

    def step(self, version: str, source: str) -> DeriveStep:
        """A step that makes documents for the target."""
        from goaime_migrate.transform.derivation import DeriveStep

        return DeriveStep(
            version=version,
            collection=self.collection,
            source=source,
            transform=never,
            lookups=self.lookups,
            where=self.where,
            target=self.target,
            derive=self.derive,
        )
