"""What to do about documents that would have the same key in a unique index, without a loss that need not be."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import Any

from goaime_migrate.backends.index_identity import membership_filter
from goaime_migrate.backends.ports import EqualKey
from goaime_migrate.results import Document


def remedy(collection: str | None, index: Document, groups: Sequence[EqualKey], *, stands: bool) -> str:
    """The operation to write, or the index that allows what is there; `stands` is one that a pass would break.

    The duplicates may be of this plan's own making, so that what removes them has its place right before the index.
    """
    without = [all(value is None for value in group.key) for group in groups]
    if all(without):
        return f"{_leave_out(index)}; or give them values before it"
    delete = _delete_behind if stands else _delete_before
    if not any(without):
        return delete(collection, index, spared=False)
    return f"{_leave_out(index)}. For the others {delete(collection, index, spared=True)}"


def _leave_out(index: Document) -> str:
    """Documents without a key are made none of the index's."""
    paths, partial = ", ".join(index["key"]), index.get("partialFilterExpression")
    if index.get("sparse") or (partial and any(_asks_for(partial, path) for path in index["key"])):
        return (
            f"documents that have null in {paths} are in the index, those that lack it are not: remove the field where "
            "it is null, before it"
        )
    covered: Document = {path: {"$exists": True} for path in index["key"]}
    spelled = _literal({"$and": [partial, covered]} if partial else covered)
    how = (
        f"partialFilterExpression={spelled}" if spelled else f"add {covered!r} to its partialFilterExpression"
    )
    return f"documents that lack {paths} all count as null. Let the index leave them out: {how}"


def _asks_for(partial: Document, path: str) -> bool:
    """Whether a filter leaves out the documents that lack a field already."""
    return any(each.get(path) == {"$exists": True} for each in (partial, *partial.get("$and", ())))


def _delete_before(collection: str | None, index: Document, *, spared: bool) -> str:
    return f"before it, in the same file: {_delete(collection, index, spared=spared)}; or {_differ(index)}"


def _delete_behind(collection: str | None, index: Document, *, spared: bool) -> str:
    """The index is in the way of the pass that makes the duplicates, and they are not there before it."""
    return (
        f"DropIndex({collection!r}, {index['name']!r}) before it, and behind it "
        f"{_delete(collection, index, spared=spared)}, and then create the index again; or {_differ(index)}"
    )


def _differ(index: Document) -> str:
    return f"a TransformDocuments that makes {', '.join(index['key'])} differ"


def _delete(collection: str | None, index: Document, *, spared: bool) -> str:
    """All but one of each, of those that the index holds; `spared` are the documents without a key."""
    if (index.get("collation") or {}).get("locale", "simple") != "simple":
        return "DeleteDocuments for those that may go, since DeleteDuplicates compares without a collation"
    paths = list(index["key"])
    filters = list(_filters(index, spared=spared))
    where = _literal(filters[0] if len(filters) == 1 else {"$and": filters}) if filters else ""
    named = repr(paths[0]) if len(paths) == 1 else repr(paths)
    if where is None:  # one that is not written out whole would delete what the index does not hold
        first = "DeleteDuplicates, with the partialFilterExpression of the index as its where="
    else:
        limited = f", where={where}" if where else ""
        first = f"DeleteDuplicates({collection!r}, {named}{limited})"
    return f"{first}, which keeps the first by _id of each and which `down` takes back"


def _filters(index: Document, *, spared: bool) -> Iterator[Document]:
    if (only := membership_filter(index)) is not None:
        yield only
    if spared:
        yield {path: {"$ne": None} for path in index["key"]}


def _literal(value: Any) -> str | None:
    """A value as it is written in a file that imports nothing for it; None for one that cannot be."""
    written = repr(value)
    try:
        return written if ast.literal_eval(written) == value else None
    except (ValueError, SyntaxError):
        return None
