"""What is measured in one repeat, part by part, and the rows that come of it.

In each repeat every contender runs once, one after the other, so that a machine that is slower for a minute is slower
for all of them; a ratio is taken within a repeat. Every run begins with a fresh copy of the database.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from benchmarks import contenders, safeties
from benchmarks.contenders import Workers
from benchmarks.database import MEASURED, Ground, size_of
from benchmarks.processes import TICK_S, cpu_seconds
from benchmarks.product import Product
from benchmarks.report import Row, Samples, Section, Unit
from goaime_migrate.results import Document

SCRIPT_DOCUMENTS = 300


class Migration(NamedTuple):
    """One to measure, beside those of this repository: its name, and the operation that its file declares."""

    name: str
    operation: str


@dataclass
class Measuring:
    """One repeat after the other, all on one server."""

    ground: Ground
    pool: Workers
    folder: Path
    samples: Samples

    @property
    def workers(self) -> int:
        """How many processes the product and its contenders may use."""
        return self.pool.count

    def product(
        self, workers: int = 1, migration: Migration | None = None, documents: int | None = None
    ) -> Product:
        """goaime-migrate with its own migrations, or with one that is given, and goes over so many documents."""
        if migration is None:
            return Product(self.ground, workers)
        folder = self.folder / migration.name
        folder.mkdir(exist_ok=True)
        source = f"from goaime_migrate import *\n\n{migration.operation}\n"
        (folder / f"0001_{migration.name}.py").write_text(source)
        return Product(self.ground, workers, folder, documents)

    def rate(self, key: str, seconds: float, documents: int | None = None) -> None:
        """Note how quickly the sessions were worked off."""
        self.samples.add(key, (documents or self.ground.sessions) / seconds)

    @contextmanager
    def processors(self, key: str, documents: int | None = None) -> Iterator[None]:
        """Note what a document takes of the processors: of the client's and the server's together, and the server's."""
        pids = os.getpid(), int(self.ground.client.admin.command("serverStatus")["pid"])
        before = [cpu_seconds(pid) for pid in pids]
        yield
        client, server = (cpu_seconds(pid) - was for pid, was in zip(pids, before, strict=True))
        for name, seconds in (("cpu", client + server), ("server", server)):
            taken = max(TICK_S, seconds)  # a run of few documents may take less
            self.samples.add(f"{key} {name}", taken / (documents or self.ground.sessions) * 1e6)

    @contextmanager
    def timed(
        self,
        key: str,
        *,
        steps: int | None,
        documents: int | None = None,
        ordered: bool = True,
        fresh: bool = True,
    ) -> Iterator[None]:
        """Time a contender on a fresh copy, and hold it to its result: what that many migrations make of it."""
        if fresh:
            self.ground.fresh()
        begun = time.monotonic()
        with self.processors(key, documents):
            yield
            seconds = time.monotonic() - begun
        self.rate(key, seconds, documents)
        if documents is None and steps is not None:
            self.ground.expect(steps=steps, ordered=ordered)


# The four migrations


