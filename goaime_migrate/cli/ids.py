"""How the `_id` of a document is typed."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from goaime_migrate.cli.invocation import value_of
from goaime_migrate.errors import UnknownDocument

_Result = TypeVar("_Result")

_OBJECT_ID = re.compile(r"[0-9a-fA-F]{24}")
_IDS = """7, abc, '"7"', '{"$oid": "65f0c0ffee65f0c0ffee65f0"}'"""


def ids_of(text: str, name: str) -> list[Any]:
    """What an `_id` may be that was typed: Extended JSON, or a bare word; the likelier first.

    `name`: the argument. Raises UsageError.
    """
    from bson import ObjectId

    from goaime_migrate.backends import extended_json

    if _OBJECT_ID.fullmatch(text):
        return [ObjectId(text), text]
    try:
        extended_json.loads(text)
    except ValueError:
        if text[:1] not in ("{", "[", '"'):  # a word, and no JSON that was begun
            return [text]
    return [value_of(text, name, _IDS)]


def first_known(ids: Sequence[Any], find: Callable[[Any], _Result]) -> _Result:
    """What is found for the first of these that is the `_id` of a document. Raises UnknownDocument."""
    *others, last = ids
    for each in others:
        try:
            return find(each)
        except UnknownDocument:
            continue
    return find(last)
