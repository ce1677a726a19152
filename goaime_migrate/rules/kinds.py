"""Views, and collections of other kinds, which do not allow all that an ordinary one does."""

from __future__ import annotations

from collections.abc import Iterator

from goaime_migrate.backends.ports import CollectionInfo
from goaime_migrate.errors import OperationFailed
from goaime_migrate.operations import CreateCollection, CreateIndex, DropIndex, RenameCollection, SetValidator
from goaime_migrate.operations.collections import NOUNS
from goaime_migrate.results import Severity
from goaime_migrate.rules.outline import Shape
from goaime_migrate.rules.registry import TURNS, Said
from goaime_migrate.rules.turn import Turn
from goaime_migrate.transform.probe import evaluate_stages


@TURNS.rule("collection-kind", Severity.ERROR, early=True)
def collection_kind(turn: Turn) -> Iterator[Said]:
    """What is to be changed is a view, or a collection whose kind does not allow it.

    Documents of a view, of a capped or a time-series collection, and of one with a collation cannot be replaced one by
    one; a view has no indexes and no validator, and no server renames one.
    """
    if turn.walks:
        for shape in _each(turn.walked, turn.shape):
            yield from _unwalkable(shape)
    elif not turn.begun:
        yield from _unchangeable(turn)


@TURNS.rule("view-invalid", Severity.ERROR, early=True)
def view_invalid(turn: Turn) -> Iterator[Said]:
    """The server does not know what the pipeline of a view that is to be created asks."""
    creating = turn.only(CreateCollection)
    if creating is None or turn.begun or not turn.database.capabilities.validators:
        return
    try:
        evaluate_stages(
            turn.database, str(creating.options.get("viewOn")), creating.options.get("pipeline", ())
        )
    except OperationFailed as error:
        yield Said(
            f"the view {creating.name} cannot be used: {error.message}",
            "correct its pipeline",
            {"pipeline": list(creating.options["pipeline"])},
        )


def _each(*shapes: Shape | None) -> Iterator[Shape]:
    """Those that there are by then, each once."""
    yield from {shape.name: shape for shape in shapes if shape is not None}.values()


def _unwalkable(shape: Shape) -> Iterator[Said]:
    reason = CollectionInfo(shape.name, shape.kind, shape.options).unwalkable
    if reason:
        yield Said(
            f"{shape.name} cannot be migrated: {reason}",
            f"migrate the collection behind it, {shape.options['viewOn']!r}"
            if shape.kind == "view"
            else "copy it to an ordinary collection in a plain up(db), and migrate that",
            {"kind": shape.kind, "options": shape.options},
            collection=shape.name,
        )


def _unchangeable(turn: Turn) -> Iterator[Said]:
    """What no server does to a view, or to measurements."""
    operation: object = turn.operations[0]
    name = operation.old if isinstance(operation, RenameCollection) else turn.collection
    shape = turn.before.get(name)
    if shape is None or shape.kind not in NOUNS:
        return
    what = NOUNS[shape.kind]
    behind = (
        f"name the collection behind it, {shape.options['viewOn']!r}"
        if shape.kind == "view"
        else "leave it out"
    )
    match operation:
        case RenameCollection():
            said, remedy = f"no server renames a {what}", "drop it and create it again under the other name"
        case CreateIndex() | DropIndex() if shape.kind == "view":
            said, remedy = "a view has no indexes of its own", behind
        case SetValidator():
            said, remedy = f"a {what} has no validator", behind
        case _:
            return
    yield Said(f"{operation.describe()}: {said}", remedy, {"kind": shape.kind}, collection=shape.name)
