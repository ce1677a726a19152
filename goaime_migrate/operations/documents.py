"""Operations that change documents one by one."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any

from pydantic import BaseModel

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import Filter
from goaime_migrate.errors import InvalidMigration
from goaime_migrate.operations.base import (
    DocumentOperation,
    require,
    require_collection,
    require_name,
    require_plain,
)
from goaime_migrate.results import Document
from goaime_migrate.transform.lookups import Lookup
from goaime_migrate.transform.step import UNENCODABLE, Step

_OPTIONS = ("where", "fields", "reverse", "model", "check")


class TransformDocuments(DocumentOperation):
    """Apply a pure function to every document of a collection (that matches `where`).

    The function gets the document, and each `Lookup` under its keyword as a read-only mapping; it changes the
    document in place or returns a new dict. `fields` declares every top-level field that it reads or writes.
    `reverse` takes back documents that were born after `up`. `model` and `check` are promises about every result.
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
        **lookups: Lookup,
    ) -> None:
        require_collection(collection)
        require(callable(transform), f"the transform must be a function, not {transform!r}")
        require_plain(transform, "the transform")
        _require_filter(where)
        require(not isinstance(fields, str), "fields= must be a list of names", f"fields=[{fields!r}]")
        for name in fields or ():
            require_name(name, "every field in fields=")
            require(
                "." not in name, f"fields= names top-level fields, {name!r} is a path", name.partition(".")[0]
            )
        require(
            model is None or _is_model(model),
            f"model= must be a pydantic model, not {model!r}",
        )
        for option, function in (("reverse", reverse), ("check", check)):
            require(function is None or callable(function), f"{option}= must be a function, not {function!r}")
            if function is not None:
                require_plain(function, f"{option}=", lists=option == "check")
        _check_lookups(transform, lookups)
        _check_parameters(transform, lookups, "the transform", _name(transform))
        for option, function in (("reverse", reverse), ("check", check)):
            if function is not None:
                named = f"{option}= {_name(function)}"
                _check_parameters(function, lookups, named, named)
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
        return raw_bson.encode(self.where or {})

    @property
    def reads(self) -> frozenset[str]:
        return frozenset(lookup.collection for lookup in self.lookups.values())

    def describe(self) -> str:
        where = "" if self.where is None else f" where {self.where}"
        return (
            f"transform {self.collection} with {getattr(self.transform, '__name__', self.transform)}{where}"
        )

    def step(self, version: str, source: str) -> Step:
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
            check=_with_named_lookups(self.check, self.lookups),
            reverse_lookups=_lookup_names(self.reverse, self.lookups),
        )


def _is_model(model: object) -> bool:
    return isinstance(model, type) and issubclass(model, BaseModel)


def _check_lookups(transform: Callable[..., Any], lookups: Mapping[str, object]) -> None:
    """Every keyword that is no option is a `Lookup` and names a parameter of the transform."""
    for name, lookup in lookups.items():
        require(
            isinstance(lookup, Lookup),
            f"{name}= is neither an option nor a Lookup",
            f"the options are {', '.join(_OPTIONS)}; a lookup is declared as {name}=Lookup('collection', key='field')",
        )
    parameters = _parameters(transform)
    if parameters is not None:
        loose = any(p.kind is p.VAR_KEYWORD for p in parameters)
        names = {p.name for p in parameters[1:]}
        for name in lookups:
            require(loose or name in names, f"the lookup {name!r} is not a parameter of {_name(transform)}")


def _check_parameters(
    function: Callable[..., Any], lookups: Mapping[str, object], what: str, named: str
) -> None:
    """A function takes the document, and every other parameter that has to be given is a lookup."""
    parameters = _parameters(function)
    if parameters is None:
        return
    require(parameters, f"{what} takes no document", "its first parameter is the document")
    for p in parameters[1:]:
        given = p.name in lookups or p.default is not p.empty or p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
        require(given, f"{named} wants {p.name!r}, and no lookup has that name", f"{p.name}=Lookup(…)")


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter] | None:
    """The parameters of a function; None for one that does not tell them."""
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return None


def _require_filter(where: object) -> None:
    """Refuse in a file what no engine could take for a filter; only a database knows all operators."""
    require(where is None or isinstance(where, Mapping), f"where= must be a filter document, not {where!r}")
    if isinstance(where, Mapping):
        try:
            raw_bson.encode(dict(where))
        except UNENCODABLE as error:
            raise InvalidMigration(
                f"where= cannot be encoded as BSON: {error}", hint="write it with values that BSON knows"
            ) from error


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", repr(function))


