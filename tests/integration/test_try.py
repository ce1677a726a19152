"""One document through one version: what it becomes, what stops it, and that nothing is written."""

from __future__ import annotations

from typing import Any

import pytest

from goaime_migrate import errors
from goaime_migrate.results import TriedStep, TryResult
from tests.conftest import EMBEDDED
from tests.integration.engines import each_mode, on, servers
from tests.servers import Kind
from tests.world import World, succeeded

ORDERS: list[dict[str, Any]] = [
    {"_id": 1, "item": "a", "n": 3},
    {"_id": 2, "item": "b", "n": 1},
    {"_id": None, "item": "a", "n": 2},
]
PRICES = [{"_id": 1, "item": "a", "price": 7}]
TOTAL = """
    import warnings
    from goaime_migrate import Lookup, TransformDocuments


    def add_total(order, prices):
        if order["item"] not in prices:
            warnings.warn("no such item")
        else:
            order["total"] = prices[order["item"]]["price"] * order["n"]


    operations = [TransformDocuments("orders", add_total, prices=Lookup("prices", key="item"))]
"""
HALF = """
    from goaime_migrate import AddField, TransformDocuments, UpdateDocuments


    def halve(order):
        order["half"] = order["total"] / 2


    def is_small(order):
        if order["half"] > 10:
            yield "half: too much"


    operations = [
        TransformDocuments("orders", halve, check=is_small),
        UpdateDocuments("orders", [{"$set": {"more": {"$add": ["$half", 1]}}}]),
        AddField("orders", "big", True, where={"more": {"$gt": 11}}),
    ]
"""


@pytest.fixture
def shop(world: World) -> World:
    """Two pending versions; the second needs what the first makes."""
    world.insert("orders", ORDERS)
    world.insert("prices", PRICES)
    world.write("0001_total.py", TOTAL)
    world.write("0002_half.py", HALF)
    return world


def tried(world: World, version: str, document: dict[str, Any] | None = None, **more: Any) -> TryResult:
    with world.migrator() as migrator:
        return migrator.try_(version, document, **more)


def changes(steps: tuple[TriedStep, ...]) -> list[dict[str, Any]]:
    return [{k: v for k, v in (s.after or {}).items() if (k, v) not in s.before.items()} for s in steps]


@each_mode
def test_earlier_pending_versions_come_first(shop: World) -> None:
    before = shop.catalogue(), shop.raws("orders")
    result = tried(shop, "2", where={"item": "a", "n": 3})
    assert [s.version for s in result.steps] == ["0001", "0002", "0002", "0002"]
    assert changes(result.steps) == [{"total": 21}, {"half": 10.5}, {"more": 11.5}, {"big": True}]
    assert (result.version, result.collection, result.id) == ("0002", "orders", 1)
    assert result.before == ORDERS[0]
    assert result.after == {**ORDERS[0], "total": 21, "half": 10.5, "more": 11.5, "big": True}
    assert (shop.catalogue(), shop.raws("orders")) == before


@each_mode
def test_it_does_to_the_document_what_up_does(shop: World) -> None:
    shop.write("0002_half.py", HALF.replace("> 10:", "> 11:"))
    shop.remove("orders", 2)
    expected = [tried(shop, "2", where={"_id": {"$eq": i}}).after for i in (1, None)]
    succeeded(shop.up())
    assert [next(d for d in shop.documents("orders") if d["_id"] == i) for i in (1, None)] == expected


@each_mode
def test_a_broken_promise_is_told_and_the_rest_goes_on(shop: World) -> None:
    result = tried(shop, "half", where={"_id": 1})
    assert [s.problems for s in result.steps] == [(), ("half: too much",), (), ()]
    assert isinstance(result.error, errors.PromiseBroken)
    assert (result.error.version, result.error.id) == ("0002", 1)
    assert tried(shop, "half", where={"_id": None}).error is None


@each_mode
def test_what_raises_is_told_with_its_line(shop: World) -> None:
    result = tried(shop, "2", where={"_id": 2})
    assert isinstance(result.error, errors.TransformFailed)
    assert (result.error.version, result.error.id, result.error.field) == ("0002", 2, "total")
    assert 'order["half"] = order["total"] / 2' in result.error.detail
    assert "try 0002" in result.error.hint
    assert [s.failed for s in result.steps] == [False, True]
    assert result.after is None


@each_mode
def test_warnings_and_lookups_in_vain(shop: World) -> None:
    (step,) = tried(shop, "1", where={"_id": 2}).steps
    assert step.warnings == ("no such item",)
    assert step.notes == ("the lookup prices= finds nothing in 'prices' by 'item'",)
    assert not step.changed


@each_mode
def test_an_operation_whose_filter_leaves_it_out(shop: World) -> None:
    result = tried(shop, "2", where={"_id": None})
    last = result.steps[-1]
    assert not last.changed
    assert "where= does not match" in last.notes[0]


