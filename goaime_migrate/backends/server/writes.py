"""Writing documents with raw commands: deletions, updates and insertions, and what the server's answers mean."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from pymongo import DeleteOne, InsertOne, ReplaceOne, UpdateOne
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import BulkWriteError

from goaime_migrate import errors
from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import Write, freeing_first
from goaime_migrate.backends.server import updates
from goaime_migrate.backends.server.refusals import is_taken, refusal
from goaime_migrate.backends.server.sent import Sent
from goaime_migrate.results import Document

COMMAND_BYTES = 12 * 1024 * 1024
"""Documents in one command: a command document may hold little more than 16 MB."""


class _Command(NamedTuple):
    """How writes of one kind are sent: many in one command, or one that nearly fills a message outside of it."""

    name: str
    items: str
    listed: Callable[[Sequence[Write], bool], Sequence[Any]]
    request: Callable[[Write, bool], Any]
    validates: bool = True


def _update_request(write: Write, guard: bool) -> Any:
    assert write.after is not None
    condition = updates.condition(write, guard)
    change = updates.change(write) if write.partial else updates.replacement(write.after)
    replaces = not (write.partial or isinstance(change, list))
    return ReplaceOne(condition, change) if replaces else UpdateOne(condition, change)


def _upsert_request(write: Write, _: bool) -> Any:
    statement = updates.insertion(write)
    return UpdateOne(statement["q"], statement["u"], upsert=True)


def _document(write: Write) -> Any:
    assert write.after is not None
    return Sent(write.after)


def _delete_request(write: Write, guard: bool) -> Any:
    return DeleteOne(updates.condition(write, guard))


_DELETE = _Command(
    "delete",
    "deletes",
    lambda writes, guard: [updates.deletion(write, guard) for write in writes],
    _delete_request,
    validates=False,
)
_DELETE_TOGETHER = _Command(
    "delete",
    "deletes",
    lambda writes, _: [updates.deletions(writes)],
    _delete_request,
    validates=False,
)
_UPDATE = _Command(
    "update",
    "updates",
    lambda writes, guard: [updates.update(write, guard) for write in writes],
    _update_request,
)
_INSERT = _Command(
    "insert", "documents", lambda writes, _: [*map(_document, writes)], lambda w, _: InsertOne(_document(w))
)
_UPSERT = _Command("update", "updates", lambda writes, _: [*map(updates.insertion, writes)], _upsert_request)


class Target(NamedTuple):
    """What is written to, and how: with `guard` a document only where it is still `before`."""

    database: Database[Document]
    collection: str
    session: ClientSession | None
    bypass_validation: bool
    guard: bool = False


def write(target: Target, writes: Sequence[Write]) -> list[bytes]:
    """Delete, replace, insert. Returns the ids that missed.

    Raises DuplicateKey, ValidatorRejected or ResultTooLarge naming the document.
    """
    ordered = freeing_first(writes)
    return [
        missed
        for command, these in groupby(ordered, lambda each: _command(each, target.guard))
        for chunk in _chunks(list(these), target.guard)
        for missed in _send(target, command, chunk, ordered)
    ]


def _command(write: Write, guard: bool) -> _Command:
    if write.after is None:
        return _DELETE_TOGETHER if updates.goes_together(write, guard) else _DELETE
    if write.before is not None:
        return _UPDATE
    return _UPSERT if updates.is_awkward(write.after) else _INSERT


def _send(target: Target, command: _Command, chunk: Sequence[Write], writes: Sequence[Write]) -> list[bytes]:
    """One chunk of the `writes` of one kind; the ids that missed."""
    if len(chunk) == 1 and _size(chunk[0], target.guard) > COMMAND_BYTES:
        answer = _one_large(target, command, chunk[0])
    else:
        statement: Document = {
            command.name: target.collection,
            command.items: command.listed(chunk, target.guard),
            "ordered": not target.guard,
        }
        if command.validates:
            statement["bypassDocumentValidation"] = target.bypass_validation
        answer = target.database.command(statement, session=target.session)
    for problem in answer.get("writeErrors", ()):
        each = chunk[problem["index"]]
        if not (target.guard and is_taken(problem, each)):
            raise refusal(target.database, target.collection, problem, writes, each)
    return [] if answer["n"] == len(chunk) else _find_missed(target, chunk)


def _one_large(target: Target, command: _Command, write: Write) -> Document:
    """A document that nearly fills a message has to travel outside the command document."""
    if _size(write, target.guard) > raw_bson.MAX_DOCUMENT + 8_000:
        raise errors.MissingCapability(
            "without transactions a document is written only where it is still what was read: both together must not "
            "be larger than 16 MB",
            id=raw_bson.id_value(write.id),
            hint="run mongod as a replica set of one node, then try again",
        )
    try:
        result = target.database[target.collection].bulk_write(
            [command.request(write, target.guard)],
            session=target.session,
            bypass_document_validation=target.bypass_validation if command.validates else None,
        )
    except BulkWriteError as error:
        if error.details and error.details.get("writeErrors"):
            return {"n": 0, "writeErrors": error.details["writeErrors"]}
        raise
    counts = (result.matched_count, result.deleted_count, result.inserted_count, result.upserted_count)
    return {"n": sum(counts)}


def _find_missed(target: Target, chunk: Sequence[Write]) -> list[bytes]:
    """The documents of a chunk that are not what was written: changed or deleted by somebody else."""
    now: dict[bytes, bytes] = {}
    for each in chunk:
        wanted = raw_bson.raw_document(each.id)
        cursor = target.database[target.collection].find_raw_batches(wanted, session=target.session)
        for document in raw_bson.split_all(cursor):
            now[each.id] = document
    return [each.id for each in chunk if now.get(each.id) != each.after]


def _size(write: Write, guard: bool) -> int:
    """About how many bytes it takes to say this; a guard holds the document as it was, too."""
    was = write.before if guard else None
    return len(write.id) + len(write.after or b"") + len(was or b"") + 200


def _chunks(writes: Sequence[Write], guard: bool) -> Iterator[Sequence[Write]]:
    start, size = 0, 0
    for i, own in enumerate([_size(each, guard) for each in writes]):
        if size and size + own > COMMAND_BYTES:
            yield writes[start:i]
            start, size = i, 0
        size += own
    if start < len(writes):
        yield writes[start:]
