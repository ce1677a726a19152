"""All collections of a dump, and which of its files have to be written for them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from goaime_migrate.backends.dump import filenames, snapshot
from goaime_migrate.backends.dump.generation import Content
from goaime_migrate.backends.dump.metadata import LARGEST, Metadata, name_within
from goaime_migrate.backends.dump.snapshot import Snapshot, Source
from goaime_migrate.backends.embedded.collection import Collection
from goaime_migrate.backends.ports import LOCK, RECORDS, RECORDS_NAME, name_of
from goaime_migrate.errors import DumpUnreadable


class Store:
    """The collections by name. Documents are read when they are first needed.

    The record of the lease lives in memory only: here the lock of the directory is the lease.
    """

    def __init__(self, files: Snapshot, records: str) -> None:
        self._snapshot = files
        self.ours = frozenset(name_of(each, records) for each in RECORDS)
        """What our own collections are called."""
        self._records = records
        self.collections = _collections(files)
        self._on_disk = _files(self.collections.values())

    @classmethod
    def open(cls, root: Path, database: str, records: str = RECORDS_NAME) -> Store:
        """The generation that is valid now. Raises DumpUnreadable; documents are read later."""
        return cls(snapshot.take(root, database), records)

    @property
    def signature(self) -> snapshot.Signature:
        """Tells the generation that was opened from any other."""
        return self._snapshot.signature

    def get(self, name: str) -> Collection | None:
        """The collection of this name, if there is one."""
        return self.collections.get(self.name_of(name))

    def name_of(self, collection: str) -> str:
        """What a collection is called in the dump."""
        return name_of(collection, self._records)

    def obtain(self, name: str) -> Collection:
        """The collection, made if there is none: as a server does for the first insert."""
        name = self.name_of(name)
        if name not in self.collections:
            self.collections[name] = Collection.new(name, {})
        return self.collections[name]

    def load_all(self) -> None:
        """Read everything, so that damage shows before anything is written."""
        for collection in self.collections.values():
            collection.documents  # noqa: B018  (reads them)

    def pending(self) -> tuple[dict[str, Content], list[str]]:
        """The files to write with their content, and the names of those to remove."""
        put: dict[str, Content] = {}
        stays: set[str] = set()
        for collection in self.collections.values():
            stays |= collection.files
            if collection.name != self.name_of(LOCK):
                put |= collection.to_write()
        return put, sorted(self._on_disk - stays - put.keys())

    def mark_saved(self) -> None:
        """The files are now as `pending` said."""
        for collection in self.collections.values():
            if collection.name != self.name_of(LOCK):
                collection.mark_written()
        self._on_disk = _files(self.collections.values())

    def close(self) -> None:
        """Let go of all files."""
        self._snapshot.close()


def _collections(files: Snapshot) -> dict[str, Collection]:
    found: dict[str, Collection] = {}
    for stem in _stems(files.files):
        about = files.files.get(stem + filenames.METADATA)
        collection = _collection(stem, about, files.files.get(stem + filenames.DOCUMENTS))
        if collection.name in found:
            raise DumpUnreadable(
                f"{found[collection.name].stem} and {stem} are both the collection {collection.name!r}",
                hint="remove the one that does not belong to this dump",
            )
        found[collection.name] = collection
    return found


def _stems(files: Iterable[str]) -> list[str]:
    return sorted({parts[0] for name in files if (parts := filenames.split(name))})


def _collection(stem: str, about: Source | None, documents: Source | None) -> Collection:
    if about is None:
        collection = Collection(filenames.collection_of(stem), Metadata.absent(), documents, stem=stem)
    else:
        data = about.read(LARGEST + 1)
        name = filenames.collection_of(stem, name_within(data))
        collection = Collection(name, Metadata.parse(data, about.label), documents, stem=stem)
    both = {stem + filenames.METADATA: about, stem + filenames.DOCUMENTS: documents}
    collection.files = frozenset(filename for filename, source in both.items() if source is not None)
    return collection


def _files(collections: Iterable[Collection]) -> set[str]:
    return {filename for collection in collections for filename in collection.files}