@each_mode
def test_a_document_that_is_handed_over_meets_this_version_alone(shop: World) -> None:
    document: dict[str, Any] = {"_id": "x", "total": 30}
    result = tried(shop, "2", document)
    assert [s.version for s in result.steps] == ["0002"] * 3
    assert result.after == {**document, "half": 15.0, "more": 16.0, "big": True}
    assert result.given


@on(EMBEDDED)
def test_no_database_is_needed_for_a_document_that_is_handed_over(world: World) -> None:
    world.write("0001_add.py", 'from goaime_migrate import *\noperations = [AddField("c", "n", 1)]\n')
    world.uri = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=1"
    assert tried(world, "1", {"_id": 1}).after == {"_id": 1, "n": 1}
    world.write("0002_total.py", TOTAL)
    result = tried(world, "2", {"_id": 1, "item": "a", "n": 1})
    assert isinstance(result.error, errors.ServerUnreachable)


@servers
def test_what_only_the_server_computes_needs_a_document_there(world: World) -> None:
    world.write(
        "0001_set.py",
        'from goaime_migrate import *\noperations = [UpdateDocuments("c", [{"$set": {"n": {"$add": ["$n", 1]}}}])]\n',
    )
    result = tried(world, "1", {"_id": 1, "n": 1})
    assert isinstance(result.error, errors.MissingCapability)
    world.insert("c", [{"_id": 7}])
    assert tried(world, "1", {"_id": 1, "n": 1}).after == {"_id": 1, "n": 2}


@each_mode
def test_a_rename_that_is_pending_is_followed(world: World) -> None:
    world.insert("old", [{"_id": 1}])
    world.write("0001_add.py", 'from goaime_migrate import *\noperations = [AddField("old", "n", 1)]\n')
    world.write(
        "0002_rename.py", 'from goaime_migrate import *\noperations = [RenameCollection("old", "new")]\n'
    )
    world.write("0003_more.py", 'from goaime_migrate import *\noperations = [AddField("new", "m", 2)]\n')
    result = tried(world, "3", where={})
    assert (result.collection, result.after) == ("old", {"_id": 1, "n": 1, "m": 2})


@on(Kind.REPLICA_SET)
def test_an_applied_version_is_tried_once_more(shop: World) -> None:
    succeeded(shop.up("1"))
    result = tried(shop, "1", where={"_id": 1})
    assert not result.steps[0].changed
    assert "was applied" in result.notes[0]
    assert [s.version for s in tried(shop, "2", where={"_id": 1}).steps] == ["0002"] * 3


@each_mode
def test_a_document_that_an_unfinished_pass_has_examined_has_it_behind_it(shop: World) -> None:
    shop.write("0001_total.py", TOTAL + "    assert add_total\n")
    assert shop.up("1", where={"_id": 1}).error is None
    assert [s.version for s in tried(shop, "2", where={"_id": 1}).steps] == ["0002"] * 3
    assert [s.version for s in tried(shop, "2", where={"_id": None}).steps] == ["0001"] + ["0002"] * 3


@pytest.mark.parametrize(
    ("version", "document", "more", "said"),
    [
        ("1", None, {"where": {"_id": {"$eq": 9}}}, "no document with the _id 9 in orders"),
        ("1", None, {"where": {"x": {"$gt": 3}}}, 'no document matches {"x": {"$gt": 3}}'),
        ("1", None, {"where": {"$nonsense": 3}}, "--where is no filter"),
        ("1", {"n": 1}, {}, "has no _id"),
        ("1", None, {}, "which one"),
        ("9", None, {"where": {}}, "there is no version"),
        ("base", None, {"where": {}}, "no version with a file"),
        ("3", None, {"where": {}}, "changes no documents one by one"),
        ("4", {"_id": 1}, {}, "whose is the document"),
        ("4", {"_id": 1}, {"collection": "x"}, "does not work on x"),
    ],
)
@on(Kind.REPLICA_SET)
def test_what_cannot_be_tried(
    shop: World, version: str, document: dict[str, Any] | None, more: dict[str, Any], said: str
) -> None:
    shop.write("0003_index.py", 'from goaime_migrate import *\noperations = [CreateIndex("orders", "n")]\n')
    shop.write(
        "0004_two.py",
        'from goaime_migrate import *\noperations = [AddField("orders", "z", 1), AddField("prices", "z", 1)]\n',
    )
    with pytest.raises(errors.UsageError) as caught:
        tried(shop, version, document, **more)
    assert said in caught.value.message


@on(Kind.REPLICA_SET)
def test_the_first_collection_that_has_it(shop: World) -> None:
    shop.write(
        "0001_total.py",
        'from goaime_migrate import *\noperations = [AddField("orders", "z", 1), AddField("prices", "z", 1)]\n',
    )
    assert tried(shop, "1", where={"price": 7}).collection == "prices"
    assert tried(shop, "1", where={}, collection="prices").collection == "prices"


