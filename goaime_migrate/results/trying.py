"""What `try` returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from goaime_migrate.errors import MigrateError
from goaime_migrate.results.words import Document, Key, Value


@dataclass(frozen=True)
class TriedStep:
    """What one operation makes of the document."""

    version: str
    name: str
    """Of the version."""
    operation: str
    changed: bool
    """Whether anything is written: the document, or others that come of it."""
    warnings: tuple[str, ...]
    problems: tuple[str, ...]
    """How the result breaks the promises of the operation: model=, check=."""
    before: Annotated[Document, Key(extended=True)]
    after: Annotated[Document | None, Key(extended=True)]
    """None where the document is deleted, or the operation has failed."""
    made: Annotated[tuple[Document, ...], Key(extended=True)] = ()
    """The documents that it would insert or derive,"""
    into: str = ""
    """and the collection that they would come into."""
    failed: bool = False
    """Whether it has, as the error of the result says; nothing comes behind it."""
    notes: tuple[str, ...] = ()
    """What should be known of it, that it leaves this document out for example."""


@dataclass(frozen=True)
class TryResult:
    """One document through one version, and before that through the pending ones in front. Nothing was written."""

    version: str
    collection: str
    id: Value
    before: Annotated[Document | None, Key(extended=True)]
    after: Annotated[Document | None, Key(extended=True)]
    """None where a step has failed, or where the document is deleted."""
    steps: tuple[TriedStep, ...]
    error: MigrateError | None
    given: bool = False
    """Whether the document was handed over, and is not in the database."""
    notes: tuple[str, ...] = ()
