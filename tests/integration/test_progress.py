"""`plan` and `verify` tell how far they have come, and `plan` predicts what the database will bear."""

from __future__ import annotations

from itertools import count
from textwrap import dedent
from types import SimpleNamespace
from typing import Any

import pytest

from goaime_migrate.events import Event, Examined
from goaime_migrate.run import partitions, progress, work
from goaime_migrate.up import arrivals_preview, cost, preview
from tests.integration.engines import one_server, two
from tests.world import World, succeeded

STEP = """
    from goaime_migrate import TransformDocuments

    def change(document):
        document["changed"] = True

    def right(document):
        return [] if document.get("changed") else ["it is not"]

    operations = [TransformDocuments("c", change, check=right)]
"""


def examined(events: list[Event]) -> list[Examined]:
    return [event for event in events if isinstance(event, Examined)]


@two
def test_plan_and_verify_tell_how_far_they_have_come(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "QUIET_S", 0)
    world.insert("c", [{"_id": n} for n in range(250)])
    world.write("0001_step.py", STEP)
    events: list[Event] = []
    with world.migrator(events.append) as migrator:
        migrator.plan()
    assert examined(events)[0] == Examined(("0001",), "plan c", 100, 250)
    assert examined(events)[-1] == Examined(("0001",), "plan c", 250, 250)

    succeeded(world.up())
    for sample, total in ((None, 250), (120, 120)):
        events.clear()
        with world.migrator(events.append) as migrator:
            migrator.verify(sample=sample)
        assert examined(events)[0] == Examined(("0001",), "verify c", 100, total)
        assert examined(events)[-1].done == total


@two
def test_who_is_quickly_done_tells_nothing(world: World) -> None:
    world.insert("c", [{"_id": n} for n in range(3)])
    world.write("0001_step.py", STEP)
    events: list[Event] = []
    with world.migrator(events.append) as migrator:
        migrator.plan()
    assert examined(events) == []


SIZE: list[dict[str, Any]] = [{"$group": {"_id": None, "bytes": {"$sum": {"$bsonSize": "$$ROOT"}}}}]


def size_of(collection: Any, match: dict[str, Any]) -> int:
    """The bytes of these documents."""
    found: dict[str, int] = next(iter(collection.aggregate([match, *SIZE])), {"bytes": 0})
    return found["bytes"]


def logged_by_up(world: World) -> int:
    """Bytes of oplog that `up` has written."""
    with world.client() as client:
        oplog = client.local["oplog.rs"]
        last = oplog.find_one(sort=[("$natural", -1)])["ts"]
        succeeded(world.up())
        return size_of(oplog, {"$match": {"ts": {"$gt": last}, "op": {"$ne": "n"}}})


@one_server
def test_the_records_of_many_versions_are_predicted(world: World) -> None:
    world.insert("c", [{"_id": 1}])
    for number in range(10):
        index = f'operations = [CreateIndex("c", "field{number}")]'
        world.write(f"{number + 1:04d}_index.py", "from goaime_migrate import *\n" + index)
    predicted = world.plan().predicted
    written = logged_by_up(world)
    assert written / 2 < predicted.oplog_bytes < 2 * written


@one_server
def test_what_is_derived_of_a_sample_is_journaled_like_that_of_neighbours(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrivals_preview, "EXHAUSTIVE", 1_000)
    monkeypatch.setattr(arrivals_preview, "SAMPLE", 20)
    world.insert("c", [{"_id": n} for n in range(4_000)])
    world.write("0001_copies.py", COPIES)
    predicted = world.plan().predicted.journal_bytes
    succeeded(world.up())
    (kept,) = (version.journal_bytes for version in world.status().versions)
    assert kept / 2 <= predicted <= 2 * kept


COPIES = """
from goaime_migrate import DeriveDocuments

operations = [DeriveDocuments("c", "copies", lambda document: [document])]
"""


@two
def test_an_oplog_is_predicted_where_there_is_one(world: World) -> None:
    world.insert("c", [{"_id": n} for n in range(3)])
    world.write("0001_step.py", STEP)
    predicted = world.plan().predicted
    assert predicted.journal_bytes > 0
    assert (predicted.oplog_bytes > 0) is not world.embedded


