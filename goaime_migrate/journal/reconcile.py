"""Two pure decisions about a document that somebody else may have written since the journal saw it.

Both compare by changed top-level field, in bytes: as it was before the migration (B), as the migration left it (A),
or neither, which means that the application has written it since.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto
from typing import NamedTuple

from goaime_migrate.backends import raw_bson
from goaime_migrate.journal.digest import digest
from goaime_migrate.journal.entry import Entry
from goaime_migrate.results import OnConflict

_CONTAINERS = (3, 4)
"""The BSON types of documents and arrays: an application writes into them without putting others in their place."""


class Forward(Enum):
    """What `up` does with a document it comes to a second time."""

    TRANSFORM = auto()
    LEAVE = auto()
    CONFLICT = auto()


def forward(current: bytes, entry: Entry | None, *, settled: bool) -> Forward:
    """Whether a document is still, or again, in the old shape.

    `settled` means that the transform applied to its own result changes nothing; it is then safe to apply it to
    whatever is there.
    """
    if entry is None or entry.after_hash is None:
        return Forward.TRANSFORM
    if written(current, entry):
        return Forward.LEAVE
    if entry.before is None:
        return Forward.CONFLICT
    now, before = raw_bson.fields(current), raw_bson.fields(entry.before)
    names = {_name(text): made for text, made in entry.fields.items()}
    if settled or all(now.get(name) == before.get(name) for name in names):
        return Forward.TRANSFORM
    as_written = all(_hash(now.get(name)) == made for name, made in names.items())
    return Forward.LEAVE if as_written else Forward.CONFLICT


def written(current: bytes, entry: Entry) -> bool:
    """Whether the document is, to the byte, what the migration made of it, as far as the journal knows it."""
    if not entry.partial:
        return digest(current) == entry.after_hash
    now = raw_bson.fields(current)
    return all(_hash(now.get(_name(text))) == made for text, made in entry.fields.items())


def reappeared(current: bytes, entry: Entry) -> bool:
    """Whether a restored document has a field again that is, to the byte, what the migration had written.

    So has one that it had inserted, and that is there again as it was.
    """
    if entry.before is None:
        return written(current, entry)
    now, before = raw_bson.fields(current), raw_bson.fields(entry.before)
    names = ((_name(text), made) for text, made in entry.fields.items() if made)
    return any(_hash(now.get(name)) == made and now.get(name) != before.get(name) for name, made in names)


def shown(current: bytes, entry: Entry) -> tuple[str, ...]:
    """The fields in which a document shows what the migration had made of it.

    An array or a document in it that is neither as before nor as it was made counts too: others may have written into it.
    """
    now, before = raw_bson.fields(current), raw_bson.fields(entry.before or raw_bson.NOTHING)

    def shows(name: bytes, made: bytes | None) -> bool:
        mine = now.get(name)
        written_into = made is not None and mine is not None and mine[0] in _CONTAINERS
        return mine != before.get(name) and (_hash(mine) == made or written_into)

    return tuple(text for text, made in entry.fields.items() if shows(_name(text), made))


class Found(Enum):
    """How `down` found a document."""

    EXACT = auto()
    """As the migration left it: it gets its old bytes back."""
    MERGED = auto()
    """Changed by the application in other fields: those stay."""
    CONFLICT = auto()
    """Changed in the same fields."""
    ALREADY = auto()
    """Already as it was before."""


class Restored(NamedTuple):
    """The document to write, or None for none, and how it came about; `fields` are those in conflict."""

    found: Found
    document: bytes | None
    fields: tuple[str, ...] = ()


def backward(current: bytes | None, entry: Entry, on_conflict: OnConflict) -> Restored:
    """What becomes of a document, or of there being none, without the migration."""
    if entry.comes_or_goes:
        return _come_or_gone(current, entry, on_conflict)
    if current is None:
        return Restored(Found.ALREADY, None)
    return _changed(current, entry, on_conflict)


def _come_or_gone(current: bytes | None, entry: Entry, on_conflict: OnConflict) -> Restored:
    """What was inserted goes, what was deleted comes back, unless somebody else has put something in its place."""
    if current == entry.before or entry.before is entry.after_hash:
        return Restored(Found.ALREADY, current)
    if current is None or written(current, entry):
        return Restored(Found.EXACT, entry.before)
    return Restored(Found.CONFLICT, entry.before if on_conflict is OnConflict.RESTORE else current)


def _changed(current: bytes, entry: Entry, on_conflict: OnConflict) -> Restored:
    """The document without the migration: its old bytes, or the old fields under the application's newer ones.

    A merged document has the keys of the before-image in their order, then its other fields in their present order.
    Where a key stands twice there is no telling which field is which: the whole document is in conflict.
    """
    assert entry.before is not None
    if not entry.partial:
        if current == entry.before:
            return Restored(Found.ALREADY, current)
        if written(current, entry):
            return Restored(Found.EXACT, entry.before)
    if _ambiguous(current) or _ambiguous(entry.before):
        document = entry.before if on_conflict is OnConflict.RESTORE else current
        return Restored(Found.CONFLICT, document, tuple(entry.fields))
    now, before = raw_bson.fields(current), raw_bson.fields(entry.before)
    merged, conflicts = _merge(now, before, entry, on_conflict)
    if entry.partial:  # its fields have never left their places
        found = Found.ALREADY if merged == now else Found.EXACT if written(current, entry) else Found.MERGED
        document = raw_bson.join(merged.values())
    else:
        found = Found.MERGED
        order = [name for name in before if name in merged] + [name for name in merged if name not in before]
        document = raw_bson.join(merged[name] for name in order)
    return Restored(Found.CONFLICT if conflicts else found, document, tuple(conflicts))


def _merge(
    now: Mapping[bytes, bytes], before: Mapping[bytes, bytes], entry: Entry, on_conflict: OnConflict
) -> tuple[dict[bytes, bytes], list[str]]:
    """The fields without the migration, and the names of those in conflict."""
    merged, conflicts = dict(now), []
    for text, made in entry.fields.items():
        name = _name(text)
        mine, old = now.get(name), before.get(name)
        in_conflict = mine != old and _hash(mine) != made
        if in_conflict:
            conflicts.append(text)
        if not in_conflict or on_conflict is OnConflict.RESTORE:
            _put(merged, name, old)
    return merged, conflicts


def _name(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _ambiguous(document: bytes) -> bool:
    names = [name for name, _ in raw_bson.elements(document)]
    return len(set(names)) != len(names)


def _put(fields: dict[bytes, bytes], name: bytes, element: bytes | None) -> None:
    if element is None:
        fields.pop(name, None)
    else:
        fields[name] = element


def _hash(element: bytes | None) -> bytes | None:
    return None if element is None else digest(element)