@on(EMBEDDED)
def test_a_field_that_is_not_declared_is_found_here_too(world: World) -> None:
    world.insert("c", [{"_id": 1, "a": 1}])
    world.write(
        "0001_b.py",
        """
        from goaime_migrate import TransformDocuments

        def set_b(document):
            document["b"] = document["a"]

        operations = [TransformDocuments("c", set_b, fields=["b"])]
        """,
    )
    assert isinstance(tried(world, "1", where={}).error, errors.UndeclaredField)


COMING_AND_GOING = """
    from goaime_migrate import DeleteDocuments, DeleteDuplicates, DeriveDocuments, InsertDocuments, Lookup


    def lines(order, prices):
        for n in range(order["n"]):
            yield {"_id": f"{order['_id']}/{n}", "price": prices[order["item"]]["price"]}


    operations = [
        InsertDocuments("orders", [{"_id": "first"}]),
        DeriveDocuments("orders", "lines", lines, prices=Lookup("prices", key="item")),
        DeleteDuplicates("orders", "item", sort="n"),
        DeleteDocuments("orders", when=lambda order: order["n"] == 1),
    ]
"""


@each_mode
def test_documents_that_come_and_go(shop: World) -> None:
    shop.write("0002_half.py", COMING_AND_GOING)
    before = shop.catalogue(), shop.raws("orders")
    result = tried(shop, "2", where={"_id": 1})
    assert result.error is None
    _, inserted, derived, duplicate = result.steps
    assert (inserted.made, inserted.into, inserted.changed) == (({"_id": "first"},), "orders", True)
    assert [d["_id"] for d in derived.made] == ["1/0", "1/1", "1/2"]
    assert (derived.into, derived.before == derived.after) == ("lines", True)
    assert (duplicate.changed, duplicate.after, result.after) == (True, None, None)
    stays = tried(shop, "2", where={"_id": None})
    assert [s.changed for s in stays.steps] == [True, True, True, False, False]
    assert stays.after is not None
    assert (shop.catalogue(), shop.raws("orders")) == before


ALIKE = """
    from goaime_migrate import DeleteDuplicates, TransformDocuments


    def alike(order):
        order["item"] = "c"


    operations = [{}]
"""
CHANGES, ONCE = 'TransformDocuments("orders", alike)', 'DeleteDuplicates("orders", "item", sort="n")'
UNTOLD = (
    "0003 looks for what is like it in orders as that is now, before {} has changed it: "
    "whether it stays cannot be told"
)


@each_mode
@pytest.mark.parametrize(
    ("second", "third", "by"),
    [
        (CHANGES, ONCE, "0002"),
        ("", f"{CHANGES}, {ONCE}", "0003"),
        (f"{CHANGES}, DeleteDuplicates('orders', 'n')", "DeleteDuplicates('orders', 'item')", "0002"),
        ("", ONCE, None),
    ],
)
def test_duplicates_that_are_yet_to_be_made_cannot_be_told(
    shop: World, second: str, third: str, by: str | None
) -> None:
    shop.write("0001_total.py", ALIKE.format(""))
    shop.write("0002_half.py", ALIKE.format(second))
    shop.write("0003_once.py", ALIKE.format(third))
    result = tried(shop, "3", where={"_id": 1})
    assert [note for note in result.notes if note.startswith("0003")] == ([UNTOLD.format(by)] if by else [])


@each_mode
def test_what_is_yet_to_be_changed_is_followed_under_its_new_name(shop: World) -> None:
    shop.write("0001_total.py", ALIKE.format(CHANGES))
    shop.write(
        "0002_half.py",
        "from goaime_migrate import *\noperations = [RenameCollection('orders', 'sales')]\n",
    )
    shop.write("0003_once.py", ALIKE.format(ONCE.replace("orders", "sales")))
    result = tried(shop, "3", where={"_id": 1})
    assert result.notes == (UNTOLD.format("0001").replace("orders", "sales"),)


@each_mode
def test_a_document_that_is_handed_over_is_told_the_same(shop: World) -> None:
    shop.write("0003_once.py", ALIKE.format(f"{CHANGES}, {ONCE}"))
    result = tried(shop, "3", {"_id": 9, "item": "z", "n": 5})
    assert result.notes == (UNTOLD.format("0003"),)


@each_mode
def test_what_a_function_says_goes(shop: World) -> None:
    shop.write("0002_half.py", COMING_AND_GOING)
    result = tried(shop, "2", {"_id": 2, "item": "a", "n": 1})
    assert [s.after is None for s in result.steps] == [False, False, False, True]
    assert result.after is None


@each_mode
def test_a_version_that_only_inserts_takes_no_document(shop: World) -> None:
    shop.write(
        "0003_seed.py",
        'from goaime_migrate import *\noperations = [InsertDocuments("orders", [{"_id": 9}])]\n',
    )
    with pytest.raises(errors.UsageError) as caught:
        tried(shop, "3", where={})
    assert "insert 1 document into orders" in caught.value.message
