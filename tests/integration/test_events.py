"""What a command tells, on every engine: to the hook of the library, and to a tracer."""

from __future__ import annotations

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from goaime_migrate import Migrator, Settings
from goaime_migrate.errors import ServerUnreachable
from goaime_migrate.events import (
    CommandFinished,
    CommandStarted,
    Event,
    StageFinished,
    StageStarted,
    VersionFinished,
    name_of,
)
from tests.world import World, succeeded

SET = """
from goaime_migrate import CreateIndex, TransformDocuments

def change(document):
    document["n"] = {value}

operations = [TransformDocuments("c", change), CreateIndex("c", "n")]
"""


@pytest.fixture
def two(world: World) -> World:
    """Two versions, of which the second does not come through."""
    world.insert("c", [{"_id": n} for n in range(3)])
    world.write("0001_set.py", SET.format(value="1"))
    world.write("0002_divide.py", SET.format(value="1 / (document['_id'] - 2)"))
    return world


def names(events: list[Event]) -> list[str]:
    """One after another, each once in a row: how many batches there are is not told beforehand."""
    found = [name_of(type(event)) for event in events]
    return [name for at, name in enumerate(found) if not at or name != found[at - 1]]


def test_a_run_tells_its_stages_and_its_versions(two: World) -> None:
    events: list[Event] = []
    with two.migrator(events.append) as migrator:
        succeeded(migrator.up("1"))
        succeeded(migrator.down())
    way = ["stage_started", "batch_committed", "stage_finished", "stage_started", "stage_finished"]
    back = ["stage_started", "stage_finished", "stage_started", "batch_committed", "stage_finished"]
    begin, end = "command_started", "command_finished"
    assert names(events) == [
        begin, *way, "version_finished", end, begin, *back, "version_finished", end,
    ]  # fmt: skip
    started = [event for event in events if isinstance(event, StageStarted)]
    assert [(each.direction, each.collection) for each in started if each.collection] == [
        ("up", "c"), ("up", "c"), ("down", "c"),
    ]  # fmt: skip
    done = [event for event in events if isinstance(event, StageFinished)]
    assert [each.documents for each in done] == [3, 0, 0, 3]
    versions = [event for event in events if isinstance(event, VersionFinished)]
    assert [(each.direction, each.result, each.error) for each in versions] == [
        ("up", "applied", None),
        ("down", "reverted", None),
    ]
    ends = [event for event in events if isinstance(event, CommandFinished)]
    assert [(each.command, each.database, each.error) for each in ends] == [
        ("up", two.database, None),
        ("down", two.database, None),
    ]


def test_a_failure_is_told_by_its_code(two: World) -> None:
    events: list[Event] = []
    with two.migrator(events.append) as migrator:
        assert migrator.up().failed == "0002"
    *_, version, command = events
    assert isinstance(version, VersionFinished)
    assert isinstance(command, CommandFinished)
    assert (version.version, version.result, version.error) == ("0002", "failed", "GM301")
    assert command.error == "GM301"


def test_a_command_that_only_reads_begins_and_ends(two: World) -> None:
    events: list[Event] = []
    with two.migrator(events.append) as migrator:
        migrator.status()
        migrator.history()
        migrator.wait(0.0)
    assert [event.command for event in events if isinstance(event, CommandStarted)] == [
        "status", "history", "wait",
    ]  # fmt: skip
    assert len(events) == 6


def test_where_there_is_no_database_the_end_is_told_too() -> None:
    events: list[Event] = []
    nowhere = Settings(uri="mongodb://127.0.0.1:1/x?serverSelectionTimeoutMS=1")
    with Migrator(nowhere, on_event=events.append) as migrator, pytest.raises(ServerUnreachable):
        migrator.status()
    assert isinstance(events[-1], CommandFinished)
    assert (events[-1].database, events[-1].error) == ("", "GM701")


def test_a_tracer_that_is_there_gets_spans(two: World, monkeypatch: pytest.MonkeyPatch) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    two.up()
    found = exporter.get_finished_spans()
    assert len({span.context.trace_id for span in found}) == 1
    assert [span.name for span in found] == [
        "up c",
        "up c",
        "up 0001",
        "up c",
        "up 0002",
        "goaime_migrate up",
    ]
    assert (found[-1].attributes or {})["db.namespace"] == two.database
    assert (found[-1].attributes or {})["error.type"] == "GM301"
