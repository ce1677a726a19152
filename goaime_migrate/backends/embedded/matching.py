"""Which documents a filter matches.

Comparisons, `$in`, `$exists` and their logical combinations are decided here, by MongoDB's own order and
equality and without decoding whole documents. A filter with anything else goes to mongomock as a whole;
mongomock is only imported then, so that reading records stays quick.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any

from bson.max_key import MaxKey
from bson.min_key import MinKey
from bson.regex import Regex

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.bson_order import NULL, Key, sort_key
from goaime_migrate.backends.embedded.paths import MISSING, decode, values
from goaime_migrate.backends.field_paths import Whole
from goaime_migrate.backends.ports import Filter, Sort
from goaime_migrate.errors import MissingCapability, UsageError
from goaime_migrate.results import Document

Matches = Callable[[bytes], bool]

_TOLD = 160
"""Characters of a filter that are told."""
_LOGICAL: dict[str, Callable[[Iterable[bool]], bool]] = {
    "$and": all,
    "$or": any,
    "$nor": lambda results: not any(results),
}
_RANGES: dict[str, Callable[[Key, Key], bool]] = {
    "$gt": lambda value, limit: value > limit,
    "$gte": lambda value, limit: value >= limit,
    "$lt": lambda value, limit: value < limit,
    "$lte": lambda value, limit: value <= limit,
}


class _Unknown(Exception):
    """The filter has something that only mongomock may know."""


def matcher(filter: Filter | None) -> Matches:
    """A test for raw documents. Raises UsageError or MissingCapability if it cannot be evaluated."""
    if not filter:
        return lambda document: True
    try:
        return _all_of(filter)
    except _Unknown:
        return _by_mongomock(filter)


def sort_documents(documents: list[Document], sort: Sort) -> list[Document]:
    """Documents in the order of top-level fields; a field that is not there counts as null."""
    for name, direction in reversed(sort):
        documents = sorted(
            documents, key=lambda document: sort_key(document.get(name)), reverse=direction < 0
        )
    return documents


def ids_named(filter: Filter | None) -> list[Key] | None:
    """The keys of the only `_id`s that can match, ascending, if the filter names them plainly."""
    value = (filter or {}).get("_id", MISSING)
    if value is MISSING:
        return None
    listed = value["$in"] if isinstance(value, Mapping) and list(value) == ["$in"] else [value]
    if any(_is_pattern(each) or isinstance(each, Mapping | list) for each in listed):
        return None
    return sorted({sort_key(each) for each in listed})


def _all_of(filter: Filter) -> Matches:
    tests = [_clause(name, condition) for name, condition in filter.items()]
    if len(tests) == 1:
        return tests[0]
    return lambda document: all(test(document) for test in tests)


def _clause(name: str, condition: Any) -> Matches:
    if name in _LOGICAL:
        return _combination(name, condition)
    if name.startswith("$"):
        raise _Unknown
    test = _condition(name, condition)
    return lambda document: test(values(document, name))


def _combination(name: str, branches: Any) -> Matches:
    if (
        not isinstance(branches, Sequence)
        or not branches
        or not all(isinstance(b, Mapping) for b in branches)
    ):
        raise _Unknown
    combine: Callable[[Iterable[bool]], bool] = _LOGICAL[name]
    tests = [_all_of(branch) for branch in branches]
    return lambda document: combine(test(document) for test in tests)


def _condition(path: str, condition: Any) -> Callable[[list[Any]], bool]:
    """A test for the values at a path."""
    if not (isinstance(condition, Mapping) and any(str(key).startswith("$") for key in condition)):
        return _equal_to_any(path, [condition])
    tests = [_operator(path, operator, argument) for operator, argument in condition.items()]
    return lambda found: all(test(found) for test in tests)


def _operator(path: str, operator: str, argument: Any) -> Callable[[list[Any]], bool]:
    if operator == "$exists":
        return lambda found: (found != [MISSING]) is bool(argument)
    if operator in ("$eq", "$ne"):
        return _negation(operator == "$ne", _equal_to_any(path, [argument]))
    if operator in ("$in", "$nin") and isinstance(argument, list | tuple):
        return _negation(operator == "$nin", _equal_to_any(path, argument))
    if operator in _RANGES:
        return _within(_RANGES[operator], argument)
    raise _Unknown


def _equal_to_any(path: str, arguments: Sequence[Any]) -> Callable[[list[Any]], bool]:
    if any(_is_pattern(argument) for argument in arguments):
        raise _Unknown
    if "." in path and any(argument is None for argument in arguments):
        raise _Unknown
    wanted = {_key(argument) for argument in arguments}
    return lambda found: any(key in wanted for key in _keys(found))


def _within(compare: Callable[[Key, Key], bool], argument: Any) -> Callable[[list[Any]], bool]:
    """Only values of the limit's own type are compared, and NaN, whose key is shorter, only with itself."""
    if (
        argument is None
        or _is_pattern(argument)
        or isinstance(argument, list | tuple | Mapping | MinKey | MaxKey)
    ):
        raise _Unknown
    limit = _key(argument)

    def test(found: list[Any]) -> bool:
        keys = _keys([value for value in found if value is not MISSING])
        return any(key[0] == limit[0] and len(key) == len(limit) and compare(key, limit) for key in keys)

    return test


