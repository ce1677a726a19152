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
from goaime_migrate.errors.hint import FROM_BACKUP
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
            hint=FROM_BACKUP,
        ) from error


def raw_id_or_none(value: Any) -> bytes | None:
    """The `_id` that a record keeps, as the raw document ``{_id: x}``. Raises what `reading` says of a record."""
    if value is None:
        return None
    from goaime_migrate.backends.bson_order import id_key
    from goaime_migrate.backends.raw_bson import id_of

    raw = bytes(value)
    if id_of(raw) != raw:
        raise ValueError(f"{raw!r:.100} is no _id")
    id_key(raw)  # it has a place among the others
    return raw


def optional(kinds: Kinds) -> Kinds:
    """The same, or null."""
    return (*kinds, NONE)


def of_kind(kinds: Kinds, name: str, value: Any) -> Any:
    """The value of a field, if it is of one of these kinds; a truth value is no number. Raises TypeError, ValueError.

    A number is none below zero and none that is too large to be counted to.
    """
    if (isinstance(value, bool) and bool not in kinds) or not isinstance(value, kinds):
        raise TypeError(f"{name} is {value!r:.100}")
    if isinstance(value, int | float) and not (math.isfinite(value) and 0 <= value < _MOST):
        raise ValueError(f"{name} is {value!r:.100}")
    return value


def require_kinds(document: Any, kinds: Mapping[str, Kinds]) -> Document:
    """The document, if each of these fields is of one of its kinds. Raises KeyError, TypeError, ValueError."""
    if not isinstance(document, dict):
        raise TypeError(f"{document!r:.100} is no document")
    for name, allowed in kinds.items():
        of_kind(allowed, name, document[name])
    return document