def goaime(m: Measuring) -> None:
    """All four migrations there and back, beside the scripts that do the same."""
    four = 4
    for workers in dict.fromkeys((1, m.workers)):
        _library(m, workers)
        _command(m, workers)
    some = min(SCRIPT_DOCUMENTS, m.ground.sessions // 3)
    with m.timed("script", steps=four, documents=some):
        contenders.script(m.ground.measured, some)
    with m.timed("fused", steps=four):
        contenders.fused(m.ground.measured)
    ranges = m.pool.ranges(m.ground.source)
    with m.timed(f"fused x{m.workers}", steps=four):
        m.pool.fused(ranges)
    copied(m, f"copy x{m.workers}")


def _library(m: Measuring, workers: int) -> None:
    product = m.product(workers)
    m.ground.fresh()
    if workers == 1:
        _sizes(m, product)
    else:
        _up(m, product)
    m.rate(f"verify x{workers}", product.verify())
    m.rate(f"down x{workers}", product.down())


def _up(m: Measuring, product: Product) -> None:
    key = f"up x{product.workers}"
    with m.processors(key):
        seconds = product.up()
    m.rate(key, seconds)


def _sizes(m: Measuring, product: Product) -> None:
    """`up`, with what it leaves behind."""
    sessions, mark = m.ground.sessions, m.ground.mark()
    before = size_of(m.ground.measured, "sessions")
    _up(m, product)
    m.samples.add("oplog", m.ground.oplog_since(mark) / sessions)
    m.samples.add("journal", product.journal() / sessions)
    m.samples.add("document before", before / sessions)
    m.samples.add("document after", size_of(m.ground.measured, "sessions") / sessions)


def _command(m: Measuring, workers: int) -> None:
    m.ground.fresh()
    ended = m.product(workers).up_command()
    m.rate(f"command x{workers}", ended.seconds)
    m.samples.add(f"memory x{workers}", ended.peak_mib)


def copied(m: Measuring, key: str) -> None:
    """The database as the migrations leave it, carried over to an empty collection."""
    source = f"result_{m.ground.sessions}"
    if source not in m.ground.client.list_database_names():
        m.ground.fresh()
        m.pool.fused(m.pool.ranges(m.ground.source))
        m.ground.fresh(MEASURED, source)
    ranges = m.pool.ranges(m.ground.client[source])
    m.ground.client.drop_database(MEASURED)
    m.ground.measured.create_collection("sessions")
    begun = time.monotonic()
    m.pool.copy(source, ranges)
    m.rate(key, time.monotonic() - begun)
    assert m.ground.measured.sessions.estimated_document_count() == m.ground.sessions
    m.ground.expect(steps=4)


def goaime_sections(s: Samples, n: int) -> list[Section]:
    """The rows of `goaime`."""
    each = tuple(dict.fromkeys((1, n)))
    quicker = "More than 1 is quicker than what stands behind the slash."
    return [
        Section("The four goAIME migrations", _rates(s, n, each)),
        Section("The same as ratios", _ratios(s, n, each), quicker),
        Section(
            "What a document takes of the processors, the client's and the server's", _processors(s, n, each)
        ),
        Section("Room", _room(s, each)),
    ]


def _rates(s: Samples, n: int, each: Sequence[int]) -> list[Row]:
    titles = {f"up x{w}": f"up, {with_workers(w)}" for w in each}
    titles |= {f"command x{w}": f"the command `goaime-migrate up`, {with_workers(w)}" for w in each}
    titles |= {"script": "the usual script: four passes, a query a problem"}
    titles |= {"fused": "unsafe: one fused pass, one process"}
    titles |= {f"fused x{n}": f"unsafe: one fused pass, {in_processes(n)}"}
    titles |= {f"copy x{n}": f"the ceiling: a raw copy of the result, {in_processes(n)}"}
    titles |= {f"verify x{w}": f"verify, {with_workers(w)}" for w in each}
    titles |= {f"down x{w}": f"down base, {with_workers(w)}" for w in each}
    return [s.row(key, title, Unit.RATE) for key, title in titles.items()]


def _ratios(s: Samples, n: int, each: Sequence[int]) -> list[Row]:
    pairs = {(f"up x{w}", "script"): f"up, {with_workers(w)} / usual script" for w in each}
    pairs |= {(f"up x{w}", "fused"): f"up, {with_workers(w)} / fused pass, one process" for w in each}
    pairs |= {(f"up x{n}", f"fused x{n}"): f"up, {with_workers(n)} / fused pass, {in_processes(n)}"}
    pairs |= {(f"up x{n}", f"copy x{n}"): f"up, {with_workers(n)} / raw copy"}
    pairs |= {(f"up x{w}", "up x1"): f"up, {with_workers(w)} / up, {with_workers(1)}" for w in each[1:]}
    for over, title in (("command", "the command"), ("down", "down"), ("verify", "verify")):
        pairs |= {(f"{over} x{w}", f"up x{w}"): f"{title} / up, {with_workers(w)}" for w in each}
    return [s.ratio(title, over, under) for (over, under), title in pairs.items()]


def _processors(s: Samples, n: int, each: Sequence[int]) -> list[Row]:
    titles = {f"up x{w}": f"up, {with_workers(w)}" for w in each}
    titles |= {"fused": "unsafe: one fused pass, one process"}
    titles |= {f"fused x{n}": f"unsafe: one fused pass, {in_processes(n)}"}
    rows = [
        s.row(f"{key} {what}", f"{title}{of}", Unit.MICROSECONDS)
        for key, title in titles.items()
        for what, of in (("cpu", ""), ("server", ": the server's part"))
    ]
    pairs = (("up x1", "fused"), (f"up x{n}", f"fused x{n}"))
    ratios = [
        (over, under, f"{titles[over]} / {titles[under].removeprefix('unsafe: one ')}")
        for over, under in pairs
    ]
    return rows + [s.ratio(title, f"{over} cpu", f"{under} cpu") for over, under, title in ratios]


def _room(s: Samples, each: Sequence[int]) -> list[Row]:
    return [
        s.row("document before", "a session before", Unit.BYTES),
        s.row("document after", "a session after", Unit.BYTES),
        s.row("journal", "journal, uncompressed by the server", Unit.BYTES),
        s.row("oplog", "oplog of `up`, uncompressed", Unit.BYTES),
        s.ratio("journal / session before", "journal", "document before"),
        s.ratio("oplog / session after", "oplog", "document after"),
        *(s.row(f"memory x{w}", f"peak memory of the command, {with_workers(w)}", Unit.MIB) for w in each),
    ]


def with_workers(count: int) -> str:
    """For people."""
    return f"{count} worker{'s' if count > 1 else ''}"


def in_processes(count: int) -> str:
    """For people."""
    return f"{count} process{'es' if count > 1 else ''}"


def everywhere(m: Measuring, fields: Document) -> None:
    """Hold a run to what every session has by now."""
    assert m.ground.measured.sessions.count_documents(fields) == m.ground.sessions


# The safeties


def without(m: Measuring) -> None:
    """One worker with one safety taken out at a time, then with none; before and after that with all of them."""
    product = m.product()
    m.ground.fresh()
    before = product.up()
    for safety in (*safeties.EACH, safeties.ALL):
        m.ground.fresh()
        with safeties.replaced(safety.parts):
            m.rate(f"without {safety.key}", product.up())
    m.ground.fresh()
    m.rate("all on", (before + product.up()) / 2)


def without_sections(s: Samples, _: int) -> list[Section]:
    """The rows of `without`."""
    rows = [s.row("all on", "up with all on, 1 worker", Unit.RATE)]
    rows += [
        s.ratio(f"off: {safety.title}", f"without {safety.key}", "all on")
        for safety in (*safeties.EACH, safeties.ALL)
    ]
    note = "How many times quicker `up` is where one thing is left out. Users cannot leave out any of them."
    return [Section("What each safety costs", rows, note)]