def _negation(negate: bool, test: Callable[[list[Any]], bool]) -> Callable[[list[Any]], bool]:
    return (lambda found: not test(found)) if negate else test


def _keys(found: list[Any]) -> list[Key]:
    """Keys of the values, and of the elements of those that are arrays. What is missing equals null."""
    keys = []
    for value in found:
        keys.append(NULL if value is MISSING else sort_key(value))
        if isinstance(value, list) and not isinstance(value, Whole):
            keys.extend(sort_key(item) for item in value)
    return keys


def _key(argument: Any) -> Key:
    try:
        return sort_key(argument)
    except TypeError as error:
        raise UsageError(f"a filter cannot have {argument!r}: {error}") from error


def _is_pattern(argument: Any) -> bool:
    return isinstance(argument, Regex | re.Pattern)


def _require_lists(filter: Filter) -> None:
    """Refuse `$and` and its kind with anything else than filters, which mongomock does not look at."""
    for name in {"$and", "$or", "$nor"} & filter.keys():
        parts = filter[name]
        if not isinstance(parts, list | tuple) or not parts or not all(isinstance(p, Mapping) for p in parts):
            raise UsageError(f"the filter {_said(filter)} is not valid: {name} must be an array of filters")
        for part in parts:
            _require_lists(part)


def _by_mongomock(filter: Filter) -> Matches:
    _require_lists(filter)
    import_module("mongomock.aggregate")  # which `$expr` needs, and mongomock does not import by itself
    applies = import_module("mongomock.filtering").filter_applies
    try:
        # Through BSON, so that both sides have the same types: dates without a zone, in milliseconds.
        plain = raw_bson.decode(raw_bson.encode(filter))
        with suppress(KeyError):  # what an expression reads is not there
            applies(plain, {})
    except NotImplementedError as error:
        raise _lack_of(filter, error) from error
    except Exception as error:
        raise _not_valid(filter, error) from error

    def matches(document: bytes) -> bool:
        decoded = decode(document)
        try:
            return bool(applies(plain, decoded))
        except (NotImplementedError, TypeError, KeyError) as error:
            raise _lack_of(filter, error) from error
        except Exception as error:
            raise _not_valid(filter, error) from error

    return matches


def _not_valid(filter: Filter, error: Exception) -> UsageError:
    return UsageError(f"the filter {_said(filter)} is not valid: {error}", hint="correct the filter")


def _lack_of(filter: Filter, error: Exception) -> MissingCapability:
    return MissingCapability(
        f"a dump directory cannot be searched with {_said(filter)}: {error}",
        hint="restore the dump into a MongoDB server with mongorestore and migrate it there",
    )


def _said(filter: Filter) -> str:
    """The filter, or as much of it as tells which one it is: a validator can be as long as a page."""
    text = str(dict(filter))
    return text if len(text) <= _TOLD else f"{text[:_TOLD]} …"
