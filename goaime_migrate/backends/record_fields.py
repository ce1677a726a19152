"""Records as they come out of the database: every field has to be of the kind that was written.

Others may have written them as well: a restored backup, a hand with a shell. What is wrong is said of the record by
its name, before anything is concluded from it.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from bson import Timestamp
from bson.errors import BSONError

from goaime_migrate.errors import DamagedRecord
from goaime_migrate.results import Document

Kinds = tuple[type, ...]
NONE = type(None)
TEXT, FLAG, DATA, MANY, NESTED = (str,), (bool,), (bytes,), (list,), (dict,)
COUNT, SECONDS = (int,), (int, float)
MOMENT, CLUSTER_TIME = (datetime,), (Timestamp,)
_MOST = 2**63
_WRONG = (
    ArithmeticError,
    AttributeError,
    BSONError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
)


@contextmanager
def reading(collection: str, identity: Any) -> Iterator[None]:
    """Whatever goes wrong while a record is taken apart is said of that record. Raises DamagedRecord."""
    try:
        yield
    except _WRONG as error:
        raise DamagedRecord(
            f"the record {identity!r} of {collection} is not one that this tool has written: "
            f"{type(error).__name__} {error}",
            hint="restore the schema_versions collections from a backup",
        ) from error


def bytes_or_none(value: Any) -> bytes | None:
    """Binary data of a record as plain bytes."""
    return None if value is None else bytes(value)


def optional(kinds: Kinds) -> Kinds:
    """The same, or null."""
    return (*kinds, NONE)


def checked(document: Any, kinds: Mapping[str, Kinds]) -> Document:
    """The document, if each of these fields is of one of its kinds. Raises KeyError, TypeError, ValueError.

    A number of any field is none below zero and none that is too large to be counted to.
    """
    if not isinstance(document, dict):
        raise TypeError(f"{document!r:.100} is no document")
    for name, allowed in kinds.items():
        value = document[name]
        if (isinstance(value, bool) and bool not in allowed) or not isinstance(value, allowed):
            raise TypeError(f"{name} is {value!r:.100}")
        if isinstance(value, int | float) and not (math.isfinite(value) and 0 <= value < _MOST):
            raise ValueError(f"{name} is {value!r:.100}")
    return document


def numbers(values: Any, length: int | None = None) -> list[int]:
    """A list of counts, so many where that is given. Raises TypeError, ValueError."""
    listed = checked({"list": values}, {"list": MANY})["list"]
    for value in listed:
        checked({"item": value}, {"item": COUNT})
    if length is not None and len(listed) != length:
        raise ValueError(f"{len(listed)} counts, {length} steps")
    return list(listed)
