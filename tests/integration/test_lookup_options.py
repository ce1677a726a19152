"""What a lookup gives: of many documents the first or all of them, some of them, or what an aggregation makes of them."""

from __future__ import annotations

from typing import Any

import pytest
from bson import Int64

from goaime_migrate import errors
from goaime_migrate.backends.field_paths import sorted_by
from goaime_migrate.results import RunResult
from goaime_migrate.run import partitions
from goaime_migrate.transform import frozen_lookups, lookup_answers, lookup_table, stored_results
from goaime_migrate.workers import pool
from tests.integration.engines import dump, each_mode, one_server, servers
from tests.integration.test_own_lookups import at_batch, stop
from tests.servers import Server
from tests.world import World, succeeded

CUSTOMERS = 30
ORDERS: list[dict[str, Any]] = [
    {
        "_id": i,
        "customer": i % 7 if i % 2 else float(i % 7),
        "at": i * 5 % 11,
        "sum": i,
        "tags": [i % 3, i % 5],
    }
    for i in range(40)
]


@pytest.fixture
def shop(world: World) -> World:
    """Customers, migrated in small batches, with orders: a number of one type is found by the other."""
    world.settings["batch_size"] = 10
    world.insert("customers", [{"_id": i, "n": i, "pad": "x"} for i in range(CUSTOMERS)])
    world.insert("orders", [*ORDERS, {"_id": "none"}, {"_id": "null", "customer": None}])
    return world


def declare(
    world: World, lookup: str, body: str = 'd["found"] = orders.get(d["n"])', name: str = "0001_it.py"
) -> None:
    world.write(
        name,
        f"""
    from goaime_migrate import Lookup, TransformDocuments

    def attach(d, orders):
        {body}

    operations = [TransformDocuments("customers", attach, orders={lookup})]
    """,
    )


def migrated(world: World) -> tuple[RunResult, dict[Any, Any]]:
    """Up, back exactly, and up again with the same result: what is found, by customer."""
    before = world.raws("customers")
    result = succeeded(world.up())
    after = world.raws("customers")
    succeeded(world.down())
    assert world.raws("customers") == before
    succeeded(world.up())
    assert world.raws("customers") == after
    return result, {d["_id"]: d["found"] for d in world.documents("customers")}


def of(customer: Any) -> list[dict[str, Any]]:
    return [each for each in ORDERS if each["customer"] == customer]


@each_mode
def test_the_first_in_the_order_that_is_asked_for_is_found(shop: World) -> None:
    declare(shop, 'Lookup("orders", key="customer", sort=[("at", -1), ("sum", 1)])')
    result, found = migrated(shop)
    for i in range(CUSTOMERS):
        assert found[i] == min(of(i), key=lambda o: (-o["at"], o["sum"]), default=None)
    assert result.warnings == ()


@each_mode
def test_of_equal_ones_the_smallest_id_is_found_and_a_field_to_sort_by_is_not_given(shop: World) -> None:
    declare(shop, 'Lookup("orders", key="customer", sort=("pad", "at")[0], fields=["sum"])')
    _, found = migrated(shop)
    assert found[3] == {"_id": 3, "customer": 3, "sum": 3}
    declare(shop, 'Lookup("orders", key="customer", sort="at", fields=["sum"])', name="0002_it.py")
    _, found = migrated(shop)
    first = min(of(3), key=lambda o: o["at"])
    assert found[3] == {"_id": first["_id"], "customer": 3, "sum": first["sum"]}


@each_mode
def test_all_of_a_key_are_found_in_order(shop: World) -> None:
    body = (
        'd["found"] = [[o["_id"] for o in orders[d["n"]]], d["n"] in orders, list(orders[None]), '
        'isinstance(orders.get("no"), tuple)]'
    )
    declare(
        shop,
        'Lookup("orders", key="customer", sort=[("at", -1)], many=True, where={"sum": {"$gt": 3}})',
        body,
    )
    result, found = migrated(shop)
    for i in range(CUSTOMERS):
        ids = [o["_id"] for o in sorted(of(i), key=lambda o: -o["at"]) if o["sum"] > 3]
        assert found[i] == [ids, bool(ids), [], True]
    assert result.warnings == ()


@each_mode
def test_null_is_found_and_what_is_absent_is_not(shop: World) -> None:
    declare(
        shop, 'Lookup("orders", key="customer", many=True)', 'd["found"] = [o["_id"] for o in orders[None]]'
    )
    _, found = migrated(shop)
    assert found[0] == ["null"]


@each_mode
def test_a_document_is_found_by_each_element_once(shop: World) -> None:
    shop.insert("orders", [{"_id": "twice", "lines": [{"sku": 1}, {"sku": 1.0}, {"sku": [2, 3]}]}])
    body = 'd["found"] = [o["_id"] for o in orders[d["n"]]]'
    declare(shop, 'Lookup("orders", key="tags", many=True)', body)
    _, found = migrated(shop)
    assert found[2] == [o["_id"] for o in ORDERS if 2 in o["tags"]]
    declare(shop, 'Lookup("orders", key="lines.sku", many=True)', body, name="0002_it.py")
    _, found = migrated(shop)
    assert [found[i] for i in (1, 2, 3, 4)] == [["twice"]] * 3 + [[]]


