"""Documents that a version has made were never meant for those before it: for them they are no stragglers."""

from __future__ import annotations

import pytest
from bson import encode

from goaime_migrate.events import Event, Notice
from tests.integration.engines import two
from tests.world import World, succeeded

ADD = 'from goaime_migrate import *\noperations = [AddField("books", "x", 1)]\n'
INSERT = (
    'from goaime_migrate import *\noperations = [InsertDocuments("books", [{"_id": 9, "k": 1}], key="k")]\n'
)
DERIVE = """
from goaime_migrate import *

def book(word):
    yield {"_id": 9, "k": 1}

operations = [DeriveDocuments("words", "books", book)]
"""
LATER = 'from goaime_migrate import *\noperations = [AddField("books", "y", 2)]\n'
PULLED = """
from goaime_migrate import *

def never_for_those(book):
    book["x"] = 10 // book["n"]

operations = [TransformDocuments("books", never_for_those)]
"""
PRUNED = (
    "1 documents: it may have made them after what would change them: its journal, which knew, was pruned"
)
OLD = {"_id": 1, "n": 1}


def made(world: World, maker: str, first: str = ADD) -> dict[bytes, bytes]:
    """A document that 0002 makes; what was there before it all."""
    world.insert("books", [OLD])
    world.insert("words", [{"_id": 1}])
    before = world.raws("books")
    world.write("0001_add.py", first)
    world.write("0002_make.py", maker)
    world.write("0003_later.py", LATER)
    succeeded(world.up())
    return before


def stragglers(world: World) -> list[tuple[str, int, tuple[object, ...]]]:
    return [(s.version, s.count, s.examples) for s in world.verify().stragglers]


@two
@pytest.mark.parametrize("maker", [INSERT, DERIVE], ids=["inserted", "derived"])
def test_what_a_later_version_has_made_is_no_straggler(world: World, maker: str) -> None:
    before = made(world, maker)
    there = world.raws("books")

    assert world.documents("books")[-1] == {"_id": 9, "k": 1, "y": 2}
    assert (stragglers(world), world.verify().unchecked) == ([], ())
    for dry_run in (True, False):
        result = succeeded(world.sweep(dry_run=dry_run))
        assert ([s.changed for s in result.swept], result.remaining) == ([0, 0], 0)
    assert world.raws("books") == there
    succeeded(world.down("base"))
    assert world.raws("books") == before


@two
def test_it_is_one_for_the_versions_after_that(world: World) -> None:
    before = made(world, INSERT)
    world.put("books", encode({"_id": 9, "k": 1}))
    world.put("books", encode({"_id": 7, "n": 7}))

    assert stragglers(world) == [("0001", 1, (7,)), ("0003", 1, (9,))]
    result = succeeded(world.sweep())
    assert [(s.version, s.changed, s.conflicts) for s in result.swept] == [("0001", 1, 0), ("0003", 2, 0)]
    assert world.documents("books")[1:] == [{"_id": 7, "n": 7, "x": 1, "y": 2}, {"_id": 9, "k": 1, "y": 2}]
    succeeded(world.down("base"))
    assert world.raws("books") == {**before, encode({"_id": 7}): encode({"_id": 7, "n": 7})}


@two
def test_the_versions_after_the_target_are_asked_too(world: World) -> None:
    made(world, INSERT)
    result = succeeded(world.sweep("0001"))
    assert ([(s.version, s.changed) for s in result.swept], result.remaining) == ([("0001", 0)], 0)


@two
def test_a_transform_that_would_raise_for_it_is_not_held_against_it(world: World) -> None:
    made(world, INSERT, PULLED)
    found = world.verify()
    assert (found.stragglers, found.unchecked) == ((), ())
    assert succeeded(world.sweep()).remaining == 0


@two
def test_what_was_erased_is_known_to_be_made(world: World) -> None:
    made(world, INSERT)
    with world.migrator() as migrator:
        migrator.erase("books", 9)
    assert (stragglers(world), world.verify().unchecked) == ([], ())


@two
def test_where_its_journal_was_pruned_nothing_is_claimed(world: World) -> None:
    made(world, INSERT)
    world.put("books", encode({"_id": 7, "n": 7, "x": 1}))
    with world.migrator() as migrator:
        migrator.prune(versions=["0002"])

    found = world.verify()
    assert [(s.version, s.examples) for s in found.stragglers] == [("0003", (7,))]
    assert [(u.version, u.collection, u.reason) for u in found.unchecked] == [
        (
            "0002",
            "books",
            PRUNED,
        )
    ]
    told: list[Event] = []
    with world.migrator(told.append) as migrator:
        result = succeeded(migrator.sweep())
    assert [(s.version, s.changed, s.conflicts) for s in result.swept] == [("0001", 0, 1), ("0003", 1, 0)]
    assert world.documents("books")[-1] == {"_id": 9, "k": 1, "y": 2}
    texts = [event.text for event in told if isinstance(event, Notice)]
    assert "0002 may have made documents of books: its journal, which knew, was pruned" in texts
