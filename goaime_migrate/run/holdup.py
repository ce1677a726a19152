"""A document that an open transaction of somebody else has locked: waited for as long as the server lets that live."""

from __future__ import annotations

import time
from collections.abc import Sequence

from goaime_migrate.backends import raw_bson
from goaime_migrate.events import Notice
from goaime_migrate.run.run import Run

_ROUND_S = 1.0
_LATE = 1.5
"""The server looks for transactions that are too old about twice in a lifetime."""


class Holdup:
    """One wait for one document. A document that changes meanwhile is not locked: the application writes it too often."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._documents: Sequence[bytes] | None = None
        self._until = 0.0
        self.locked = False
        """Whether the document was the same all the time that it could not be written."""

    def goes_on(self, collection: str, name: bytes | None) -> bool:
        """Wait a moment; False if there is nothing (more) to wait for."""
        if name is None or not collection:
            return False
        documents = self._run.backend.by_ids(collection, [name])
        if self._documents is None:
            self._documents = documents
            self._until = time.monotonic() + self._run.backend.transaction_lifetime() * _LATE
            self._tell(collection, name)
        self.locked = documents == self._documents
        if not self.locked or time.monotonic() >= self._until:
            return False
        time.sleep(_ROUND_S)
        return True

    def _tell(self, collection: str, name: bytes) -> None:
        reason = f"{collection}: {raw_bson.id_value(name)!r} is locked by an open transaction{self.whose()}"
        self._run.lease.waits(reason)
        self._run.emit(Notice(f"{reason}; waiting until it ends"))

    def whose(self) -> str:
        """The transaction that is open the longest, behind a colon; empty where it cannot be seen."""
        seen = self._run.backend.open_transactions()
        return f": {seen[0]}" if seen else ""

    def over(self) -> None:
        """The document could be written."""
        if self._documents is not None:
            self._run.lease.waits(None)
