"""What happened to one document: fields added, removed, changed and moved, with nested paths and BSON types.

MongoDB tells `1` from `1.0` from a long, and knows an order of fields; Python's ``==`` does neither, so
that values are compared here by type, sign and order.
"""

from __future__ import annotations

import struct
import textwrap
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from goaime_migrate.render.style import Style, columns
from goaime_migrate.render.values import key, kind, value
from goaime_migrate.render.words import count

_COLORS = {"+": "green", "-": "red", "~": "yellow", ">": "cyan", " ": "dim"}


@dataclass(frozen=True)
class Change:
    """One difference: the mark is + added, - removed, ~ changed, > moved, or a blank for a remark."""

    mark: str
    path: str
    text: str


def same(one: Any, other: Any) -> bool:
    """Whether two values would be the same bytes in BSON."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return list(one) == list(other) and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return struct.pack("<d", one) == struct.pack("<d", other)
    return bool(one == other)


def changes(before: Mapping[str, Any], after: Mapping[str, Any], style: Style) -> list[Change]:
    """Every difference, in the order of the fields after."""
    return list(_fields("", before, after, style))


def lines(
    before: Mapping[str, Any], after: Mapping[str, Any], style: Style, limit: int, indent: int = 4
) -> list[str]:
    """The differences as text, at most `limit` lines and a last one that counts the rest."""
    found = changes(before, after, style)
    if not found:
        return [" " * indent + style.paint("no change", "dim")]
    shown = found if len(found) <= limit else found[: limit - 1]
    width = max(columns(change.path) for change in shown)
    if style.width is not None:
        width = min(width, max(style.width // 2 - indent, 12))
    text = [line for change in shown for line in _lines(change, width, indent, style)]
    if len(found) > len(shown):
        text.append(" " * indent + style.paint(f"{style.ellipsis} {len(found) - len(shown)} more", "dim"))
    return text


def _lines(change: Change, width: int, indent: int, style: Style) -> list[str]:
    """One line, cut where it is too long; but an order of fields is worth reading whole."""
    path = style.fit(change.path, width)
    lead = f"{change.mark} {path}{' ' * (width - columns(path))}  "
    room = max(style.wrap - indent - columns(lead), 16)
    texts = (
        textwrap.wrap(change.text, room)
        if change.mark == ">"
        else [style.fit(change.text, None if style.width is None else room)]
    )
    leads = [lead, *[" " * columns(lead)] * (len(texts) - 1)]
    return [
        " " * indent + style.paint((first + text).rstrip(), _COLORS[change.mark])
        for first, text in zip(leads, texts, strict=True)
    ]


def _fields(path: str, before: Mapping[str, Any], after: Mapping[str, Any], style: Style) -> Iterator[Change]:
    for name in before:
        if name not in after:
            yield Change("-", _join(path, name), value(before[name], style))
    for name, new in after.items():
        if name not in before:
            yield Change("+", _join(path, name), value(new, style))
        elif not same(before[name], new):
            yield from _changes_of(_join(path, name), before[name], new, style)
    yield from _order(path, [name for name in before if name in after], list(after))


def _changes_of(path: str, old: Any, new: Any, style: Style) -> Iterator[Change]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        yield from _fields(path, old, new, style)
    elif isinstance(old, list) and isinstance(new, list):
        yield from _elements(path, old, new, style)
    else:
        types = f"  ({kind(old)} {style.arrow} {kind(new)})" if type(old) is not type(new) else ""
        yield Change("~", path, f"{_pair(old, new, style)}{types}")


def _elements(path: str, old: Sequence[Any], new: Sequence[Any], style: Style) -> Iterator[Change]:
    """The first element that differs in full, the others as a number: a migration treats them alike."""
    if not old or not new:
        yield Change("~", path, _pair(old, new, style))
        return
    differing = [at for at, pair in enumerate(zip(old, new, strict=False)) if not same(*pair)]
    if differing:
        yield from _changes_of(f"{path}[{differing[0]}]", old[differing[0]], new[differing[0]], style)
    if len(differing) > 1:
        yield Change(" ", path, f"{len(differing) - 1} more of {len(new)} elements changed")
    if extra := len(new) - len(old):
        items = (new if extra > 0 else old)[-abs(extra) :]
        yield Change(
            "+" if extra > 0 else "-", path, f"{count(len(items), 'element')}: {value(items[0], style, 40)}"
        )


def _order(path: str, old: Sequence[str], after: Sequence[str]) -> Iterator[Change]:
    found = moved_fields(old, after)
    if len(found) > 3:
        yield Change(">", path or "order", f"{len(found)} moved, now: {', '.join(map(key, after))}")
        return
    for name in found:
        at = after.index(name)
        yield Change(
            ">", _join(path, name), f"moved {'behind ' + key(after[at - 1]) if at else 'to the front'}"
        )


def moved_fields(old: Sequence[str], after: Sequence[str]) -> list[str]:
    """The fewest fields that must have moved for the rest to have kept its order; those that came or went are none."""
    kept = set(after)
    rank = {name: at for at, name in enumerate(name for name in old if name in kept)}
    new = [name for name in after if name in rank]
    stayed = _longest_rising([rank[name] for name in new])
    return [name for name in new if rank[name] not in stayed]


def _longest_rising(numbers: Sequence[int]) -> set[int]:
    """The members of a longest rising subsequence."""
    tails: list[int] = []
    chains: list[list[int]] = []
    for number in numbers:
        at = bisect_left(tails, number)
        chain = [*(chains[at - 1] if at else []), number]
        tails[at:] = [number] if at == len(tails) else [number, *tails[at + 1 :]]
        chains[at:] = [chain] if at == len(chains) else [chain, *chains[at + 1 :]]
    return set(chains[-1]) if chains else set()


def _pair(old: Any, new: Any, style: Style) -> str:
    room = 120 if style.width is None else max(style.width - 40, 32)
    left = value(old, style, room // 2)
    return f"{left} {style.arrow} {value(new, style, room - columns(left))}"


def _join(path: str, name: str) -> str:
    return f"{path}.{key(name)}" if path else key(name)
