"""The operation that gives the values of a field another type."""

from __future__ import annotations

import warnings
from typing import Any

from goaime_migrate.backends.ports import Filter
from goaime_migrate.operations.base import require
from goaime_migrate.operations.fields import FieldOperation, walk_places
from goaime_migrate.results import Document
from goaime_migrate.transform.conversion import TARGETS, Unconvertible, convert
from goaime_migrate.transform.paths import EACH, CannotChange, parse

_ON_ERROR = {
    "stop": "",
    "keep": "stays as it is",
    "null": "becomes null",
}
"""What becomes of a value that does not convert; in words, where the run goes on."""


class ConvertField(FieldOperation):
    """Convert the values of a field to a type, as `$convert` does; null, and what is of that type, stays.

    What has no counterpart of that type, or would lose something, is treated as `on_error` says: "stop" names the
    document, "keep" leaves the value, "null" puts null; the last two are told, with the number of documents.
    """

    def __init__(
        self, collection: str, path: str, to: str, *, where: Filter | None = None, on_error: str = "stop"
    ) -> None:
        found = parse(path, "ConvertField")
        self.path, self.to = path, to
        require(
            to in list(TARGETS),
            f"ConvertField: there is no type {to!r}",
            f"the types are {', '.join(TARGETS)}",
        )
        require(
            on_error in list(_ON_ERROR),
            f"ConvertField: on_error must be {', '.join(_ON_ERROR)}, not {on_error!r}",
            "on_error='stop' names the first document that has such a value",
        )
        told = f"{path}: what does not convert to {to} {_ON_ERROR[on_error]}"

        def convert_field(document: Document) -> None:
            failed = False
            for holder, key in walk_places(document, [found]):
                if isinstance(holder, dict) and key not in holder:
                    continue
                try:
                    holder[key] = convert(holder[key], to)
                except Unconvertible as error:
                    if on_error == "stop":
                        raise _failure(path, holder[key], to, error) from error
                    failed = True
                    if on_error == "null":
                        holder[key] = None
            if failed:
                warnings.warn(told, stacklevel=2)

        super().__init__(
            collection, f"convert {path} in {collection} to {to}", convert_field, [found], where=where
        )


def _failure(path: str, value: Any, to: str, error: Unconvertible) -> CannotChange:
    inside = f"; to convert its elements, write {path}.{EACH}" if isinstance(value, list) else ""
    return CannotChange(path, f"{value!r:.200} does not convert to {to}: {error}{inside}")
