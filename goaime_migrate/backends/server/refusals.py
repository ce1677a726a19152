"""What the server means by refusing to write a document: errors that name it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import OperationFailure

from goaime_migrate import errors
from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.field_paths import descend, value_at
from goaime_migrate.backends.index_identity import membership_filter
from goaime_migrate.backends.ports import Write
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
    """The error for a document whose key another one has; it names both where that one can be told."""
    identity, text = raw_bson.id_value(write.id), str(problem.get("errmsg", ""))
    key = problem.get("keyValue")
    index = _INDEX_NAME.search(text)
    named = f"the unique index {index[1]!r}" if index else "a unique index"
    has, collated = key or text, bool(index and index[2])
    if isinstance(key, dict) and collated:  # these are no values, but what they are sorted by
        has = f"the same {', '.join(key)} by its collation"
    message = f"{collection}: {named} refuses {identity!r}: another document has {has}"
    if isinstance(key, dict):
        earlier = writes[: next(i for i, each in enumerate(writes) if each.id == write.id)]
        other = None if collated else _written(key, earlier)
        if other is None and index is not None:
            values = _values(write, key) if collated else key
            other = _stored(database[collection], index[1], values, {write.id, *(w.id for w in earlier)})
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


def _written(key: Document, earlier: Sequence[Write]) -> bytes | None:
    """The raw `_id` of the document written just before that has a key."""
    for each in earlier:
        document = raw_bson.decode_leniently(each.after or raw_bson.NOTHING)
        if all(
            raw_bson.encode({"": value_at(document, path)}) == raw_bson.encode({"": key[path]})
            for path in key
        ):
            return each.id
    return None


def _stored(
    collection: Collection[Document], name: str, key: Document | None, passed: set[bytes]
) -> bytes | None:
    """The raw `_id` of the document of the collection that has a key in this index, by its collation."""
    index = next((each for each in collection.list_indexes() if each["name"] == name), None)
    if index is None or key is None:
        return None
    has = {path: {"$eq": value} for path, value in key.items()}
    wanted = {"$and": [has, membership_filter(index) or {}]}
    found = collection.find_raw_batches(
        wanted, {"_id": 1}, limit=len(passed) + 1, collation=index.get("collation")
    )
    return next((i for i in map(raw_bson.id_of, raw_bson.split_all(found)) if i not in passed), None)


def _values(write: Write, paths: Iterable[str]) -> Document | None:
    """What a document that is written has at these paths; None where that is not known, or may be one of several."""
    document = raw_bson.decode_leniently(write.after or raw_bson.NOTHING)
    if write.after is None or (write.partial and any(path.split(".")[0] not in document for path in paths)):
        return None
    values = {path: [*descend(document, path.split("."))] or [None] for path in paths}
    if any(len(each) > 1 or isinstance(each[0], list) for each in values.values()):
        return None
    return {path: value for path, (value,) in values.items()}


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
        return errors.Unrepresentable.because(f"it has the same key twice: {text}", id=identity)
    if code in (_WRITE_CONFLICT, 251) or code is None:
        return _collision(problem, text, code)
    return errors.OperationFailed(
        f"the server refuses the result: {text}", id=identity, hint=Hint("mend it, then: {}", UP)
    )
