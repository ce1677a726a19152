"""The collections that this tool's own records live in, and what a project calls them.

The constants say which of them is meant. A backend translates them into names once, where it comes to a collection:
so two projects with records of different names share a database, and nobody else has to know.
"""

from __future__ import annotations

from collections.abc import Mapping

from goaime_migrate.backends.ports.roles import Reader
from goaime_migrate.backends.ports.values import CollectionInfo
from goaime_migrate.errors import InvalidConfiguration


class RecordName(str):
    """One of our own collections, by the name that it has where the configuration says nothing else."""

    __slots__ = ()


RECORDS_NAME = "schema_versions"
VERSIONS = RecordName(RECORDS_NAME)
LOCK = RecordName("schema_versions_lock")
PROGRESS = RecordName("schema_versions_progress")
JOURNAL = RecordName("schema_versions_journal")
TAIL = RecordName("schema_versions_tail")
LOG = RecordName("schema_versions_log")
RECORDS = (VERSIONS, LOCK, PROGRESS, JOURNAL, TAIL, LOG)
SUFFIXES = ("_lock", "_progress", "_journal", "_tail", "_log", "_aside")
"""How names end that are made from another one."""


_MARKS = {
    VERSIONS: ("state", "checksum"),
    LOCK: ("fence",),
    PROGRESS: ("kind", "format"),
    JOURNAL: ("pass",),
    TAIL: ("pass", "ids"),
    LOG: ("at", "action", "format"),
}
"""Fields that every record of a kind has."""


def require_own(reader: Reader, there: Mapping[str, CollectionInfo], records: str) -> None:
    """Refuse to keep records in collections that are not ours, by their kind or their first document.

    `there` are all collections that the database has, ours too. Raises InvalidConfiguration.
    """
    for collection, marks in _MARKS.items():
        name = name_of(collection, records)
        info = there.get(name)
        first = reader.find(collection, {}, limit=1) if info and info.kind == "collection" else []
        if info and (info.kind != "collection" or (first and not all(mark in first[0] for mark in marks))):
            what = (
                f"has {first[0]['_id']!r:.100}, which is no record of this tool"
                if first
                else f"is a {info.kind}"
            )
            raise InvalidConfiguration(
                f"records = {records}: the collection {name} is not ours, it {what}",
                hint=f"choose another name for records than {records}, one that no collection begins with",
                field="records",
            )


def name_of(collection: str, records: str) -> str:
    """What a collection is called where our own are called `records`; users' collections are called what they are."""
    if isinstance(collection, RecordName):
        return records + collection.removeprefix(RECORDS_NAME)
    return collection


def is_ours(collection: str, records: str) -> bool:
    """Whether a name is, or may become, that of one of our own collections."""
    if records == RECORDS_NAME:
        return collection.startswith(records)
    return collection == records or collection.startswith(tuple(f"{records}{suffix}" for suffix in SUFFIXES))