def _lookup_names(function: Callable[..., Any] | None, lookups: Mapping[str, Lookup]) -> tuple[str, ...]:
    """The lookups that a function's signature names."""
    parameters = () if function is None else _parameters(function) or ()
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return tuple(lookups)
    return tuple(name for name in lookups if name in {p.name for p in parameters})


def _with_named_lookups(
    check: Callable[..., Iterable[str] | None] | None, lookups: Mapping[str, Lookup]
) -> Callable[..., Iterable[str] | None] | None:
    """A check that may leave out lookups that it does not need."""
    if check is None or set(_lookup_names(check, lookups)) == set(lookups):
        return check
    wanted = _lookup_names(check, lookups)

    def narrowed(document: Document, **given: Any) -> Iterable[str] | None:
        return check(document, **{name: given[name] for name in wanted})

    return narrowed


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
        _require_filter(where)
        self.collection = collection
        self.pipeline = [dict(stage) for stage in pipeline]
        self.where = dict(where) if where else None

    def describe(self) -> str:
        where = "" if self.where is None else f" where {self.where}"
        return f"update {self.collection} with the pipeline {self.pipeline}{where}"

    def step(self, version: str, source: str) -> Step:
        return Step(
            version=version,
            collection=self.collection,
            source=source,
            transform=_on_the_server,
            where=self.where,
            pipeline=tuple(self.pipeline),
        )


_STAGES = ("$set", "$addFields", "$unset", "$project", "$replaceWith", "$replaceRoot")


def _is_stage(stage: object) -> bool:
    return isinstance(stage, Mapping) and len(stage) == 1 and next(iter(stage)) in _STAGES


def _on_the_server(_: Document) -> None:
    raise AssertionError("a pipeline has no transform")


def _top_level(field: object) -> None:
    require_name(field, "the field")
    require(
        "." not in str(field),
        f"{field!r} is a path; only top-level fields can be named",
        "use TransformDocuments",
    )
    require(field != "_id", "_id cannot be added, renamed or removed")


class AddField(TransformDocuments):
    """Give a constant value to a field in every document that lacks it; one that is there stays as it is."""

    def __init__(self, collection: str, field: str, value: Any, *, where: Filter | None = None) -> None:
        _top_level(field)

        def add_field(document: Document) -> None:
            if field not in document:
                document[field] = deepcopy(value)

        super().__init__(
            collection, add_field, where=where, fields=[field], reverse=_without_value(field, value)
        )
        self._text = f"add {field} = {value!r} to {collection}"
        self._element = _element(field, value)

    def describe(self) -> str:
        return self._text

    def step(self, version: str, source: str) -> Step:
        return replace(super().step(version, source), adds=self._element)


class RemoveField(TransformDocuments):
    """Remove a field from every document."""

    def __init__(self, collection: str, field: str) -> None:
        _top_level(field)
        super().__init__(collection, _without(field), fields=[field])
        self._text = f"remove {field} from {collection}"

    def describe(self) -> str:
        return self._text


class RenameField(TransformDocuments):
    """Rename a field in every document, where it stands. A document that has both names stops the run."""

    def __init__(self, collection: str, old: str, new: str) -> None:
        _top_level(old)
        _top_level(new)
        require(old != new, f"{old!r} is already called that")
        super().__init__(collection, _renaming(old, new), reverse=_renaming(new, old))
        self._text = f"rename {old} to {new} in {collection}"

    def describe(self) -> str:
        return self._text


def _element(field: str, value: Any) -> bytes | None:
    """The field as a BSON element; None for a value that cannot be encoded, which the first document will tell."""
    try:
        return raw_bson.encode({field: value})[4:-1]
    except UNENCODABLE:
        return None


def _without(field: str) -> Callable[[Document], None]:
    def remove_field(document: Document) -> None:
        document.pop(field, None)

    return remove_field


def _without_value(field: str, value: Any) -> Callable[[Document], None]:
    """Remove the field where it has the very value that was added: any other is the application's."""

    def remove_added_field(document: Document) -> None:
        if field in document and raw_bson.encode({"": document[field]}) == raw_bson.encode({"": value}):
            del document[field]

    return remove_added_field


def _renaming(old: str, new: str) -> Callable[[Document], Document | None]:
    def rename_field(document: Document) -> Document | None:
        if old not in document:
            return None
        if new in document:
            raise ValueError(f"{new}: the document has both {old} and {new}")
        return {new if name == old else name: value for name, value in document.items()}

    return rename_field
