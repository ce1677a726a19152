"""The chain of one step whose transform is an update pipeline.

A pipeline is run over a batch as an aggregation that writes nothing, so that its results are journaled and checked for
their size like any other. Then the server runs it over the range once more, as one update in the same transaction:
both see the same documents. Where it would not give the same twice, its results are written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import Reader
from goaime_migrate.errors import IdChanged
from goaime_migrate.results import Document
from goaime_migrate.transform.chain import BatchResult, Chain, Changed
from goaime_migrate.transform.counts import PassCounts
from goaime_migrate.transform.step import check_size

_IMPURE = ("$$NOW", "$$CLUSTER_TIME", "$rand", "$sampleRate", "$function", "$accumulator", "$where")
"""What may give something else each time."""


class Pipeline(Chain):
    """The chain of one step whose transform is a pipeline."""

    def run(
        self, reader: Reader, documents: Sequence[bytes], fields: Sequence[str] | None = None
    ) -> BatchResult:
        """What the pipeline makes of the documents, which must be as they are in the collection."""
        (step,) = self.steps
        result = BatchResult([], [], PassCounts([step.version]), [])
        results = computed(reader, step.collection, documents, step.pipeline, fields)
        for document in documents:
            identity = raw_bson.id_of(document)
            after = results.get(identity)
            if after is None:
                raise IdChanged(
                    "the pipeline changed or removed _id",
                    version=step.version,
                    id=raw_bson.id_value(identity),
                    field="_id",
                    hint="keep _id as it is",
                )
            if after == document:
                result.unchanged.append(identity)
                result.counts.count(None)
            else:
                check_size(step, "the pipeline", after, identity)
                result.changed.append(Changed(identity, document, after, (True,)))
                result.counts.count((True,))
        if not _names(step.pipeline).intersection(_IMPURE):
            result.stages, written = step.pipeline, _written(step.pipeline)
            result.once = all(_are_once(each, written, narrow=fields is not None) for each in documents)
        return result


def _written(stages: Iterable[Document]) -> list[bytes]:
    """The top-level fields that the stages name as those that they set or remove."""
    found: dict[bytes, None] = {}
    for stage in stages:
        for value in stage.values():
            names = [value] if isinstance(value, str) else value
            paths = (name for name in names if isinstance(name, str)) if isinstance(names, Iterable) else ()
            found |= dict.fromkeys(path.partition(".")[0].encode() for path in paths)
    return list(found)


def _are_once(document: bytes, names: Iterable[bytes], *, narrow: bool) -> bool:
    """Whether a document surely has none of these fields twice: of a part of it the server shows the first alone."""
    if narrow:
        return not any(name + b"\0" in document for name in names)
    return not any(raw_bson.is_twice(document, name) for name in names)


def _names(value: Any) -> set[str]:
    """Every name and text in a pipeline, with variables cut down to their own names."""
    if isinstance(value, Mapping):
        return {str(key) for key in value}.union(*map(_names, value.values()))
    if isinstance(value, str):
        return {str(value).partition(".")[0]}  # a Code is a text without a hash
    return set().union(*map(_names, value)) if isinstance(value, Iterable) else set()


def computed(
    reader: Reader,
    collection: str,
    documents: Sequence[bytes],
    stages: Sequence[Document],
    fields: Sequence[str] | None,
) -> dict[bytes, bytes]:
    """What a server makes of the stored documents, or of these fields of theirs, by their raw `_id`s.

    Those that come out without one are left out.
    """
    carried = [] if fields is None else [{"$project": dict.fromkeys(("_id", *fields), 1)}]
    found = reader.pipeline(collection, [raw_bson.id_of(d) for d in documents], [*stages, *carried])
    return {raw_bson.id_of(d): d for d in found if raw_bson.has_id(d)}
