"""What the server means by refusing to write a document: errors that name it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pymongo.database import Database
from pymongo.errors import OperationFailure

from goaime_migrate import errors
from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import Write
from goaime_migrate.backends.raw_bson import value_at
from goaime_migrate.backends.server.driver_errors import (
    DUPLICATE_KEY,
    TOO_LARGE,
    TOO_LARGE_FOR_CACHE,
    VALIDATION,
    too_large_for_cache,
)
from goaime_migrate.errors.hint import UP, Hint
from goaime_migrate.results import Document

_INDEX_NAME = re.compile(r"index: (\S+) (collation: .*)?dup key", re.DOTALL)
_NAMED_TWICE = 7693400
"""An update by a pipeline meets a document that has the field which it sets twice."""
_BSON_TOO_LARGE = (TOO_LARGE, 17419, 17420)
_WRITE_CONFLICT = 112


def is_taken(problem: Document, write: Write) -> bool:
    """Whether a document was not inserted since there is one with its `_id`."""
    if write.before is not None or problem.get("code") != DUPLICATE_KEY:
        return False
    index = _INDEX_NAME.search(str(problem.get("errmsg", "")))
    return index is not None and index[1] == "_id_"


def refusal(
    database: Database[Document], collection: str, problem: Document, writes: Sequence[Write], write: Write
) -> Exception:
    """The error for one of these writes that the server would not do."""
    if is_taken(problem, write):
        return _collision(problem, "somebody else has inserted it meanwhile", _WRITE_CONFLICT)
    if problem.get("code") == DUPLICATE_KEY:
        return _duplicate(database, collection, problem, writes, write)
    return _rejection(problem, write)


def _collision(problem: Document, text: str, code: int | None) -> OperationFailure:
    """The error that makes a transaction be tried again."""
    return OperationFailure(text, code, {**problem, "errorLabels": ["TransientTransactionError"]})


def _duplicate(
    database: Database[Document], collection: str, problem: Document, writes: Sequence[Write], write: Write
) -> errors.DuplicateKey:
    """The error for a document whose key another one has; it names both."""
    identity, text = raw_bson.id_value(write.id), str(problem.get("errmsg", ""))
    key = problem.get("keyValue")
    index = _INDEX_NAME.search(text)
    named = f"the unique index {index[1]!r}" if index else "a unique index"
    has, collated = key or text, bool(index and index[2])
    if isinstance(key, dict) and collated:  # these are no values, but what they are sorted by
        has = f"the same {', '.join(key)} by its collation"
    message = f"{collection}: {named} refuses {identity!r}: another document has {has}"
    if isinstance(key, dict) and not collated:
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
        document = raw_bson.decode_leniently(each.after or raw_bson.NOTHING)
        if all(
            raw_bson.encode({"": value_at(document, path)}) == raw_bson.encode({"": key[path]})
            for path in key
        ):
            return each.id
    passed = {write.id, *(each.id for each in earlier)}
    found = database[collection].find_raw_batches(key, {"_id": 1}, limit=len(passed) + 1)
    return next((i for i in map(raw_bson.id_of, raw_bson.split_all(found)) if i not in passed), None)


def _rejection(problem: Document, write: Write) -> Exception:
    """The error for the document that the server would not take."""
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
    if code in (_WRITE_CONFLICT, 251) or code is None:
        return _collision(problem, text, code)
    return errors.OperationFailed(
        f"the server refuses the result: {text}", id=identity, hint=Hint("mend it, then: {}", UP)
    )
