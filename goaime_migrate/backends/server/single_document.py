"""A standalone server: no transactions, so the order of writes has to be right by itself.

The journal comes first, then each document is replaced only where it is still the one that was read, then the
cursor moves. What was interrupted in between is told apart by the journal when the batch is done again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pymongo.errors import PyMongoError

from goaime_migrate.backends.ports import Changes, Committed, GuardFailed, Move, Reader, RecordChange
from goaime_migrate.backends.server import writes
from goaime_migrate.backends.server.driver_errors import translate
from goaime_migrate.backends.server.mongo import MongoBackend


class SingleDocumentBackend(MongoBackend):
    """Journal, documents, cursor: in this order."""

    def transact(self, work: Callable[[Reader], Changes]) -> Committed:
        """Tried once; documents that have changed meanwhile are left alone, and the cursor stands still then."""
        try:
            changes = work(self)
            self._check_guards([*changes.first, *changes.last])
            self._apply(_guards_first(changes.first), None)
            bypass = self._bypasses_validation(changes)
            missed = writes.write(
                writes.Target(self._db, changes.collection, None, bypass, guard=True), changes.writes
            )
            if not missed:
                self._apply(_guards_first(changes.last), None)
            return Committed(missed=missed)
        except PyMongoError as error:
            raise translate(error, self._client) from error

    def _check_guards(self, changes: Sequence[RecordChange]) -> None:
        """A run that has lost its lease must not write a document before it comes to its cursor."""
        for change in changes:
            if isinstance(change, Move) and self._db[change.collection].find_one(change.filter) is None:
                raise GuardFailed(change.collection)


def _guards_first(changes: Sequence[RecordChange]) -> list[RecordChange]:
    """A lost lease must be noticed before anything that depends on it is written."""
    return sorted(changes, key=lambda change: not isinstance(change, Move))
