"""The goAIME migrations as plain functions, for scripts that use them without goaime-migrate."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from bson import decode, encode
from pymongo.database import Database

from goaime_migrate import Lookup, TransformDocuments
from goaime_migrate.results import Document

ROOT = Path(__file__).resolve().parents[1]
MIGRATIONS = ROOT / "migrations"
LAST = "0004"
"""The last that changes documents: what comes after it is not timed."""

FrozenLookups = Mapping[Lookup, Any]
"""What each lookup of the transforms is answered from: anything that has `get`."""


@cache
def transforms() -> tuple[TransformDocuments, ...]:
    """The transforms of all migrations that have one, in order."""
    files = sorted(path for path in MIGRATIONS.glob("[0-9]*.py") if path.name[: len(LAST)] <= LAST)
    return tuple(map(_only_transform, files))


def _only_transform(path: Path) -> TransformDocuments:
    spec = importlib.util.spec_from_file_location(f"benchmarks_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (operation,) = module.operations
    assert isinstance(operation, TransformDocuments), path
    assert operation.collection == "sessions", path
    return operation


def lookups() -> set[Lookup]:
    """Every lookup of every transform."""
    given = (each for operation in transforms() for each in operation.lookups.values())
    return {each for each in given if isinstance(each, Lookup)}


def preloaded(database: Database[Document]) -> FrozenLookups:
    """Whole collections in memory; of documents with one key the smallest `_id` wins, as in a pass."""
    return {
        lookup: {each.get(lookup.key): each for each in database[lookup.collection].find(sort=[("_id", -1)])}
        for lookup in lookups()
    }


def applied(operation: TransformDocuments, document: Document, tables: FrozenLookups) -> Document:
    """What one transform makes of a document."""
    arguments = {name: tables[each] for name, each in operation.lookups.items() if isinstance(each, Lookup)}
    result = operation.transform(document, **arguments)
    return document if result is None else result


def results(raws: Sequence[bytes], tables: FrozenLookups, steps: int) -> list[bytes]:
    """What the first `steps` transforms make of documents, to hold a result against."""
    made = []
    with silence():
        for raw in raws:
            document = decode(raw)
            for operation in transforms()[:steps]:
                document = applied(operation, document, tables)
            made.append(encode(document))
    return made


@contextmanager
def silence() -> Iterator[None]:
    """Transforms warn about what they could not do: a script ignores it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield
