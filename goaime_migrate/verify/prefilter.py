"""What of a collection's promises the server can vouch for, and what is left to be seen here.

A model is taken apart by its fields. Those that translate are the server's. The others, with validators of their own,
are judged here, all of them by a validator that is made of these fields alone, so that no more of a document has to be
read. A document that passes both keeps every promise; one that does not is judged as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic_core import SchemaError, SchemaValidator

from goaime_migrate.backends.ports import Filter
from goaime_migrate.results import Document
from goaime_migrate.transform.step import Step
from goaime_migrate.verify.model_schema import Node, Translation, Untranslatable, model_fields


@dataclass(frozen=True)
class Parts:
    """One model taken apart."""

    schema: Document
    """A `$jsonSchema` for the fields that translate; empty where it would say nothing."""
    fields: tuple[str, ...]
    """The fields that do not."""
    validator: SchemaValidator | None
    """Judges a document by these; None where there are none."""


@dataclass(frozen=True)
class Prefilter:
    """What keeps all promises of some steps falls through. `fields` are all that `passes` reads of a document."""

    fields: tuple[str, ...]
    suspects: Filter | None
    """The documents that the server does not vouch for; None where it is asked nothing."""
    validators: tuple[SchemaValidator, ...]

    def passes(self, document: Document) -> bool:
        """Whether the fields that the server knows nothing of are as they must be."""
        return all(validator.isinstance_python(document) for validator in self.validators)


def sieve(steps: Sequence[Step]) -> Prefilter | None:
    """The sieve for these steps; None where a promise is about whole documents.

    These are then read and decoded for that one, and pydantic judges a decoded document sooner than the server does.
    """
    parts = [_parts(step) for step in steps]
    whole = [part for part in parts if part is not None]
    if len(whole) != len(parts):
        return None
    fields = tuple(dict.fromkeys(name for part in whole for name in part.fields))
    schemas: list[Document] = [{"$jsonSchema": part.schema} for part in whole if part.schema]
    sure = [*schemas, *([_once(fields)] if fields else [])]
    return Prefilter(
        fields=fields,
        suspects={"$nor": [{"$and": sure}]} if sure else None,
        validators=tuple(part.validator for part in whole if part.validator is not None),
    )


def _once(fields: Sequence[str]) -> Document:
    """A filter for documents in which none of these stands twice: a projection may leave out the one that counts."""
    named = {"$filter": {"input": {"$objectToArray": "$$ROOT"}, "cond": {"$in": ["$$this.k", list(fields)]}}}
    there = [{"$cond": [{"$eq": [{"$type": f"${name}"}, "missing"]}, 0, 1]} for name in fields]
    return {"$expr": {"$eq": [{"$size": named}, {"$add": there}]}}


def _parts(step: Step) -> Parts | None:
    if step.check is not None or step.model is None:
        return None
    try:
        return parts(step.model)
    except Untranslatable:
        return None


def parts(model: type[BaseModel]) -> Parts:
    """Take a model apart. Raises Untranslatable where it must be judged as a whole."""
    root, definitions = _core(model)
    translation = Translation(definitions)
    fields = model_fields(root)
    schemas = {name: _translated(translation, name, field) for name, field in fields.items()}
    rest = {name: fields[name] for name, schema in schemas.items() if schema is None}
    if not rest:
        return Parts(translation.fields(fields), (), None)
    kept = {name: field for name, field in fields.items() if name not in rest}
    return Parts(translation.fields(kept), tuple(rest), _validator(rest, definitions))


def _core(model: type[BaseModel]) -> tuple[Node, Mapping[str, Node]]:
    """The core schema that a model is validated by, and the definitions that it shares."""
    own = getattr(model.model_validate, "__func__", None)
    if own is not getattr(BaseModel.model_validate, "__func__", None) or not model.__pydantic_complete__:
        raise Untranslatable(model.__name__)
    if type(model.__pydantic_validator__) is not SchemaValidator:  # a plugin of pydantic's has its say
        raise Untranslatable(model.__name__)
    core: Any = model.__pydantic_core_schema__
    definitions: dict[str, Node] = {}
    if core["type"] == "definitions":
        definitions = {definition["ref"]: definition for definition in core["definitions"]}
        core = core["schema"]
    if core["type"] == "definition-ref":
        core = definitions[core["schema_ref"]]
    return core, definitions


def _translated(translation: Translation, name: str, field: Node) -> Document | None:
    try:
        return translation.fields({name: field})
    except Untranslatable:
        return None


def _validator(fields: Mapping[str, Node], definitions: Mapping[str, Node]) -> SchemaValidator:
    """Judges these fields as the whole model would. Raises Untranslatable where they may see others."""
    for name, field in fields.items():
        if not name.isidentifier() or field.get("validation_alias") is not None:
            raise Untranslatable(name)
    if any(map(_looks_around, (*fields.values(), *definitions.values()))):
        raise Untranslatable("a validator that is given the other fields")
    inner: Any = {"type": "model-fields", "fields": dict(fields)}
    if definitions:
        inner = {"type": "definitions", "schema": inner, "definitions": list(definitions.values())}
    try:
        return SchemaValidator(inner)
    except SchemaError as error:
        raise Untranslatable(str(error)) from error


def _looks_around(node: object) -> bool:
    """Whether a node, or one within it, is given the fields before it."""
    return any(
        inner.get("type") == "with-info" or bool(inner.get("default_factory_takes_data"))
        for inner in _nodes(node)
    )


def _nodes(node: object) -> Iterator[Node]:
    """A node and all nodes within it."""
    if isinstance(node, Mapping):
        yield node
        for key, value in node.items():
            if key not in ("metadata", "serialization", "default"):
                yield from _nodes(value)
    elif isinstance(node, list | tuple):
        for item in node:
            yield from _nodes(item)
