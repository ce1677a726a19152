"""Operations that change documents one by one: by a function, or by a pipeline that the server runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import Filter
from goaime_migrate.operations.base import (
    DocumentOperation,
    is_model,
    require,
    require_collection,
    require_encodable,
    require_name,
    require_plain,
)
from goaime_migrate.operations.signatures import (
    collections_of,
    lookup_names,
    name_of,
    require_lookups,
    require_parameters,
    with_named_lookups,
)
from goaime_migrate.results import Document
from goaime_migrate.transform.lookups import Lookup, Now

if TYPE_CHECKING:
    from pydantic import BaseModel

    from goaime_migrate.transform.step import Step


class TransformDocuments(DocumentOperation):
    """Apply a pure function to every document of a collection (that matches `where`).

    The function gets the document, each `Lookup` under its keyword as a read-only mapping, and for `Now()` the time at
    which the pass began; it changes the document in place or returns a new dict. `fields` declares every top-level
    field that it reads or writes. `reverse` takes back documents that were inserted since `up`. `model` and `check` are
    promises about every result.
    """

    def __init__(
        self,
        collection: str,
        transform: Callable[..., Document | None],
        *,
        where: Filter | None = None,
        fields: Sequence[str] | None = None,
        reverse: Callable[..., Document | None] | None = None,
        model: type[BaseModel] | None = None,
        check: Callable[..., Iterable[str] | None] | None = None,
        **lookups: Lookup | Now,
    ) -> None:
        require_collection(collection)
        require(callable(transform), f"the transform must be a function, not {transform!r}")
        require_plain(transform, "the transform")
        require_filter(where)
        _require_fields(fields)
        require(
            model is None or is_model(model),
            f"model= must be a pydantic model, not {model!r}",
        )
        for option, function in (("reverse", reverse), ("check", check)):
            require(function is None or callable(function), f"{option}= must be a function, not {function!r}")
            if function is not None:
                require_plain(function, f"{option}=", lists=option == "check")
        require_lookups(transform, lookups)
        require_parameters(transform, lookups, "the transform", name_of(transform))
        for option, function in (("reverse", reverse), ("check", check)):
            if function is not None:
                named = f"{option}= {name_of(function)}"
                require_parameters(function, lookups, named, named)
        self.collection = collection
        self.transform = transform
        self.where = dict(where) if where else None
        self.fields = None if fields is None else tuple(fields)
        self.reverse = reverse
        self.model = model
        self.check = check
        self.lookups = lookups

    @property
    def fusion(self) -> object:
        """Neighbours with the same filter share a pass."""
        return raw_bson.encode(self.where or {})

    @property
    def reads(self) -> frozenset[str]:
        """The collections of its lookups."""
        return collections_of(self.lookups)

    def describe(self) -> str:
        """By the name of its function."""
        where = "" if self.where is None else f" where {self.where}"
        return (
            f"transform {self.collection} with {getattr(self.transform, '__name__', self.transform)}{where}"
        )

    def step(self, version: str, source: str) -> Step:
        """A step that calls the functions with the lookups that they name."""
        from goaime_migrate.transform.step import Step

        return Step(
            version=version,
            collection=self.collection,
            source=source,
            transform=self.transform,
            lookups=self.lookups,
            where=self.where,
            fields=self.fields,
            reverse=self.reverse,
            model=self.model,
            check=with_named_lookups(self.check, self.lookups),
            reverse_lookups=lookup_names(self.reverse, self.lookups),
        )


def _require_fields(fields: Sequence[str] | None) -> None:
    require(not isinstance(fields, str), "fields= must be a list of names", f"fields=[{fields!r}]")
    for name in fields or ():
        require_name(name, "every field in fields=")
        require(
            "." not in name, f"fields= names top-level fields, {name!r} is a path", name.partition(".")[0]
        )


def require_filter(where: object) -> None:
    """Refuse in a file what no engine could take for a filter; only a database knows all operators."""
    require(where is None or isinstance(where, Mapping), f"where= must be a filter document, not {where!r}")
    if isinstance(where, Mapping):
        require_encodable(dict(where), "where=")


class UpdateDocuments(DocumentOperation):
    """Run an update pipeline on the server over every document of a collection (that matches `where`)."""

    fusion = None
    reads: frozenset[str] = frozenset()

    def __init__(
        self, collection: str, pipeline: Sequence[Mapping[str, Any]], *, where: Filter | None = None
    ) -> None:
        require_collection(collection)
        require(
            isinstance(pipeline, list | tuple) and pipeline and all(_is_stage(stage) for stage in pipeline),
            "the pipeline must be a list of update stages",
            f"the stages of an update are {', '.join(_STAGES)}",
        )
        require_filter(where)
        self.collection = collection
        self.pipeline = [dict(stage) for stage in pipeline]
        self.where = dict(where) if where else None

    def describe(self) -> str:
        """By its whole pipeline."""
        where = "" if self.where is None else f" where {self.where}"
        return f"update {self.collection} with the pipeline {self.pipeline}{where}"

    def step(self, version: str, source: str) -> Step:
        """A step that the database computes."""
        from goaime_migrate.transform.step import Step, never

        return Step(
            version=version,
            collection=self.collection,
            source=source,
            transform=never,
            where=self.where,
            pipeline=tuple(self.pipeline),
        )


_STAGES = ("$set", "$addFields", "$unset", "$project", "$replaceWith", "$replaceRoot")


def _is_stage(stage: object) -> bool:
    return isinstance(stage, Mapping) and len(stage) == 1 and next(iter(stage)) in _STAGES
