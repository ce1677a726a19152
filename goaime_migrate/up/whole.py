"""All documents that a step is about, read as often as it takes to find out what goes."""

from __future__ import annotations

from goaime_migrate.backends.ports import CollectionReader
from goaime_migrate.run.reading import batches
from goaime_migrate.transform.duplicates import Read
from goaime_migrate.transform.step import Step


def reads_all(backend: CollectionReader, step: Step) -> tuple[Read, int]:
    """How to read them, and how many there are."""
    collection, where = step.collection, step.where
    return lambda fields: batches(backend, collection, where, fields=fields), backend.count(collection, where)
