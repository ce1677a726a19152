"""Collections that are there, or are not."""

from __future__ import annotations

from collections.abc import Iterator

from goaime_migrate.operations import (
    CreateCollection,
    CreateIndex,
    DeriveDocuments,
    DropCollection,
    InsertDocuments,
    RenameCollection,
    SetValidator,
)
from goaime_migrate.operations.collections import ASIDE
from goaime_migrate.results import Severity
from goaime_migrate.rules.registry import TURNS, Said
from goaime_migrate.rules.turn import Turn
from goaime_migrate.units import size as octets

_LONGEST = 255
"""Bytes of the name of a collection with its database."""


@TURNS.rule("collection-exists", Severity.ERROR, early=True)
def collection_exists(turn: Turn) -> Iterator[Said]:
    """A collection is to get a name that another has. One that is to be created and is there already is left alone."""
    if turn.begun:
        return
    renaming, creating = turn.only(RenameCollection), turn.only(CreateCollection)
    if renaming is not None and (there := turn.before.get(renaming.new)) is not None:
        count = _count(turn, there.stored)
        yield Said(
            f"{renaming.old} cannot be renamed to {renaming.new}: there is such a collection, with {_documents(count)}",
            f"RenameCollection({renaming.new!r}, '{renaming.new}_old') before it, or DropCollection({renaming.new!r}), "
            "which keeps it aside until it is pruned",
            {"documents": count},
            collection=renaming.new,
        )
    if creating is not None and (there := turn.before.get(creating.name)) is not None:
        odd = [name for name, value in creating.options.items() if there.options.get(name) != value]
        if odd:
            yield Said(
                f"{creating.name} is there already, and is left as it is: it differs in {', '.join(sorted(odd))}",
                f"RenameCollection({creating.name!r}, '{creating.name}_old') before it, or leave the options out",
                {"documents": _count(turn, there.stored), "options": there.options},
                severity=Severity.WARNING,
            )


@TURNS.rule("collection-missing", Severity.ERROR, early=True)
def collection_missing(turn: Turn) -> Iterator[Said]:
    """A collection that is to be renamed is not there; a warning where one that is not there is to be walked over."""
    there = ", ".join(sorted(turn.before.shapes)[:20]) or "none"
    renaming = turn.only(RenameCollection)
    if renaming is not None and not turn.begun and turn.before.get(renaming.old) is None:
        yield Said(
            f"there is no collection {renaming.old!r} to be renamed to {renaming.new!r}",
            f"correct the name; there are: {there}",
            {"collections": sorted(turn.before.shapes)[:20]},
            collection=renaming.old,
        )
    if turn.walks and turn.walked is None and not turn.only(InsertDocuments):
        yield Said(
            f"there is no collection {turn.collection!r}: nothing will be changed",
            f"correct the name; there are: {there}",
            {"collections": sorted(turn.before.shapes)[:20]},
            severity=Severity.WARNING,
        )


@TURNS.rule("name-too-long", Severity.ERROR, early=True)
def name_too_long(turn: Turn) -> Iterator[Said]:
    """A collection would get a name that no server takes: with the database before it, of more than 255 bytes.

    One that is dropped is kept aside, under a name that is longer than its own.
    """
    if turn.begun:
        return
    operation: object = turn.operations[0]
    match operation:
        case RenameCollection():
            name = operation.new
        case DropCollection() if turn.shape is not None and turn.shape.kind == "collection":
            name = f"{ASIDE}.{turn.refs[0].version}.{operation.name}"
        case CreateIndex() | CreateCollection() | SetValidator() | InsertDocuments() | DeriveDocuments() if (
            turn.shape is None
        ):
            name = turn.written or ""
        case _:
            return
    length = len(f"{turn.database.database_name}.{name}".encode())
    if length > _LONGEST:
        yield Said(
            f"{turn.database.database_name}.{name} has {length} bytes, and the name of a collection at most {_LONGEST}",
            "choose a shorter one"
            if not isinstance(operation, DropCollection)
            else "give it a shorter name before it goes: RenameCollection",
            {"bytes": length},
            collection=name,
        )


@TURNS.rule("drop-collection", Severity.WARNING)
def drop_collection(turn: Turn) -> Iterator[Said]:
    """What a collection that is dropped holds. It is kept aside, so that `down` brings it back, until it is pruned."""
    dropping, shape = turn.only(DropCollection), turn.shape
    if dropping is None or turn.begun:
        return
    if shape is None:
        yield Said(
            f"there is no collection {dropping.name!r}: nothing will be dropped",
            "correct the name",
            severity=Severity.NOTE,
        )
    elif shape.stored is not None and shape.kind == "collection":
        size = turn.database.size(shape.stored)
        yield Said(
            f"{dropping.name} holds {_documents(size.documents)}, {octets(size.size)}, kept aside: the room is not free "
            "before they are pruned",
            "see that nothing reads it any more; what is kept aside goes with `prune`",
            {"documents": size.documents, "bytes": size.size},
        )


def _documents(count: int) -> str:
    return f"{count:,} document" + ("" if count == 1 else "s")


def _count(turn: Turn, stored: str | None) -> int:
    return 0 if stored is None else turn.database.count(stored)
