"""Indexes in each other's place, and all at once: there, back, and through failures, on every engine that can."""

from __future__ import annotations

from typing import Any

import pytest
from bson import encode

from goaime_migrate import errors
from goaime_migrate.operations import index_specs
from tests.integration.engines import one_server, two
from tests.world import World, succeeded

Index = dict[str, Any]


@pytest.fixture
def shop(world: World) -> World:
    """A collection with an index by name."""
    world.insert("c", [{"_id": i, "a": i % 2, "b": str(i), "at": None} for i in range(4)])
    declare(world, 1, 'CreateIndex("c", [("b", 1), ("a", -1)], name="by_b")')
    succeeded(world.up())
    return world


def declare(world: World, number: int, *operations: str) -> None:
    listed = ", ".join(operations)
    world.write(f"000{number}_it.py", f"from goaime_migrate import *\noperations = [{listed}]")


def indexes(world: World) -> dict[str, Index]:
    """All but the one on `_id`, by name."""
    _, listed = world.catalogue()["c"]
    return {index.pop("name"): index for index in map(dict, listed) if index["name"] != "_id_"}


def in_bytes(world: World) -> set[bytes]:
    """So that 1 is told from 1.0."""
    with world.client() as client:
        return {encode(index) for index in client[world.database].c.list_indexes()}


def there_and_back(world: World, *operations: str) -> dict[str, Index]:
    """What `up` leaves, which a second one leaves too; `down` is exact."""
    declare(world, 2, *operations)
    before = indexes(world)
    for _ in range(2):
        succeeded(world.up())
        after = indexes(world)
        succeeded(world.down())
        assert indexes(world) == before
    return after


@two
def test_an_index_replaces_another_that_may_stand_beside_it(shop: World) -> None:
    after = there_and_back(shop, 'CreateIndex("c", "b", unique=True, replaces="by_b")')
    assert list(after) == ["b_1"]
    assert after["b_1"]["unique"] is True


@two
def test_an_index_replaces_another_on_the_same_keys(shop: World) -> None:
    declare(shop, 2, 'CreateIndex("c", "at", name="soon", expireAfterSeconds=60)')
    succeeded(shop.up())
    before = indexes(shop)
    declare(shop, 3, 'CreateIndex("c", "at", name="late", expireAfterSeconds=3600, replaces="soon")')
    succeeded(shop.up())
    assert {name: index.get("expireAfterSeconds") for name, index in indexes(shop).items()} == {
        "by_b": None,
        "late": 3600,
    }
    succeeded(shop.down())
    assert indexes(shop) == before


@two
def test_an_index_that_only_gets_another_name(shop: World) -> None:
    after = there_and_back(shop, 'CreateIndex("c", [("b", 1), ("a", -1)], name="renamed", replaces="by_b")')
    assert list(after) == ["renamed"]


@two
def test_what_is_refused_beside_the_old_index_leaves_it(shop: World) -> None:
    before = indexes(shop)
    declare(shop, 2, 'CreateIndex("c", "a", unique=True, replaces="by_b")')
    assert isinstance(shop.up().error, errors.WouldFail)
    path = next(shop.folder.glob("0002*"))
    path.write_text("# allow: unique-duplicates because it has to fail\n" + path.read_text())
    assert isinstance(shop.up().error, errors.DuplicateKey)
    assert indexes(shop) == before
    declare(shop, 2, 'CreateIndex("c", "a", replaces="by_b")')
    succeeded(shop.up())
    succeeded(shop.down())
    assert indexes(shop) == before


TEXT = 'CreateIndex("c", [("b", "text")], name="words", language_override="{0}")'


@one_server
def test_an_index_that_had_to_go_first_comes_back_where_the_new_one_fails(shop: World) -> None:
    """A collection has one text index; this document is in a language that the server does not know."""
    shop.insert("c", [{"_id": 9, "b": "x", "language": "klingon"}])
    declare(shop, 2, 'CreateIndex("c", [("b", "text")], name="old", language_override="l")')
    succeeded(shop.up())
    before = in_bytes(shop)
    declare(shop, 3, 'CreateIndex("c", [("b", "text")], name="new", replaces="old")')
    error = shop.up().error
    assert isinstance(error, errors.OperationFailed)
    assert "klingon" in error.message
    assert in_bytes(shop) == before
    shop.remove("c", 9)
    succeeded(shop.up())
    assert list(indexes(shop)) == ["by_b", "new"]
    succeeded(shop.down())
    assert in_bytes(shop) == before


