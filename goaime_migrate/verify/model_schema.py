"""A `$jsonSchema` that is sufficient for a pydantic model: what matches it satisfies the model, read by pymongo.

The other direction is not promised: a document that does not match is for pydantic to judge. So only that is
translated which is certain, and a node of pydantic's core schema that holds anything unknown is refused.

Fields stand under `patternProperties`. Of a name that stands twice in a document `properties` looks at the first
element and Python gets the last; a pattern is held against them all. A document within a document must have no
`$ref`, as pymongo makes a DBRef of it, which is no mapping.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bson import Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp

from goaime_migrate.results import Document

Node = Mapping[str, Any]
"""A part of a core schema; `type` says what it is."""

_DEEPEST = 12
"""Levels of nesting; a server refuses a filter of a hundred or more of its own."""
_NAME = re.compile("[A-Za-z_][A-Za-z0-9_-]*")
"""Names that mean themselves in a pattern and in a path."""
_SAID_FOR_OTHERS = frozenset({"type", "ref", "metadata", "serialization"})
_NO_DBREF: Document = {"bsonType": "object", "not": {"required": ["$ref"]}}
_FACTORIES = (dict, list, set)
_PLAIN = (type(None), bool, int, float, str)

# What a type of BSON becomes in Python; Int64 is an int. A strict float takes ints as well.
_SCALARS: Mapping[str, tuple[str, ...]] = {
    "none": ("null",),
    "bool": ("bool",),
    "int": ("int", "long"),
    "float": ("double", "int", "long"),
    "str": ("string",),
}
_INSTANCES: Mapping[type, tuple[str, ...]] = {
    Decimal128: ("decimal",),
    Int64: ("long",),
    MaxKey: ("maxKey",),
    MinKey: ("minKey",),
    ObjectId: ("objectId",),
    Regex: ("regex",),
    Timestamp: ("timestamp",),
    bool: ("bool",),
    float: ("double",),
    int: ("int", "long"),
    list: ("array",),
    str: ("string",),
}


class Untranslatable(Exception):
    """Nothing is certain about this part of a model."""


class Translation:
    """Translates the nodes of one core schema, whose shared `definitions` are known by their `ref`."""

    def __init__(self, definitions: Mapping[str, Node]) -> None:
        self._definitions = definitions
        self._depth = 0
        self._within: set[str] = set()
        self._rules: Mapping[str, Callable[[Node], Document]] = {
            "any": self._any,
            "definition-ref": self._definition_ref,
            "dict": self._dict,
            "is-instance": self._is_instance,
            "json-or-python": self._json_or_python,
            "list": self._list,
            "literal": self._literal,
            "model": self._model,
            "nullable": self._nullable,
            "typed-dict": self._typed_dict,
            "union": self._union,
        }

    def schema(self, node: Node) -> Document:
        """The sufficient schema for values of this node, ``{}`` where any value will do. Raises Untranslatable."""
        kind = node["type"]
        if kind in _SCALARS:
            known(node, "strict")
            return _of_types(_SCALARS[kind])
        if kind not in self._rules or self._depth > _DEEPEST:
            raise Untranslatable(kind)
        self._depth += 1
        try:
            return self._rules[kind](node)
        finally:
            self._depth -= 1

    def fields(self, fields: Mapping[str, Node]) -> Document:
        """The schema for documents with these fields, whatever else they hold. Raises Untranslatable."""
        required: list[str] = []
        groups: list[tuple[Document, list[str]]] = []
        for name, field in fields.items():
            schema, must = self._field(name, field)
            if must:
                required.append(name)
            if schema:
                _grouped(groups, schema).append(name)
        result: Document = {"required": required} if required else {}
        if groups:
            result["patternProperties"] = {f"^({'|'.join(names)})$": schema for schema, names in groups}
        return result

    def _field(self, name: str, field: Node) -> tuple[Document, bool]:
        """What a field must be, and whether it must be there."""
        if not _NAME.fullmatch(name):
            raise Untranslatable(name)
        known(field, "schema", "required", "frozen", "serialization_alias", "serialization_exclude")
        must = bool(field.get("required", True)) if field["type"] == "typed-dict-field" else True
        node = field["schema"]
        if node["type"] == "default":
            known(node, "schema", "default", "default_factory", "copy_default")
            if not _sure(node):
                raise Untranslatable("default")
            node, must = node["schema"], False
        return self.schema(node), must

    # one method for each type of node ---------------------------------------------------------------------------

    def _any(self, node: Node) -> Document:
        known(node)
        return {}

    def _literal(self, node: Node) -> Document:
        known(node, "expected")
        if not all(value is None or type(value) is str for value in node["expected"]):
            raise Untranslatable("literal")
        return {"bsonType": ["null", "string"], "enum": list(node["expected"])}

    def _is_instance(self, node: Node) -> Document:
        known(node, "cls", "cls_repr")
        if node["cls"] not in _INSTANCES:
            raise Untranslatable("is-instance")
        return _of_types(_INSTANCES[node["cls"]])

    def _json_or_python(self, node: Node) -> Document:
        known(node, "json_schema", "python_schema")
        return self.schema(node["python_schema"])

    def _nullable(self, node: Node) -> Document:
        known(node, "schema")
        return _either([_of_types(("null",)), self.schema(node["schema"])])

    def _union(self, node: Node) -> Document:
        known(node, "choices", "mode")
        choices = [choice[0] if isinstance(choice, tuple) else choice for choice in node["choices"]]
        return _either([self.schema(choice) for choice in choices])

    def _list(self, node: Node) -> Document:
        known(node, "items_schema", "strict")
        items = self.schema(node.get("items_schema") or {"type": "any"})
        return {"bsonType": "array", "items": items} if items else _of_types(("array",))

    def _dict(self, node: Node) -> Document:
        known(node, "keys_schema", "values_schema", "strict")
        keys = node.get("keys_schema") or {"type": "any"}
        if self.schema(keys) not in ({}, _of_types(("string",))):
            raise Untranslatable("dict")
        values = self.schema(node.get("values_schema") or {"type": "any"})
        return {**_NO_DBREF, "additionalProperties": values} if values else {**_NO_DBREF}

    def _model(self, node: Node) -> Document:
        return {**_NO_DBREF, **self.fields(model_fields(node))}

    def _typed_dict(self, node: Node) -> Document:
        known(node, "cls", "cls_name", "fields", "computed_fields", "total", "config", "extra_behavior")
        _ignores_the_rest(node)
        return {**_NO_DBREF, **self.fields(node["fields"])}

    def _definition_ref(self, node: Node) -> Document:
        known(node, "schema_ref")
        name = node["schema_ref"]
        if name in self._within:
            raise Untranslatable("a model that holds itself")
        self._within.add(name)
        try:
            return self.schema(self._definitions[name])
        finally:
            self._within.discard(name)


def model_fields(node: Node) -> Mapping[str, Node]:
    """The fields of a model that is no more than its fields. Raises Untranslatable."""
    if node["type"] != "model":
        raise Untranslatable(node["type"])
    known(node, "cls", "schema", "config", "frozen")
    _ignores_the_rest(node)
    if node["cls"].__new__ is not object.__new__:
        raise Untranslatable("__new__")
    inner: Node = node["schema"]
    if inner["type"] != "model-fields":
        raise Untranslatable(inner["type"])
    known(inner, "fields", "model_name", "computed_fields", "extra_behavior")
    _ignores_the_rest(inner)
    fields: Mapping[str, Node] = inner["fields"]
    return fields


def known(node: Node, *keys: str) -> None:
    """Refuse a node that says more than this. Raises Untranslatable."""
    for key, value in node.items():
        if key not in _SAID_FOR_OTHERS and key not in keys and value is not None and value is not False:
            raise Untranslatable(f"{node['type']}: {key}")


def _ignores_the_rest(node: Node) -> None:
    """Other fields may hold anything, and no setting changes what a type means."""
    config = node.get("config") or {}
    extra = node.get("extra_behavior"), config.get("extra_fields_behavior")
    if set(extra) - {None, "ignore"} or set(config) - {"title", "frozen", "extra_fields_behavior"}:
        raise Untranslatable("config")


def _sure(node: Node) -> bool:
    """Whether making the default cannot fail."""
    if "default_factory" in node:
        return node["default_factory"] in _FACTORIES
    default = node["default"]
    return type(default) in _PLAIN or (type(default) in (list, dict) and not default)


def _of_types(types: Sequence[str]) -> Document:
    return {"bsonType": sorted(types)}


def _either(choices: Sequence[Document]) -> Document:
    """Any of these; one that takes anything makes the others idle."""
    if not all(choices):
        return {}
    if all(list(choice) == ["bsonType"] for choice in choices):
        return _of_types([*{kind for choice in choices for kind in choice["bsonType"]}])
    return {"anyOf": list(choices)}


def _grouped(groups: list[tuple[Document, list[str]]], schema: Document) -> list[str]:
    """The names that must be the same: every pattern costs the server a look at every element."""
    for other, names in groups:
        if other == schema:
            return names
    names = []
    groups.append((schema, names))
    return names
