"""DeriveDocuments: what is made of documents, once each, and taken back; on every engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import count
from typing import Any

import pytest
from bson import encode

from goaime_migrate import errors
from goaime_migrate.backends import raw_bson
from goaime_migrate.events import BatchCommitted, Event
from goaime_migrate.results import Direction, OnConflict
from tests.integration.engines import dump, each_mode, one_server, servers
from tests.world import World, succeeded

ITEMS = """
    from goaime_migrate import DeriveDocuments

    def items(order):
        for place, name in enumerate(order.pop("items", ())):
            yield {"_id": f"{order['_id']}/{place}", "order": order["_id"], "name": name}

    operations = [DeriveDocuments("orders", "items", items)]
    """
CUSTOMERS = """
    from goaime_migrate import DeriveDocuments

    def customers(order):
        return [{"_id": order["customer"], "city": order["city"]}]

    operations = [DeriveDocuments("orders", "customers", customers)]
    """


def order(i: int) -> dict[str, Any]:
    return {
        "_id": i,
        "items": [f"{i}-{n}" for n in range(i % 4)],
        "customer": f"c{i % 7}",
        "city": f"city {i % 7}",
    }


def orders(world: World, number: int = 300) -> list[dict[str, Any]]:
    documents = [order(i) for i in range(number)]
    world.insert("orders", documents)
    return documents


def expected(documents: Iterable[dict[str, Any]]) -> dict[bytes, bytes]:
    made = (
        {"_id": f"{d['_id']}/{place}", "order": d["_id"], "name": name}
        for d in documents
        for place, name in enumerate(d["items"])
    )
    return {encode({"_id": d["_id"]}): encode(d) for d in made}


def at_batch(number: int, do: Callable[[], Any]) -> Callable[[Event], None]:
    """A listener that does something once, when so many batches are committed."""
    batches = count()

    def hear(event: Event) -> None:
        if isinstance(event, BatchCommitted) and next(batches) == number:
            do()

    return hear


def up_with(world: World, hear: Callable[[Event], None]) -> Any:
    with world.migrator(hear, batch_size=50, workers=1) as migrator:
        return migrator.up()


@each_mode
def test_there_and_back(world: World) -> None:
    documents = orders(world)
    sources = world.raws("orders")
    world.write("0001_items.py", ITEMS)
    made = sum(len(d["items"]) for d in documents)
    none = sum(not d["items"] for d in documents)
    plan = world.plan()
    assert plan.refused is None
    (operation,) = plan.steps[0].operations
    assert (operation.matched, operation.changed, operation.unchanged) == (300, made, none)
    assert [s.before for s in plan.steps[0].samples] == [None, None]
    assert plan.steps[0].samples[0].after == {"_id": "1/0", "order": 1, "name": "1-0"}
    assert set(world.catalogue()) == {"orders"}
    result = succeeded(world.up())
    counts = result.documents
    assert (counts.matched, counts.changed, counts.unchanged) == (300, made, none)
    shown = world.status().versions[0].documents
    assert shown is not None
    assert (shown.matched, shown.changed, shown.unchanged) == (300, made, none)
    assert world.raws("items") == expected(documents)
    assert world.raws("orders") == sources
    back = succeeded(world.down())
    assert (back.documents.changed, back.conflicts, back.born) == (made, (), 0)
    assert set(world.catalogue()) == {"orders"}
    assert world.raws("orders") == sources


@each_mode
def test_what_several_make_alike_is_made_once(world: World) -> None:
    orders(world)
    world.write("0001_customers.py", CUSTOMERS)
    world.insert("customers", [{"_id": "c0", "city": "city 0"}, {"_id": "x"}])
    before = world.raws("customers")
    (operation,) = world.plan().steps[0].operations
    world.settings["batch_size"] = 50
    counts = succeeded(world.up()).documents
    assert (counts.matched, counts.changed) == (300, 6)
    assert (operation.matched, operation.changed, operation.unchanged) == (300, 6, counts.unchanged)
    assert len(world.raws("customers")) == 8
    back = succeeded(world.down())
    assert (back.documents.changed, back.conflicts) == (6, ())
    assert world.raws("customers") == before


@each_mode
@pytest.mark.parametrize("where", ["together", "apart", "there"])
def test_what_is_there_with_other_values_stops(world: World, where: str) -> None:
    orders(world)
    world.write("0001_customers.py", CUSTOMERS)
    world.settings["batch_size"] = 50
    if where == "there":
        world.insert("customers", [{"_id": "c2", "city": "elsewhere"}])
    else:
        world.change("orders", 16 if where == "together" else 163, city="elsewhere")
    for error in (world.plan().refused, world.up().error):
        assert isinstance(error, errors.DuplicateKey)
        assert error.id == "c2"
        assert "with other values" in error.message
        assert (" too, with" in error.message) == (where != "there")
    assert world.states() == ["failed"]
    if where == "there":
        world.remove("customers", "c2")
    else:
        world.change("orders", 16 if where == "together" else 163, city="city 2")
    succeeded(world.up())
    assert len(world.raws("customers")) == 7


@each_mode
def test_into_its_own_collection(world: World) -> None:
    world.write(
        "0001_copies.py",
        """
        from goaime_migrate import DeriveDocuments

        def copies(d):
            return [{"_id": d["_id"] + n, "of": d["_id"]} for n in (0.5, 1000)]

        operations = [DeriveDocuments("c", "c", copies)]
        """,
    )
    world.insert("c", [{"_id": i} for i in range(200)])
    before = world.raws("c")
    world.settings["batch_size"] = 30
    counts = succeeded(world.up()).documents
    assert (counts.matched, counts.changed) == (200, 400)
    assert len(world.raws("c")) == 600
    back = succeeded(world.down())
    assert (back.documents.changed, back.conflicts, back.born) == (400, (), 0)
    assert world.raws("c") == before


@each_mode
def test_a_filter_chooses_the_sources(world: World) -> None:
    documents = orders(world)
    world.write("0001_items.py", ITEMS.replace("items)]", 'items, where={"_id": {"$gte": 100}})]'))
    counts = succeeded(world.up()).documents
    assert counts.matched == 200
    assert world.raws("items") == expected(documents[100:])
    succeeded(world.down())
    assert world.raws("items") == {}


@each_mode
def test_a_canary_comes_first(world: World) -> None:
    documents = orders(world)
    world.write("0001_items.py", ITEMS)
    first = succeeded(world.up(where={"_id": {"$lt": 10}}))
    assert first.documents.matched == 10
    assert world.raws("items") == expected(documents[:10])
    assert world.states() == ["partial"]
    (operation,) = world.plan().steps[0].operations
    assert (operation.matched, operation.changed) == (290, len(expected(documents[10:])))
    succeeded(world.up())
    assert world.raws("items") == expected(documents)
    shown = world.status().versions[0].documents
    assert shown is not None
    assert (shown.matched, shown.changed) == (300, len(expected(documents)))
    succeeded(world.down())
    assert set(world.catalogue()) == {"orders"}


@each_mode
def test_one_that_makes_many(world: World) -> None:
    world.write(
        "0001_many.py",
        """
        from goaime_migrate import DeriveDocuments

        def many(d):
            return ({"_id": f"{d['_id']}/{n}", "x": "x" * 100} for n in range(d["n"]))

        operations = [DeriveDocuments("c", "many", many)]
        """,
    )
    world.insert("c", [{"_id": i, "n": 10_000 if i == 3 else 700} for i in range(30)])
    counts = succeeded(world.up()).documents
    assert (counts.matched, counts.changed) == (30, 30_300)
    assert len(world.raws("many")) == 30_300
    assert succeeded(world.down()).documents.changed == 30_300
    assert "many" not in world.catalogue()


LOOKUP = """
    from goaime_migrate import DeriveDocuments, Lookup

    def tagged(d, tags):
        found = tags.get(d["tag"])
        return [{"_id": f"{d['_id']}!", "tag": d["tag"], "known": found is not None and found["n"]}]

    operations = [DeriveDocuments("c", "tags", tagged, tags=Lookup("tags", key="tag"))]
    """


@each_mode
def test_a_lookup_into_the_target_sees_it_as_it_was(world: World) -> None:
    world.write("0001_tagged.py", LOOKUP)
    world.insert("c", [{"_id": i, "tag": f"t{i % 5}"} for i in range(100)])
    world.insert("tags", [{"_id": 1, "tag": "t1", "n": 7}])
    world.settings["batch_size"] = 10
    succeeded(world.up())
    made = [d for d in world.documents("tags") if d["_id"] != 1]
    assert len(made) == 100
    assert all(d["known"] == (7 if d["tag"] == "t1" else False) for d in made)
    succeeded(world.down())
    assert world.documents("tags") == [{"_id": 1, "tag": "t1", "n": 7}]


@each_mode
def test_a_failure_names_the_source_and_the_next_run_goes_on(world: World) -> None:
    documents = orders(world)
    world.write("0001_items.py", ITEMS)
    world.settings["batch_size"] = 50
    world.change("orders", 170, items=5)
    error = world.up().error
    assert isinstance(error, errors.TransformFailed)
    assert error.id == 170
    assert 0 < len(world.raws("items")) < len(expected(documents))
    world.change("orders", 170, items=["170-0", "170-1"])
    succeeded(world.up())
    assert world.raws("items") == expected(documents)
    succeeded(world.down())
    assert set(world.catalogue()) == {"orders"}


@each_mode
@pytest.mark.parametrize("on_conflict", list(OnConflict))
def test_what_the_application_has_touched_is_a_conflict(world: World, on_conflict: OnConflict) -> None:
    orders(world, 10)
    world.write("0001_items.py", ITEMS)
    succeeded(world.up())
    world.change("items", "1/0", name="mine")
    world.remove("items", "2/0")
    with world.migrator() as migrator:
        shown = migrator.plan("base", direction=Direction.DOWN).preview
    assert shown is not None
    assert shown.conflicts == 1
    result = world.down(on_conflict=on_conflict)
    if on_conflict is OnConflict.STOP:
        assert isinstance(result.error, errors.Conflicts)
        assert result.error.id == "1/0"
        return
    succeeded(result)
    assert [(c.collection, c.id) for c in result.conflicts] == [("items", "1/0")]
    assert [d["_id"] for d in world.documents("items")] == (["1/0"] if on_conflict is OnConflict.KEEP else [])


@each_mode
def test_a_rename_above_is_followed_down(world: World) -> None:
    orders(world, 20)
    world.write("0001_items.py", ITEMS)
    world.write(
        "0002_rename.py",
        """
        from goaime_migrate import RenameCollection

        operations = [RenameCollection("items", "lines"), RenameCollection("orders", "bills")]
        """,
    )
    succeeded(world.up())
    assert set(world.catalogue()) == {"bills", "lines"}
    succeeded(world.down("base"))
    assert set(world.catalogue()) == {"orders"}


@each_mode
def test_transforms_before_and_after(world: World) -> None:
    documents = orders(world, 50)
    sources = world.raws("orders")
    world.write(
        "0001_upper.py",
        """
        from goaime_migrate import DeriveDocuments, RemoveField, TransformDocuments

        def upper(d):
            d["items"] = [name.upper() for name in d["items"]]

        def items(order):
            return [{"_id": name} for name in order["items"]]

        operations = [
            TransformDocuments("orders", upper),
            DeriveDocuments("orders", "items", items),
            RemoveField("orders", "items"),
        ]
        """,
    )
    made = sum(len(d["items"]) for d in documents)
    assert [(o.matched, o.changed) for o in world.plan().steps[0].operations][1] == (50, made)
    succeeded(world.up())
    assert len(world.raws("items")) == made
    assert all("items" not in d for d in world.documents("orders"))
    succeeded(world.down())
    assert world.raws("orders") == sources
    assert "items" not in world.catalogue()


@servers
def test_a_view_is_neither_source_nor_target(world: World) -> None:
    orders(world, 3)
    with world.client() as client:
        client[world.database].create_collection("items", viewOn="orders")
    world.write("0001_items.py", ITEMS)
    assert isinstance(world.plan().refused, errors.MissingCapability)
    assert isinstance(world.up().error, errors.MissingCapability)
    world.write("0001_items.py", ITEMS.replace('"orders", "items"', '"items", "lines"'))
    assert isinstance(world.up().error, errors.MissingCapability)
    assert set(world.catalogue()) == {"orders", "items"}


@dump
def test_what_is_made_stands_at_the_end_of_a_dump(world: World) -> None:
    world.insert("items", [{"_id": "z"}, {"_id": "a"}])
    orders(world, 5)
    world.write("0001_items.py", ITEMS)
    before = (world.dump / "items.bson").read_bytes()
    succeeded(world.up())
    after = (world.dump / "items.bson").read_bytes()
    assert after.startswith(before)
    assert [raw_bson.decode(d)["_id"] for d in raw_bson.split(after)][2:4] == ["1/0", "2/0"]
    succeeded(world.down())
    assert (world.dump / "items.bson").read_bytes() == before


# --- beside an application -------------------------------------------------------------------------------------------


@servers
def test_sources_that_change_meanwhile_are_derived_anew(world: World) -> None:
    orders(world)
    world.write("0001_items.py", ITEMS)

    def write() -> None:
        world.change("orders", 3, items=["other", "3-1"])  # one replaced, one as it was, one gone
        world.remove("orders", 7)
        world.insert("orders", [{"_id": -1, "items": ["early"]}, {"_id": 1000, "items": ["late"]}])
        world.change("orders", 11, items=[])
        world.change("orders", 290, items=["ahead"])

    succeeded(up_with(world, at_batch(2, write)))
    assert world.raws("items") == expected(world.documents("orders"))
    shown = world.status().versions[0].documents
    assert shown is not None
    gone = 1 + 3 + 3  # of 3, 7 and 11: derived all the same
    assert (shown.matched, shown.changed) == (302, len(world.raws("items")) + gone)
    succeeded(world.down())
    assert set(world.catalogue()) == {"orders"}


@servers
def test_what_both_have_changed_stays_and_is_a_conflict(world: World) -> None:
    orders(world)
    world.write("0001_items.py", ITEMS)

    def write() -> None:
        for identity in (3, 7, 11, 15):
            world.change("orders", identity, items=["new"])
        world.change("items", "3/0", name="mine")  # its source too: a conflict
        world.remove("items", "7/0")  # so is this
        world.change("items", "11/2", name="mine")  # is not made any more: a conflict
        world.change("items", "19/0", name="mine")  # its source has not changed

    result = up_with(world, at_batch(2, write))
    assert isinstance(result.error, errors.Conflicts)
    assert result.error.id in ("3/0", "7/0", "11/2")
    assert "3 documents of items" in result.error.message
    assert world.states() == ["partial"]
    found = {d["_id"]: d["name"] for d in world.documents("items")}
    assert (found["3/0"], found["11/0"], found["11/2"], found["15/0"]) == ("mine", "new", "mine", "new")
    assert "7/0" not in found
    assert found["19/0"] == "mine"
    world.change("items", "3/0", name="new")
    world.insert("items", [{"_id": "7/0", "order": 7, "name": "new"}])
    world.remove("items", "11/2")
    succeeded(world.up())
    assert world.states() == ["applied"]
    result = succeeded(world.down())
    assert [c.id for c in result.conflicts] == ["19/0"]
    assert [d["_id"] for d in world.documents("items")] == ["19/0"]


@servers
def test_what_another_source_still_makes_stays(world: World) -> None:
    orders(world)
    world.write("0001_customers.py", CUSTOMERS)

    def write() -> None:
        for i in range(1, 300, 7):
            if i != 120:
                world.remove("orders", i)  # c1 is left to one order
        for i in range(2, 300, 7):
            world.change("orders", i, city="moved")  # all of c2 alike
        for i in range(3, 300, 7):
            world.remove("orders", i)  # nobody makes c3 any more

    succeeded(up_with(world, at_batch(4, write)))
    found = {d["_id"]: d["city"] for d in world.documents("customers")}
    assert found.pop("c2") == "moved"
    assert found == {f"c{i}": f"city {i}" for i in range(7) if i not in (2, 3)}
    succeeded(world.down())
    assert set(world.catalogue()) == {"orders"}


@servers
def test_two_sources_that_differ_meanwhile_are_a_conflict(world: World) -> None:
    orders(world)
    world.write("0001_customers.py", CUSTOMERS)
    result = up_with(world, at_batch(4, lambda: world.change("orders", 2, city="moved")))
    assert isinstance(result.error, errors.Conflicts)
    assert result.error.id == "c2"
    assert {d["_id"]: d["city"] for d in world.documents("customers")}["c2"] == "city 2"
    for i in range(2, 300, 7):
        world.change("orders", i, city="moved")
    succeeded(world.up())
    assert {d["_id"]: d["city"] for d in world.documents("customers")}["c2"] == "moved"


@servers
def test_what_is_made_in_its_own_collection_is_no_source_in_the_tail_either(world: World) -> None:
    world.write(
        "0001_copies.py",
        """
        from goaime_migrate import DeriveDocuments

        def copies(d):
            return [{"_id": d["_id"] + n, "of": d.get("n")} for n in (0.5, 1000)]

        operations = [DeriveDocuments("c", "c", copies)]
        """,
    )
    world.insert("c", [{"_id": i} for i in range(200)])

    def write() -> None:
        world.change("c", 3.5, touched=True)
        world.change("c", 5, n=1)
        world.insert("c", [{"_id": 10_000}])
        world.remove("c", 9)

    succeeded(up_with(world, at_batch(3, write)))
    found = {d["_id"]: d for d in world.documents("c")}
    assert len(found) == 200 + 400 + 3 - 3
    assert found[1005]["of"] == 1
    assert 9.5 not in found
    result = succeeded(world.down())
    assert [c.id for c in result.conflicts] == [3.5]
    assert len(world.raws("c")) == 201


@one_server
def test_what_the_application_inserts_between_read_and_write_is_seen(world: World) -> None:
    orders(world, 40)
    world.insert("lock", [{"_id": 1}])
    world.write(
        "0001_items.py",
        f"""
        from pymongo import MongoClient
        from goaime_migrate import DeriveDocuments

        def items(order):
            if order["_id"] == 5:
                with MongoClient({world.uri!r}) as client:
                    made = {{"_id": 5, "of": 5}}
                    client[{world.database!r}].items.replace_one({{"_id": 5}}, made, upsert=True)
            return [{{"_id": order["_id"], "of": order["_id"]}}]

        operations = [DeriveDocuments("orders", "items", items)]
        """,
    )
    counts = succeeded(world.up()).documents
    assert (counts.matched, counts.changed, counts.unchanged) == (40, 39, 1)
    assert len(world.raws("items")) == 40
    succeeded(world.down())
    assert [d["_id"] for d in world.documents("items")] == [5]


@each_mode
def test_other_commands_know_what_was_derived(world: World) -> None:
    orders(world, 30)
    world.write("0001_items.py", ITEMS)
    succeeded(world.up())
    found = world.verify()
    assert (found.failures, found.without_promise) == ((), ("0001",))
    with world.migrator() as migrator:
        assert migrator.plan().steps == ()
        assert [entry.result for entry in migrator.history()] == ["applied"]
    assert succeeded(world.up()).documents.matched == 0


@servers
def test_a_kill_between_two_runs_is_told_apart_by_the_journal(world: World) -> None:
    documents = orders(world)
    world.write("0001_items.py", ITEMS)

    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        up_with(world, at_batch(2, stop))
    made = world.raws("items")
    assert 0 < len(made) < len(expected(documents))
    (operation,) = world.plan().steps[0].operations
    assert operation.changed == len(expected(documents)) - len(made)
    world.change("orders", 1, items=["other"])
    succeeded(world.up())
    assert world.raws("items") == expected(world.documents("orders"))
    succeeded(world.down())
    assert set(world.catalogue()) == {"orders"}
