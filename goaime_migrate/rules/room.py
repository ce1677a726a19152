"""What there is to fill: disk, oplog, and the replicas that have to keep up."""

from __future__ import annotations

from collections.abc import Iterator

from goaime_migrate.results import Severity
from goaime_migrate.rules.outlook import Outlook
from goaime_migrate.rules.registry import OUTLOOKS, TURNS, Said
from goaime_migrate.rules.turn import LARGE, LARGE_BYTES, Turn
from goaime_migrate.units import size

_AMPLE = 0.5
"""The part of what is free, or of the oplog, that a migration may take before it is told."""


@OUTLOOKS.rule("disk-space", Severity.WARNING)
def disk_space(outlook: Outlook) -> Iterator[Said]:
    """The journal, what the oplog takes and the way back need more than half of the disk that is free."""
    free = outlook.room.disk
    needed = 2 * outlook.predicted.journal_bytes
    if free is not None and needed and needed > free * _AMPLE:
        yield Said(
            f"the journal takes about {size(needed // 2)}, `down` as much again, and {size(free)} are free on the disk",
            "make room first; or migrate in parts, `up TARGET` and `prune` what need not be taken back any more",
            {"needed_bytes": needed, "free_bytes": free},
        )


@OUTLOOKS.rule("oplog-window", Severity.WARNING)
def oplog_window(outlook: Outlook) -> Iterator[Said]:
    """The migration writes more than half of what the oplog holds: members that lag fall off its end.

    Readers of change streams do as well, this tool's own tail excepted, which reads along.
    """
    held, written = outlook.room.oplog, outlook.predicted.oplog_bytes
    if held is not None and written > held * _AMPLE:
        yield Said(
            f"about {size(written)} go through an oplog of {size(held)}: members and change streams that lag fall off",
            f"enlarge it, db.adminCommand({{replSetResizeOplog: 1, size: {max(990, 2 * written // 1_000_000)}}}); or go "
            "slowly, up --max-rate N",
            {"written_bytes": written, "oplog_bytes": held},
        )


@TURNS.rule("unpaced", Severity.WARNING)
def unpaced(turn: Turn) -> Iterator[Said]:
    """Nothing limits how far secondaries may fall behind while a large collection is walked over."""
    settings, shape = turn.settings, turn.walked
    if not turn.walks or shape is None or shape.stored is None or settings.max_lag or settings.max_rate:
        return
    held = turn.database.size(shape.stored)
    if held.documents < LARGE and held.size < LARGE_BYTES:
        return
    secondaries = turn.database.room().secondaries
    if secondaries:
        yield Said(
            f"{held.documents:,} documents are walked over, and nothing keeps the run from leaving "
            f"{secondaries} {'secondary' if secondaries == 1 else 'secondaries'} behind",
            "up --max-lag 10, or max_lag = 10 in the configuration; it needs clusterMonitor",
            {"documents": held.documents, "bytes": held.size, "secondaries": secondaries},
        )
