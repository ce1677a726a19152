"""Telling that a step has changed a document without encoding it before and after.

Encoding is what costs most after decoding. What can be seen of a dict at once, the names in their order and how long
the documents in it are, often proves that its bytes have changed; it never proves that they have not.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Any

from goaime_migrate.results import Document

Sizes = dict[str, int | list[int]]
_UNKNOWN = -1


class Depth(IntEnum):
    """How closely a document is looked at before a step, so that it can be compared afterwards."""

    NAMES = 0
    SIZES = 1
    BYTES = 2


_NAMES, _SIZES, _BYTES = Depth
"""Asked for several times a document; an attribute of an enumeration takes five times as long to find."""


class Undecided(Exception):
    """Whether a step has changed the document cannot be told from what was kept of it."""


class DepthChooser:
    """How closely documents are looked at before one step: as closely as the last ones have needed."""

    _MOST = 64
    """How many documents are encoded at most, once one had to be, before less is tried again."""

    def __init__(self) -> None:
        self.depth = Depth.NAMES
        self._left = 0
        self._patience = 1

    def failed(self) -> None:
        """What was kept of a document did not tell: it has to be done again, which takes as long as encoding several.

        So each time that less is tried in vain it is tried half as often.
        """
        self.depth = min(Depth.BYTES, Depth(self.depth + 1))
        if self.depth is _BYTES:
            self._left = self._patience
            self._patience = min(2 * self._patience, self._MOST)

    def learn(self, by: Depth) -> None:
        """What told that a document had been changed."""
        if by is _BYTES:
            self._left -= 1
            if self._left <= 0:
                self.depth = _SIZES
        else:
            self.depth = by
            self._patience = 1


class ChangeDetector:
    """Sees each document before and after each step. `known`: its bytes as it stands, where they are known.

    `encode` makes the bytes of a document that the step at a position has made.
    """

    def __init__(self, steps: int, encode: Callable[[int, Document], bytes]) -> None:
        self.known: bytes | None = None
        self._choosers = [DepthChooser() for _ in range(steps)]
        self._encode = encode
        self._exact = False
        self._names: tuple[str, ...] = ()
        self._sizes: Sizes | None = None

    def begin(self, base: bytes, *, exact: bool) -> None:
        """The next document. With `exact`, every step is told by the bytes; else as its chooser says."""
        self.known = base
        self._exact = exact

    def before(self, position: int, document: Document) -> None:
        """Keep what will be compared after the step at this position."""
        depth = self._choosers[position].depth
        if self.known is None and depth is _BYTES:
            self.known = self._encode(position - 1, document)
        if position == 0:
            self._names = names(document)
        self._sizes = sizes(document) if depth is _SIZES else None

    def changed(self, position: int, document: Document) -> bool:
        """Whether the step has changed the document. Raises Undecided."""
        chooser = self._choosers[position]
        if not self._exact:
            before, self._names = self._names, names(document)
            if self._names != before:
                self.known = None
                chooser.learn(_NAMES)
                return True
            if self._sizes is not None and grown(self._sizes, document):
                self.known = None
                chooser.learn(_SIZES)
                return True
        if self.known is None:
            chooser.failed()
            raise Undecided
        self.known, previous = self._encode(position, document), self.known
        if self.known == previous:
            return False
        if chooser.depth is _BYTES:
            chooser.learn(_BYTES)
        return True


def names(document: Document) -> tuple[str, ...]:
    """The top-level names in the order in which they are encoded: `_id` goes first, wherever it stands."""
    found = tuple(document)
    if "_id" in document and found[0] != "_id":
        return ("_id", *(name for name in found if name != "_id"))
    return found


def sizes(document: Document) -> Sizes:
    """How many fields each document in it has, and each document of each list."""
    return {
        name: [len(item) if type(item) is dict else _UNKNOWN for item in value]
        if type(value) is list
        else len(value)
        for name, value in document.items()
        if type(value) is list or type(value) is dict
    }


def grown(before: Sizes, document: Document) -> bool:
    """Whether a document differs for sure from one with the same names and these sizes. Only dicts and lists count.

    Other types may be encoded to the very same bytes as these (a DBRef as a dict, a tuple as a list).
    """
    return any(_differs(size, document[name]) for name, size in before.items())


def _differs(before: int | list[int], value: Any) -> bool:
    if type(value) is dict:
        return isinstance(before, int) and before != len(value)
    if type(value) is list and isinstance(before, list):
        return len(before) != len(value) or any(
            type(item) is dict and size not in (_UNKNOWN, len(item))
            for size, item in zip(before, value, strict=True)
        )
    return False
