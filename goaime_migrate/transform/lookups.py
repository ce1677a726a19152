"""What a transform may ask for besides its document: looked-up documents, and the time at which the pass began."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from bson import ObjectId, Regex

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.bson_order import NUMBER, sort_key
from goaime_migrate.backends.field_paths import found_by
from goaime_migrate.errors import InvalidMigration
from goaime_migrate.results import Document

PLAIN = frozenset({str, int, ObjectId, type(None)})
_PATH = re.compile(r"[^.$\0][^.\0]*(?:\.[^.$\0][^.\0]*)*")
_WRITING = ("$out", "$merge")
_JOINING = ("from", "coll", "$unionWith")


class Now:
    """The time at which the pass began, by the server's clock: one for all documents, whenever they are migrated.

    As the driver reads a date: naive, in UTC, of whole milliseconds.
    """

    def __repr__(self) -> str:
        return "Now()"


class Lookup:
    """Documents of a collection that a transform may ask for by the value of `key`, as they are before the pass.

    An array at `key` is found by each of its elements. `fields` limits what is read of each document, `where` which
    documents are. Of several with the same key the first is given, in the order of `sort` and then of `_id`; with
    `many` all of them, as a tuple. `pipeline` runs once, when the pass opens, and its results are looked up.
    """

    def __init__(
        self,
        collection: str,
        *,
        key: str = "_id",
        fields: Sequence[str] | None = None,
        where: Mapping[str, Any] | None = None,
        sort: str | Sequence[tuple[str, int]] | None = None,
        many: bool = False,
        pipeline: Sequence[Mapping[str, Any]] | None = None,
    ) -> None:
        _require(
            _is_name(collection),
            f"the looked-up collection must be a name, not {collection!r}",
        )
        _require_path(key, "key=")
        _require(not isinstance(fields, str), "fields= must be a list of names", f"fields=[{fields!r}]")
        for name in fields or ():
            _require_path(name, "every field in fields=")
        _require(isinstance(many, bool), f"many= must be True or False, not {many!r}")
        self.collection = collection
        self.key = key
        self.fields = None if fields is None else tuple(fields)
        self.where = _filter(where)
        self.sort = _sort(sort)
        self.many = many
        self.pipeline = None if pipeline is None else _stages(pipeline, self.where, self.fields)
        self._identity = self._text()

    def _text(self) -> str:
        """Everything that makes it what it is: records of the journal are found by this text, also in later releases."""
        text = f"collection={self.collection!r}, key={self.key!r}, fields={self.fields!r}"
        more = {"where": self.where, "sort": self.sort, "many": self.many or None, "pipeline": self.pipeline}
        given = [
            (name, raw_bson.encode({"": value}).hex()) for name, value in more.items() if value is not None
        ]
        return f"Lookup({text}{''.join(f', {name}={value}' for name, value in given)})"

    def __repr__(self) -> str:
        return self._identity

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Lookup) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    @property
    def label(self) -> str:
        """Collection and key, with the fields where they are limited."""
        fields = "" if self.fields is None else f"({','.join(self.fields)})"
        return f"{self.collection}.{self.key}{fields}"

    @property
    def is_ambiguous(self) -> bool:
        """Whether nothing says which of several documents with the same key is meant."""
        return not self.many and self.sort is None

    @property
    def reads(self) -> frozenset[str]:
        """The collections that it reads, those that its pipeline joins among them."""
        return frozenset({self.collection, *joined_collections(self.pipeline)})


def joined_collections(stages: Any) -> Iterator[str]:
    """The collections that an aggregation joins."""
    if isinstance(stages, Mapping):
        for name, value in stages.items():
            if name in _JOINING and isinstance(value, str):
                yield value
            yield from joined_collections(value)
    elif isinstance(stages, list | tuple):
        for each in stages:
            yield from joined_collections(each)


def as_read(moment: datetime) -> datetime:
    """A time as the driver reads it from a document: naive, in UTC, of whole milliseconds."""
    read: datetime = raw_bson.decode(raw_bson.encode({"": moment}))[""]
    return read


def _require(condition: object, message: str, hint: str = "") -> None:
    if not condition:
        raise InvalidMigration(f"Lookup: {message}", hint=hint)


def _is_name(value: object) -> bool:
    return isinstance(value, str) and value != "" and "\0" not in value


def _require_path(value: object, what: str) -> None:
    right = ".".join(p for p in re.sub(r"\[.*?\]", "", str(value)).split(".") if p.strip("$")).lstrip("$")
    _require(
        isinstance(value, str) and _PATH.fullmatch(value) and right == value,
        f"{what} must be a path of names such as a.b, not {value!r}",
        f"write {right!r}: an array is found by each of its elements"
        if isinstance(value, str) and right
        else "",
    )


def _require_encodable(value: Any, what: str) -> None:
    try:
        raw_bson.encode({"": value})
    except raw_bson.UNENCODABLE as error:
        _require(False, f"{what} cannot be encoded as BSON: {error}", "write it with values that BSON knows")


def _filter(where: object) -> Document | None:
    _require(where is None or isinstance(where, Mapping), f"where= must be a filter document, not {where!r}")
    _require_encodable(where, "where=")
    return dict(where) if isinstance(where, Mapping) and where else None


def _sort(sort: object) -> tuple[tuple[str, int], ...] | None:
    if sort is None:
        return None
    right = "sort='at', or sort=[('at', -1), ('name', 1)]: 1 is ascending, -1 descending"
    given = [(sort, 1)] if isinstance(sort, str) else sort
    listed = given if isinstance(given, list | tuple) else ()
    _require(listed, f"sort= is no list of fields: {sort!r}", right)
    for each in listed:
        fine = (
            isinstance(each, list | tuple) and len(each) == 2 and type(each[1]) is int and each[1] in (1, -1)
        )
        _require(fine, f"sort= holds {each!r}, which is no field with 1 or -1", right)
        _require_path(each[0], "every field in sort=")
        _require(
            not each[0].startswith("-"), f"sort= has a field {each[0]!r}", f"sort=[({each[0][1:]!r}, -1)]"
        )
    return tuple((name, way) for name, way in listed)


def _stages(pipeline: object, where: object, fields: object) -> tuple[Document, ...]:
    for option, given, stage in (("where", where, "$match"), ("fields", fields, "$project")):
        _require(
            given is None,
            f"{option}= does not go with pipeline=",
            f"write them as stages: pipeline=[{{'{stage}': …}}, …]",
        )
    right = "pipeline=[{'$group': {'_id': '$customer', 'orders': {'$sum': 1}}}]"
    listed = pipeline if isinstance(pipeline, list | tuple) else ()
    _require(listed, f"pipeline= is no list of stages: {pipeline!r}", right)
    for stage in listed:
        fine = isinstance(stage, Mapping) and len(stage) == 1 and str(next(iter(stage))).startswith("$")
        _require(fine, f"pipeline= holds {stage!r}, which is no stage", right)
        name = next(iter(stage))
        _require(name not in _WRITING, f"pipeline= holds {name}, which writes: a lookup only reads", right)
    _require_encodable(listed, "pipeline=")
    return tuple(map(dict, listed))


def cache_key(value: Any) -> Any:
    """A hashable stand-in for a BSON value: equal exactly where MongoDB calls the values equal.

    Raises BSONError, TypeError, ValueError or OverflowError for what is no BSON value.
    """
    if type(value) in PLAIN:
        return value
    stored = raw_bson.decode(raw_bson.encode({"": value}))[
        ""
    ]  # an aware datetime, a Binary: as it is read again
    return stored if type(stored) in PLAIN else _as_plain(sort_key(stored))


def _as_plain(key: Any) -> Any:
    """The very stand-in of an `int` for another number that is equal to one."""
    return key[2] if key[0] == NUMBER and len(key) > 2 else key


def stable(cached: Any) -> str:
    """A text that is the same in every process for the stand-ins of equal values, and for no others."""
    if isinstance(cached, tuple):
        return f"({','.join(map(stable, cached))})"
    if isinstance(cached, bool) or not isinstance(cached, int | float | Decimal):
        return repr(cached)
    finite = cached.is_finite() if isinstance(cached, Decimal) else math.isfinite(cached)
    return "{}/{}".format(*cached.as_integer_ratio()) if finite else str(float(cached))


def keys_of(document: Document, path: str) -> set[Any]:
    """The stand-ins of all values by which a document is found. No document is found by a pattern."""
    return {cache_key(value) for value in found_by(document, path) if not isinstance(value, Regex)}
