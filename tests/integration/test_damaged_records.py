"""Records that others have written or cut: every command names the record, or is not concerned; none breaks down."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from bson import Decimal128, Int64, MinKey, Timestamp, decode_all, encode

from goaime_migrate import Migrator, errors
from goaime_migrate.backends.ports import JOURNAL, LOCK, LOG, PROGRESS, TAIL, VERSIONS
from goaime_migrate.results import Direction, UnlockResult
from tests.integration.engines import dump, one_server, servers
from tests.world import World, succeeded

GROW = """
    import warnings
    from goaime_migrate import Lookup, TransformDocuments

    def grow(d, users):
        d["n"] += 1000
        d["name"] = users.get(d["_id"], {}).get("name")
        warnings.warn("odd")

    def back(d):
        d["n"] -= 1000

    def check(d, users):
        return []

    few, users = {"n": {"$lt": 1000000}}, Lookup("users")
    operations = [TransformDocuments("c", grow, reverse=back, check=check, where=few, users=users)]
    """
INDEX = """
    from goaime_migrate import AddField, CreateIndex
    operations = [CreateIndex("c", "n"), AddField("c", "k", 1)]
    """
FAIL = """
    from goaime_migrate import TransformDocuments

    def fail(d):
        d["z"] = 1 / (5 - d["_id"])

    operations = [TransformDocuments("c", fail)]
    """
COMMANDS: dict[str, Callable[[Migrator], Any]] = {
    "status": lambda m: m.status(),
    "history": lambda m: m.history(),
    "plan": lambda m: m.plan(),
    "plan --down": lambda m: m.plan(direction=Direction.DOWN),
    "verify": lambda m: m.verify(),
    "up": lambda m: m.up(),
    "down": lambda m: m.down(),
    "down base": lambda m: m.down("base"),
    "repair": lambda m: m.repair(),
    "stamp": lambda m: m.stamp("3"),
}
VALUES: list[Any] = [
    *(None, True, -1, 0, 7, 2**62, 1e308, float("nan"), Int64(3), Decimal128("1"), MinKey()),
    *(
        "",
        "x",
        "\0y",
        "0009",
        "9" * 5000,
        "pending",
        "applied",
        b"",
        b"\1\2",
        datetime(1, 1, 1),
        Timestamp(0, 0),
    ),
    *([], [1], ["a"], [None], [{}], {}, {"a": 1}),
]


@pytest.fixture
def history(world: World) -> World:
    """A canary that was completed, a version of two operations, and one that has failed halfway."""
    world.settings["batch_size"] = 3
    world.insert("c", [{"_id": i, "n": i} for i in range(7)])
    world.insert("users", [{"_id": i, "name": str(i)} for i in range(7)])
    world.write("0001_grow.py", GROW)
    succeeded(world.up(where={"_id": 2}))
    world.write("0002_index.py", INDEX)
    succeeded(world.up())
    world.write("0003_fail.py", FAIL)
    assert world.up().error is not None
    return world


def places(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where anything stands in a document."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in items:
        yield (*above, name)
        yield from places(inner, (*above, name))


def damaged(choose: random.Random, document: dict[str, Any]) -> dict[str, Any]:
    """The document with something of it gone, or something else in its place."""
    copy = deepcopy(document)
    *above, last = choose.choice(list(places(copy)))
    inner: Any = copy
    for name in above:
        inner = inner[name]
    if choose.random() < 0.3:
        del inner[last]
    else:
        inner[last] = choose.choice(VALUES)
    return copy


@dump
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.soak) for seed in (1, 2, 3))])
def test_no_damage_breaks_a_command_down(history: World, tmp_path: Path, seed: int) -> None:
    choose, named = random.Random(seed), 0
    for i in range(60):
        world = replace(history, uri=f"dump:{tmp_path / str(i)}")
        shutil.copytree(history.dump.parent, tmp_path / str(i))
        file = world.dump / f"{choose.choice((VERSIONS, PROGRESS, JOURNAL, LOG))}.bson"
        records = decode_all(file.read_bytes())
        place = choose.randrange(len(records))
        sound, records[place] = records[place], damaged(choose, records[place])
        file.write_bytes(b"".join(map(encode, records)))
        for name in choose.sample(list(COMMANDS), 3):
            print(file.stem, name, {k: v for k, v in records[place].items() if sound.get(k) != v})
            named += _says_so(world, COMMANDS[name])
        shutil.rmtree(tmp_path / str(i))
    assert named > 20


_NAMED = errors.DamagedRecord, errors.JournalIncomplete


def _says_so(world: World, command: Callable[[Migrator], Any]) -> bool:
    """Run a command; whether it names a damaged record. Anything that is no error of this tool's is raised."""
    try:
        with world.migrator() as migrator:
            result = command(migrator)
    except errors.MigrateError as error:
        return isinstance(error, _NAMED)
    return isinstance(getattr(result, "error", None), _NAMED)


