"""Small documents, of which one field is set or removed, beside a loop that sets one unsafely."""

from __future__ import annotations

from benchmarks import contenders
from benchmarks.database import MEASURED
from benchmarks.measuring import Measuring, Migration, with_workers
from benchmarks.product import require
from benchmarks.report import Row, Samples, Section, Unit
from goaime_migrate.results import Document

SIZES = {"200 B": 200, "2 kB": 2_000}
_EACH = 2
"""So many documents for a session."""
_LINE = 20
"""Characters of each text."""
_DOUBLE = """
from pydantic import BaseModel


class Doubled(BaseModel):
    double: int


def doubled(note):
    note["double"] = 2 * note["number"]


operations = [TransformDocuments("notes", doubled, fields=["number", "double"], model=Doubled)]
"""
_MIGRATIONS: dict[str, tuple[Migration, Document]] = {
    "AddField": (
        Migration("AddSmall", 'operations = [AddField("notes", "double", 0)]'),
        {"double": 0},
    ),
    "RemoveField": (
        Migration("RemoveSmall", 'operations = [RemoveField("notes", "number")]'),
        {"number": {"$exists": False}},
    ),
    "a transform with fields=": (
        Migration("DoubleSmall", _DOUBLE),
        {"$expr": {"$eq": ["$double", {"$multiply": [2, "$number"]}]}},
    ),
}
"""By what it is called: the migration, and what every document matches afterwards."""
_LAST = "a transform with fields="


def documents(m: Measuring) -> None:
    """One field of documents of two sizes, and the same by a loop; `verify`, which fetches what the model looks at."""
    count = _EACH * m.ground.sessions
    for size, length in SIZES.items():
        for name, (migration, all_match) in _MIGRATIONS.items():
            fill(m, count, length)
            product, key = m.product(m.workers, migration, count), f"{name}, {size}"
            with m.processors(key, count):
                seconds = product.up()
            m.rate(key, seconds, count)
            held(m, count, all_match)
            if name == _LAST:
                m.rate(f"verify, {size}", product.verify(), count)
        fill(m, count, length)
        with m.timed(f"loop, {size}", steps=None, documents=count, fresh=False):
            contenders.set_fields(m.ground.measured)
        held(m, count, _MIGRATIONS[_LAST][1])


def fill(m: Measuring, count: int, length: int) -> None:
    """A database with nothing but them, all written to disk."""
    m.ground.client.drop_database(MEASURED)
    texts = {f"text{n}": "x" * _LINE for n in range((length - 40) // (_LINE + 12))}
    notes = ({"_id": n, "number": n, **texts} for n in range(count))
    for batch in contenders.batches(notes):
        m.ground.measured.notes.insert_many(batch, ordered=False)
    m.ground.client.admin.command("fsync")


def held(m: Measuring, count: int, all_match: Document) -> None:
    """Hold a run to what every one of them has by now."""
    found = m.ground.measured.notes.count_documents(all_match)
    require(found == count, f"{found} of {count} documents match {all_match}")


def documents_sections(s: Samples, n: int) -> list[Section]:
    """The rows of `documents`."""
    rows: list[Row] = []
    for size in SIZES:
        loop = f"loop, {size}"
        for name in _MIGRATIONS:
            rows += [s.row(f"{name}, {size}", f"{size}: {name}, {with_workers(n)}", Unit.RATE)]
        rows += [s.row(loop, f"{size}: unsafe, bulk_write of $set", Unit.RATE)]
        rows += [s.row(f"verify, {size}", f"{size}: verify of the transform", Unit.RATE)]
        for name in _MIGRATIONS:
            rows += [s.ratio(f"{size}: {name} / $set", f"{name}, {size}", loop)]
        for key in (*_MIGRATIONS, "loop"):
            rows += [
                s.row(
                    f"{key}, {size} cpu",
                    f"{size}: processors, {key.replace('loop', '$set')}",
                    Unit.MICROSECONDS,
                )
            ]
    return [Section("One field of small documents", rows)]
