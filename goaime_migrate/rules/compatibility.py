"""Releases of the application that are still at work while a migration runs, and after it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from goaime_migrate.operations import (
    CreateCollection,
    DropCollection,
    RemoveField,
    RenameCollection,
    RenameField,
    SetValidator,
)
from goaime_migrate.results import Severity
from goaime_migrate.rules.registry import FILES, Said
from goaime_migrate.rules.source import File

_ONCE_NOBODY = "# allow: breaks-old-code because no release that is at work reads it"
_ONCE_NONE_WRITES = "# allow: validator-strict because no release that is at work writes otherwise"


@FILES.rule("breaks-old-code", Severity.WARNING)
def breaks_old_code(file: File) -> Iterator[Said]:
    """What running releases of the application still read is renamed, removed, or given another type.

    While the migration runs, and until the last old process is gone, old code meets the new shape. What does not break
    it is done in two releases: first the new beside the old, then, when nobody reads the old any more, the old goes.
    """
    views = {
        o.name: o.options.get("viewOn") for o in file.migration.operations if isinstance(o, CreateCollection)
    }
    for number, operation in enumerate(file.migration.operations):
        if isinstance(operation, RenameCollection) and views.get(operation.old) == operation.new:
            continue  # old code goes on reading, through the view
        explain = _BREAKING.get(type(operation).__name__)
        if explain is not None:
            what, remedy = explain(operation)
            yield Said(
                f"old code still reads {what}",
                f"in two releases: {remedy}",
                {"operation": operation.describe()},
                collection=operation.collection,
                line=file.line_of(number),
            )


@FILES.rule("validator-strict", Severity.WARNING)
def validator_strict(file: File) -> Iterator[Said]:
    """A strict validator that refuses, set while old code still writes the old shape: its writes fail from then on.

    A collection that the same version creates has no old code.
    """
    new = {o.name for o in file.migration.operations if isinstance(o, CreateCollection)}
    for number, operation in enumerate(file.migration.operations):
        if not isinstance(operation, SetValidator) or operation.collection in new:
            continue
        options = operation.options
        if (options["validationLevel"], options["validationAction"]) != ("strict", "error"):
            continue
        call = f"SetValidator({operation.collection!r}, …"
        yield Said(
            f"the validator of {operation.collection} refuses what old code still writes",
            f"in two releases: first {call}, level='moderate', action='warn'), and look for its warnings in the "
            f"server's log; when the last old process is gone, {call}) with {_ONCE_NONE_WRITES}",
            {"level": options["validationLevel"], "action": options["validationAction"]},
            collection=operation.collection,
            line=file.line_of(number),
        )


def _renamed_field(operation: RenameField) -> tuple[str, str]:
    c, old, new = operation.collection, operation.old, operation.new
    where = "" if operation.where is None else f", where={operation.where!r}"
    copies = (
        f"TransformDocuments({c!r}, …{where}) that puts what is in {old} into {new} as well"
        if "$" in old + new
        else f"UpdateDocuments({c!r}, [{{'$set': {{{new!r}: {'$' + old!r}}}}}]{where})"
    )
    return (
        f"{old} of {c}",
        (
            f"1. {copies}, and a release that reads {new} and writes both; 2. a release that knows {new} "
            f"alone, then RemoveField({c!r}, {old!r}) with {_ONCE_NOBODY}"
        ),
    )


def _removed_field(operation: RemoveField) -> tuple[str, str]:
    c, paths = operation.collection, operation.paths
    names = " and ".join(paths)
    return (
        f"{names} of {c}",
        (
            f"1. a release that neither reads nor writes {names}; 2. RemoveField({c!r}, {', '.join(map(repr, paths))}) "
            f"with {_ONCE_NOBODY}"
        ),
    )


def _converted_field(operation: Any) -> tuple[str, str]:
    c, path, to = operation.collection, operation.path, operation.to
    return (
        f"{path} of {c} in its old type",
        (
            f"1. TransformDocuments({c!r}, …) that puts the {to} beside it under a new name, and a release that "
            f"reads the new field and writes both; 2. RemoveField({c!r}, {path!r}) with {_ONCE_NOBODY}"
        ),
    )


def _renamed_collection(operation: RenameCollection) -> tuple[str, str]:
    old, new = operation.old, operation.new
    return (
        f"the collection {old}",
        (
            f"1. RenameCollection({old!r}, {new!r}) and CreateCollection({old!r}, viewOn={new!r}, pipeline=[]) "
            f"in one version, so that old code goes on reading, and a release that uses {new}; "
            f"2. DropCollection({old!r}), which is the view, with {_ONCE_NOBODY}. Where old code writes to it, stop it "
            "first"
        ),
    )


def _dropped_collection(operation: DropCollection) -> tuple[str, str]:
    name = operation.name
    return (
        f"the collection {name}",
        (f"1. a release that does not use {name}; 2. DropCollection({name!r}) with {_ONCE_NOBODY}"),
    )


_BREAKING: Mapping[str, Callable[[Any], tuple[str, str]]] = {
    "RenameField": _renamed_field,
    "RemoveField": _removed_field,
    "ConvertField": _converted_field,
    "RenameCollection": _renamed_collection,
    "DropCollection": _dropped_collection,
}
"""What an operation takes from old code, and how that is done without."""
