"""In which fields two raw documents differ.

Most of a large document is as a rule what it was. What two begin and end with alike is found by comparing bytes, and
is not taken apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from goaime_migrate.backends.raw_bson import TYPES, fields, fields_between, start_of_element

Fields = dict[bytes, bytes]
_LOOK = 256
"""Bytes that have to be the same before it is looked how many are: searching takes as long as a dozen fields."""


def differing(before: Mapping[bytes, bytes], after: Mapping[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    """The `fields` of `after` that `before` lacks or has with other bytes, each behind its name, in order."""
    return [(name, element) for name, element in after.items() if before.get(name) != element]


def set_or_appended(before: bytes, after: bytes) -> list[tuple[bytes, bytes]] | None:
    """The elements of `after` that are not in `before`, each behind its name; None if it takes more to come to it.

    That is where fields went, or were moved: to set some in their places and to append others is not enough.
    """
    old, new = fields(before), fields(after)
    return differing(old, new) if [*new][: len(old)] == [*old] else None


def at_end(before: bytes, after: bytes) -> tuple[Fields, Fields] | None:
    """The fields that a document loses at its end, and those that it gets there; None where more than that differs."""
    if after.startswith(before[4:-1], 4):
        longer, start = after, len(before) - 1
    elif before.startswith(after[4:-1], 4):
        longer, start = before, len(after) - 1
    else:
        return None
    rest, _ = fields_between(longer, start, len(longer) - 1)
    if start + sum(map(len, rest.values())) + 1 < len(longer):  # one of them stands there twice
        return None
    return ({}, rest) if longer is after else (rest, {})


def unlike(before: bytes, after: bytes) -> tuple[Fields, Fields]:
    """The `fields` of both, without some that are the same in both."""
    if after.startswith(before[4:-1], 4):
        appended, _ = fields_between(after, len(before) - 1, len(after) - 1)
        if not any(_may_stand(before, name, 4, len(before)) for name in appended):
            return {}, appended
    if before[4:_LOOK] != after[4:_LOOK] and before[-_LOOK:] != after[-_LOOK:]:
        return fields(before), fields(after)
    b, a, most = len(before), len(after), min(len(before), len(after))
    head = _most(most - 5, lambda low, high: before[4 + low : 4 + high] == after[4 + low : 4 + high])
    start = start_of_element(before, 4 + head)
    tail = _most(most - start, lambda low, high: before[b - high : b - low] == after[a - high : a - low])
    old, old_end = fields_between(before, start, b - tail)
    new, new_end = fields_between(after, start, a - tail)
    while (ahead := (b - old_end) - (a - new_end)) != 0:  # until both stand before the same rest
        if ahead > 0:
            more, old_end = fields_between(before, old_end, old_end + 1)
            old |= more
        else:
            more, new_end = fields_between(after, new_end, new_end + 1)
            new |= more
    if any(_may_stand(before, name, 4, start) or _may_stand(before, name, old_end, b) for name in old | new):
        return fields(before), fields(after)  # of a name that stands twice the last counts
    return old, new


def _most(limit: int, same: Callable[[int, int], bool]) -> int:
    """How many bytes are the same, of so many; `same` compares those from one place to another."""
    low, high = 0, limit + 1
    while high - low > 1:
        middle = (low + high) // 2
        if same(low, middle):
            low = middle
        else:
            high = middle
    return low


def _may_stand(raw: bytes, name: bytes, start: int, end: int) -> bool:
    """Whether these bytes of a document may hold an element of this name; one deeper within counts as well."""
    sought = name + b"\0"
    at = raw.find(sought, start + 1, end)
    while at > 0:
        if raw[at - 1] in TYPES:
            return True
        at = raw.find(sought, at + 1, end)
    return False
