"""Raw documents on their way to a server."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator
from typing import Any

from bson.raw_bson import RawBSONDocument

from goaime_migrate.backends import raw_bson


class Sent(RawBSONDocument):
    """The driver's own class for bytes that it sends as they are, without what it does to let them be read as well.

    There are two or three for each document that is written. Whoever reads one, a debug log, has it decoded each time.
    """

    __slots__ = ("raw",)
    raw: bytes

    def __init__(self, raw: bytes) -> None:
        self.raw = raw

    def items(self) -> ItemsView[str, Any]:
        """What is in it, decoded."""
        return self._read().items()

    def __getitem__(self, name: str) -> Any:
        return self._read()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RawBSONDocument) and self.raw == other.raw

    __hash__ = None

    def _read(self) -> RawBSONDocument:
        return raw_bson.raw_document(self.raw)
