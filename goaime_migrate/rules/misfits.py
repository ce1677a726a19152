"""The documents that a validator would refuse if they were written as they are, counted in bounded time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import CollectionReader, Filter

EXAMPLES = 3
SAMPLE = 2_000
"""Documents that are looked at where there is no time for all of them."""
_PORTION = 2_000
_PATIENCE_S = 5.0


@dataclass(frozen=True)
class Misfits:
    """How many of so many documents do not meet a validator, with the `_id`s of some."""

    count: int
    documents: int
    examples: tuple[Any, ...]
    estimated: bool
    """Whether a sample alone was looked at."""


def misfits(
    backend: CollectionReader,
    collection: str,
    validator: Filter,
    patience_s: float = _PATIENCE_S,
    only: Filter | None = None,
) -> Misfits:
    """Count them, among those that match `only`; or estimate how many there are where that takes longer.

    Raises MissingCapability, UsageError where the database does not know what the validator asks.
    """
    unfit: Filter = {"$and": [only, {"$nor": [validator]}]} if only else {"$nor": [validator]}
    total, deadline = backend.count(collection), time.monotonic() + patience_s
    count = 0
    examples: list[bytes] = []
    for after, upto in _portions(backend, collection, total):
        if time.monotonic() > deadline:
            return _estimate(backend, collection, unfit, total)
        found = backend.documents(collection, after=after, upto=upto, where=unfit, fields=())
        count += len(found)
        examples += found[: EXAMPLES - len(examples)]
    return Misfits(count, total, _ids(examples), estimated=False)


def _portions(
    backend: CollectionReader, collection: str, total: int
) -> Iterator[tuple[bytes | None, bytes | None]]:
    """The collection in ranges of `_id`: after the first, up to the second; None is its beginning, or its end."""
    after = None
    for upto in chain(backend.ids_apart(collection, [_PORTION] * (total // _PORTION)), [None]):
        yield after, upto
        after = upto


def _estimate(backend: CollectionReader, collection: str, unfit: Filter, total: int) -> Misfits:
    ids = [raw_bson.id_of(document) for document in backend.sample(collection, SAMPLE)]
    found = backend.by_ids(collection, ids, where=unfit, fields=())
    count = round(total * len(found) / len(ids)) if ids else 0
    return Misfits(count, total, _ids(found[:EXAMPLES]), estimated=True)


def _ids(documents: list[bytes]) -> tuple[Any, ...]:
    return tuple(raw_bson.id_value(raw_bson.id_of(document)) for document in documents)