@dump
@pytest.mark.parametrize(
    ("collection", "command", "damage"),
    [
        (VERSIONS, "status", {"state": "pending"}),
        (VERSIONS, "verify", {"operations": [1]}),
        (VERSIONS, "plan", {"documents": {"matched": 1}}),
        (PROGRESS, "up", {"kind": "other"}),
        (PROGRESS, "down", {"upper": 2**62}),
        (PROGRESS, "up", {"target_level": 9}),
        (JOURNAL, "down", {"data": b"\1\2"}),
        (JOURNAL, "plan --down", {"documents": 9}),
        (JOURNAL, "down base", {"level": "high"}),
        (LOG, "history", {"at": "yesterday"}),
    ],
)
def test_the_record_is_named(history: World, collection: str, command: str, damage: dict[str, Any]) -> None:
    for record in history.documents(collection):
        history.change(collection, record["_id"], **damage)
    before = history.raws("c")
    with history.migrator() as migrator:
        try:
            error = getattr(COMMANDS[command](migrator), "error", None)
        except errors.MigrateError as raised:
            error = raised
    assert isinstance(error, errors.DamagedRecord)
    assert (error.code, error.exit_code) == ("GM210", 4)
    assert f"of {collection} is not one that this tool has written" in error.message
    assert history.raws("c") == before


@servers
@pytest.mark.parametrize(
    "damage", [{"fence": "x"}, {"fence": 2**62 * 2 - 1, "pid": []}, {"expires_at": 5}, {"run": 1}]
)
def test_a_damaged_lock_is_named(history: World, damage: dict[str, Any]) -> None:
    history.change(LOCK, "lock", **{"expires_at": datetime(2020, 1, 1), **damage})
    with history.migrator() as migrator, pytest.raises(errors.DamagedRecord, match=f"'lock' of {LOCK}"):
        migrator.up()
    with history.migrator() as migrator, pytest.raises(errors.DamagedRecord):
        migrator.status()


@servers
@pytest.mark.parametrize(
    "damage",
    [
        {"throttle": {"paused": False, "max_rate": 1e308}},
        {"fence": "x", "lsid": 7},
        {"fence": -1},
        {"fence": float("nan"), "expires_at": None},
    ],
)
def test_a_lock_that_cannot_be_read_is_ended_by_force(history: World, damage: dict[str, Any]) -> None:
    fences = [part["fence"] for part in history.documents(PROGRESS) if part["kind"] == "partition"]
    history.change(LOCK, "lock", **{"expires_at": datetime(2020, 1, 1), **damage})
    with history.migrator() as migrator:
        with pytest.raises(errors.DamagedRecord) as caught:
            migrator.unlock()
        assert "unlock --force" in caught.value.hint
        assert migrator.unlock(force=True) == UnlockResult(None, ended=True)
        assert migrator.unlock() == UnlockResult(None, ended=False)
        assert migrator.status().lock is None
    (record,) = history.documents(LOCK)
    assert record["fence"] > max(fences)
    assert all(p["fence"] == record["fence"] for p in history.documents(PROGRESS) if p["kind"] == "partition")


@one_server
@pytest.mark.parametrize("damage", [{"ids": 7}, {"ids": b"\1"}, {"token": 7}])
def test_damage_of_what_was_collected_is_named(history: World, damage: dict[str, Any]) -> None:
    (open_pass,) = [p for p in history.documents(PROGRESS) if p["kind"] == "pass" and not p["finished"]]
    record = {
        "_id": "x",
        "pass": open_pass["_id"],
        "at": Timestamp(1, 1),
        "token": None,
        "ids": b"",
        **damage,
    }
    with history.client() as client:
        client[history.database][TAIL].insert_one(record)
    history.write("0003_fail.py", FAIL)
    error = history.up().error
    assert isinstance(error, errors.DamagedRecord)
    assert f"'x' of {TAIL}" in error.message
