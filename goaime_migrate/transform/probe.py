"""What is asked before a pass opens: whether its filters make sense, whether transforms keep to their `fields=`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import CollectionReader, Filter, Reader
from goaime_migrate.errors import (
    MigrationFailed,
    MissingCapability,
    NotPure,
    OperationFailed,
    UndeclaredField,
    UsageError,
)
from goaime_migrate.errors.hint import UP, Hint
from goaime_migrate.results import Document
from goaime_migrate.transform.chain import Chain
from goaime_migrate.transform.step import UNENCODABLE, Step

_AGAIN = 5
"""How often a transform is called again to find out whether it is pure: a coin may fall the same way twice."""


def check_declared_fields(chain: Chain, reader: Reader, documents: Sequence[bytes]) -> list[bytes]:
    """The results of the chain, in the order of the documents.

    Refuses a step whose result differs when it sees only its declared `fields`. Raises UndeclaredField.
    """
    if all(step.fields is None for step in chain.steps):
        return _results(chain, reader, documents)
    for step in chain.steps:
        alone = Chain([step], chain.tables)
        after = _results(alone, reader, documents)
        if step.fields is not None:
            _compare(alone, reader, documents, after)
        documents = after
    return list(documents)


def _results(chain: Chain, reader: Reader, documents: Sequence[bytes]) -> list[bytes]:
    """What the chain makes of documents, in their order."""
    return chain.run(reader, documents).applied_to(documents)


def _compare(alone: Chain, reader: Reader, before: Sequence[bytes], after: Sequence[bytes]) -> None:
    """Hold the results of whole documents against those of their declared fields alone."""
    (step,) = alone.steps
    alone = Chain([replace(step, model=None, check=None)], alone.tables)  # promises are about whole documents
    declared = {b"_id", *(name.encode() for name in step.fields or ())}
    old = [raw_bson.fields(document) for document in before]
    projected = [raw_bson.join(e for name, e in fields.items() if name in declared) for fields in old]
    try:
        seen = _results(alone, reader, projected)
    except MigrationFailed as error:
        for document, whole in zip(before, after, strict=True):
            if raw_bson.id_value(raw_bson.id_of(document)) == error.id:
                _require_pure(alone, reader, document, whole)
        raise _undeclared(step, error.id, error.field, str(error)) from error
    for document, was, whole, trimmed, part in zip(before, old, after, projected, seen, strict=True):
        name = _difference(was, raw_bson.fields(whole), raw_bson.fields(part), declared)
        if name is not None:
            _require_pure(alone, reader, document, whole)
            _require_pure(alone, reader, trimmed, part)
            written, identity = name.decode("utf-8", "replace"), raw_bson.id_value(raw_bson.id_of(whole))
            if name not in declared:
                raise _undeclared(step, identity, written, "")
            reason = f"{written} comes out differently where no other field is seen"
            raise _undeclared(step, identity, _asked_for(alone, document) or written, reason)


def _require_pure(alone: Chain, reader: Reader, document: bytes, made: bytes) -> None:
    """Call the transform on the same document again. Raises NotPure where something else comes of it."""
    (step,) = alone.steps
    for _ in range(_AGAIN):
        if _results(alone, reader, [document]) != [made]:
            raise NotPure(
                f"{step.name} is not pure: called again on the same document it gives something else",
                version=step.version,
                id=raw_bson.id_value(raw_bson.id_of(document)),
                hint=Hint("let it use no clock and no random value in {}, then: {}", step.source, UP),
            )


def _difference(
    before: Mapping[bytes, bytes],
    whole: Mapping[bytes, bytes],
    part: Mapping[bytes, bytes],
    declared: set[bytes],
) -> bytes | None:
    """The first field that was written without being declared, or that came out differently."""
    for name in {**before, **whole, **part}:
        expected = part.get(name) if name in declared else before.get(name)
        if whole.get(name) != expected or (name in part and name not in declared):
            return name
    return None


class _Noting(dict[str, Any]):
    """A document that notes which fields it is asked for."""

    def __init__(self, document: Document, asked: list[str]) -> None:
        super().__init__(document)
        self._asked = asked

    def __getitem__(self, name: str) -> Any:
        self._asked.append(name)
        return super().__getitem__(name)

    def __contains__(self, name: object) -> bool:
        self._asked.append(str(name))
        return super().__contains__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self._asked.append(name)
        return super().get(name, default)

    def pop(self, name: str, *default: Any) -> Any:
        self._asked.append(name)
        return super().pop(name, *default)

    def setdefault(self, name: str, default: Any = None) -> Any:
        self._asked.append(name)
        return super().setdefault(name, default)


def _asked_for(alone: Chain, document: bytes) -> str | None:
    """The first field that the transform asks for without having declared it, None where it asks for none by name."""
    (step,) = alone.steps
    asked: list[str] = []
    arguments = alone.tables.arguments(step)
    with suppress(Exception):
        step.transform(_Noting(raw_bson.decode(document), asked), **arguments)
    declared = ("_id", *(step.fields or ()))
    return next((name for name in asked if name not in declared), None)


def _undeclared(step: Step, identity: Any, name: str | None, reason: str) -> UndeclaredField:
    return UndeclaredField(
        f"{step.name} uses a field that fields= does not declare" + (f": {reason}" if reason else ""),
        version=step.version,
        id=identity,
        field=name,
        hint=f"add it to fields= in {step.source}, or leave fields= out",
    )


_NOTHING: Filter = {"_id": {"$in": []}}
_FIRST = frozenset({"$collStats", "$geoNear", "$indexStats", "$search", "$searchMeta", "$vectorSearch"})


def require_filters(backend: CollectionReader, steps: Sequence[Step], canary: Filter | None) -> None:
    """Refuse a filter that cannot be evaluated, by itself and not as a part of what the engine makes of it.

    Raises OperationFailed for the `where=` of a file, UsageError for a canary's, MissingCapability.
    """
    _require_filter(backend, steps[0], steps[0].collection, steps[0].where, "where=")
    for step in steps:
        for name, lookup in step.looked_up.items():
            _require_filter(backend, step, lookup.collection, lookup.where, f"where= of the lookup {name}=")
    try:
        evaluate(backend, steps[0].collection, canary)
    except OperationFailed as error:
        raise UsageError(
            f"--where is no filter: {error.message}", hint="""--where '{"username": "goAmy"}'"""
        ) from error


def _require_filter(
    backend: CollectionReader, step: Step, collection: str, where: Filter | None, what: str
) -> None:
    """Refuse a filter that is written in a file. Raises OperationFailed, MissingCapability."""
    try:
        evaluate(backend, collection, where)
    except MissingCapability as error:
        raise error.at(step.version) from None
    except (OperationFailed, UsageError) as error:
        raise OperationFailed(
            f"the {what} of {Path(step.source).name} is no filter: {error.message}",
            version=step.version,
            hint=Hint("correct {}, then: {}", step.source, UP),
        ) from error


def evaluate(backend: CollectionReader, collection: str, where: Filter | None) -> None:
    """Let the database read a filter and, on a server, no document: it looks at the whole filter first."""
    if not where:
        return
    try:
        raw_bson.encode(dict(where))
    except UNENCODABLE as error:
        raise UsageError(
            f"the filter cannot be encoded as BSON: {error}", hint="write it with values that BSON knows"
        ) from error
    wanted = {"$and": [where, _NOTHING]} if backend.capabilities.server_code else where
    backend.count(collection, wanted, limit=1)


def evaluate_stages(backend: CollectionReader, collection: str, stages: Sequence[Document]) -> None:
    """Let a server read a pipeline, and no document. Raises OperationFailed. Some stages have to be the first."""
    if stages and not stages[0].keys() & _FIRST:
        for _ in backend.aggregate(collection, [{"$match": _NOTHING}, *stages, {"$limit": 1}]):
            pass


def combine(first: Filter | None, second: Filter | None) -> Filter | None:
    """Documents that match both."""
    if first and second:
        return {"$and": [first, second]}
    return first or second
