"""Unique indexes and the documents that they would have to hold."""

from __future__ import annotations

from collections.abc import Iterator

from goaime_migrate.backends.index_identity import inherit_collation
from goaime_migrate.backends.ports import EqualKey, EqualKeys
from goaime_migrate.errors import MigrateError
from goaime_migrate.operations import CreateIndex
from goaime_migrate.results import Document, Severity
from goaime_migrate.rules.duplicate_remedies import remedy
from goaime_migrate.rules.questions import EXAMPLES, Keys
from goaime_migrate.rules.registry import TURNS, Said
from goaime_migrate.rules.turn import GROUPS, LARGE, PATIENCE_S, Turn

_ALONE = 4_000
"""Documents up to which a pass is walked by one process, in the order of `_id`."""


@TURNS.rule("unique-duplicates", Severity.ERROR, early=True)
def unique_duplicates(turn: Turn) -> Iterator[Said]:
    """Several documents would have the same key in a unique index.

    Looked at is what documents will be when the index is created, or while a pass changes a field that one has:
    duplicates that a transform makes are found, and those that it removes are none. Where the pass runs over a sample,
    and changes no key, the server looks at all documents.
    """
    if turn.walks:
        for keys in turn.answers(Keys):
            yield from _made_by_pass(turn, keys)
        return
    creating, shape = turn.only(CreateIndex), turn.shape
    if creating is None or shape is None or not creating.index.get("unique"):
        return
    if all(there["name"] != creating.name for there in shape.indexes):
        yield from _in_new_index(turn, inherit_collation(creating.index, shape.options))


def _in_new_index(turn: Turn, index: Document) -> Iterator[Said]:
    if turn.untouched or _keeps_keys(turn):
        yield from _there_already(turn, index)
        return
    for keys in turn.answers(Keys):
        whole = turn.seen is not None and not turn.seen.sampled
        yield from _found(turn, index, EqualKeys(tuple(keys.groups), complete=whole))
    if turn.unseen:
        yield _unforeseen(index, turn.unseen)
    elif not any(turn.answers(Keys)):
        yield _unforeseen(index, _why_unasked(index))


def _why_unasked(index: Document) -> str:
    """Why the keys of an index cannot be told from documents that are stored nowhere."""
    if index.get("collation"):
        return "it has a collation, by which only the server compares"
    return "only the server makes its keys"


def _keeps_keys(turn: Turn) -> bool:
    """Whether only a sample was seen, and no key in it was changed: then those that are stored tell more."""
    seen, keys = turn.seen, next(turn.answers(Keys), None)
    return seen is not None and seen.sampled and keys is not None and not keys.moved


def _there_already(turn: Turn, index: Document) -> Iterator[Said]:
    """What the database itself finds, within a time."""
    if turn.stored is None:
        return
    if turn.database.count(turn.stored) >= LARGE:
        turn.tell(f"looking for equal keys in {turn.stored}, for up to {PATIENCE_S:.0f} s")
    try:
        found = turn.database.equal_keys(turn.stored, index, limit=GROUPS, seconds=PATIENCE_S)
    except MigrateError as error:
        yield _unforeseen(index, error.message)
        return
    if not found.groups and not found.complete:
        yield _unforeseen(index, f"the server could not tell within {PATIENCE_S:.0f} s")
    yield from _found(turn, index, found)


def _found(turn: Turn, index: Document, found: EqualKeys) -> Iterator[Said]:
    if not found.groups:
        return
    count = f"{len(found.groups)}" if found.complete else f"at least {len(found.groups)}"
    keys = "key stands" if len(found.groups) == 1 else "keys stand"
    documents = sum(group.documents for group in found.groups)
    yield Said(
        f"{count} {keys} in several documents of {turn.collection}, {documents} in all, where the unique index "
        f"{index['name']!r} on {_paths(index)} allows one",
        remedy(turn.collection, index, found.groups, stands=turn.walks),
        {
            "groups": len(found.groups),
            "documents": documents,
            "complete": found.complete,
            "examples": [_example(index, group) for group in found.groups[:EXAMPLES]],
        },
    )


def _made_by_pass(turn: Turn, keys: Keys) -> Iterator[Said]:
    """Keys that a pass changes into others that are taken, for good or for as long as it runs."""
    if not keys.moved or turn.seen is None:
        return
    if keys.groups:
        yield from _found(turn, keys.index, EqualKeys(tuple(keys.groups), complete=not turn.seen.sampled))
    elif keys.passing:
        certain = turn.seen.total <= _ALONE and not turn.resumed
        yield Said(
            f"while the pass runs, a document gets a key of the unique index {keys.index['name']!r} that another still "
            "has: the write is refused, though all keys differ in the end",
            f"DropIndex({turn.collection!r}, {keys.index['name']!r}) before it, and create the index again after it",
            {"pairs": [list(pair) for pair in keys.passing]},
            severity=Severity.ERROR if certain else Severity.WARNING,
        )


def _unforeseen(index: Document, why: str) -> Said:
    return Said(
        f"whether the unique index {index['name']!r} can be built cannot be foreseen: {why}",
        "apply what comes before it first, on a copy of the database, and plan again",
        severity=Severity.NOTE,
    )


def _paths(index: Document) -> str:
    return ", ".join(index["key"])


def _example(index: Document, group: EqualKey) -> Document:
    key = dict(zip(index["key"], group.key, strict=False))
    return {"key": key, "ids": list(group.ids), "documents": group.documents}
