"""Whether the database understands the filters of a pass, asked before anything else: the same error on every engine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from goaime_migrate.backends import raw
from goaime_migrate.backends.base import Backend, Filter
from goaime_migrate.engine.step import UNENCODABLE, Step
from goaime_migrate.errors import MissingCapability, OperationFailed, UsageError

_NOTHING: Filter = {"_id": {"$in": []}}


def require_filters(backend: Backend, steps: Sequence[Step], canary: Filter | None) -> None:
    """Refuse a filter that cannot be evaluated, by itself and not as a part of what the engine makes of it.

    Raises OperationFailed for the `where=` of a file, UsageError for a canary's, MissingCapability.
    """
    step = steps[0]
    try:
        _evaluate(backend, step.collection, step.where)
    except MissingCapability as error:
        raise error.at(step.version) from None
    except (OperationFailed, UsageError) as error:
        raise OperationFailed(
            f"the where= of {Path(step.source).name} is no filter: {error.message}",
            version=step.version,
            hint=f"correct {step.source}, then: goaime-migrate up",
        ) from error
    try:
        _evaluate(backend, step.collection, canary)
    except OperationFailed as error:
        raise UsageError(
            f"--where is no filter: {error.message}", hint="""--where '{"username": "goAmy"}'"""
        ) from error


def _evaluate(backend: Backend, collection: str, where: Filter | None) -> None:
    """Let the database read a filter and, on a server, no document: it looks at the whole filter first."""
    if not where:
        return
    try:
        raw.encode(dict(where))
    except UNENCODABLE as error:
        raise UsageError(
            f"the filter cannot be encoded as BSON: {error}", hint="write it with values that BSON knows"
        ) from error
    wanted = {"$and": [where, _NOTHING]} if backend.capabilities.server_code else where
    backend.count(collection, wanted, limit=1)
