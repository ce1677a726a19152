"""A database as it is at one moment, kept to be held against what it is later: by bytes, and with evidence."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import IO, Any

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import Backend, CollectionInfo
from goaime_migrate.operations import index_specs
from goaime_migrate.operations.collections import VIEW
from goaime_migrate.results import Document
from goaime_migrate.run.reading import batches

_IN_MEMORY = 16 * 1024 * 1024
"""Bytes of the documents of a collection; of a larger one they are kept in a file."""
_DEFAULTS = {"validator": {}, "validationLevel": "strict", "validationAction": "error"}
"""What holds where a collection does not say it: a level that is said outright is no difference."""
_FIELDS = 5
"""Fields of a document that are named as evidence."""


@dataclass(frozen=True)
class Difference:
    """One thing that is not as it was."""

    text: str
    id: Any = None
    field: str | None = None


class Snapshot:
    """The database before. A context manager, since the documents may be in files."""

    def __init__(self, backend: Backend, check: Callable[[], None]) -> None:
        self._check = check
        self.collections = backend.collections()
        self.indexes = {name: _indexes(backend, info) for name, info in self.collections.items()}
        self._files = ExitStack()
        self._documents = {
            name: self._keep(backend, name)
            for name, info in self.collections.items()
            if info.kind == "collection"
        }

    def __enter__(self) -> Snapshot:
        return self

    def __exit__(self, *_: object) -> None:
        self._files.close()

    def _keep(self, backend: Backend, name: str) -> IO[bytes]:
        file: IO[bytes] = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 (closed with all the others)
        self._files.enter_context(file)
        for batch in batches(backend, name):
            self._check()
            file.write(b"".join(batch))
        return file

    def different_documents(self, backend: Backend) -> Iterator[Difference]:
        """Documents that are not, byte for byte, what they were."""
        there = backend.collections()
        for name, file in self._documents.items():
            file.seek(0)
            after = chain.from_iterable(batches(backend, name)) if name in there else iter(())
            for before, now in _pairs(_stored(file), self._checked(after)):
                if before != now:
                    yield document_difference(name, before, now)

    def _checked(self, documents: Iterator[bytes]) -> Iterator[bytes]:
        for document in documents:
            self._check()
            yield document

    def different_indexes(self, backend: Backend) -> Iterator[Difference]:
        """Indexes that came, went or have changed, of collections that are there as they were."""
        for name, info in backend.collections().items():
            before, now = self.indexes.get(name), _indexes(backend, info)
            if before is not None:
                yield from _differences(f"{name}: index", before, now)

    def different_validators(self, backend: Backend) -> Iterator[Difference]:
        """Validators, with their levels and actions."""
        for name, info in self._kept(backend):
            before, now = (_validation(i.options) for i in (self.collections[name], info))
            yield from _differences(f"{name}:", before, now)

    def different_collections(self, backend: Backend) -> Iterator[Difference]:
        """Collections that came or went, or whose other options have changed."""
        now = backend.collections()
        yield from _differences("collection", *(dict.fromkeys(each, b"") for each in (self.collections, now)))
        for name, info in self._kept(backend):
            yield from _differences(f"{name}: option", *map(_options, (self.collections[name], info)))

    def _kept(self, backend: Backend) -> list[tuple[str, CollectionInfo]]:
        return [(name, info) for name, info in backend.collections().items() if name in self.collections]


def _indexes(backend: Backend, info: CollectionInfo) -> dict[str, bytes]:
    """By name, in bytes: the order of keys and every type count."""
    listed = [] if info.kind == VIEW else index_specs.list_droppable(backend, info.name)
    return {index["name"]: raw_bson.encode({**index, "ns": None}) for index in listed}


def _validation(options: Document) -> dict[str, bytes]:
    return {name: raw_bson.encode({"": options.get(name, default)}) for name, default in _DEFAULTS.items()}


def _options(info: CollectionInfo) -> dict[str, bytes]:
    known = {"kind": info.kind, **info.options}
    return {name: raw_bson.encode({"": value}) for name, value in known.items() if name not in _DEFAULTS}


def _differences(what: str, before: Mapping[str, bytes], now: Mapping[str, bytes]) -> Iterator[Difference]:
    for name in dict.fromkeys((*before, *now)):
        if name not in now:
            yield Difference(f"{what} {name!r} is gone")
        elif name not in before:
            yield Difference(f"{what} {name!r} was not there before")
        elif before[name] != now[name]:
            yield Difference(f"{what} {name!r} is not as it was")


def _stored(file: IO[bytes]) -> Iterator[bytes]:
    while head := file.read(4):
        yield head + file.read(int.from_bytes(head, "little") - 4)


def _pairs(before: Iterator[bytes], now: Iterator[bytes]) -> Iterator[tuple[bytes | None, bytes | None]]:
    """Documents with the same `_id`, which come in the same order but for those that came or went."""
    gone: dict[bytes, bytes] = {}
    new: dict[bytes, bytes] = {}
    for old, present in zip_longest(before, now):
        if old is not None:
            identity = raw_bson.id_of(old)
            if present is not None and raw_bson.id_of(present) == identity:
                yield old, present
                continue
            if identity in new:
                yield old, new.pop(identity)
            else:
                gone[identity] = old
        if present is not None:
            identity = raw_bson.id_of(present)
            if identity in gone:
                yield gone.pop(identity), present
            else:
                new[identity] = present
    yield from ((old, None) for old in gone.values())
    yield from ((None, present) for present in new.values())


def document_difference(name: str, before: bytes | None, now: bytes | None) -> Difference:
    """What is different in a document, which was or is there."""
    known = before if before is not None else now
    assert known is not None
    identity = raw_bson.id_value(raw_bson.id_of(known))
    which = f"{name}: the document {identity!r}"
    if before is None or now is None:
        return Difference(f"{which} {'was not there before' if before is None else 'is gone'}", identity)
    fields = changed_fields(before, now)
    if not fields:
        return Difference(f"{which} has its fields in another order", identity)
    shown = ", ".join(_change(field, before, now) for field in fields[:_FIELDS])
    return Difference(f"{which} differs: {shown}", identity, fields[0])


def changed_fields(before: bytes, now: bytes) -> Sequence[str]:
    """The top-level fields whose bytes differ."""
    old, new = raw_bson.fields(before), raw_bson.fields(now)
    names = dict.fromkeys((*old, *new))
    return [name.decode(errors="replace") for name in names if old.get(name) != new.get(name)]


def _change(field: str, before: bytes, now: bytes) -> str:
    old, new = raw_bson.decode_leniently(before), raw_bson.decode_leniently(now)
    return f"{field} is {_shown(new, field)}, was {_shown(old, field)}"


def _shown(document: Document, field: str) -> str:
    return f"{document[field]!r:.60}" if field in document else "absent"
