"""mongomock's classes with what makes ordinary migrations work, and without what would harm the data."""

# mypy: disable-error-code="no-untyped-call, no-any-return, attr-defined, override"
# (mongomock has no annotations; `*args` and `**options` of an override are what pymongo or a user's function hands over,
# passed on as they are, whatever either library takes in its next release)

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bson import ObjectId
from mongomock.collection import BulkOperationBuilder
from mongomock.collection import Collection as OriginalCollection
from mongomock.database import Database as OriginalDatabase
from mongomock.filtering import filter_applies
from mongomock.results import BulkWriteResult
from mongomock.store import CollectionStore

from goaime_migrate.results import Document

_FOUND_BY_ID = (ObjectId, str, int)


class MongomockDatabase(OriginalDatabase):
    """A database whose collections are those below."""

    def get_collection(self, name: str, *args: Any, **options: Any) -> Any:
        """A collection of the class below."""
        if name not in self._collection_accesses:
            self._ensure_valid_collection_name(name)
            self._collection_accesses[name] = MongomockCollection(self, name=name, _db_store=self._store)
        return super().get_collection(name, *args, **options)

    def command(self, command: Any, *args: Any, **options: Any) -> Any:
        """Arguments after the command are no mistake, as mongomock thinks, but not implemented."""
        return super().command(command, **options)


class MongomockCollection(OriginalCollection):
    """`bulk_write` runs with any pymongo, and what is looked for by `_id` is found without a scan."""

    def with_options(self, *args: Any, **options: Any) -> Any:
        """The same collection with other options, and still of this class."""
        other = super().with_options(*args, **options)
        if type(other) is OriginalCollection:
            other.__class__ = MongomockCollection
        return other

    def bulk_write(self, requests: Sequence[Any], ordered: bool = True, **options: Any) -> Any:
        """With a builder that takes what this pymongo hands over, unless there are options: they are for mongomock."""
        if any(options.values()):
            return super().bulk_write(requests, ordered=ordered, **options)
        builder = _BulkBuilder(self, ordered=ordered)
        for request in requests:
            request._add_to_bulk(builder)
        return BulkWriteResult(builder.execute(), True)

    def _iter_documents(self, filter: Any) -> Iterable[Document]:
        wanted = filter.get("_id") if isinstance(filter, Mapping) else None
        if not isinstance(wanted, _FOUND_BY_ID):
            return super()._iter_documents(filter)
        document = self._store._documents.get(wanted)
        return iter([document] if document is not None and filter_applies(filter, document) else [])


class LastingStore(CollectionStore):
    """Documents never expire here: that is for the server that restores the dump."""

    def create_index(self, index_name: str, index_dict: Document) -> None:
        """Enter an index, and nothing that would expire documents."""
        self.indexes[index_name] = index_dict

    def _remove_expired_documents(self) -> None:
        pass


class _BulkBuilder(BulkOperationBuilder):
    """pymongo 4.11 and later hand over a `sort` that mongomock does not know."""

    def add_update(self, *args: Any, sort: Any = None, **options: Any) -> None:
        _refuse_sort(sort)
        super().add_update(*args, **options)

    def add_replace(self, *args: Any, sort: Any = None, **options: Any) -> None:
        _refuse_sort(sort)
        super().add_replace(*args, **options)


def _refuse_sort(sort: Any) -> None:
    if sort is not None:
        raise NotImplementedError("bulk_write with sort is not implemented in mongomock")
