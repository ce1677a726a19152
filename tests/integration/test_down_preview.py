"""`plan --down` says what `down` then does, over several passes, whatever has happened to the documents since."""

from __future__ import annotations

import random
from typing import Any

import pytest
from bson import encode

from goaime_migrate import errors
from goaime_migrate.results import Direction, OnConflict
from tests.integration.engines import dump, each_mode, two
from tests.world import World, succeeded

STEP = """
    from goaime_migrate import TransformDocuments

    def forth(d):
        {forth}

    def back(d):
        {back}

    operations = [TransformDocuments("c", forth{options})]
    """
ONE = {
    "forth": 'd["n"] += 1000; d["one"] = "x"; d.pop("old", None)',
    "back": 'd["n"] -= 1000; d.pop("one", 0)',
}
TWO = {"forth": 'd["n"] *= 2', "back": 'd["n"] //= 2'}
THREE = {"forth": 'd["n"] = str(d["n"]); d["three"] = 3', "back": 'd["n"] = int(d["n"]); d.pop("three", 0)'}
FOUR = {
    "forth": 'd["one"] = [d.get("one")]; d["old"] = "new"',
    "back": 'd["one"] = d["one"][0]; d.pop("old")',
}
REVERSE = ", reverse=back"


@pytest.fixture
def numbers(world: World) -> World:
    """Twelve documents, in batches of three."""
    world.insert("c", [{"_id": i, "n": i, "old": "x", "same": True} for i in range(12)])
    world.settings["batch_size"] = 3
    return world


def write(world: World, number: int, of: dict[str, str], options: str = "") -> None:
    """A version of one step."""
    world.write(f"{number:04d}_step.py", STEP.format(**of, options=options))


def is_foretold(world: World, target: str = "base") -> tuple[int, int, int]:
    """Whether the forecast for `down` comes true; what it said: exact, merged, in conflict."""
    kept = {name: world.raws(name) for name in ("c", *RECORDS)}
    plan = world.plan(target, direction=Direction.DOWN)
    assert {name: world.raws(name) for name in kept} == kept
    result, told = succeeded(world.down(target)), plan.preview
    assert told is not None
    done = result.documents
    assert (told.exact + told.merged, told.conflicts) == (done.changed + done.unchanged, done.conflicts)
    assert (told.born, told.left, told.without_reverse) == (
        result.born,
        result.left,
        result.without_reverse,
    )
    return told.exact, told.merged, told.conflicts


ADD = """
    from goaime_migrate import AddField

    operations = [AddField("c", "added", 1)]
    """
INSERT = """
    from goaime_migrate import InsertDocuments

    operations = [InsertDocuments("c", [{"_id": str(20 + n)} for n in range(3)])]
    """
DERIVE = """
    from goaime_migrate import DeriveDocuments

    def more(d):
        return [{"_id": str(d["_id"] + 20)}] if d["_id"] < 3 else None

    operations = [DeriveDocuments("c", "c", more)]
    """
DELETE = """
    from goaime_migrate import DeleteDocuments

    operations = [DeleteDocuments("c", where={"_id": {"$gte": 101}})]
    """
DUPLICATES = """
    from goaime_migrate import DeleteDuplicates

    operations = [DeleteDuplicates("c", "n", where={"n": 2002})]
    """

RECORDS = ("schema_versions", "schema_versions_progress", "schema_versions_journal", "schema_versions_log")


@pytest.fixture
def stacked(numbers: World) -> World:
    """Two versions that are one pass, and a third over the same documents."""
    write(numbers, 1, ONE)
    write(numbers, 2, TWO)
    succeeded(numbers.up())
    write(numbers, 3, THREE)
    succeeded(numbers.up())
    return numbers


@each_mode
def test_where_nobody_has_changed_anything_everything_comes_back_exactly(stacked: World) -> None:
    assert is_foretold(stacked) == (24, 0, 0)
    assert [d["n"] for d in stacked.documents("c")] == list(range(12))


@each_mode
def test_what_has_become_of_the_documents_is_told_through_all_passes(stacked: World) -> None:
    stacked.change("c", 1, more=1)
    stacked.change("c", 4, n="theirs")
    stacked.change("c", 5, one="theirs")
    stacked.remove("c", 7)
    stacked.put("c", encode({"_id": 3.5, "n": "2002"}))
    stacked.put("c", encode({"_id": 100, "n": "2002"}))
    assert is_foretold(stacked) == (8 + 8, 2 + 1, 1 + 2)


@two
@pytest.mark.parametrize("second", [INSERT, DERIVE], ids=["inserted", "derived"])
def test_what_a_version_has_made_is_not_left_to_those_below(numbers: World, second: str) -> None:
    numbers.write("0001_add.py", ADD)
    numbers.write("0002_more.py", second)
    succeeded(numbers.up())
    numbers.change("c", "21", theirs=1)
    numbers.put("c", encode({"_id": 100}))
    assert is_foretold(numbers) == (12 + 2, 0, 1)


