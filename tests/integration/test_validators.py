"""Whole validators, and the documents that one would refuse, on every engine that can."""

from __future__ import annotations

from typing import Any

import pytest

from goaime_migrate.backends.connect import connect
from goaime_migrate.config import Settings
from goaime_migrate.rules.misfits import Misfits, misfits
from tests.conftest import EMBEDDED
from tests.integration.engines import each_mode, one_server, servers, two
from tests.world import World, succeeded


@pytest.fixture
def shop(world: World) -> World:
    """Eleven documents, of which those with `_id` 0, 3, 6 and 9 have no number."""
    world.insert("c", [{"_id": i, "n": "x" if i % 3 == 0 else i} for i in range(11)])
    return world


def declare(world: World, *operations: str, number: int = 1) -> None:
    listed = ", ".join(operations)
    world.write(f"000{number}_it.py", f"from goaime_migrate import *\noperations = [{listed}]")


def validator(world: World) -> Any:
    return world.catalogue()["c"][0].get("validator")


def told(world: World) -> tuple[str, ...]:
    """What `plan` says of misfits."""
    return tuple(found.message for found in world.plan().findings if found.rule == "validator-misfits")


@two
@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ('{"$and": [{"n": {"$gt": 0}}]}', {"$and": [{"n": {"$gt": 0}}]}),
        ('{"n": {"$gt": 0}}', {"n": {"$gt": 0}}),
        ('{"title": {"minLength": 1}, "n": 1}', {"title": {"minLength": 1}, "n": 1}),
        ('{"$jsonSchema": {"required": ["n"]}, "n": 1}', {"$jsonSchema": {"required": ["n"]}, "n": 1}),
        ('{"required": ["n"], "title": "t"}', {"$jsonSchema": {"required": ["n"], "title": "t"}}),
    ],
)
def test_a_whole_validator_is_taken_as_it_is(shop: World, written: str, stored: Any) -> None:
    declare(shop, f'SetValidator("c", {written})')
    succeeded(shop.up())
    assert validator(shop) == stored
    succeeded(shop.down())
    assert not validator(shop)


@one_server
def test_a_whole_validator_comes_back_where_another_had_taken_its_place(shop: World) -> None:
    declare(shop, 'SetValidator("c", {"n": {"$exists": True}}, level="moderate")')
    succeeded(shop.up())
    before = shop.catalogue()
    declare(shop, 'SetValidator("c", {"$nor": [{"n": 5}]}, action="warn")', number=2)
    succeeded(shop.up())
    assert validator(shop) == {"$nor": [{"n": 5}]}
    succeeded(shop.down())
    assert shop.catalogue() == before


@servers
def test_the_documents_that_do_not_fit_are_counted_before_anything_is_done(shop: World) -> None:
    declare(shop, 'SetValidator("c", {"properties": {"n": {"bsonType": "int"}}})')
    (message,) = told(shop)
    assert message == (
        "4 documents of c do not meet the validator: the server will refuse every write that leaves one so"
    )
    assert not validator(shop)


@each_mode
@pytest.mark.parametrize(
    ("options", "end"),
    [
        ("", "the server will refuse every write that leaves one so"),
        (', action="warn"', "the server will log every write that leaves one so"),
        (', level="moderate"', "as they are there already, they may be updated as before"),
    ],
)
def test_what_becomes_of_a_misfit_is_said(shop: World, options: str, end: str) -> None:
    declare(shop, f'SetValidator("c", {{"n": {{"$gt": 1}}}}{options})')
    (message,) = told(shop)
    assert message == f"5 documents of c do not meet the validator: {end}"


@each_mode
@pytest.mark.parametrize(
    "operation",
    ['SetValidator("c", {"n": {"$exists": True}})', 'SetValidator("c", {"n": 7}, level="off")'],
    ids=["all fit", "off"],
)
def test_nothing_is_said_where_nothing_is_refused(shop: World, operation: str) -> None:
    declare(shop, operation)
    assert told(shop) == ()


@each_mode
def test_nothing_is_said_of_a_collection_that_is_not_there(shop: World) -> None:
    declare(shop, 'SetValidator("new", {"n": 7})')
    assert told(shop) == ()


@each_mode
def test_misfits_are_told_of_documents_as_they_will_be_by_then(shop: World) -> None:
    declare(shop, 'AddField("c", "m", 1)', 'SetValidator("c", {"m": 2})')
    (message,) = told(shop)
    assert message.startswith("11 documents of c do not meet the validator: ")
    declare(shop, 'AddField("c", "m", 1)', 'SetValidator("c", {"m": 1})')
    assert told(shop) == ()
    declare(shop, 'AddField("c", "m", 1)')
    succeeded(shop.up())
    declare(shop, 'SetValidator("c", {"m": 1})', number=2)
    assert told(shop) == ()


@two
def test_a_dump_says_what_it_cannot_tell(shop: World) -> None:
    declare(shop, 'SetValidator("c", {"required": ["zz"]})')
    (message,) = told(shop)
    if shop.kind == EMBEDDED:
        assert message.startswith("whether documents of c meet the validator cannot be told here: ")
    else:
        assert message.startswith("11 documents of c do not meet")


@each_mode
def test_where_time_is_short_a_sample_is_looked_at(world: World) -> None:
    world.insert("c", [{"_id": i, "n": i % 4} for i in range(5_000)])
    backend = connect(Settings(uri=world.uri, database=world.database), write=False)
    try:
        whole = misfits(backend, "c", {"n": {"$gt": 0}})
        guessed = misfits(backend, "c", {"n": {"$gt": 0}}, patience_s=-1)
    finally:
        backend.close()
    assert whole == Misfits(1250, 5000, (0, 4, 8), estimated=False)
    assert (guessed.documents, guessed.estimated, len(guessed.examples)) == (5000, True, 3)
    assert guessed.count == pytest.approx(1250, rel=0.25)
