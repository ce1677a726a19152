"""What no server takes for an index, whatever is in the collection: refused when the file is loaded."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from bson.regex import Regex

from goaime_migrate.operations.base import require
from goaime_migrate.results import Document

_OPTIONS = frozenset(
    {
        "2dsphereIndexVersion",
        "background",
        "bits",
        "bucketSize",
        "clustered",
        "coarsestIndexedLevel",
        "collation",
        "columnstoreProjection",
        "default_language",
        "dropDups",
        "expireAfterSeconds",
        "finestIndexedLevel",
        "hidden",
        "language_override",
        "max",
        "min",
        "partialFilterExpression",
        "prepareUnique",
        "sparse",
        "storageEngine",
        "textIndexVersion",
        "unique",
        "v",
        "weights",
        "wildcardProjection",
    }
)
_FLAGS = ("unique", "sparse", "hidden", "background")
_FILTERED = ("$eq", "$exists: True", "$gt", "$gte", "$lt", "$lte", "$type", "$and")
"""Operators that the filter of a partial index may have, on all servers."""
_UNFILTERED = frozenset(
    {
        "$elemMatch",
        "$expr",
        "$jsonSchema",
        "$mod",
        "$ne",
        "$near",
        "$nearSphere",
        "$nin",
        "$nor",
        "$not",
        "$regex",
        "$size",
        "$text",
        "$where",
    }
)
"""Those that it may not have on any."""
_MOST_KEYS, _LATEST = 32, 2**31 - 1
_WILDCARD = "$**"
_REFERENCES = ("$id", "$ref", "$db")
"""Fields of a DBRef: the only ones in an index that may begin with a dollar."""


def require_index(index: Document) -> None:
    """Refuse a specification that the server would refuse for certain. Raises InvalidMigration."""
    what = f"the index {index['name']!r}"
    require_known(index.keys() - {"key", "name"}, _OPTIONS, what)
    for option in _FLAGS:
        value = index.get(option, False)
        require(isinstance(value, int | float), f"{what}: {option} must be True or False, not {value!r}")
    _require_keys(index["key"], what)
    _require_partial(index, what)
    _require_expiry(index, what)
    _require_collation(index, what)
    _require_kind(index, what)


def require_known(options: Any, known: frozenset[str], what: str) -> None:
    """Refuse an option that there is none of, naming the one that was meant. Raises InvalidMigration."""
    for option in sorted(options - known):
        from difflib import get_close_matches

        near = get_close_matches(option, known, 1)
        require(
            False, f"{what} has no option {option!r}", f"did you mean {near[0]}=?" if near else "leave it out"
        )


def _require_keys(keys: Mapping[str, Any], what: str) -> None:
    require(len(keys) <= _MOST_KEYS, f"{what} has {len(keys)} keys, and can have no more than {_MOST_KEYS}")
    for path in keys:
        parts = path.split(".")
        parts = parts[:-1] if parts[-1] == _WILDCARD else parts
        require(all(parts), f"{what}: {path!r} is no path, since a part of it is empty")
        odd = any(part.startswith("$") and part not in _REFERENCES for part in parts)
        require(not odd, f"{what}: no field of an index may begin with a dollar, as in {path!r}")


def _require_partial(index: Document, what: str) -> None:
    if "partialFilterExpression" not in index:
        return
    expression = index["partialFilterExpression"]
    require(
        isinstance(expression, Mapping),
        f"{what}: partialFilterExpression must be a filter, not {expression!r}",
    )
    require(
        not index.get("sparse"),
        f"{what} cannot be both sparse and partial",
        "leave sparse out: partialFilterExpression={'FIELD': {'$exists': True}} does the same",
    )
    for operator in _forbidden_operators(expression):
        require(
            False,
            f"{what}: a partialFilterExpression cannot have {operator}",
            f"write it with {', '.join(_FILTERED)}",
        )


def _forbidden_operators(expression: Mapping[str, Any]) -> Iterator[str]:
    """The operators of a filter that no index may have."""
    for name, value in expression.items():
        if name in ("$and", "$or") and isinstance(value, list):
            yield from (
                operator
                for each in value
                if isinstance(each, Mapping)
                for operator in _forbidden_operators(each)
            )
        elif name.startswith("$"):
            yield from (name,) if name in _UNFILTERED else ()
        elif isinstance(value, Mapping):
            yield from (each for each in value if each in _UNFILTERED)
            yield from ("$exists: False",) if value.get("$exists", True) in (False, 0) else ()
        elif isinstance(value, re.Pattern | Regex):
            yield "a regular expression"


def _require_expiry(index: Document, what: str) -> None:
    if "expireAfterSeconds" not in index:
        return
    seconds = index["expireAfterSeconds"]
    number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    require(
        number and not (seconds < 0 or seconds > _LATEST),
        f"{what}: expireAfterSeconds must be a number from 0 to {_LATEST}, not {seconds!r}",
    )
    require(
        len(index["key"]) == 1,
        f"{what} has several keys, and expireAfterSeconds takes one",
        "an index on the date alone",
    )


def _require_collation(index: Document, what: str) -> None:
    if "collation" not in index:
        return
    collation = index["collation"]
    require(
        isinstance(collation, Mapping) and isinstance(collation.get("locale"), str),
        f"{what}: collation must name a locale, not {collation!r}",
        "collation={'locale': 'en', 'strength': 2}",
    )
    kinds = {"text", "2d"} & {kind for kind in index["key"].values() if isinstance(kind, str)}
    simple = collation["locale"] == "simple"
    require(simple or not kinds, f"{what}: a {''.join(sorted(kinds))} index has no collation but simple")


def _require_kind(index: Document, what: str) -> None:
    """What indexes of some kinds cannot be."""
    keys = index["key"]
    barred: tuple[str, ...] = ()
    if list(keys.items()) == [("_id", 1)]:
        barred = ("unique", "sparse", "expireAfterSeconds", "partialFilterExpression")
    elif any(path.endswith(_WILDCARD) and kind != "text" for path, kind in keys.items()):
        barred = ("unique", "sparse", "expireAfterSeconds")
    elif "hashed" in keys.values():
        barred = ("unique",)
    for option in barred:
        said = index.get(option) if option in _FLAGS else option in index
        require(
            not said, f"{what}: an index on {', '.join(keys)} of this kind cannot be {_ADJECTIVES[option]}"
        )
    require(
        "wildcardProjection" not in index or _WILDCARD in keys,
        f"{what}: wildcardProjection goes with an index on {_WILDCARD!r} only",
    )


_ADJECTIVES = {
    "unique": "unique",
    "sparse": "sparse",
    "expireAfterSeconds": "a TTL index",
    "partialFilterExpression": "partial",
}
