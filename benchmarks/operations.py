"""What single operations take, beside what the server needs for the same, or an unsafe loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from pymongo.database import Database

from benchmarks import contenders
from benchmarks.database import MEASURED
from benchmarks.documents import fill, held
from benchmarks.measuring import Measuring, Migration, everywhere, with_workers
from benchmarks.product import require
from benchmarks.report import Row, Samples, Section, Unit
from goaime_migrate.results import Document

# One small migration


def small(m: Measuring) -> None:
    """The first migration alone: two fields, one of them looked up."""
    for workers in dict.fromkeys((1, m.workers)):
        m.ground.fresh()
        m.rate(f"small x{workers}", m.product(workers).up("0001"))
    with m.timed("replace", steps=1):
        contenders.fused(m.ground.measured, steps=1)
    with m.timed("deltas", steps=1, ordered=False):
        contenders.deltas(m.ground.measured)
    with m.timed("pipeline", steps=None):
        contenders.on_the_server(m.ground.measured, contenders.CONSTANT)
    everywhere(m, {"shuffle": False, "user_id": "0" * 24})


def small_sections(s: Samples, n: int) -> list[Section]:
    """The rows of `small`."""
    each = tuple(dict.fromkeys((1, n)))
    rows = [s.row(f"small x{w}", f"up 0001, {with_workers(w)}", Unit.RATE) for w in each]
    others = {
        "replace": "unsafe: whole documents replaced",
        "deltas": "unsafe: $set of what changed",
        "pipeline": "unsafe: update_many of constants on the server",
    }
    rows += [s.row(key, title, Unit.RATE) for key, title in others.items()]
    rows += [
        s.ratio(f"up 0001, {with_workers(w)} / {title.removeprefix('unsafe: ')}", f"small x{w}", key)
        for key, title in others.items()
        for w in each
    ]
    return [Section("A small migration: 0001 alone, with fields= declared", rows)]


# A constant


class _Constant(NamedTuple):
    """A migration, the update that does the same, and what every document matches afterwards."""

    migration: Migration
    update: Document
    all_match: Document


_CONSTANTS = (
    _Constant(
        Migration("AddField", 'operations = [AddField("notes", "reviewed", False)]'),
        contenders.FLAG,
        {"reviewed": False},
    ),
    _Constant(
        Migration(
            "UpdateDocuments", 'operations = [UpdateDocuments("notes", [{"$set": {"reviewed": False}}])]'
        ),
        contenders.FLAG,
        {"reviewed": False},
    ),
    _Constant(
        Migration("RemoveField", 'operations = [RemoveField("notes", "number")]'),
        contenders.NO_NUMBER,
        {"number": {"$exists": False}},
    ),
)


_MANY = 10
"""So many documents for a session: what a run does once takes as long as a server for thousands of them."""


def constants(m: Measuring) -> None:
    """A constant for every document, or a field less: what a server can do by itself."""
    count = _MANY * m.ground.sessions
    for migration, update, all_match in _CONSTANTS:
        fill(m, count, 2_000)
        m.rate(migration.name, m.product(m.workers, migration, count).up(), count)
        held(m, count, all_match)
        fill(m, count, 2_000)
        with m.timed(f"{migration.name}: update_many", steps=None, documents=count, fresh=False):
            m.ground.measured.notes.update_many({}, update)
        held(m, count, all_match)


def constants_sections(s: Samples, n: int) -> list[Section]:
    """The rows of `constants`."""
    rows: list[Row] = []
    for migration, update, _ in _CONSTANTS:
        name, loop = migration.name, f"{migration.name}: update_many"
        (operator,) = update
        rows += [s.row(name, f"{name}, {with_workers(n)}", Unit.RATE)]
        rows += [s.row(loop, f"unsafe: update_many with {operator}", Unit.RATE)]
        rows += [s.ratio(f"{name} / update_many", name, loop)]
    return [Section("One field of many documents of 2 kB, on the server", rows)]


# Fields within arrays


_WITH_FLAG = """
[{"$set": {"problems_attempted": {"$map": {
    "input": "$problems_attempted", "in": {"$mergeObjects": ["$$this", {"reviewed": False}]},
}}}}]
"""
_PATHS: dict[str, tuple[Migration, Migration, Document]] = {
    "added": (
        Migration(
            "AddNested", 'operations = [AddField("sessions", "problems_attempted.$[].reviewed", False)]'
        ),
        Migration("UpdateAdded", f'operations = [UpdateDocuments("sessions", {_WITH_FLAG})]'),
        {"problems_attempted": {"$elemMatch": {"reviewed": {"$ne": False}}}},
    ),
    "removed": (
        Migration(
            "RemoveNested", 'operations = [RemoveField("sessions", "problems_attempted.$[].problem_number")]'
        ),
        Migration(
            "UpdateRemoved",
            'operations = [UpdateDocuments("sessions", [{"$unset": "problems_attempted.problem_number"}])]',
        ),
        {"problems_attempted.problem_number": {"$exists": True}},
    ),
}


def paths(m: Measuring) -> None:
    """A field of every element of an array: by its path, and by a pipeline that says the same."""
    for operation, pipeline, left in _PATHS.values():
        for migration in (operation, pipeline):
            m.ground.fresh()
            m.rate(migration.name, m.product(m.workers, migration).up())
            require(not m.ground.measured.sessions.count_documents(left), f"{migration.name} left {left}")


def paths_sections(s: Samples, n: int) -> list[Section]:
    """The rows of `paths`."""
    rows: list[Row] = []
    for what, (operation, pipeline, _) in _PATHS.items():
        name = operation.operation.partition("[")[2].partition("(")[0]
        rows += [s.row(operation.name, f"{name} in an array, {with_workers(n)}", Unit.RATE)]
        rows += [s.row(pipeline.name, f"UpdateDocuments, the same {what}", Unit.RATE)]
        rows += [s.ratio(f"{name} / UpdateDocuments", operation.name, pipeline.name)]
    return [Section("A field in every element of an array", rows)]


# Documents that come and go


_NOTES = '[{{"_id": n, "number": n, "text": f"{{n:010}}" * 100}} for n in range({0})]'
"""Documents of 1 kB, as text: the migration makes and inserts them, and so does the loop."""
_EACH = 5
"""So many of them for a session: as many bytes, and what a run does once is as small beside them."""
_DERIVE = """
def copied(note):
    yield {"_id": note["_id"], "number": note["number"], "text": note["text"]}