COUNTED = """Lookup("orders", pipeline=[{"$match": {"customer": {"$ne": None}}},
    {"$group": {"_id": "$customer", "n": {"$sum": 1}, "most": {"$max": "$sum"}}}])"""


@pytest.fixture(params=["whole", "stored"])
def stored(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Whether results are kept as a whole, or one by one in several portions."""
    if request.param == "stored":
        monkeypatch.setattr(stored_results, "WHOLE", 2)
        monkeypatch.setattr(stored_results, "_PORTION", 3)
        monkeypatch.setattr(stored_results, "_RANGES", 2)
    return str(request.param)


def counted(customer: Any) -> dict[str, Any] | None:
    orders = of(customer)
    return {"_id": orders[0]["customer"], "n": len(orders), "most": orders[-1]["sum"]} if orders else None


@each_mode
def test_the_results_of_a_pipeline_are_found(shop: World, stored: str) -> None:
    declare(shop, COUNTED)
    planned = shop.plan()
    result, found = migrated(shop)
    assert [found[i] for i in range(CUSTOMERS)] == [counted(i) for i in range(CUSTOMERS)]
    assert [(s.id, (s.after or {})["found"]) for s in planned.steps[0].samples] == [
        (0, counted(0)),
        (1, counted(1)),
    ]
    assert result.warnings == ()


@each_mode
def test_of_the_results_many_are_found_in_order_by_a_key(shop: World, stored: str) -> None:
    body = 'd["found"] = [[o["_id"], o["twice"]] for o in orders[d["n"]]]'
    pipeline = '[{"$addFields": {"twice": {"$multiply": ["$sum", 2]}}}]'
    declare(
        shop,
        f'Lookup("orders", key="tags", sort=[("at", 1), ("sum", -1)], many=True, pipeline={pipeline})',
        body,
    )
    _, found = migrated(shop)
    for i in range(CUSTOMERS):
        expected = sorted((o for o in ORDERS if i in o["tags"]), key=lambda o: (o["at"], -o["sum"]))
        assert found[i] == [[o["_id"], o["sum"] * 2] for o in expected]


@each_mode
def test_several_results_with_one_key_are_told(shop: World, stored: str) -> None:
    declare(shop, 'Lookup("orders", key="customer", pipeline=[{"$match": {"customer": 3}}])')
    result, found = migrated(shop)
    assert (found[3]["_id"], found[4]) == (3, None)
    (warning,) = result.warnings
    assert "several documents of 'orders' have the same 'customer'" in warning.message


SIBLINGS = """
    from goaime_migrate import Lookup, TransformDocuments

    def count(d, same, sums):
        d["same"] = [[s["_id"], s["kind"]] for s in same[d["kind"]]]
        d["sum"] = sums[d["kind"]]["n"]
        d["kind"] = "new" + str(d["_id"] % 3)

    operations = [TransformDocuments("node", count,
        same=Lookup("node", key="kind", many=True, sort=[("_id", -1)], where={"off": {"$ne": True}}),
        sums=Lookup("node", pipeline=[{"$group": {"_id": "$kind", "n": {"$sum": 1}}}]))]
    """


@pytest.fixture
def tree(world: World) -> World:
    world.settings["batch_size"] = 10
    world.insert("node", [{"_id": i, "kind": f"k{i % 5}", "off": i % 4 == 0} for i in range(60)])
    return world


@each_mode
def test_in_its_own_collection_it_is_the_state_before(tree: World, stored: str) -> None:
    before = tree.raws("node")
    tree.write("0001_count.py", SIBLINGS)
    succeeded(tree.up())
    for d in tree.documents("node"):
        kind = d["_id"] % 5
        ids = [i for i in range(59, -1, -1) if i % 5 == kind and i % 4]
        assert (d["same"], d["sum"]) == ([[i, f"k{kind}"] for i in ids], 12)
    succeeded(tree.down())
    assert tree.raws("node") == before


@servers
def test_a_resumed_pass_finds_what_its_first_run_has_found(tree: World, stored: str) -> None:
    before = tree.raws("node")
    tree.write("0001_count.py", SIBLINGS)
    expected = changed_at_once_of(tree)
    with tree.migrator(at_batch(2, stop)) as migrator, pytest.raises(KeyboardInterrupt):
        migrator.up()
    succeeded(tree.up())
    assert tree.raws("node") == expected
    succeeded(tree.down())
    assert tree.raws("node") == before


def changed_at_once_of(tree: World) -> dict[bytes, bytes]:
    with tree.migrator(batch_size=10_000) as migrator:
        succeeded(migrator.up())
    after = tree.raws("node")
    succeeded(tree.down())
    return after


@one_server
def test_workers_find_what_was_found_when_the_pass_began(
    tree: World, stored: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree.write("0001_count.py", SIBLINGS)
    expected = changed_at_once_of(tree)
    for name in ("WORTH", "SIZE"):
        monkeypatch.setattr(partitions, name, 10)
    monkeypatch.setattr(pool, "WAITING_S", 60.0)
    with tree.migrator(workers=2) as migrator:
        succeeded(migrator.up())
    assert tree.raws("node") == expected


@servers
def test_what_the_pipeline_would_give_meanwhile_is_not_seen(shop: World, stored: str) -> None:
    declare(shop, COUNTED)

    def write() -> None:
        shop.insert("orders", [{"_id": 1000 + i, "customer": i, "sum": 99} for i in range(CUSTOMERS)])
        shop.insert("customers", [{"_id": 500, "n": 3}])

    with shop.migrator(at_batch(1, write)) as migrator:
        succeeded(migrator.up())
    found = {d["_id"]: d["found"] for d in shop.documents("customers")}
    assert found == {**{i: counted(i) for i in range(CUSTOMERS)}, 500: counted(3)}


@one_server
def test_results_that_are_gone_from_the_journal_are_not_made_anew(shop: World, stored: str) -> None:
    declare(shop, COUNTED)
    with shop.migrator(at_batch(1, stop)) as migrator, pytest.raises(KeyboardInterrupt):
        migrator.up()
    with shop.client() as client:
        client[shop.database].schema_versions_journal.delete_many({"kind": "lookup"})
    error = shop.up().error
    assert isinstance(error, errors.DamagedRecord)
    assert "what the lookup into 'orders' has found is gone" in error.message


@servers
def test_a_pipeline_that_fails_stops_before_anything_is_written(shop: World) -> None:
    before = shop.raws("customers")
    declare(shop, 'Lookup("orders", pipeline=[{"$project": {"n": {"$divide": ["$sum", 0]}}}])')
    for result in (shop.up(), shop.up()):
        assert isinstance(result.error, errors.OperationFailed)
        assert "the pipeline= of the lookup into 'orders' fails: " in result.error.message
        assert result.error.hint
    assert shop.raws("customers") == before


@dump
def test_a_pipeline_that_no_dump_can_run_is_refused(shop: World) -> None:
    declare(shop, 'Lookup("orders", pipeline=[{"$setWindowFields": {"output": {}}}])')
    error = shop.up().error
    assert isinstance(error, errors.MissingCapability)
    assert (
        "the pipeline= of the lookup into 'orders' fails: a dump directory cannot aggregate this"
        in error.message
    )
    assert "mongorestore" in error.hint


@each_mode
def test_a_filter_of_a_lookup_that_is_none_is_refused(shop: World) -> None:
    declare(shop, 'Lookup("orders", where={"n": {"$no": 1}})')
    error = shop.up().error
    assert isinstance(error, errors.MigrateError)
    assert error.version == "0001"
    assert "where= of the lookup orders=" in error.message or isinstance(error, errors.MissingCapability)


@each_mode
def test_too_much_for_one_key_is_refused(shop: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookup_answers, "MOST_BYTES", 200)
    declare(shop, 'Lookup("orders", key="customer", many=True)', 'd["found"] = len(orders[d["n"]])')
    error = shop.up().error
    assert isinstance(error, errors.OperationFailed)
    assert "of 'orders' have the same 'customer', too much to be looked up with many=True" in error.message


@each_mode
def test_a_batch_that_looks_up_too_much_is_halved(shop: World, monkeypatch: pytest.MonkeyPatch) -> None:
    declare(shop, 'Lookup("orders", key="customer", many=True)', 'd["found"] = len(orders[d["n"]])')
    monkeypatch.setattr(lookup_table, "CACHE_BYTES", 200)
    monkeypatch.setattr(frozen_lookups, "_MOST_A_BATCH", 1_000)
    _, found = migrated(shop)
    assert found == {i: len(of(i)) for i in range(CUSTOMERS)}
    succeeded(shop.down())
    monkeypatch.setattr(frozen_lookups, "_MOST_A_BATCH", 100)
    error = shop.up().error
    assert isinstance(error, errors.OperationFailed)
    assert "are looked up in 'orders' at once, for one document" in error.message


def test_a_sort_puts_documents_where_the_server_does(replica_set: Server, database_name: str) -> None:
    values: list[Any] = [
        1,
        2.5,
        Int64(2),
        "a",
        None,
        [],
        [3, 0],
        [[5]],
        {"b": 1},
        {"b": [4, -1]},
        {"b": []},
        {},
    ]
    values += [[{"b": 3}, {}], [{"b": -2}, 7], [{"b": [1, 9]}, {"b": 2}], True]
    documents = [{"_id": i, "a": value} for i, value in enumerate(values)] + [{"_id": 99}]
    collection = replica_set.client[database_name].c
    collection.insert_many(documents)
    for path in ("a", "a.b"):
        for way in (1, -1):
            there = [d["_id"] for d in collection.find(sort=[(path, way), ("_id", 1)])]
            ranked = sorted(documents, key=lambda d: d["_id"])
            here = sorted(ranked, key=lambda d: sorted_by(d, path, way), reverse=way < 0)
            groups = [sorted_by(d, path, way) for d in here]
            assert [sorted_by(documents[min(i, len(values))], path, way) for i in there] == groups
