"""What all records have in common: a format, texts without secrets, and errors that name the one that is damaged."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

from goaime_migrate._version import __version__
from goaime_migrate.backends.record_fields import COUNT, MANY, TEXT, reading
from goaime_migrate.errors import NewerFormat
from goaime_migrate.redaction import redact
from goaime_migrate.results import Document

FORMAT = 1
"""Of every record, the journal's included: a release that changes one raises this, so that none is read in part."""
TOOL = f"goaime-migrate {__version__}"
WARNING = {"version": TEXT, "message": TEXT, "count": COUNT, "examples": MANY}
_Record = TypeVar("_Record")


def parsed(collection: str, parse: Callable[[Document], _Record], document: Document) -> _Record:
    """A record as a value. Raises NewerFormat, DamagedRecord."""
    newer = document.get("format", 0)
    if isinstance(newer, int) and newer > FORMAT:
        raise NewerFormat(
            f"the record {document['_id']!r} has format {document['format']}; {TOOL} knows up to {FORMAT}",
            hint="upgrade: pip install --upgrade goaime-migrate",
        )
    with reading(collection, document.get("_id")):
        return parse(document)


def storable(text: str, length: int | None = None) -> str:
    """What users' code says, as it may be kept in a record: without secrets, cut, and such that BSON can hold it.

    Every text of theirs that goes into a record goes through here. What a record needs word for word, to undo an
    operation, does not.
    """
    return redact(text)[:length].encode("utf-8", "backslashreplace").decode()


def utc(moment: datetime | None) -> datetime | None:
    """A moment as the driver gives it, with its zone."""
    return None if moment is None else moment.replace(tzinfo=UTC)