operations = [DeriveDocuments("notes", "made", copied)]
"""


class _Coming(NamedTuple):
    """An operation, the loop that does the same, and what is there afterwards."""

    operation: str
    loop: Callable[[Database[Document], Sequence[Document]], None]
    left: dict[str, bool]


_COMING = {
    "insert": _Coming(f'operations = [InsertDocuments("made", {_NOTES})]', contenders.insert, {"made": True}),
    "derive": _Coming(_DERIVE, contenders.derive, {"made": True}),
    "delete": _Coming(
        'operations = [DeleteDocuments("notes", where={"number": {"$gte": 0}})]',
        contenders.delete,
        {"notes": False},
    ),
}


def coming(m: Measuring) -> None:
    """Documents of 1 kB inserted, derived from others, deleted, and loops that do the same unsafely."""
    count = _EACH * m.ground.sessions
    notes = _made(count)
    for name, each in _COMING.items():
        operation = each.operation.format(count) if name == "insert" else each.operation
        for workers in dict.fromkeys((1, m.workers)):
            product = m.product(workers, Migration(name, operation), count)
            with _notes(m, notes, each.left):
                m.rate(f"{name} x{workers}", product.up(), count)
        with _notes(m, notes, each.left):
            begun = time.monotonic()
            each.loop(m.ground.measured, _made(count) if name == "insert" else notes)
            m.rate(f"{name} loop", time.monotonic() - begun, count)


def _made(count: int) -> list[Document]:
    """The notes, each time anew."""
    notes: list[Document] = eval(_NOTES.format(count))  # noqa: S307 (the text is ours)
    return notes


@contextmanager
def _notes(m: Measuring, notes: Sequence[Document], left: dict[str, bool]) -> Iterator[None]:
    """A database with the notes; after a run it is held to what must be there."""
    m.ground.client.drop_database(MEASURED)
    m.ground.measured.notes.insert_many(notes)
    m.ground.measured.create_collection("made")
    yield
    for name, there in left.items():
        found = m.ground.measured[name].count_documents({})
        require(found == (len(notes) if there else 0), f"{name} has {found} documents")


def coming_sections(s: Samples, n: int) -> list[Section]:
    """The rows of `coming`."""
    rows: list[Row] = []
    for name in _COMING:
        title, loop = f"{name.capitalize()}Documents", f"{name} loop"
        each = tuple(dict.fromkeys((1, n)))
        rows += [s.row(f"{name} x{w}", f"{title}, {with_workers(w)}", Unit.RATE) for w in each]
        rows += [s.row(loop, f"unsafe: a loop over batches of {contenders.BATCH}", Unit.RATE)]
        rows += [s.ratio(f"{title}, {with_workers(w)} / the loop", f"{name} x{w}", loop) for w in each]
    return [Section("Documents of 1 kB that come and go", rows)]
