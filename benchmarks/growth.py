"""Whole commands at two sizes of the database: what gets worse as it grows, and what the server itself loses."""

from __future__ import annotations

from benchmarks.database import Ground
from benchmarks.measuring import Measuring, copied, with_workers
from benchmarks.report import Row, Samples, Section, Unit


def measured(m: Measuring, tag: str) -> None:
    """The whole command at one size, there and back, and the raw copy as a measure of what the server does."""
    product, sessions = m.product(m.workers), m.ground.sessions
    m.ground.fresh()
    mark = m.ground.mark()
    up = product.up_command()
    m.samples.add(f"{tag} oplog", m.ground.oplog_since(mark) / sessions)
    m.samples.add(f"{tag} journal", product.journal() / sessions)
    for name, ended in (("up", up), ("verify", product.command("verify")), ("down", product.down_command())):
        m.rate(f"{tag} {name}", ended.seconds)
        m.samples.add(f"{tag} {name} memory", ended.peak_mib)
    copied(m, f"{tag} copy")


FIGURES = {
    "up": ("goaime-migrate up", Unit.RATE),
    "verify": ("goaime-migrate verify", Unit.RATE),
    "down": ("goaime-migrate down base", Unit.RATE),
    "copy": ("a raw copy of the result", Unit.RATE),
    "up memory": ("peak memory of up", Unit.MIB),
    "verify memory": ("peak memory of verify", Unit.MIB),
    "down memory": ("peak memory of down base", Unit.MIB),
    "journal": ("journal", Unit.BYTES),
    "oplog": ("oplog of up", Unit.BYTES),
}


def sections(s: Samples, few: Ground, many: Ground, workers: int) -> list[Section]:
    """The rows: at the one size, at the other, and how they differ."""
    rows: list[Row] = []
    for key, (title, unit) in FIGURES.items():
        rows += [s.row(f"few {key}", f"{title}, {few.sessions:,} sessions", unit)]
        rows += [s.row(f"many {key}", f"{title}, {many.sessions:,} sessions", unit)]
        rows += [s.ratio(f"{title}, the larger / the smaller", f"many {key}", f"few {key}")]
    note = (
        f"Whole commands, {with_workers(workers)}. Both databases are in one server; generating the larger took "
        f"{many.seconds:.0f} s."
    )
    return [Section("Growth", rows, note)]
