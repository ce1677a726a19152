"""Filters and pipelines that no server can evaluate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from goaime_migrate.backends.ports import Filter
from goaime_migrate.errors import MissingCapability, OperationFailed, UsageError
from goaime_migrate.operations import UpdateDocuments
from goaime_migrate.planner.groups import OperationRef
from goaime_migrate.results import Document, Severity
from goaime_migrate.rules.lookups import lookups_of
from goaime_migrate.rules.registry import TURNS, Said
from goaime_migrate.rules.turn import Turn
from goaime_migrate.transform.probe import evaluate, evaluate_stages


class _Query(NamedTuple):
    """What is asked of a collection, as a migration says it."""

    refs: Sequence[OperationRef]
    """The operations that ask it: more than one where they are fused, since these have the same `where=`."""
    said: str
    collection: str
    where: Filter | None
    stages: Sequence[Document] = ()


@TURNS.rule("query-invalid", Severity.ERROR, early=True)
def query_invalid(turn: Turn) -> Iterator[Said]:
    """A filter or a pipeline, of an operation or of a lookup, asks what the server does not know.

    Of a pass that is the first of all to run nothing is said: it asks by itself before it writes.
    """
    if turn.place == 0 or turn.begun or not turn.walks:
        return
    for query in _queries(turn):
        try:
            evaluate(turn.database, query.collection, query.where)
            if turn.database.capabilities.server_code:
                evaluate_stages(turn.database, query.collection, query.stages)
        except MissingCapability:
            continue  # the pass is refused for it, as the embedded engine's limit that it is
        except (OperationFailed, UsageError) as error:
            for ref in query.refs:
                yield Said(
                    f"{query.said} asks {query.collection} what cannot be answered: {error.message}",
                    "correct it",
                    {"where": query.where} if query.where else {"pipeline": list(query.stages)},
                    ref=ref,
                )


def _queries(turn: Turn) -> Iterator[_Query]:
    first = turn.operations[0]
    collection = turn.stored or first.collection or ""
    where: Mapping[str, Any] | None = getattr(first, "where", None)
    yield _Query(turn.refs, "where=", collection, where)
    if isinstance(first, UpdateDocuments):  # which is alone in its pass
        yield _Query(turn.refs, "the pipeline", collection, None, first.pipeline)
    for ref, name, lookup in lookups_of(turn):
        shape = turn.before.get(lookup.collection)
        stored = (shape.stored if shape else None) or lookup.collection
        yield _Query([ref], f"the lookup {name}=", stored, lookup.where, lookup.pipeline or ())
