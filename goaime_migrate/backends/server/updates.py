"""How one write is said to a server, so that it stores these very bytes; and updates of a whole range."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pymongo.client_session import ClientSession
from pymongo.database import Database

from goaime_migrate.backends import raw_bson, raw_difference
from goaime_migrate.backends.ports import Sweep, SweepRefused, Write
from goaime_migrate.backends.raw_arrays import ARRAY, is_numbered_oddly
from goaime_migrate.backends.server.operators import operators, operators_for, operators_for_new
from goaime_migrate.backends.server.reader import both, id_in, id_range
from goaime_migrate.backends.server.sent import Sent
from goaime_migrate.errors import Unrepresentable
from goaime_migrate.results import Document

_QUERIES = (0x03, 0x06)
"""Types of `_id`s that a filter may take for something else than a value."""
_NESTED = (0x03, ARRAY)
"""Types of fields that hold others."""
_NEVER: Document = {"$nor": [{}]}
"""Matches no document, and says nothing of the one that an upsert then makes."""


def sweep(database: Database[Document], collection: str, sweep: Sweep, session: ClientSession) -> None:
    """Let the server update a range of documents. Raises SweepRefused."""
    chosen = both(sweep.where, id_range(sweep.after, sweep.upto))
    said = operators_for(sweep.stages) if sweep.once else None
    change = list(sweep.stages) if said is None else Sent(said)
    statement = {"q": chosen, "u": change, "multi": True, "hint": {"_id": 1}}
    answer = database.command({"update": collection, "updates": [statement]}, session=session)
    counts = (answer["n"], answer["nModified"])
    if answer.get("writeErrors") or counts != (sweep.documents, sweep.changed):
        raise SweepRefused(collection)


def deletion(write: Write, guard: bool) -> Document:
    """A statement that deletes a document."""
    return {"q": condition(write, guard), "limit": 1}


def goes_together(write: Write, guard: bool) -> bool:
    """Whether a document can be deleted along with others: without a guard, and known by a value that is no query."""
    return not guard and write.after is None and write.id[4] not in _QUERIES


def deletions(writes: Sequence[Write]) -> Document:
    """The one statement that deletes documents that go together: it takes half as long as one for each."""
    return {"q": Sent(id_in([write.id for write in writes])), "limit": 0}


def insertion(write: Write) -> Document:
    """A statement that inserts an awkward document: an upsert of what is never there.

    Where the `_id` is taken it fails, as an insert does.
    """
    assert write.after is not None
    never = {"$and": [Sent(write.id), _NEVER]}
    return {"q": never, "u": literally(write.after), "upsert": True}


def update(write: Write, guard: bool) -> Document:
    """A statement that changes a document."""
    return {"q": condition(write, guard), "u": change(write)}


def change(write: Write) -> Any:
    """What makes a document, or the part of it that was read, into what it is to be."""
    assert write.before is not None
    assert write.after is not None
    if write.partial:
        return _delta(write)
    said = _said_at_end(write.before, write.after)
    return replacement(write.after) if said is None else Sent(said)


def _said_at_end(before: bytes, after: bytes) -> bytes | None:
    """Operators for what comes or goes at the end of a whole document: a server takes half as long, and logs no more."""
    found = raw_difference.at_end(before, after)
    if found is None:
        return None
    gone, come = found
    if any(name + b"\0" in after for name in gone):
        return None
    return operators((), list(gone)) if gone else operators_for_new(list(come.items()), before)


def condition(write: Write, guard: bool) -> Any:
    """The filter for a document, with `guard` only while it is what was read.

    A plain `$eq` with `$$ROOT` is one that 5.0 tries to turn into a query on a field, and fails (16409).
    """
    if not guard or write.before is None:
        return Sent(write.id)
    difference = {"$cmp": ["$$ROOT", {"$literal": Sent(write.before)}]}
    return {"$and": [Sent(write.id), {"$expr": {"$eq": [difference, 0]}}]}


def _delta(write: Write) -> Any:
    """The fields that differ; a pipeline, which appends new ones in this order, where operators would not.

    Raises Unrepresentable for what a pipeline would not write as it is.
    """
    assert write.before is not None
    assert write.after is not None
    sets, gone = write.sets, []
    if sets is None:
        before, after = raw_difference.unlike(write.before, write.after)
        sets = raw_difference.differing(before, after)
        gone = [name for name in before if name not in after]
    said = None if gone else operators_for_new(sets, write.before)
    if said is not None:
        return Sent(said)
    lost = _is_lost if write.sets is None else is_numbered_oddly
    if any(lost(*element) for element in sets):
        reason = "a field of it can be written with the whole document alone"
        raise Unrepresentable.because(reason, id=raw_bson.id_value(write.id))
    values = [raw_bson.literal(*element) for element in sets]
    stages: list[Any] = [Sent(raw_bson.join([b"\x03$set\0" + raw_bson.join(values)]))] if values else []
    return [*stages, {"$unset": [name.decode() for name in gone]}] if gone else stages


def _is_lost(_: bytes, element: bytes) -> bool:
    """Whether a field comes back that may have odd keys in it, or a name twice.

    A server logs how it differs from what stood there, and has no words for the latter: some of MongoDB 5.0 and 6.0 end.
    What a transform or a server has made holds neither.
    """
    return element[0] in _NESTED and not raw_bson.survives(raw_bson.join([element]))


def replacement(document: bytes) -> Any:
    """A replacement; a pipeline where a replacement would not write the very document."""
    return literally(document) if is_awkward(document) else Sent(document)


def literally(document: bytes) -> list[Any]:
    """A pipeline that writes the very document, whatever is in it."""
    return [{"$replaceWith": {"$literal": Sent(document)}}]


def is_awkward(document: bytes) -> bool:
    """Whether neither a replacement nor an insert would write the very document.

    Both refuse top-level names that begin with `$`, and turn a top-level Timestamp(0, 0) into now.
    """
    return _may_be_awkward(document) and any(
        name.startswith(b"$") or (element[0] == 0x11 and not any(element[-8:]))
        for name, element in raw_bson.elements(document)
    )


def _may_be_awkward(document: bytes) -> bool:
    """A cheap look before a document is taken apart: plain searches for bytes are quicker than expressions."""
    if b"$" not in document and b"\x11" not in document:
        return False
    dollar = document.find(b"$", 5)  # before it are the length and the type of the first element
    while dollar > 0:
        if document[dollar - 1] in raw_bson.TYPES:
            return True
        dollar = document.find(b"$", dollar + 1)
    timestamp = document.find(b"\x11", 4)
    while timestamp > 0:
        name_end = document.find(b"\0", timestamp)
        if not any(document[name_end : name_end + 9]):
            return True
        timestamp = document.find(b"\x11", name_end)
    return False
