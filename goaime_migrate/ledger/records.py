"""What all records have in common: a format, texts without secrets, and errors that name the one that is damaged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from goaime_migrate._version import __version__
from goaime_migrate.backends.record_codec import document_of
from goaime_migrate.backends.record_fields import reading
from goaime_migrate.errors import NewerFormat
from goaime_migrate.errors.hint import PROGRAM, UPGRADE
from goaime_migrate.redaction import redact
from goaime_migrate.results import Document

FORMAT = 2
"""Of every record, the journal's included: a release that changes one raises this, so that none is read in part."""
TOOL = f"{PROGRAM} {__version__}"
_Record = TypeVar("_Record")


def with_format(record: Any, **heading: Any) -> Document:
    """What is kept of a record: its `_id`, what tells it from other kinds, the format, then its other fields."""
    fields = document_of(record)
    return {"_id": fields.pop("_id"), **heading, "format": FORMAT, **fields}


def parse(collection: str, read: Callable[[Document], _Record], document: Document) -> _Record:
    """A record as a value. Raises NewerFormat, DamagedRecord."""
    newer = document.get("format", 0)
    if isinstance(newer, int) and newer > FORMAT:
        raise NewerFormat(
            f"the record {document['_id']!r} has format {document['format']}; {TOOL} knows up to {FORMAT}",
            hint=UPGRADE,
        )
    with reading(collection, document.get("_id")):
        return read(document)


def storable(text: str, length: int | None = None) -> str:
    """What users' code says, as it may be kept in a record: without secrets, cut, and such that BSON can hold it.

    Every text of theirs that goes into a record goes through here. What a record needs word for word, to undo an
    operation, does not.
    """
    return redact(text)[:length].encode("utf-8", "backslashreplace").decode()
