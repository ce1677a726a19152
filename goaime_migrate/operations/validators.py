"""Validators: what the server itself refuses from then on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from goaime_migrate.backends.ports import Catalogue
from goaime_migrate.operations.base import (
    StateDatabase,
    StateOperation,
    is_model,
    require,
    require_collection,
    require_encodable,
)
from goaime_migrate.operations.collection_options import ACTIONS, LEVELS
from goaime_migrate.operations.undoing import undoes
from goaime_migrate.results import Document

if TYPE_CHECKING:
    from pydantic import BaseModel

_TYPES = {
    "string": ["string"],
    "integer": ["int", "long"],
    "number": ["double", "int", "long", "decimal"],
    "boolean": ["bool"],
    "array": ["array"],
    "object": ["object"],
    "null": ["null"],
}
_KEPT = (
    "required",
    "enum",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "pattern",
    "minItems",
    "maxItems",
    "uniqueItems",
    "minProperties",
    "maxProperties",
    "multipleOf",
    "description",
    "title",
)
_KEYWORDS = frozenset(_KEPT) | {
    "additionalItems",
    "additionalProperties",
    "allOf",
    "anyOf",
    "bsonType",
    "dependencies",
    "encrypt",
    "encryptMetadata",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "items",
    "not",
    "oneOf",
    "patternProperties",
    "properties",
    "type",
}
"""Of `$jsonSchema`, as the server knows them."""
UNDOES = frozenset({"set_options", "remove_validated"})
"""The kinds of records by which a validator is taken back."""
_DEFAULTS = {"validationLevel": "strict", "validationAction": "error"}
_LOGICAL = ("$and", "$or", "$nor")
_NOT_AT_ALL = frozenset({"$where", "$text", "$sampleRate"})
_NOT_OF_FIELDS = frozenset({"$near", "$nearSphere"})
_NOT_IN_EXPRESSIONS = frozenset({"$function", "$accumulator", "$rand"})
"""What a server does not take into a validator."""
_LISTS = ("anyOf", "allOf", "oneOf")
_FORMATS = {"date-time": ["date"], "binary": ["binData"]}
_EXCLUSIVE = (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum"))


class SetValidator(StateOperation):
    """Set the collection's validator: a pydantic model, a `$jsonSchema`, or a whole one; `down` sets the old one again.

    A dict whose keys are all keywords of `$jsonSchema` is a schema, any other a whole validator, such as
    ``{"$and": [...]}``. `plan` counts the documents that it would refuse.
    """

    actions = ("collMod",)

    def __init__(
        self,
        collection: str,
        schema: type[BaseModel] | Document,
        *,
        level: str = "strict",
        action: str = "error",
    ) -> None:
        require_collection(collection)
        require(level in LEVELS, f"level must be off, strict or moderate, not {level!r}")
        require(action in ACTIONS, f"action must be error or warn, not {action!r}")
        self.collection: str = collection
        self.options: Document = {
            "validator": validator(schema),
            "validationLevel": level,
            "validationAction": action,
        }
        require_encodable(self.options["validator"], "the validator")
        require_valid(self.options["validator"])
        self._text = _name_of(schema)

    def describe(self) -> str:
        """By the name of its model."""
        return f"validate {self.collection} with {self._text}"

    def prepare(self, backend: Catalogue, version: str) -> Document:
        """Undone by the validator, the level and the action that are in force now."""
        info = backend.collections().get(self.collection)
        if info is None:
            return {"kind": "remove_validated", "collection": self.collection}
        old = {name: info.options[name] for name in self.options if name in info.options}
        whole = {"validator": {}, **_DEFAULTS, **old}
        return {"kind": "set_options", "collection": self.collection, "options": whole}

    def apply(self, backend: Catalogue, undo: Document) -> None:
        """Set it; a collection that does not exist is made with it."""
        if self.collection in backend.collections():
            _set(backend, self.collection, self.options)
        else:
            backend.create_collection(self.collection, self.options)


@undoes("set_options", actions=("collMod",))
def _set_options(backend: Catalogue, undo: Document) -> None:
    if undo["collection"] in backend.collections():
        _set(backend, undo["collection"], undo["options"])


def _set(backend: Catalogue, collection: str, options: Document) -> None:
    """Set a validator. A level and an action that are in force already are left unsaid: no server forgets them."""
    now = {**_DEFAULTS, **backend.collections()[collection].options}
    changed = {k: v for k, v in options.items() if k == "validator" or now[k] != v}
    backend.set_options(collection, changed)


@undoes("remove_validated")
def _remove_validated(backend: StateDatabase, undo: Document) -> None:
    """The collection was made for its validator: it goes again if it is still empty."""
    name = undo["collection"]
    if name not in backend.collections():
        return
    if backend.count(name, {}, limit=1):
        backend.set_options(name, {"validator": {}})
    else:
        backend.drop_collection(name)


def validator(schema: type[BaseModel] | Document) -> Document:
    """The server's validator for a model, a schema, or a dict that is one already. Raises InvalidMigration."""
    required = f"the schema must be a pydantic model or a dict, not {schema!r}"
    if isinstance(schema, type):
        require(is_model(schema), required)
        whole = schema.model_json_schema(by_alias=True)
        return {"$jsonSchema": _bson_schema(whole, whole.get("$defs", {}), ())}
    require(isinstance(schema, Mapping), required)
    return {"$jsonSchema": dict(schema)} if _is_schema(schema) else dict(schema)


