"""A filter sees what is stored: where nothing pending touches what it looks at, `plan` tells what it will find."""

from __future__ import annotations

import pytest

from tests.integration.engines import two
from tests.world import World, succeeded

FILTERED = 'from goaime_migrate import *\noperations = [AddField("books", "z", 1, where={})]\n'


@two
@pytest.mark.parametrize(
    ("first", "where", "known"),
    [
        ('RemoveField("books", "q")', {"a": 1}, True),
        ('RemoveField("books", "q")', {"$or": [{"a.b": 1}, {"a": {"$gt": 0}}]}, True),
        ('TransformDocuments("books", lambda b: b.pop("q", None) and None, fields=["q"])', {"a": 1}, True),
        ('RemoveField("books", "a.b")', {"a": 1}, False),
        ('RemoveField("books", "q")', {"$or": [{"a": 1}, {"q": 2}]}, False),
        ('RemoveField("books", "q")', {"$expr": {"$eq": ["$a", 1]}}, False),
        ('TransformDocuments("books", lambda b: b.pop("q", None) and None)', {"a": 1}, False),
        ('RemoveField("books", "q", where={"a": {"$gt": 0}})', {"a": 1}, False),
    ],
)
def test_a_filter_on_fields_that_nothing_touches_before_it_is_foreseen(
    world: World, first: str, where: dict[str, object], known: bool
) -> None:
    world.insert(
        "books", [{"_id": 1, "a": 1, "q": 2}, {"_id": 2, "a": 1, "z": 3, "q": 2}, {"_id": 3, "a": 0}]
    )
    world.write("0001_first.py", f"from goaime_migrate import *\noperations = [{first}]\n")
    world.write("0002_second.py", FILTERED.replace("{}", repr(where)))

    plan = world.plan()
    (found,) = plan.steps[1].operations
    assert plan.unforeseen == (() if known else ("0002",))
    assert (found.matched, found.changed, found.unchanged) == ((2, 1, 1) if known else (None, None, None))
    if known:
        assert [sample.before for sample in plan.steps[1].samples] == [{"_id": 1, "a": 1}]
    succeeded(world.up())
    if known:
        assert [d["_id"] for d in world.documents("books") if "z" in d] == [1, 2]
