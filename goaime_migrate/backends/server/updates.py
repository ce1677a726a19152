"""Replacing documents with raw `update` commands, and what the server's answers mean."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from pymongo import ReplaceOne, UpdateOne
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import BulkWriteError, OperationFailure

from goaime_migrate import errors
from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import Sweep, SweepRefused, Write
from goaime_migrate.backends.raw_bson import value_at
from goaime_migrate.backends.server.driver_errors import (
    DUPLICATE_KEY,
    TOO_LARGE,
    TOO_LARGE_FOR_CACHE,
    VALIDATION,
    too_large_for_cache,
)
from goaime_migrate.backends.server.reader import both, id_range
from goaime_migrate.errors.hint import UP, Hint
from goaime_migrate.results import Document

COMMAND_BYTES = 12 * 1024 * 1024
"""Updates in one command: a command document may hold little more than 16 MB."""
_TYPES = frozenset((*range(0x01, 0x14), 0x7F, 0xFF))
"""What stands before an element's name."""
_INDEX_NAME = re.compile(r"index: (\S+) dup key")
_NAMED_TWICE = 7693400
"""An update by a pipeline meets a document that has the field which it sets twice."""
_BSON_TOO_LARGE = (TOO_LARGE, 17419, 17420)


def replace(
    database: Database[Document],
    collection: str,
    writes: Sequence[Write],
    *,
    session: ClientSession | None,
    bypass_validation: bool,
    guard: bool = False,
) -> list[bytes]:
    """Replace each document by its `id`; with `guard` only where it is still `before`. Returns the ids that missed.

    Raises DuplicateKey, ValidatorRejected or ResultTooLarge naming the document.
    """
    missed: list[bytes] = []
    for chunk in _chunks(writes, guard):
        statements = [_statement(write, guard) for write in chunk]
        if len(chunk) == 1 and _size(chunk[0], guard) > COMMAND_BYTES:
            answer = _one_large(database, collection, chunk[0], session, bypass_validation, guard)
        else:
            answer = database.command(
                {"update": collection, "updates": statements, "bypassDocumentValidation": bypass_validation},
                session=session,
            )
        if answer.get("writeErrors"):
            problem = answer["writeErrors"][0]
            if problem.get("code") == DUPLICATE_KEY:
                raise _duplicate(database, collection, problem, writes, chunk[problem["index"]])
            raise rejection(problem, chunk)
        if answer["n"] != len(chunk):
            missed += _find_missed(database, collection, chunk, session)
    return missed


def sweep(database: Database[Document], collection: str, sweep: Sweep, session: ClientSession) -> None:
    """Let the server update a range of documents. Raises SweepRefused."""
    chosen = both(sweep.where, id_range(sweep.after, sweep.upto))
    statement = {"q": chosen, "u": list(sweep.stages), "multi": True, "hint": {"_id": 1}}
    answer = database.command({"update": collection, "updates": [statement]}, session=session)
    if answer.get("writeErrors") or answer["n"] != sweep.documents:
        raise SweepRefused(collection)


def _find_missed(
    database: Database[Document], collection: str, chunk: Sequence[Write], session: ClientSession | None
) -> list[bytes]:
    """The documents of a chunk that are not what was written: changed or deleted by somebody else."""
    now: dict[bytes, bytes] = {}
    for write in chunk:
        cursor = database[collection].find_raw_batches(raw_bson.raw_document(write.id), session=session)
        for document in raw_bson.split_all(cursor):
            now[write.id] = document
    return [write.id for write in chunk if now.get(write.id) != write.after]


def _size(write: Write, guard: bool) -> int:
    """About how many bytes it takes to say this; a guard holds the document as it was, too."""
    return len(write.id) + len(write.after) + (len(write.before) if guard else 0) + 200


def _chunks(writes: Sequence[Write], guard: bool) -> Iterator[Sequence[Write]]:
    start, size = 0, 0
    for i, write in enumerate(writes):
        if size and size + _size(write, guard) > COMMAND_BYTES:
            yield writes[start:i]
            start, size = i, 0
        size += _size(write, guard)
    if start < len(writes):
        yield writes[start:]


def _statement(write: Write, guard: bool) -> Document:
    return {"q": _filter(write, guard), "u": _delta(write) if write.partial else replacement(write.after)}


def _filter(write: Write, guard: bool) -> Any:
    if not guard:
        return raw_bson.raw_document(write.id)
    whole = {"$expr": {"$eq": ["$$ROOT", {"$literal": raw_bson.raw_document(write.before)}]}}
    return {"$and": [raw_bson.raw_document(write.id), whole]}


def _delta(write: Write) -> Any:
    """The fields that differ, as a pipeline: it appends new ones in this order, where `$set` alone would sort them."""
    sets, gone = write.sets, []
    if sets is None:
        before, after = raw_bson.fields(write.before), raw_bson.fields(write.after)
        sets = raw_bson.differing(before, after)
        gone = [name.decode() for name in before if name not in after]
    values = [raw_bson.literal(*element) for element in sets]
    stages: list[Any] = (
        [raw_bson.raw_document(raw_bson.join([b"\x03$set\0" + raw_bson.join(values)]))] if values else []
    )
    return [*stages, {"$unset": gone}] if gone else stages