def require_valid(validator: Mapping[str, Any]) -> None:
    """Refuse what a query may have and a validator may not. Raises InvalidMigration."""
    for operator in _forbidden_operators(validator):
        require(
            False, f"no validator may have {operator}", "write it as a $jsonSchema, or with other operators"
        )


def _forbidden_operators(where: Mapping[str, Any]) -> Iterator[str]:
    for name, value in where.items():
        if name in _LOGICAL and isinstance(value, list):
            yield from (
                operator
                for each in value
                if isinstance(each, Mapping)
                for operator in _forbidden_operators(each)
            )
        elif name == "$expr":
            yield from (each for each in _names(value) if each in _NOT_IN_EXPRESSIONS)
        elif name in _NOT_AT_ALL:
            yield name
        elif not name.startswith("$") and isinstance(value, Mapping):
            yield from (each for each in value if each in _NOT_OF_FIELDS)


def _names(expression: object) -> Iterator[str]:
    """All names in an expression, but for those in literals."""
    if isinstance(expression, Mapping):
        for name, value in expression.items():
            yield name
            yield from () if name == "$literal" else _names(value)
    elif isinstance(expression, list):
        yield from (name for each in expression for name in _names(each))


def _is_schema(schema: Mapping[str, Any]) -> bool:
    return schema.keys() <= _KEYWORDS


def _name_of(schema: type[BaseModel] | Document) -> str:
    if isinstance(schema, type):
        return schema.__name__
    return "a $jsonSchema" if _is_schema(schema) or "$jsonSchema" in schema else "a validator"


def _bson_schema(schema: Mapping[str, Any], defs: Mapping[str, Any], within: tuple[str, ...]) -> Document:
    """A JSON schema in the words that MongoDB knows: types of BSON, references resolved, the rest left out.

    `within`: the references that were followed. A model that holds itself is checked one level deep.
    """
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return {} if name in within else _bson_schema(defs[name], defs, (*within, name))
    result: Document = {name: schema[name] for name in _KEPT if name in schema}
    for exclusive, bound in _EXCLUSIVE:
        if exclusive in schema:
            result |= {bound: schema[exclusive], exclusive: True}
    if "type" in schema:
        kinds = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
        types = _FORMATS.get(schema.get("format", "")) or [t for k in kinds for t in _TYPES[k]]
        result["bsonType"] = types if len(types) > 1 else types[0]
    if "const" in schema:
        result["enum"] = [schema["const"]]
    result |= _inner_schemas(schema, defs, within)
    if schema.get("additionalProperties") is False:
        result["additionalProperties"] = False
        result.setdefault("properties", {}).setdefault("_id", {})
    return result


def _inner_schemas(schema: Mapping[str, Any], defs: Mapping[str, Any], within: tuple[str, ...]) -> Document:
    """The schemas inside a schema."""
    result: Document = {}
    for name in _LISTS:
        if name in schema:
            result[name] = [_bson_schema(item, defs, within) for item in schema[name]]
    if "properties" in schema:
        result["properties"] = {k: _bson_schema(v, defs, within) for k, v in schema["properties"].items()}
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), Mapping):
            result[name] = _bson_schema(schema[name], defs, within)
    return result
