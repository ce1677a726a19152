"""Writes of parts, as writes of whole documents."""

from __future__ import annotations

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import Changes, Reader, Write
from goaime_migrate.errors import Unrepresentable


def wholly(reader: Reader, changes: Changes) -> list[Write]:
    """The same writes, those of odd parts as replacements of the documents that the reader sees.

    These alone, since a batch has as many as there may be of small parts, of however large documents. Raises
    Unrepresentable.
    """
    parts = [write.id for write in changes.writes if write.partial and _is_odd(write)]
    found = {raw_bson.id_of(each): each for each in reader.by_ids(changes.collection, parts)}
    return [_whole(each, found[each.id]) if each.id in found else each for each in changes.writes]


def _is_odd(write: Write) -> bool:
    """Whether there is anything in a part that decoding and encoding would lose: a name that stands twice, odd keys."""
    return not all(map(raw_bson.survives, filter(None, (write.before, write.after))))


def _whole(write: Write, document: bytes) -> Write:
    """One write. What was read of a document that has one of its fields twice was not all of it."""
    assert write.before is not None
    assert write.after is not None
    old, new = raw_bson.fields(write.before), raw_bson.fields(write.after)
    if any(raw_bson.is_twice(document, name) for name in old | new):
        raise Unrepresentable.because("it has the same key twice", id=raw_bson.id_value(write.id))
    there = [*raw_bson.elements(document)]
    names = {name for name, _ in there}
    kept = [new.get(name, element) for name, element in there if name in new or name not in old]
    added = [element for name, element in new.items() if name not in names]
    return Write(write.id, document, raw_bson.join([*kept, *added]))
