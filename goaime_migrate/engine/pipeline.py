"""A step that the server computes: an update pipeline, run over a batch as an aggregation that writes nothing.

The result is written like any other, so that it is journaled, checked for its size and taken back alike.
"""

from __future__ import annotations

from collections.abc import Sequence

from goaime_migrate.backends import raw
from goaime_migrate.backends.base import Reader
from goaime_migrate.engine.chain import BatchResult, Chain, Changed, Step, check_size
from goaime_migrate.engine.lookups import Tables
from goaime_migrate.engine.tally import Tally
from goaime_migrate.errors import IdChanged


class Pipeline(Chain):
    """The chain of one step whose transform is a pipeline."""

    def run(
        self, reader: Reader, documents: Sequence[bytes], fields: Sequence[str] | None = None
    ) -> BatchResult:
        """What the pipeline makes of the documents, which must be as they are in the collection."""
        (step,) = self.steps
        tally = Tally([step.version])
        stages = list(step.pipeline)
        if fields is not None:
            stages.append({"$project": dict.fromkeys(("_id", *fields), 1)})
        found = reader.pipeline(step.collection, [raw.id_of(d) for d in documents], stages)
        results = {raw.id_of(d): d for d in found if raw.has_id(d)}
        changed: list[Changed] = []
        unchanged: list[bytes] = []
        for document in documents:
            identity = raw.id_of(document)
            after = results.get(identity)
            if after is None:
                raise IdChanged(
                    "the pipeline changed or removed _id",
                    version=step.version,
                    id=raw.id_value(identity),
                    field="_id",
                    hint="keep _id as it is",
                )
            if after == document:
                unchanged.append(identity)
                tally.count(None)
            else:
                check_size(step, "the pipeline", after, identity)
                changed.append(Changed(identity, document, after, (True,)))
                tally.count((True,))
        return BatchResult(changed, unchanged, tally, [])


def chain(steps: Sequence[Step], tables: Tables) -> Chain:
    """The chain for these steps."""
    return Pipeline(steps, tables) if any(step.pipeline for step in steps) else Chain(steps, tables)
