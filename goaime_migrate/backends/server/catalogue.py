"""The catalogue of a database on a server: its collections, views, indexes and validators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pymongo.errors import OperationFailure, PyMongoError

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import RECORDS, CollectionInfo, name_of, require_own
from goaime_migrate.backends.server.driver_errors import DUPLICATE_KEY, translate
from goaime_migrate.backends.server.lease import LeasedDatabase
from goaime_migrate.errors import DuplicateKey, MigrateError
from goaime_migrate.errors.hint import UP, Hint
from goaime_migrate.results import Document


class MongoCatalogue(LeasedDatabase):
    """What a database has, and how that is changed; our own collections are left out."""

    def _own_names(self) -> list[str]:
        return [name_of(each, self._records) for each in RECORDS]

    def collections(self) -> dict[str, CollectionInfo]:
        """All but the tool's and the server's own."""
        ours = self._own_names()
        return {
            n: info for n, info in self._listed().items() if n not in ours and not n.startswith("system.")
        }

    def require_own_records(self) -> None:
        """By one list, and the first document of each that is there."""
        require_own(self, self._listed(), self._records)

    def _listed(self) -> dict[str, CollectionInfo]:
        with self._guard():
            listed = list(self._db.list_collections())
        return {
            info["name"]: CollectionInfo(
                info["name"],
                info.get("type", "collection"),
                info.get("options", {}),
                _uuid(info),
            )
            for info in listed
        }

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
        given = {name: getattr(value, "document", value) for name, value in options.items()}  # a `Collation`
        command: Document = {
            "createIndexes": collection,
            "indexes": [{"key": dict(keys), **given}],
            "writeConcern": self._db.write_concern.document,
            **self._index_quorum(),
        }
        try:
            self._db.command(command)
        except PyMongoError as error:
            if isinstance(error, OperationFailure) and error.code == DUPLICATE_KEY:
                raise self._equal(collection, options["name"], error.details or {}) from error
            raise translate(error, self._client) from error

    def _equal(self, collection: str, index: str, details: Mapping[str, Any]) -> MigrateError:
        """The error for two documents that a unique index cannot both hold."""
        key: Document = dict(details.get("keyValue") or {})
        found = self._db[collection].find_raw_batches(key, {"_id": 1}, sort=[("_id", 1)], limit=2)
        ids = [raw_bson.id_value(document) for document in raw_bson.split_all(found)] if key else []
        which = f"the documents {ids[0]!r} and {ids[1]!r} have" if len(ids) == 2 else "two documents have"
        return DuplicateKey(
            f"{collection}: {which} the same key {key} in the unique index {index!r}",
            hint=Hint("make the values differ in an earlier migration, then: {}", UP),
            id=ids[-1] if ids else None,
            field=next(iter(key), None),
            detail=str(details.get("errmsg", "")),
        )

    def _index_quorum(self) -> dict[str, Any]:
        """Which members must have built an index before it counts."""
        return {}

    def drop_index(self, collection: str, name: str) -> None:
        """Raises OperationFailed where the collection has none of this name."""
        with self._guard():
            self._db[collection].drop_index(name)

    def set_options(self, collection: str, options: Document) -> None:
        """By `collMod`, which takes the role dbAdmin."""
        with self._guard():
            self._db.command("collMod", collection, **options)

    def create_collection(self, name: str, options: Document) -> None:
        """Raises OperationFailed if the name is taken."""
        with self._guard():
            self._db.create_collection(name, **options)

    def rename_collection(self, old: str, new: str) -> None:
        """Raises OperationFailed if either name does not allow it."""
        with self._guard():
            self._db[old].rename(new)

    def drop_collection(self, name: str) -> None:
        """Nothing happens if there is none."""
        with self._guard():
            self._db[name].drop()


def _uuid(info: Mapping[str, Any]) -> bytes | None:
    identity = info.get("info", {}).get("uuid")
    return None if identity is None else bytes(getattr(identity, "bytes", identity))
