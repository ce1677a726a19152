"""The order of documents in their file, through deletions and through documents that come back to where they stood."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from goaime_migrate.backends.bson_order import Key

START: Key = ()
"""What stands before the first document, and behind the last."""


class Places:
    """A chain of keys, so that no change costs more for there being many of them."""

    def __init__(self, keys: Iterable[Key]) -> None:
        self._before: dict[Key, Key] = {START: START}
        self._behind: dict[Key, Key] = {START: START}
        for key in keys:
            self.add(key)

    def __iter__(self) -> Iterator[Key]:
        key = self._behind[START]
        while key != START:
            yield key
            key = self._behind[key]

    def add(self, key: Key, before: Key | None = None) -> None:
        """A key comes behind the one `before` it, or to the end where that is none, or not there any more."""
        if before is None or before not in self._before:
            before = self._before[START]
        behind = self._behind[before]
        self._before[key], self._behind[key] = before, behind
        self._behind[before] = self._before[behind] = key

    def remove(self, key: Key) -> None:
        """A key goes."""
        before, behind = self._before.pop(key), self._behind.pop(key)
        self._behind[before], self._before[behind] = behind, before

    def predecessors(self, keys: Sequence[Key]) -> list[Key | None]:
        """What stands before each of these once those named before it are gone; None for one that is not there."""
        past: dict[Key, Key] = {}
        found: list[Key | None] = []
        for key in keys:
            before = self._before.get(key)
            while before in past:
                before = past[before]
            if before is not None:
                past[key] = before
            found.append(before)
        return found