@one_server
def test_where_neither_index_can_be_built_both_reasons_are_said_and_the_old_one_is_not_forgotten(
    shop: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(shop, 2, 'CreateIndex("c", "at", name="soon", expireAfterSeconds=60)')
    succeeded(shop.up())
    before = in_bytes(shop)
    declare(shop, 3, 'CreateIndex("c", "at", name="late", expireAfterSeconds=3600, replaces="soon")')
    with monkeypatch.context() as patched:

        def refuse(backend: object, collection: str, index: Index) -> None:
            raise errors.OperationFailed(f"no room for {index['name']}")

        patched.setattr(index_specs, "build", refuse)
        error = shop.up().error
    assert isinstance(error, errors.OperationFailed)
    assert error.message == (
        "no room for late; and the index 'soon', which had to go first, cannot come back: no room for soon"
    )
    assert list(indexes(shop)) == ["by_b"]
    succeeded(shop.down())
    assert in_bytes(shop) == before


@two
def test_a_run_that_was_cut_off_between_the_two_goes_on(shop: World, monkeypatch: pytest.MonkeyPatch) -> None:
    declare(shop, 2, 'CreateIndex("c", "at", name="soon", expireAfterSeconds=60)')
    succeeded(shop.up())
    before = indexes(shop)
    declare(shop, 3, 'CreateIndex("c", "at", name="late", expireAfterSeconds=3600, replaces="soon")')

    def lose(*_: object) -> None:
        raise errors.ServerUnreachable("gone")

    for command in (shop.up, shop.down):
        with monkeypatch.context() as patched:
            patched.setattr(index_specs, "build", lose)
            assert isinstance(command().error, errors.ServerUnreachable)
        succeeded(command())
    assert indexes(shop) == before


@two
def test_an_index_that_is_there_already_is_left_by_down_and_the_one_that_it_replaces_comes_back(
    shop: World,
) -> None:
    declare(shop, 2, 'CreateIndex("c", "a")')
    succeeded(shop.up())
    before = indexes(shop)
    declare(shop, 3, 'CreateIndex("c", "a", replaces="by_b")')
    succeeded(shop.up())
    assert list(indexes(shop)) == ["a_1"]
    succeeded(shop.down())
    assert indexes(shop) == before


@two
def test_what_somebody_has_replaced_by_hand_is_left_as_it_is(shop: World) -> None:
    declare(shop, 2, 'CreateIndex("c", "a")', 'DropIndex("c", "by_b")')
    succeeded(shop.up())
    before = indexes(shop)
    declare(shop, 3, 'CreateIndex("c", "a", replaces="by_b")')
    succeeded(shop.up())
    assert indexes(shop) == before
    succeeded(shop.down())
    assert indexes(shop) == before


@two
def test_an_index_that_is_not_there_cannot_be_replaced_and_nothing_is_begun(shop: World) -> None:
    before = shop.raws("c"), indexes(shop)
    declare(shop, 2, 'AddField("c", "new", 1)', 'CreateIndex("c", "a", replaces="by_x")')
    plan, error = shop.plan(), shop.up().error
    assert isinstance(error, errors.Refused)
    assert error.message == ("c: there is no index 'by_x' for 'a_1' to replace; there is 'by_b'")
    assert plan.refused is not None
    assert plan.refused.message == error.message
    assert (shop.raws("c"), indexes(shop)) == before
    assert shop.states() == ["applied", "pending"]


@two
def test_an_index_may_replace_one_that_the_same_run_creates(world: World) -> None:
    world.insert("c", [{"_id": 1}])
    declare(world, 1, 'CreateIndex("c", "a")')
    declare(world, 2, 'CreateIndex("c", "b", replaces="a_1")')
    assert world.plan().refused is None
    succeeded(world.up())
    assert list(indexes(world)) == ["b_1"]
    succeeded(world.down("base"))
    assert indexes(world) == {}


# --- all of them -----------------------------------------------------------------------------------------------


@two
def test_all_indexes_go_and_come_back(shop: World) -> None:
    declare(shop, 2, 'CreateIndex("c", "a")', 'CreateIndex("c", "at", expireAfterSeconds=60)')
    succeeded(shop.up())
    before = indexes(shop)
    assert len(before) == 3
    declare(shop, 3, 'DropIndex("c", "*")')
    succeeded(shop.up())
    assert indexes(shop) == {}
    succeeded(shop.down())
    assert indexes(shop) == before


@one_server
def test_all_indexes_come_back_as_they_were_to_the_byte(shop: World) -> None:
    special: list[Index] = [
        {"key": {"b": "text"}, "name": "t", "weights": {"b": 5, "a.b": 2}},
        {"key": {"a": -1.0, "b": 0.5}, "name": "odd"},
        {"key": {"$**": 1}, "name": "wild", "wildcardProjection": {"b": 1}},
        {"key": {"b": 1}, "name": "ci", "collation": {"locale": "en", "strength": 2}, "sparse": True},
        {"key": {"a": 1}, "name": "some", "partialFilterExpression": {"a": {"$gt": 0}}, "hidden": True},
    ]
    with shop.client() as client:
        client[shop.database].command({"createIndexes": "c", "indexes": special})
    before = in_bytes(shop)
    after = there_and_back(shop, 'DropIndex("c", "*")')
    assert after == {}
    assert in_bytes(shop) == before


@two
def test_where_there_is_no_index_none_is_dropped_without_a_word(shop: World) -> None:
    declare(shop, 2, 'DropIndex("c", "by_b")')
    succeeded(shop.up())
    declare(shop, 3, 'DropIndex("c", "*")', 'DropIndex("nowhere", "*")')
    succeeded(shop.up())
    succeeded(shop.down())
    assert indexes(shop) == {}


@pytest.mark.since("5.3")
@one_server
def test_a_collection_that_is_ordered_by_its_ids_keeps_that_order(world: World) -> None:
    declare(
        world,
        1,
        'CreateCollection("c", clusteredIndex={"key": {"_id": 1}, "unique": True})',
        'CreateIndex("c", "a")',
    )
    succeeded(world.up())
    before = in_bytes(world)
    there_and_back(world, 'DropIndex("c", "*")')
    assert in_bytes(world) == before