def replacement(document: bytes) -> Any:
    """A replacement; a pipeline where a replacement would not write the very document.

    A replacement refuses top-level names that begin with `$`, and turns a top-level Timestamp(0, 0) into now.
    """
    if _may_be_awkward(document):
        for name, element in raw_bson.elements(document):
            if name.startswith(b"$") or (element[0] == 0x11 and not any(element[-8:])):
                return [{"$replaceWith": {"$literal": raw_bson.raw_document(document)}}]
    return raw_bson.raw_document(document)


def _may_be_awkward(document: bytes) -> bool:
    """A cheap look before a document is taken apart: plain searches for bytes are quicker than expressions."""
    dollar = document.find(b"$", 5)  # before it are the length and the type of the first element
    while dollar > 0:
        if document[dollar - 1] in _TYPES:
            return True
        dollar = document.find(b"$", dollar + 1)
    timestamp = document.find(b"\x11", 4)
    while timestamp > 0:
        name_end = document.find(b"\0", timestamp)
        if not any(document[name_end : name_end + 9]):
            return True
        timestamp = document.find(b"\x11", name_end)
    return False


def _one_large(
    database: Database[Document],
    collection: str,
    write: Write,
    session: ClientSession | None,
    bypass_validation: bool,
    guard: bool,
) -> Document:
    """A document that nearly fills a message has to travel outside the command document."""
    if _size(write, guard) > raw_bson.MAX_DOCUMENT + 8_000:
        raise errors.MissingCapability(
            "without transactions a document is written only where it is still what was read: both together must not "
            "be larger than 16 MB",
            id=raw_bson.id_value(write.id),
            hint="run mongod as a replica set of one node, then try again",
        )
    update, condition = replacement(write.after), _filter(write, guard)
    request: Any = UpdateOne(condition, update) if isinstance(update, list) else ReplaceOne(condition, update)
    try:
        result = database[collection].bulk_write(
            [request], session=session, bypass_document_validation=bypass_validation
        )
    except BulkWriteError as error:
        if error.details and error.details.get("writeErrors"):
            return {"n": 0, "writeErrors": error.details["writeErrors"]}
        raise
    return {"n": result.matched_count}


def _duplicate(
    database: Database[Document], collection: str, problem: Document, writes: Sequence[Write], write: Write
) -> errors.DuplicateKey:
    """The error for a document whose key another one has; it names both."""
    identity, text = raw_bson.id_value(write.id), str(problem.get("errmsg", ""))
    key = problem.get("keyValue")
    index = _INDEX_NAME.search(text)
    named = f"the unique index {index[1]!r}" if index else "a unique index"
    message = f"{collection}: {named} refuses {identity!r}: another document has {key if key else text}"
    if isinstance(key, dict):
        earlier = writes[: next(i for i, each in enumerate(writes) if each.id == write.id)]
        other = _owner(database, collection, key, earlier, write)
        if other is not None:
            message = (
                f"{collection}: the documents {raw_bson.id_value(other)!r} and {identity!r} "
                f"would have the same key in {named}"
            )
    return errors.DuplicateKey(
        message,
        id=identity,
        field=next(iter(key), None) if isinstance(key, dict) else None,
        detail=text,
        hint=Hint("make the documents differ, or drop the index, then: {}", UP),
    )


def _owner(
    database: Database[Document], collection: str, key: Document, earlier: Sequence[Write], write: Write
) -> bytes | None:
    """The raw `_id` of the document that has a key: one written just before, or one of the collection."""
    for each in earlier:
        document = raw_bson.decode_leniently(each.after)
        if all(
            raw_bson.encode({"": value_at(document, path)}) == raw_bson.encode({"": key[path]})
            for path in key
        ):
            return each.id
    passed = {write.id, *(each.id for each in earlier)}
    found = database[collection].find_raw_batches(key, {"_id": 1}, limit=len(passed) + 1)
    return next((i for i in map(raw_bson.id_of, raw_bson.split_all(found)) if i not in passed), None)


def rejection(problem: Document, chunk: Sequence[Write]) -> Exception:
    """The error for the document that the server would not take."""
    write = chunk[problem["index"]]
    identity, code, text = raw_bson.id_value(write.id), problem.get("code"), str(problem.get("errmsg", ""))
    if code == VALIDATION:
        return errors.ValidatorRejected(
            f"the collection's validator refuses the result: {text}",
            id=identity,
            detail=str(problem.get("errInfo", ""))[:1000],
            hint=Hint("correct the migration or the validator, then: {}", UP),
        )
    if code in _BSON_TOO_LARGE:
        return errors.ResultTooLarge(
            f"the result is too large: {text}", id=identity, hint=Hint("shorten it, then: {}", UP)
        )
    if code == TOO_LARGE_FOR_CACHE:
        return too_large_for_cache(text, id=identity)
    if code == _NAMED_TWICE:
        return errors.Unrepresentable(
            f"the document would have to change, but it has the same key twice: {text}",
            id=identity,
            hint=Hint("mend this document by hand, then: {}", UP),
        )
    if code in (112, 251) or code is None:
        return OperationFailure(text, code, {"errorLabels": ["TransientTransactionError"], **problem})
    return errors.OperationFailed(
        f"the server refuses the result: {text}", id=identity, hint=Hint("mend it, then: {}", UP)
    )