@two
@pytest.mark.parametrize("deleting", [DELETE, DUPLICATES], ids=["by a filter", "duplicates"])
@pytest.mark.parametrize("options", ["", REVERSE], ids=["plain", "reverse"])
def test_what_a_version_brings_back_that_those_below_have_never_seen_is_told(
    numbers: World, options: str, deleting: str
) -> None:
    write(numbers, 1, ONE, options)
    write(numbers, 2, TWO, REVERSE)
    succeeded(numbers.up())
    for place in range(4):
        numbers.put("c", encode({"_id": 100 + place, "n": 2002, "one": "x"}))
    numbers.write("0003_delete.py", deleting)
    succeeded(numbers.up())
    numbers.put("c", encode({"_id": 101, "n": 2002}))
    numbers.write("0004_delete.py", deleting)
    succeeded(numbers.up())
    numbers.put("c", encode({"_id": 102, "n": 2002}))
    numbers.put("c", encode({"_id": 200, "n": 2002}))
    is_foretold(numbers, "1")
    succeeded(numbers.up())
    is_foretold(numbers)


@two
@pytest.mark.parametrize("target", ["base", "1", "2"])
def test_a_way_down_that_ends_within_a_pass_is_told_too(stacked: World, target: str) -> None:
    stacked.change("c", 1, more=1)
    stacked.change("c", 4, n="theirs")
    is_foretold(stacked, target)


@two
@pytest.mark.parametrize("seed", range(8))
def test_any_history_is_foretold(numbers: World, seed: int) -> None:
    choose = random.Random(seed)
    steps = [ONE, TWO, THREE, FOUR]
    alone = {choose.randrange(1, 5) for _ in range(2)} | {4}
    for number, of in enumerate(steps, 1):
        write(numbers, number, of, choose.choice(("", REVERSE, REVERSE)))
        if number in alone:
            _live(numbers, choose, number)
            succeeded(numbers.up())
    _live(numbers, choose, 5)
    is_foretold(numbers, choose.choice(("base", "base", "1", "2", "3")))
    is_foretold(numbers)


def _live(world: World, choose: random.Random, level: int) -> None:
    """What an application does between two versions, by somebody who knows the shape."""
    documents = world.documents("c")
    for document in choose.sample(documents, 4):
        match choose.randrange(4):
            case 0:
                world.remove("c", document["_id"])
            case 1:
                world.change("c", document["_id"], more=level)
            case 2:
                world.change("c", document["_id"], one="theirs")
            case 3:
                world.put("c", encode({**document, "_id": level + choose.random()}))


@two
def test_what_a_canary_and_the_scan_after_it_have_written_is_told(numbers: World) -> None:
    write(numbers, 1, {"forth": 'd["n"] += 1', "back": "pass"})
    succeeded(numbers.up(where={"_id": {"$lt": 4}}))
    numbers.put("c", encode({"_id": 2, "n": 2, "old": "x", "same": True}))
    succeeded(numbers.up())
    write(numbers, 2, TWO)
    succeeded(numbers.up())
    is_foretold(numbers)


@two
def test_a_collection_that_was_renamed_in_between_is_found(numbers: World) -> None:
    numbers.insert("was", [{"_id": i, "n": i} for i in range(5)])
    numbers.write("0001_add.py", 'from goaime_migrate import *\noperations = [AddField("was", "k", 1)]\n')
    numbers.write(
        "0002_name.py", 'from goaime_migrate import *\noperations = [RenameCollection("was", "is")]\n'
    )
    numbers.write("0003_add.py", 'from goaime_migrate import *\noperations = [AddField("is", "m", 1)]\n')
    succeeded(numbers.up())
    numbers.put("is", encode({"_id": 9, "n": 9, "k": 1, "m": 1}))
    assert is_foretold(numbers) == (10, 0, 0)


@two
@pytest.mark.parametrize("target", ["2", "1", "base"])
def test_what_is_left_of_a_way_down_that_was_stopped_is_told(numbers: World, target: str) -> None:
    for number, of in enumerate((ONE, TWO, THREE), 1):
        write(numbers, number, of)
    succeeded(numbers.up())
    numbers.change("c", 4, n="theirs")
    assert isinstance(numbers.down("2", OnConflict.STOP).error, errors.Conflicts)
    is_foretold(numbers, target)


@dump
def test_a_long_history_is_told_in_time(numbers: World) -> None:
    documents: list[dict[str, Any]] = [{"_id": 100 + i, "n": i} for i in range(3000)]
    numbers.insert("c", documents)
    numbers.settings["batch_size"] = 500
    for number in range(1, 5):
        write(numbers, number, TWO)
        succeeded(numbers.up())
    assert is_foretold(numbers)[0] > 4 * 3000
