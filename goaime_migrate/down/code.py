"""What the migrations' own code does on the way back: replay steps, tell versions apart, reverse what was inserted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from goaime_migrate.down.decisions import Attribution, Decisions
from goaime_migrate.down.inserted import ReverseChain
from goaime_migrate.ledger import OperationRecord, PassRecord
from goaime_migrate.migration import Migration
from goaime_migrate.results import OnConflict
from goaime_migrate.run.code import is_at_hand, steps_of
from goaime_migrate.transform.chain import Chain
from goaime_migrate.transform.chains import chain_of
from goaime_migrate.transform.lookup_table import Late
from goaime_migrate.transform.step import Step


def decisions(
    record: PassRecord,
    migrations: Mapping[str, Migration],
    level: int,
    version: str,
    on_conflict: OnConflict,
) -> Decisions:
    """Who decides what each document becomes; with the chains to replay where `level` steps stay in effect.

    `version` is named where it cannot be found out which of several has written a field.
    """
    replay: tuple[Chain, Chain] | None = None
    if level:
        steps = steps_of(record, migrations)
        replay = (_chain(record, steps[:level]), _chain(record, steps))
    author = Attribution(version)
    if tells_apart(record, migrations, level):
        chains = [_chain(record, [step]) for step in steps_of(record, migrations)]
        author = Attribution(version, chains, len(chains) - level)
    return Decisions(record, author, on_conflict, replay)


def tells_apart(record: PassRecord, migrations: Mapping[str, Migration], level: int) -> bool:
    """Whether it can be found out which of several versions above a level has written a field."""
    return len({version for version, _, _ in record.steps[level:]}) > 1 and is_at_hand(record, migrations)


def reverse_chain(
    record: PassRecord, migrations: Mapping[str, Migration], level: int, heir: str | None
) -> ReverseChain:
    """How far inserted documents can be taken back: down to the level, or to a step that has no `reverse=`."""
    flags = zip(record.steps, record.reverses, strict=True)
    has = [flag and version in migrations for (version, _, _), flag in flags]
    lacking = [position for position in range(level, len(has)) if not has[position]]
    lowest = lacking[-1] + 1 if lacking else level
    steps = steps_of(record, migrations, lowest)
    backwards = [step.reversed() for step in reversed(steps)]
    chain = _chain(record, backwards) if steps else None
    return ReverseChain(chain, record.steps[lowest - 1][0] if lacking else None, heir)


def _chain(record: PassRecord, steps: Sequence[Step]) -> Chain:
    """Steps with what the pass has looked up, and sweeps after it."""
    late = Late.KEPT if record.swept else Late.NOTHING
    return chain_of(record.id, steps, began=record.started_at, late=late)


def undoing(operation: OperationRecord) -> str:
    """What taking back an operation that is no pass comes to."""
    function = operation.undo is not None and operation.undo.get("kind") == "function"
    return "run down(db)" if function else f"undo: {operation.text}"
