"""A single document on its way through operations, and what each of them makes of it. Nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import CollectionReader, Filter, Reader, Sort
from goaime_migrate.results import Document, TriedStep
from goaime_migrate.transform.chain import Chain
from goaime_migrate.transform.lookups import Lookup
from goaime_migrate.transform.pipeline import chain_of
from goaime_migrate.transform.probe import check_declared_fields
from goaime_migrate.transform.step import Step, broken_promises


class Surroundings(Reader):
    """The database around a document that need not be stored as it is. It is opened with the first question."""

    def __init__(self, open: Callable[[], CollectionReader], document: bytes) -> None:
        self._open = open
        self.document = document
        """As it stands now: the only one that a pipeline is asked to change."""

    def documents(self, collection: str, **options: Any) -> list[bytes]:
        """Those of the database."""
        return self._open().documents(collection, **options)

    def by_ids(
        self,
        collection: str,
        ids: Sequence[bytes],
        where: Filter | None = None,
        fields: Sequence[str] | None = None,
    ) -> list[bytes]:
        """Those of the database."""
        return self._open().by_ids(collection, ids, where, fields)

    def lookup(
        self,
        collection: str,
        key: str,
        values: Sequence[Any],
        fields: Sequence[str] | None,
        *,
        after: bytes | None = None,
        limit: int = 0,
    ) -> list[Document]:
        """Those of the database."""
        return self._open().lookup(collection, key, values, fields, after=after, limit=limit)

    def pipeline(self, collection: str, ids: Sequence[bytes], stages: Sequence[Document]) -> list[bytes]:
        """Of this document, as it stands now."""
        made = self._open().if_stored(collection, self.document, None, stages)
        return [] if made is None else [made]

    def find(
        self,
        collection: str,
        filter: Filter,
        *,
        sort: Sort = (),
        limit: int = 0,
        fields: Sequence[str] | None = None,
    ) -> list[Document]:
        """Those of the database."""
        return self._open().find(collection, filter, sort=sort, limit=limit, fields=fields)

    def matches(self, collection: str, where: Filter) -> bool:
        """Whether a filter would find this document, were it stored as it stands now."""
        return self._open().if_stored(collection, self.document, where, ()) is not None


def take_through(step: Step, name: str, operation: str, around: Surroundings) -> TriedStep:
    """What a step makes of the document, which then stands so. `name` is its version's.

    Raises what stops a run, but no broken promise: these are told.
    """
    document = around.document
    chain = chain_of("try", [replace(step, model=None, check=None)], freeze=False)
    if step.fields is not None:
        check_declared_fields(chain, around, [document])
    result = chain.run(around, [document])
    around.document = after = result.changed[0].after if result.changed else document
    return TriedStep(
        version=step.version,
        name=name,
        operation=operation,
        changed=bool(result.changed),
        warnings=tuple(text for _, text in result.counts.warnings),
        problems=tuple(_problems(step, chain, around, after)),
        before=raw_bson.decode_leniently(document),
        after=raw_bson.decode_leniently(after),
        notes=tuple(_in_vain(step.lookups, chain)),
    )


def left_out(step: Step, name: str, operation: str, around: Surroundings) -> TriedStep:
    """A step whose filter does not find the document."""
    document = raw_bson.decode_leniently(around.document)
    note = f"where= does not match this document: {dict(step.where or {})}"
    return TriedStep(step.version, name, operation, False, (), (), document, document, notes=(note,))


def failed(step: Step, name: str, operation: str, around: Surroundings) -> TriedStep:
    """A step that has raised."""
    document = raw_bson.decode_leniently(around.document)
    return TriedStep(step.version, name, operation, False, (), (), document, None, failed=True)


def _problems(step: Step, chain: Chain, around: Surroundings, after: bytes) -> list[str]:
    """How a document breaks the promises of a step, once everything is loaded that they ask for."""
    arguments: Mapping[str, Any] = {name: chain.tables[lookup] for name, lookup in step.lookups.items()}
    while True:
        chain.tables.misses.clear()
        found = [
            text if name is None or text.startswith(f"{name}: ") else f"{name}: {text}"
            for name, text in broken_promises(step, raw_bson.decode_any(after), arguments)
        ]
        if not chain.tables.misses:
            return found
        chain.tables.load(around)


def _in_vain(lookups: Mapping[str, Lookup], chain: Chain) -> Iterator[str]:
    """The lookups that were asked and have found nothing."""
    for name, lookup in lookups.items():
        table = chain.tables[lookup]
        if table.missed and not table.met:
            yield f"the lookup {name}= finds nothing in {lookup.collection!r} by {lookup.key!r}"
