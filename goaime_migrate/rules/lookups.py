"""Filters and lookups: what they find, and what finding it takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from goaime_migrate.planner.groups import OperationRef
from goaime_migrate.results import Document, Severity
from goaime_migrate.rules.registry import TURNS, Said
from goaime_migrate.rules.turn import SCANNED, Turn
from goaime_migrate.transform.counts import IN_VAIN, SEVERAL
from goaime_migrate.transform.lookups import Lookup

Asked = tuple[OperationRef, str, Lookup]


@TURNS.rule("unindexed-where", Severity.WARNING)
def unindexed_where(turn: Turn) -> Iterator[Said]:
    """No index helps to find the documents that `where=` matches, in a collection of 10,000 documents or more.

    They are looked for by reading the collection in the order of `_id`: each batch reads on until it has enough.
    """
    shape, where = turn.walked, getattr(turn.operations[0], "where", None)
    if not where or shape is None or shape.stored is None or not turn.walks:
        return
    fields = sorted(_fields(where))
    if not fields or any(next(iter(index["key"])) in fields for index in shape.indexes):
        return
    total = turn.database.count(shape.stored)
    if total < SCANNED:
        return
    matched = turn.seen.total if turn.seen is not None else None
    found = f"{matched:,}" if matched is not None else "some"
    yield Said(
        f"where= of {turn.collection} matches {found} of {total:,} documents, and no index begins with "
        f"{' or '.join(fields)}: they are counted, and looked for, by reading all",
        f"CreateIndex({turn.collection!r}, {fields[0]!r}) in a version before it",
        {"documents": total, "matched": matched, "fields": fields},
    )


@TURNS.rule("unindexed-lookup", Severity.WARNING)
def unindexed_lookup(turn: Turn) -> Iterator[Said]:
    """A lookup has no index on its key, in a collection of 10,000 documents or more: each batch scans that collection."""
    for ref, name, lookup in lookups_of(turn):
        shape = turn.before.get(lookup.collection)
        key = getattr(lookup, "key", "_id")
        if shape is None or shape.stored is None or key == "_id" or getattr(lookup, "pipeline", None):
            continue
        if any(_serves(index, key) for index in shape.indexes):
            continue
        total = turn.database.count(shape.stored)
        if total >= SCANNED:
            batches = (turn.seen.total if turn.seen is not None else 0) // 500 + 1
            yield Said(
                f"the lookup {name}= into {lookup.collection} has no index on {key}: each batch, of about {batches:,}, "
                f"reads {total:,} documents",
                f"CreateIndex({lookup.collection!r}, {key!r}) in a version before it",
                {"documents": total, "batches": batches},
                ref=ref,
                collection=lookup.collection,
            )


@TURNS.rule("lookup-missing", Severity.WARNING)
def lookup_missing(turn: Turn) -> Iterator[Said]:
    """A lookup finds nothing at all: its collection is not there, or no document has a key that is asked for."""
    for ref, name, lookup in lookups_of(turn):
        if turn.before.get(lookup.collection) is None:
            yield Said(
                f"there is no collection {lookup.collection!r}: the lookup {name}= finds nothing",
                f"correct the name in {name}=Lookup({lookup.collection!r}, …)",
                {"collections": sorted(turn.before.shapes)[:20]},
                ref=ref,
                collection=lookup.collection,
            )
        else:
            yield from _told(
                turn,
                ref,
                name,
                lookup,
                IN_VAIN,
                "see that both sides have the same type: an ObjectId is no text",
            )


@TURNS.rule("lookup-several", Severity.WARNING)
def lookup_several(turn: Turn) -> Iterator[Said]:
    """Several documents have the key that a lookup asks for, and it gives one of them."""
    for ref, name, lookup in lookups_of(turn):
        advice = (
            f"say which: {name}=Lookup({lookup.collection!r}, …, sort=…), or all of them with many=True; or "
            "DeleteDuplicates before it"
        )
        yield from _told(turn, ref, name, lookup, SEVERAL, advice)


def _told(turn: Turn, ref: OperationRef, name: str, lookup: Lookup, what: str, advice: str) -> Iterator[Said]:
    """What the pass itself has warned of."""
    for warning in turn.seen.warnings if turn.seen is not None and turn.walks else ():
        text = f"the lookup {name}= {what}"
        if warning.version == ref.version and text in warning.message:
            yield Said(
                warning.message,
                advice,
                {"documents": warning.count, "ids": list(warning.examples)},
                ref=ref,
                collection=lookup.collection,
            )


def lookups_of(turn: Turn) -> Iterator[Asked]:
    """The lookups of its operations, with the names that their functions know them by."""
    for ref, operation in zip(turn.refs, turn.operations, strict=True):
        declared: Mapping[str, Any] = getattr(operation, "lookups", {})
        for name, lookup in declared.items():
            if isinstance(lookup, Lookup):
                yield ref, name, lookup


def _fields(where: Mapping[str, Any]) -> Iterator[str]:
    """The fields that a filter names, those of `$and` too; of `$or` an index would have to serve each."""
    for name, condition in where.items():
        if name == "$and" and isinstance(condition, list | tuple):
            for each in condition:
                yield from _fields(each) if isinstance(each, Mapping) else ()
        elif not name.startswith("$"):
            yield name


def _serves(index: Document, key: str) -> bool:
    plain = not index.get("partialFilterExpression") and not index.get("collation")
    return plain and next(iter(index["key"])) == key
