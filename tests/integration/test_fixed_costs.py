"""What a command asks a server, however few documents there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
from pymongo.monitoring import CommandListener, CommandStartedEvent

from goaime_migrate.backends.server import connect
from goaime_migrate.backends.server.client import SharedClient
from tests.integration.engines import one_server
from tests.world import World, succeeded

GROW = """
    from goaime_migrate import CreateIndex, TransformDocuments

    def grow(d):
        d["n"] += 1

    operations = [TransformDocuments("c", grow), CreateIndex("c", "n")]
    """


class Sent(CommandListener):
    """The commands that were sent."""

    def __init__(self) -> None:
        self.commands: list[tuple[str, Mapping[str, Any]]] = []

    def started(self, event: CommandStartedEvent) -> None:
        self.commands.append((event.command_name, event.command))

    def succeeded(self, event: object) -> None: ...

    def failed(self, event: object) -> None: ...

    def counted(self) -> Counter[str]:
        """How many of each, without those by which the driver and a change stream keep on."""
        kept = ("endSessions", "killCursors", "getMore")
        return Counter(name for name, _ in self.commands if name not in kept)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    listener = Sent()

    class Counted(SharedClient):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options, event_listeners=[listener])

    monkeypatch.setattr(connect, "SharedClient", Counted)
    return listener


@one_server
def test_a_database_at_head_is_asked_for_its_records_alone(world: World, sent: Sent) -> None:
    world.insert("c", [{"_id": 1, "n": 1}])
    world.write("0001_grow.py", GROW)
    succeeded(world.up())
    sent.commands.clear()
    assert world.up().versions == ()
    assert sent.counted() == {"hello": 1, "find": 2}
    sent.commands.clear()
    assert world.states() == ["applied"]
    # Whose lease it is, whether the journal is whole, and whether it is still the same database.
    assert sent.counted() == {
        "hello": 2,
        "find": 3,
        "aggregate": 1,
        "replSetGetConfig": 1,
        "listCollections": 1,
    }


@one_server
def test_the_collections_of_the_records_are_made_with_one_command_each(world: World, sent: Sent) -> None:
    world.insert("c", [{"_id": 1, "n": 1}])
    world.write("0001_grow.py", GROW)
    succeeded(world.up())
    made = [command[name] for name, command in sent.commands if name in ("create", "createIndexes")]
    *records, users = made
    assert users == "c"
    assert sorted(records) == [
        "schema_versions",
        "schema_versions_journal",
        "schema_versions_log",
        "schema_versions_progress",
        "schema_versions_tail",
    ]
    assert sum(sent.counted().values()) <= 100


@one_server
def test_every_guarded_unit_of_work_changes_the_lease(world: World, sent: Sent) -> None:
    """A server passes over a write that changes nothing, and then it is no fence."""
    world.insert("c", [{"_id": 1, "n": 1}])
    world.write("0001_grow.py", GROW)
    succeeded(world.up())
    updates = [
        update
        for name, command in sent.commands
        if name == "update" and command["update"] == "schema_versions_lock"
        for update in command["updates"]
    ]
    values = [update["u"]["$set"]["touched"] for update in updates if "$set" in update["u"]]
    assert len(values) > 3
    assert len(set(values)) == len(values)


@one_server
def test_a_collection_is_counted_by_its_metadata_no_more_than_three_times(world: World, sent: Sent) -> None:
    """As the pass is summoned, as it is opened, and as it is parted."""
    world.insert("c", [{"_id": 1, "n": 1}])
    world.write("0001_grow.py", GROW)
    succeeded(world.up())
    assert [command["count"] for name, command in sent.commands if name == "count"] == ["c"] * 3


@one_server
def test_the_filter_of_fused_operations_is_asked_once_beforehand(world: World, sent: Sent) -> None:
    world.insert("c", [{"_id": 1, "n": 1}])
    world.write(
        "0001_first.py", "from goaime_migrate import AddField\n\noperations = [AddField('d', 'y', 1)]"
    )
    one = "AddField('c', 'f{0}', 1, where={{'n': 1}})"
    fused = ", ".join(one.format(number) for number in range(4))
    world.write("0002_it.py", f"from goaime_migrate import AddField\n\noperations = [{fused}]")
    succeeded(world.up())
    nothing = {"$and": [{"n": 1}, {"_id": {"$in": []}}]}
    asked = [
        command for name, command in sent.commands if name == "aggregate" and nothing in _matches(command)
    ]
    assert len(asked) == 2, "once before the first write, and once as its pass opens"


def _matches(command: Mapping[str, Any]) -> list[Any]:
    return [stage.get("$match") for stage in command["pipeline"]]