@one_server
def test_the_time_is_that_of_all_who_share_the_work(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = count()  # a batch takes one
    monkeypatch.setattr(cost, "time", SimpleNamespace(perf_counter=lambda: float(next(seconds))))
    monkeypatch.setattr(cost.Pace, "of", lambda _: cost.Pace(0.0))
    monkeypatch.setattr(partitions, "WORTH", 50)
    monkeypatch.setattr(work, "cores", lambda: 2)
    world.insert("c", [{"_id": n} for n in range(100)])
    world.write("0001_step.py", STEP)
    predicted = {}
    for workers in (None, 1):
        with world.migrator(workers=workers) as migrator:
            predicted[workers] = migrator.plan().predicted.seconds
    # What is done before the walk, for one second here, nobody shares; one process alone has a second thread.
    assert predicted[None] == pytest.approx(1 + (predicted[1] - 1) * 1.3 / 1.6, abs=0.01)


PREDICTED = {
    "transform": """
        def double(document):
            document["twice"] = document["text"] * 2

        operations = [TransformDocuments("c", double)]
    """,
    "pipeline": 'operations = [UpdateDocuments("c", [{"$set": {"more": {"$add": ["$_id", 1]}}}])]',
    "field": 'operations = [AddField("c", "more", 1)]',
    "insert": 'operations = [InsertDocuments("d", [{"_id": n, "text": "x" * 200} for n in range(300)])]',
    "delete": 'operations = [DeleteDocuments("c", where={"_id": {"$gte": 100}})]',
    "derive": """
        def derive(document):
            yield {"_id": document["_id"], "text": document["text"]}

        operations = [DeriveDocuments("c", "d", derive)]
    """,
    "field within": 'operations = [AddField("c", "items.$[].more", 1)]',
    "lookup": """
        def named(document, people):
            document["name"] = people[document["_id"]]["name"]

        operations = [TransformDocuments("c", named, people=Lookup("people"))]
    """,
    "lookup of its own": """
        def next_one(document, others):
            document["next"] = others.get(document["_id"] + 1, {}).get("text")

        operations = [TransformDocuments("c", next_one, others=Lookup("c", fields=["text"]))]
    """,
    "index": 'operations = [CreateIndex("c", "text")]',
    "validator": 'operations = [SetValidator("c", {"required": ["text"]})]',
}


@one_server
@pytest.mark.parametrize("operation", PREDICTED)
def test_what_is_written_is_predicted_within_a_factor_of_two(world: World, operation: str) -> None:
    items = [{"n": n, "text": "a number of words " * 8} for n in range(5)]
    world.insert("c", [{"_id": n, "text": f"{n} is a number " * 40, "items": items} for n in range(400)])
    world.insert("people", [{"_id": n, "name": f"{n} is a name " * 20} for n in range(400)])
    world.write("0001_step.py", "from goaime_migrate import *\n" + dedent(PREDICTED[operation]))
    predicted = world.plan().predicted
    written = logged_by_up(world)
    with world.client() as client:
        entries = {"$match": {"kind": {"$ne": "lookup"}}}
        kept = size_of(client[world.database]["schema_versions_journal"], entries)
    assert written / 2 < predicted.oplog_bytes < 2 * written
    assert kept / 2 <= predicted.journal_bytes <= 2 * kept
    assert predicted.room_bytes >= predicted.journal_bytes
    assert predicted.seconds > 0
    if operation not in ("index", "validator"):
        assert "documents read, transformed and journaled" in predicted.basis


@two
def test_a_large_sample_says_of_how_many(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preview, "EXHAUSTIVE", 50)
    monkeypatch.setattr(preview, "SAMPLE", 20)
    world.insert("c", [{"_id": n} for n in range(100)])
    world.write("0001_step.py", STEP)
    world.write("0002_plain.py", "def up(db):\n    pass\n")
    assert world.plan().predicted.basis == (
        "20 of 100 documents read, transformed and journaled, writing reckoned by bytes; without up(db) of 0002"
    )
