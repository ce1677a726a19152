"""Units of work as values: what becomes of records and of documents, and what may come of it.

Documents travel as raw BSON (`bytes`), an `_id` as the raw one-element document ``{_id: x}``: both keep types, key
order and everything that decoding would lose. Ranges of `_id`s are in BSON's total order, over all types.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from goaime_migrate.errors import MigrateError
from goaime_migrate.results import Document

Filter = Mapping[str, Any]
Elements = Sequence[tuple[bytes, bytes]]
"""BSON elements, each behind its name."""


class Collision(Exception):
    """A batch met concurrent writes on the same documents in every one of its tries.

    `cause` is the error where it is no write of others that a single document collides with, but a limit of the server.
    """

    def __init__(self, message: str, cause: MigrateError | None = None) -> None:
        super().__init__(message)
        self.cause = cause


class SweepRefused(Exception):
    """The server refuses one of the documents of a `Sweep`, or has changed others, and does not say which."""


class IndexInTheWay(Exception):
    """An index of the same name, or on the same keys, does not let another be created. Nothing was done."""


class GuardFailed(Exception):
    """A `Move` found its record changed: somebody else has it, or it had been moved already."""


class Put(NamedTuple):
    """Insert a record, or replace the one with the same `_id`."""

    collection: str
    document: Document


class Add(Put):
    """A `Put` of a record that no unit of work has left behind.

    Where units of work are atomic there is none with its `_id`. Elsewhere one that was cut off may have put it there.
    """


class Move(NamedTuple):
    """Update exactly one record, conditional on `filter`; if none matches, nothing is changed (GuardFailed)."""

    collection: str
    filter: Filter
    set: Document


class Delete(NamedTuple):
    """Remove every record that matches."""

    collection: str
    filter: Filter


RecordChange = Put | Move | Delete


class Write(NamedTuple):
    """Replace one document; `before` is what was read. Other documents than `before` are never overwritten.

    Without `before` the document is inserted, where there is none with its `id`; without `after` it is deleted. With
    `partial`, both hold some fields only, and the others stay as they are; `sets` says what differs between the two,
    where that has been found out and nothing is removed.
    """

    id: bytes
    before: bytes | None
    after: bytes | None
    partial: bool = False
    sets: Elements | None = None
    place: bytes | None = None
    """Where an inserted document comes to stand, as `Reader.places` has told it; None for the end."""


def freeing_first(writes: Iterable[Write]) -> list[Write]:
    """Deletions, replacements, insertions: what frees keys of unique indexes comes before what takes them."""
    return sorted(writes, key=lambda write: (write.after is not None) + (write.before is None))


class Sweep(NamedTuple):
    """One update of all documents with after < _id <= upto that match `where`.

    These are so many `documents`, of which so many are to be `changed`: one that has a field twice may become another
    where the first of both stays as it is.
    """

    after: bytes | None
    upto: bytes | None
    where: Filter | None
    stages: Sequence[Document]
    documents: int
    changed: int
    once: bool = False
    """Whether none of them has a field twice that the stages set or remove."""


class Changes(NamedTuple):
    """One unit of work. With transactions it is atomic; without, its three parts happen in this order."""

    first: Sequence[RecordChange] = ()
    collection: str = ""
    """That of the `writes`."""
    writes: Sequence[Write] = ()
    sweep: Sweep | None = None
    """In place of `writes`; only with the capability `deltas`."""
    last: Sequence[RecordChange] = ()
    bypass_validation: bool = False
    """Whether the collection's validator is passed over: what is restored was there before."""


class Committed(NamedTuple):
    """`missed`: the ids whose documents had changed meanwhile and were left alone (never with transactions)."""

    missed: Sequence[bytes] = ()
    retries: int = 0
