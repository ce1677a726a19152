"""Fields that are set or removed, said with update operators.

A server takes a quarter less time for these than for a pipeline that does the same. Both leave what is there in its
place. But operators append new fields in the order of their names, look into dots and dollars, and are not trusted here
with what servers treat in a way of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import Elements
from goaime_migrate.results import Document

_TIMESTAMP = 0x11
_LITERAL = b"$literal"
_SCALARS = frozenset((0x01, 0x02, 0x07, 0x08, 0x09, 0x0A, 0x10, 0x12, 0x13))
"""Types of values that stand for themselves in a pipeline too, a text as long as there is no dollar in it."""


def operators(sets: Elements, gone: Sequence[bytes] = ()) -> bytes | None:
    """The update that does this and nothing else, raw; None where only a pipeline says it."""
    names = tuple([name for name, _ in sets])
    if not (_are_plain(names) and _are_plain(tuple(gone)) and all(_is_ordinary(value) for _, value in sets)):
        return None
    if not _are_ordered(names):
        return None
    parts = []
    if sets:
        parts.append(b"\x03$set\0" + raw_bson.join([element for _, element in sets]))
    if gone:
        parts.append(b"\x03$unset\0" + raw_bson.join([b"\x0a" + name + b"\0" for name in gone]))
    return raw_bson.join(parts) if parts else None


def operators_for_new(sets: Elements, before: bytes) -> bytes | None:
    """The same for fields that a document lacks; `before` is all that it has of those that are set.

    One that is there may stand twice, of which a reply shows the first alone. A pipeline would then be refused, and the
    run stops; an operator would change the first and say nothing.
    """
    if any(name + b"\0" in before for name, _ in sets):
        return None
    return operators(sets)


def operators_for(stages: Iterable[Document]) -> bytes | None:
    """The update that does what stages do which only set constants and remove fields; None for others.

    For documents that have none of the fields twice: operators change the first alone.
    """
    sets: list[tuple[bytes, bytes]] = []
    gone: list[bytes] = []
    for stage in stages:
        ((name, value),) = stage.items()
        if name == "$unset":
            gone += [each.encode() for each in ([value] if isinstance(value, str) else value)]
            continue
        if name != "$set":
            return None
        constants = [_constant(*field) for field in raw_bson.elements(raw_bson.encode(value))]
        if None in constants:
            return None
        sets += filter(None, constants)
    if len({*gone, *(name for name, _ in sets)}) < len(gone) + len(sets):
        return None  # one stage changes what another has made
    return operators(sets, gone)


def _constant(name: bytes, element: bytes) -> tuple[bytes, bytes] | None:
    """A field and the element that it becomes, if that does not depend on the document."""
    if element[0] in _SCALARS:
        return name, element
    inner = [*raw_bson.elements(element[len(name) + 2 :])] if element[0] == 0x03 else []
    if [key for key, _ in inner] != [_LITERAL]:
        return None
    ((_, value),) = inner
    return name, value[:1] + name + value[1 + len(_LITERAL) :]


@lru_cache(maxsize=4096)
def _are_plain(names: tuple[bytes, ...]) -> bool:
    """Whether operators take names for nothing but names."""
    return all(name and b"." not in name and not name.startswith(b"$") for name in names)


@lru_cache(maxsize=4096)
def _are_ordered(names: tuple[bytes, ...]) -> bool:
    """Whether operators append new fields of these names in this very order: numbers have an order of their own."""
    return len(names) < 2 or (list(names) == sorted(names) and not any(map(bytes.isdigit, names)))


def _is_ordinary(element: bytes) -> bool:
    """Whether every server stores a value as it stands: no zero timestamp becomes now, no name in it is refused."""
    return element[0] != _TIMESTAMP and b"$" not in element
