"""By what the server tells two indexes of a collection apart.

Indexes whose keys, collation, filter and projection are the same, and which are both unique or both sparse or neither,
are one index, whatever they are called and whatever else is said of them. All others may stand side by side under
names of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from goaime_migrate.results import Document

SIGNATURE = ("collation", "partialFilterExpression", "wildcardProjection", "unique", "sparse")
"""The options by which, with the keys, one index is told from another."""
_UNTOLD = frozenset({"key", "name", "ns", "v", "background", "hidden", "dropDups", "prepareUnique"})
"""What is no difference between two indexes of one name."""
_ADDED = frozenset(
    {"2dsphereIndexVersion", "textIndexVersion", "weights", "default_language", "language_override"}
)
"""What the server says of an index though nobody else has."""
_COLLATION = {"strength": 3, "caseLevel": False, "numericOrdering": False, "maxVariable": "punct"}
"""What a collation is where nothing else is said, in every language;"""
_OF_MOST = {"caseFirst": "off", "alternate": "non-ignorable", "normalization": False, "backwards": False}
"""and what it is in most."""
_ODD = ("fr_CA", "th", "da", "mt", "vi")
"""Languages with defaults of their own: of these only what is said is compared."""


def differences(there: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """The options in which two indexes differ, so that the one cannot be had under the name of the other."""
    found = [] if _keys(there) == _keys(wanted) else ["its keys"]
    said = {*there, *wanted} - _UNTOLD - (_ADDED - wanted.keys())
    for option in [*SIGNATURE, *sorted(said.difference(SIGNATURE))]:
        if _meaning(option, there) != _meaning(option, wanted, there):
            found.append(option)
    return found


def same(there: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether the server takes two indexes for one, so that they cannot stand side by side."""
    return not any(each in ("its keys", *SIGNATURE) for each in differences(there, wanted))


def inherit_collation(index: Document, options: Mapping[str, Any]) -> Document:
    """An index as a collection with these options will have it: what has no collation inherits that of the collection."""
    inherited = options.get("collation")
    if inherited and "collation" not in index:
        return {**index, "collation": dict(inherited)}
    return index


def membership_filter(index: Mapping[str, Any]) -> Document | None:
    """The filter that finds the documents that an index has; None where it has all of them.

    A sparse one over several keys has those with any of them.
    """
    if covered := index.get("partialFilterExpression"):
        return dict(covered)
    if not index.get("sparse"):
        return None
    there: list[Document] = [{path: {"$exists": True}} for path in index["key"]]
    return there[0] if len(there) == 1 else {"$or": there}


def is_text(index: Mapping[str, Any]) -> bool:
    """Whether it is a text index, of which a collection has one; the server lists it in words of its own."""
    return "text" in index["key"].values()


def _keys(index: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return list(index["key"].items())


def _meaning(option: str, index: Mapping[str, Any], beside: Mapping[str, Any] | None = None) -> Any:
    """What is said by an option, so that it can be compared; what says no is as good as nothing."""
    value = index.get(option)
    match option:
        case "collation":
            return _collation(value, (beside or {}).get(option))
        case "partialFilterExpression" if isinstance(value, Mapping):
            return _filter(value)
        case "wildcardProjection" if isinstance(value, Mapping):
            return {path: kept for path, kept in _leaves(value) if kept or path != "_id"}
        case "unique" | "sparse":
            return bool(value)
    return None if value is False else value


def _collation(value: Any, beside: Any = None) -> Any:
    """A collation as the server says it whole; None for the simple one.

    What is not said and depends on the language is taken from the other collation, if that has the same.
    """
    if not isinstance(value, Mapping) or value.get("locale") == "simple":
        return None
    language = str(value.get("locale"))
    assumed = {**_COLLATION, **_OF_MOST}
    if language.startswith(_ODD) and isinstance(beside, Mapping):
        assumed |= {each: beside[each] for each in _OF_MOST if each in beside}
    return {**assumed, **{name: each for name, each in value.items() if name != "version"}}


def _filter(value: Mapping[str, Any]) -> Any:
    """An equality may be said in two ways."""
    return {
        name: each["$eq"] if isinstance(each, Mapping) and list(each) == ["$eq"] else each
        for name, each in value.items()
    }


def _leaves(projection: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, bool]]:
    """The paths of a projection, which may be nested, and whether each is in it. 5.0 says outright that `_id` is not."""
    for name, value in projection.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", bool(value)
