"""The chain for some steps: what it can do without, and how it is tried again on documents by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime

from goaime_migrate.backends.ports import Reader
from goaime_migrate.errors import MigrationFailed
from goaime_migrate.transform.chain import Chain
from goaime_migrate.transform.deduplication import Deduplication, DuplicatesStep
from goaime_migrate.transform.deletion import DeleteStep, Deletion
from goaime_migrate.transform.derivation import Derivation, DeriveStep
from goaime_migrate.transform.field_chains import Addition, Marked, Removal
from goaime_migrate.transform.frozen_lookups import FrozenLookups
from goaime_migrate.transform.lookup_table import Late
from goaime_migrate.transform.lookups import Lookup
from goaime_migrate.transform.pipeline import Pipeline
from goaime_migrate.transform.step import Step

_KINDS: dict[type[Chain], type[Step]] = {
    Deletion: DeleteStep,
    Deduplication: DuplicatesStep,
    Derivation: DeriveStep,
}


def chain(steps: Sequence[Step], tables: FrozenLookups) -> Chain:
    """The chain for these steps."""
    if any(step.pipeline for step in steps):
        return Pipeline(steps, tables)
    if len(steps) == 1 and steps[0].adds is not None:
        return Addition(steps, tables)
    if len(steps) == 1 and steps[0].removes:
        return Removal(steps, tables)
    if len(steps) == 1 and steps[0].marking is not None:
        return Marked(steps, tables)
    of_kind = (kind for kind, made in _KINDS.items() if any(isinstance(step, made) for step in steps))
    return next(of_kind, Chain)(steps, tables)


def chain_of(
    pass_id: str,
    steps: Sequence[Step],
    *,
    began: datetime | None,
    freeze: bool = True,
    late: Late = Late.NOTHING,
) -> Chain:
    """The steps with their lookup tables; `began` is when the pass did."""
    lookups: list[Lookup] = [lookup for step in steps for lookup in step.looked_up.values()]
    writes = steps[0].writes
    tables = FrozenLookups(pass_id, lookups, freeze=freeze, writes=writes, began=began, late=late)
    return chain(steps, tables)


def replay(chain: Chain, reader: Reader, documents: Sequence[bytes]) -> list[bytes | None]:
    """The documents after the chain; None for one that it refuses today.

    Halves are tried once the error is done with: while it is handled, all others would hang on to it, frames and all.
    """
    if not chain.steps:
        return list(documents)
    with suppress(MigrationFailed):
        return [*chain.run(reader, documents).applied_to(documents)]
    if len(documents) == 1:
        return [None]
    half = len(documents) // 2
    return [*replay(chain, reader, documents[:half]), *replay(chain, reader, documents[half:])]
