"""Holding a transform to the fields that it declares: it must come out the same when it sees nothing else.

What differs then is what was written. What has to be declared may be another field, that was only read: to name it,
the transform is called once more with a document that notes which of its fields are asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from goaime_migrate.backends import raw
from goaime_migrate.backends.base import Reader
from goaime_migrate.engine.chain import Chain
from goaime_migrate.engine.step import Step
from goaime_migrate.errors import MigrationFailed, UndeclaredField
from goaime_migrate.results import Document


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
    changed = {c.id: c.after for c in chain.run(reader, documents).changed}
    return [changed.get(raw.id_of(document), document) for document in documents]


def _compare(alone: Chain, reader: Reader, before: Sequence[bytes], after: Sequence[bytes]) -> None:
    """Hold the results of whole documents against those of their declared fields alone."""
    (step,) = alone.steps
    alone = Chain([replace(step, model=None, check=None)], alone.tables)  # promises are about whole documents
    declared = {b"_id", *(name.encode() for name in step.fields or ())}
    old = [raw.fields(document) for document in before]
    projected = [raw.join(e for name, e in fields.items() if name in declared) for fields in old]
    try:
        seen = _results(alone, reader, projected)
    except MigrationFailed as error:
        raise _undeclared(step, error.id, error.field, str(error)) from error
    for document, was, whole, part in zip(before, old, after, seen, strict=True):
        name = _difference(was, raw.fields(whole), raw.fields(part), declared)
        if name is not None:
            written, identity = name.decode("utf-8", "replace"), raw.id_value(raw.id_of(whole))
            if name not in declared:
                raise _undeclared(step, identity, written, "")
            reason = f"{written} comes out differently where no other field is seen"
            raise _undeclared(step, identity, _asked_for(alone, document) or written, reason)


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
    arguments = {name: alone.tables[lookup] for name, lookup in step.lookups.items()}
    with suppress(Exception):
        step.transform(_Noting(raw.decode(document), asked), **arguments)
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
