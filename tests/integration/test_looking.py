"""`plan` and `verify` tell how far they have come, and `plan` predicts what the database will bear."""

from __future__ import annotations

from itertools import count
from types import SimpleNamespace

import pytest

from goaime_migrate.events import Event, Examined
from goaime_migrate.run import partitions, progress, work
from goaime_migrate.up import preview
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
    monkeypatch.setattr(preview, "time", SimpleNamespace(perf_counter=lambda: float(next(seconds))))
    monkeypatch.setattr(partitions, "WORTH", 50)
    monkeypatch.setattr(work, "cores", lambda: 2)
    world.insert("c", [{"_id": n} for n in range(100)])
    world.write("0001_step.py", STEP)
    predicted = {}
    for workers in (None, 1):
        with world.migrator(workers=workers) as migrator:
            predicted[workers] = migrator.plan().predicted.seconds
    assert predicted[None] == pytest.approx(predicted[1] / 1.7, abs=0.01)
