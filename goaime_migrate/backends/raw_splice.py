"""A changed document made of the elements that it was made of, wherever these have not changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from goaime_migrate.backends.raw_bson import elements, encode, join
from goaime_migrate.results import Document


class Lossy(Exception):
    """A value that would have to change cannot be written without losing something else; `args[0]` says which."""


def splice(raw: bytes, before: Document, after: Document) -> bytes:
    """The bytes of `after`, made of the elements of `raw` wherever a value is still the one in `before`.

    `before` is `decode(raw)` from before the change. For documents that do not survive decode and encode: what did
    not change keeps its bytes. Raises Lossy where a document with a duplicate key would have to change.
    """
    kept = dict(elements(raw))
    if len(kept) != sum(1 for _ in elements(raw)):
        raise Lossy("it has the same key twice")
    return join(_pieces(kept, before, after, list(after)))


def _pieces(kept: dict[bytes, bytes], before: Any, after: Any, keys: Sequence[Any]) -> Iterator[bytes]:
    for key in keys:
        name = str(key).encode()
        old = kept.get(name)
        if old is None or key not in before:
            yield _element(name, after[key])
        elif _same(before[key], after[key]):
            yield old
        else:
            yield _piece(name, old, before[key], after[key])


def _piece(name: bytes, old: bytes, before: Any, after: Any) -> bytes:
    """One changed element: documents and arrays are gone into, anything else is encoded anew."""
    nested = old[len(name) + 2 :]
    if isinstance(before, dict) and isinstance(after, dict):
        return b"\x03" + name + b"\0" + splice(nested, before, after)
    if isinstance(before, list) and isinstance(after, list):
        slots = {str(i).encode(): element for i, (_, element) in enumerate(elements(nested))}
        renumbered = {
            key: element[:1] + key + element[element.index(0, 1) :] for key, element in slots.items()
        }
        old_items, new_items = dict(enumerate(before)), dict(enumerate(after))
        return b"\x04" + name + b"\0" + join(_pieces(renumbered, old_items, new_items, list(new_items)))
    return _element(name, after)


def _element(name: bytes, value: Any) -> bytes:
    whole = encode({"": value})
    return whole[4:5] + name + whole[5:-1]


def _same(before: Any, after: Any) -> bool:
    return encode({"": before}) == encode({"": after})
