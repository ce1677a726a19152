"""Every recipe of docs/recipes.md, there and back on every engine: its files as they stand, on documents from here."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any

import pytest
from bson import ObjectId, encode

from tests.integration.engines import each_mode
from tests.world import REPOSITORY, World, succeeded

PAGE = (REPOSITORY / "docs" / "recipes.md").read_text(encoding="utf-8")
Document = dict[str, Any]
Collections = dict[str, list[Document]]


@dataclass(frozen=True)
class Recipe:
    """A database before and after; `ids`: whether the `_id`s of what is made are known."""

    before: Collections
    after: Collections
    indexes: str = ""
    after_indexes: dict[str, list[str]] = field(default_factory=dict)
    ids: bool = True


def at(day: int) -> datetime:
    return datetime(2026, 3, day, 12, 30)


def made(text: str) -> ObjectId:
    return ObjectId(sha256(text.encode()).digest()[:12])


RECIPES = {
    "Split an embedded array into a collection": Recipe(
        {
            "orders": [
                {"_id": 1, "lines": [{"sku": "a", "n": 2}, {"sku": "b", "n": 1}], "total": 30},
                {"_id": 2, "lines": []},
                {"_id": 3},
            ]
        },
        {
            "orders": [{"_id": 1, "total": 30}, {"_id": 2}, {"_id": 3}],
            "order_lines": [
                {"_id": "1/1", "order": 1, "sku": "a", "n": 2},
                {"_id": "1/2", "order": 1, "sku": "b", "n": 1},
            ],
        },
        after_indexes={"order_lines": ["order_1"]},
    ),
    "Derived documents with ids of their own": Recipe(
        {
            "posts": [
                {"_id": 1, "comments": [{"by": "ann", "text": "a"}, {"by": "bob", "text": "b"}]},
                {"_id": "1", "comments": [{"by": "ann", "text": "a"}]},
                {"_id": 2},
            ]
        },
        {
            "comments": [
                {"_id": made("comments 1 1"), "post": 1, "by": "bob", "text": "b"},
                {"_id": made("comments '1' 0"), "post": "1", "by": "ann", "text": "a"},
                {"_id": made("comments 1 0"), "post": 1, "by": "ann", "text": "a"},
            ]
        },
    ),
    "Merge two collections": Recipe(
        {"orders": [{"_id": 1, "n": 5}], "filed_orders": [{"_id": 2, "n": 6}, {"_id": 3, "n": 7}]},
        {
            "orders": [
                {"_id": 1, "n": 5},
                {"_id": 2, "n": 6, "filed": True},
                {"_id": 3, "n": 7, "filed": True},
            ]
        },
    ),
    "Keep the old collection aside": Recipe(
        {"orders": [{"_id": 1, "customer": "ann", "total": 1.15}, {"_id": 2, "customer": "bob", "total": 3}]},
        {
            "orders": [
                {"_id": 1, "customer": "ann", "cents": 115},
                {"_id": 2, "customer": "bob", "cents": 300},
            ]
        },
        after_indexes={"orders": ["customer_1"]},
    ),
    "Change `_id`": Recipe(
        {
            "users": [{"_id": 70, "name": "ann", "age": 30}, {"_id": 71, "name": "bob"}],
            "orders": [{"_id": 1, "user": 70}, {"_id": 2, "user": 71}, {"_id": 3, "user": 99}],
        },
        {
            "users": [
                {"_id": "ann", "name": "ann", "age": 30, "number": 70},
                {"_id": "bob", "name": "bob", "number": 71},
            ],
            "orders": [{"_id": 1, "user": "ann"}, {"_id": 2, "user": "bob"}, {"_id": 3, "user": 99}],
        },
    ),
    "Remove duplicates before a unique index": Recipe(
        {
            "users": [
                {"_id": 1, "email": "a@x", "changed_at": at(1)},
                {"_id": 2, "email": "a@x", "changed_at": at(3)},
                {"_id": 3, "email": "b@x"},
                {"_id": 4, "email": "a@x", "changed_at": at(2)},
            ]
        },
        {"users": [{"_id": 2, "email": "a@x", "changed_at": at(3)}, {"_id": 3, "email": "b@x"}]},
        after_indexes={"users": ["email_1"]},
    ),
    "Move references before duplicates go": Recipe(
        {
            "users": [
                {"_id": 1, "email": "a@x", "changed_at": at(1)},
                {"_id": 2, "email": "a@x", "changed_at": at(3)},
                {"_id": 3},
                {"_id": 4, "email": "b@x"},
                {"_id": 5, "email": "a@x", "changed_at": at(3)},
                {"_id": 6},
                {"_id": 7, "email": "b@x"},
            ],
            "orders": [{"_id": 10 + user, "user": user} for user in range(1, 9)],
        },
        {
            "users": [
                {"_id": 2, "email": "a@x", "changed_at": at(3)},
                {"_id": 3},
                {"_id": 4, "email": "b@x"},
                {"_id": 6},
            ],
            "orders": [
                {"_id": 10 + user, "user": stays} for user, stays in enumerate((2, 2, 3, 4, 2, 6, 4, 8), 1)
            ],
        },
    ),
    "Count from another collection": Recipe(
        {
            "customers": [{"_id": "ann"}, {"_id": "bob", "orders": None}],
            "orders": [{"_id": i, "customer": "ann", "amount": i} for i in (1, 2, 3)],
        },
        {"customers": [{"_id": "ann", "orders": 3, "spent": 6}, {"_id": "bob", "orders": 0, "spent": 0}]},
    ),
    "Move files' metadata": Recipe(
        {
            "fs.files": [
                {"_id": 1, "length": 3, "md5": "x", "filename": "a.txt", "contentType": "text/plain"},
                {
                    "_id": 2,
                    "length": 4,
                    "contentType": "image/png",
                    "metadata": {"by": "ann"},
                    "aliases": ["b"],
                },
                {"_id": 3, "length": 5},
            ]
        },
        {
            "fs.files": [
                {"_id": 1, "length": 3, "filename": "a.txt", "metadata": {"contentType": "text/plain"}},
                {
                    "_id": 2,
                    "length": 4,
                    "metadata": {"by": "ann", "contentType": "image/png", "aliases": ["b"]},
                },
                {"_id": 3, "length": 5},
            ]
        },
    ),
    "Seed reference data": Recipe(
        {"currencies": [{"_id": 1, "code": "EUR", "name": "euro, as it was"}]},
        {
            "currencies": [
                {"code": "CHF", "name": "Swiss franc", "digits": 2},
                {"code": "EUR", "name": "euro, as it was"},
                {"code": "JPY", "name": "Yen", "digits": 0},
            ]
        },
        after_indexes={"currencies": ["code_1"]},
        ids=False,
    ),
    "Strings to dates in nested arrays": Recipe(
        {
            "orders": [
                {"_id": 1, "shipments": [{"events": [{"at": "2026-03-01T12:30:00Z", "n": 1}, {"n": 2}]}, {}]},
                {"_id": 2, "shipments": []},
            ]
        },
        {
            "orders": [
                {"_id": 1, "shipments": [{"events": [{"at": at(1), "n": 1}, {"n": 2}]}, {}]},
                {"_id": 2, "shipments": []},
            ]
        },
    ),
    "Replace a TTL index": Recipe(
        {"sessions": [{"_id": 1, "seen_at": datetime(2999, 1, 1)}]},
        {"sessions": [{"_id": 1, "seen_at": datetime(2999, 1, 1)}]},
        indexes='CreateIndex("sessions", "seen_at", expireAfterSeconds=86_400)',
        after_indexes={"sessions": ["after_30_days"]},
    ),
    "Expand and contract in two releases": Recipe(
        {"users": [{"_id": 1, "name": "Ann Marie Lee"}, {"_id": 2, "name": "Bo"}]},
        {
            "users": [
                {"_id": 1, "first": "Ann Marie", "last": "Lee"},
                {"_id": 2, "first": "", "last": "Bo"},
            ]
        },
    ),
}


def files(title: str) -> dict[str, str]:
    """The migration files of a recipe by their names."""
    (section,) = [s for s in re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:] if s.startswith(f"{title}\n")]
    blocks = re.findall(r"^```python\n# migrations/(\S+)\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    return dict(blocks)


def test_every_recipe_is_tried_and_shows_files() -> None:
    assert re.findall(r"^## (.+)$", PAGE, re.MULTILINE) == list(RECIPES)
    assert all(map(files, RECIPES))


def prepare(world: World, recipe: Recipe) -> None:
    """The database before; its indexes are made by a version of their own."""
    for collection, documents in recipe.before.items():
        world.insert(collection, documents)
    world.write("0001_given.py", f"from goaime_migrate import CreateIndex\noperations = [{recipe.indexes}]")
    succeeded(world.up())


def state(world: World) -> Any:
    """Documents in bytes and indexes of all collections but those kept aside."""
    names = [name for name in world.catalogue() if not name.startswith("schema_versions_aside")]
    return {name: world.raws(name) for name in names}, {name: indexes(world, name) for name in names}


def found(world: World, collection: str, ids: bool) -> list[Document]:
    """The documents by `_id`; without it where it is not known, by their code."""
    documents = world.documents(collection)
    if ids:
        return documents
    without = [{name: value for name, value in d.items() if name != "_id"} for d in documents]
    return sorted(without, key=lambda document: str(document["code"]))


def indexes(world: World, collection: str) -> list[Document]:
    _, listed = world.catalogue()[collection]
    return [index for index in listed if index["name"] != "_id_"]


@each_mode
@pytest.mark.parametrize("title", RECIPES)
def test_a_recipe_goes_there_and_back(world: World, title: str) -> None:
    recipe = RECIPES[title]
    prepare(world, recipe)
    before = state(world)
    for number, (name, source) in enumerate(files(title).items(), 2):
        world.write(f"{number:04}_{name[5:]}", source)
    assert world.plan().refused is None
    with world.migrator() as migrator:
        assert migrator.lint().problems == ()

    for _ in range(2):
        succeeded(world.up())
        for collection, expected in recipe.after.items():
            assert list(map(encode, found(world, collection, recipe.ids))) == list(map(encode, expected))
        for collection, names in recipe.after_indexes.items():
            assert [index["name"] for index in indexes(world, collection)] == names
        succeeded(world.down("1"))
        assert state(world) == before
