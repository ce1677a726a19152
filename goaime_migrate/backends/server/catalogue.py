"""Collections, views and indexes of a server, changed one command at a time, through failovers.

None of these commands can be part of a transaction. Each is tried again where a primary steps down in the middle of
it: what it had done by then is found by looking, and a build of an index goes on at the next primary.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from pymongo.errors import AutoReconnect, OperationFailure, PyMongoError

from goaime_migrate.backends.ports import (
    RECORDS,
    CollectionInfo,
    EqualKey,
    IndexInTheWay,
    Origin,
    name_of,
    require_own,
)
from goaime_migrate.backends.server import listing
from goaime_migrate.backends.server.driver_errors import DUPLICATE_KEY, STEPPED_DOWN, message_of, translate
from goaime_migrate.backends.server.index_groups import equal_keys
from goaime_migrate.backends.server.lease import LeasedDatabase
from goaime_migrate.errors import (
    DuplicateKey,
    MigrateError,
    MissingCapability,
    MissingPrivilege,
    ServerUnreachable,
)
from goaime_migrate.errors.hint import UP, Hint
from goaime_migrate.redaction import redact
from goaime_migrate.results import Document

PATIENCE_S = 60.0
"""How long a failover is waited out."""
_PAUSE_S = 0.5
_IN_THE_WAY = frozenset({68, 85, 86})
"""IndexAlreadyExists, IndexOptionsConflict, IndexKeySpecsConflict."""
_CANNOT_CREATE_INDEX, _SECOND_TEXT_INDEX = 67, "only one text index"


def _never() -> bool:
    """A command that may be given twice."""
    return False


class ServerCatalogue(LeasedDatabase):
    """The catalogue of a database on a server."""

    def _through_failovers(self, change: Callable[[], Any], done: Callable[[], bool] = _never) -> None:
        """Make a change; after a failover see whether it is `done`, else make it again. Raises ServerUnreachable."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                change()
                return
            except PyMongoError as error:
                passing = isinstance(error, AutoReconnect) or getattr(error, "code", None) in STEPPED_DOWN
                if not passing or time.monotonic() > deadline:
                    raise
            time.sleep(_PAUSE_S)
            if self._is_done(done):
                return

    @staticmethod
    def _is_done(done: Callable[[], bool]) -> bool:
        try:
            return done()
        except (AutoReconnect, ServerUnreachable):
            return False  # there is no primary yet: the change itself is tried again, and finds out

    def _own_names(self) -> list[str]:
        return [name_of(each, self.records) for each in RECORDS]

    def collections(self) -> dict[str, CollectionInfo]:
        """All but the tool's and the server's own."""
        ours = self._own_names()
        with self._guard():
            found = listing.collections(self._db)
        return {n: info for n, info in found.items() if n not in ours and not n.startswith("system.")}

    def require_own_records(self) -> None:
        """By one list, and the first document of each that is there."""
        with self._guard():
            found = listing.collections(self._db)
        require_own(self, found, self.records)

    def origin(self) -> Origin:
        """By the catalogue, and the set's configuration where the user may read it."""
        with self._guard():
            return listing.origin(self._db)

    def indexes(self, collection: str) -> list[Document]:
        """As `listIndexes` gives them."""
        with self._guard():
            return [
                dict(index) | {"key": dict(index["key"])} for index in self._db[collection].list_indexes()
            ]

    def create_index(self, collection: str, keys: Sequence[tuple[str, Any]], options: Document) -> None:
        """As it is said: the driver would refuse some of the directions that a server has.

        Raises DuplicateKey naming two documents that a unique index cannot both hold.
        """
        command: Document = {
            "createIndexes": collection,
            "indexes": [{"key": dict(keys), **options}],
            "writeConcern": self._db.write_concern.document,
            **self._index_quorum(),
        }
        try:
            self._through_failovers(lambda: self._db.command(command))
        except PyMongoError as error:
            if isinstance(error, OperationFailure) and error.code == DUPLICATE_KEY:
                raise self._equal(collection, {"key": dict(keys), **options}, error.details or {}) from error
            if isinstance(error, OperationFailure) and _is_in_the_way(error):
                raise IndexInTheWay(redact(message_of(error))) from error
            raise translate(error, self._client) from error

    def _equal(self, collection: str, index: Document, details: Mapping[str, Any]) -> MigrateError:
        """The error for two documents that a unique index cannot both hold.

        What the server itself says of their key names none of them, and is no value where there is a collation.
        """
        groups: tuple[EqualKey, ...] = ()
        with suppress(PyMongoError, MissingCapability):
            groups = equal_keys(self._db[collection], index, 1, PATIENCE_S).groups
        fields, which = list(index["key"]), "two documents have"
        key: Document = {} if index.get("collation") else dict(details.get("keyValue") or {})
        ids: tuple[Any, ...] = ()
        for group in groups:
            key, ids = dict(zip(fields, group.key, strict=True)), group.ids
            which = f"the documents {ids[0]!r} and {ids[1]!r} have"
        return DuplicateKey(
            f"{collection}: {which} the same key {key or ', '.join(fields)} in the unique index {index['name']!r}",
            hint=Hint("make the values differ in an earlier migration, then: {}", UP),
            id=ids[-1] if ids else None,
            field=fields[0],
            detail=str(details.get("errmsg", "")),
        )

    def _index_quorum(self) -> dict[str, Any]:
        """Which members must have built an index before it counts."""
        return {}

    def drop_index(self, collection: str, name: str) -> None:
        """Raises OperationFailed where the collection has none of this name."""
        with self._guard():
            self._through_failovers(
                lambda: self._db[collection].drop_index(name),
                lambda: all(index["name"] != name for index in self.indexes(collection)),
            )

    def set_options(self, collection: str, options: Document) -> None:
        """By `collMod`, which takes the role dbAdmin."""
        with self._guard():
            self._through_failovers(lambda: self._db.command("collMod", collection, **options))

    def create_collection(self, name: str, options: Document) -> None:
        """Raises OperationFailed if the name is taken."""
        with self._guard():
            self._through_failovers(
                lambda: self._db.create_collection(name, **options), lambda: name in self.collections()
            )

    def rename_collection(self, old: str, new: str) -> None:
        """Raises OperationFailed if either name does not allow it."""
        with self._guard():
            self._through_failovers(
                lambda: self._db[old].rename(new),
                lambda: old not in (now := self.collections()) and new in now,
            )

    def drop_collection(self, name: str) -> None:
        """Nothing happens if there is none."""
        with self._guard():
            self._through_failovers(self._db[name].drop)

    def drop_database(self) -> None:
        """At once, or collection by collection where the user may do no more than that."""
        try:
            with self._guard():
                self._through_failovers(lambda: self._db.client.drop_database(self._db.name))
        except MissingPrivilege:
            for name in self.collections():
                self.drop_collection(name)
            for record in RECORDS:
                self.drop_collection(record)


def _is_in_the_way(error: OperationFailure) -> bool:
    """Whether an index that is there does not let another be created."""
    second = error.code == _CANNOT_CREATE_INDEX and _SECOND_TEXT_INDEX in message_of(error)
    return second or error.code in _IN_THE_WAY
