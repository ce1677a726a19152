"""Lookups into the very collection that a pass writes: always the state before the pass."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from bson import Int64, encode

from goaime_migrate import errors
from goaime_migrate.events import BatchCommitted, Event
from goaime_migrate.run import partitions
from goaime_migrate.transform import lookup_reading
from goaime_migrate.workers import pool
from tests.integration.engines import each_mode, one_server, servers
from tests.world import World, succeeded

NODES = 120
LIFT = """
    from goaime_migrate import Lookup, TransformDocuments

    def lift(d, parents):
        p = parents.get(d["parent"])
        d["level"] = (p.get("level", 0) if p else 0) + 1

    operations = [TransformDocuments("node", lift, parents=Lookup("node"))]
    """
RECODE = """
    from goaime_migrate import Lookup, TransformDocuments

    def recode(d, parents, same):
        p = parents.get(d["above"])
        assert p is None or "found" not in same[p["_id"]]
        d["found"] = None if p is None else [p["_id"], p["code"]]
        d["code"], d["above"] = d["above"], d["code"]

    operations = [TransformDocuments("node", recode, parents=Lookup("node", key="code"), same=Lookup("node"))]
    """


@pytest.fixture
def tree(world: World) -> World:
    """A chain of nodes, each below the one before it, migrated in small batches."""
    world.settings["batch_size"] = 10
    world.insert("node", [node(i) for i in range(NODES)])
    return world


def node(i: int) -> dict[str, Any]:
    return {"_id": i, "parent": i - 1, "code": f"c{i}", "above": f"c{i - 1}", "pad": "x" * 20}


def levels(world: World) -> set[int]:
    return {d["level"] for d in world.documents("node")}


def at_batch(number: int, do: Callable[[], Any]) -> Callable[[Event], None]:
    """A listener that does something after so many batches."""
    batches = count(1)

    def hear(event: Event) -> None:
        if isinstance(event, BatchCommitted) and next(batches) == number:
            do()

    return hear


def stop() -> None:
    raise KeyboardInterrupt


@each_mode
def test_by_id_it_is_the_state_before(tree: World) -> None:
    before = tree.raws("node")
    tree.write("0001_lift.py", LIFT)

    succeeded(tree.up())

    assert levels(tree) == {1}
    succeeded(tree.down())
    assert tree.raws("node") == before


@each_mode
def test_by_a_key_that_the_transform_changes_it_is_the_state_before(tree: World) -> None:
    before = tree.raws("node")
    tree.write("0001_recode.py", RECODE)

    succeeded(tree.up())

    for i, d in enumerate(sorted(tree.documents("node"), key=lambda d: d["_id"])):
        assert d["found"] == (None if i == 0 else [i - 1, f"c{i - 1}"])
    succeeded(tree.down())
    assert tree.raws("node") == before


@each_mode
def test_numbers_of_other_types_are_the_same_key(tree: World) -> None:
    tree.write("0001_lift.py", LIFT.replace('d["parent"]', 'd["parent"] * 1.0'))
    succeeded(tree.up())
    assert levels(tree) == {1}


@each_mode
def test_elements_of_arrays_are_keys(tree: World) -> None:
    tree.insert(
        "node", [{"_id": f"t{i:02d}", "parent": None, "tags": [f"c{i}", f"c{i + 1}"]} for i in range(30)]
    )
    source = """
        from goaime_migrate import Lookup, TransformDocuments

        def tag(d, tagged):
            p = tagged.get(d.get("above"))
            d["by"] = p and [p["_id"], p["tags"]]
            if "tags" in d:
                d["tags"] = ["gone"]

        operations = [TransformDocuments("node", tag, tagged=Lookup("node", key="tags"))]
        """
    tree.write("0001_tag.py", source)

    result = succeeded(tree.up())

    for d in tree.documents("node"):
        above = int(d["above"][1:]) if isinstance(d["_id"], int) else 99
        first = max(above - 1, 0)
        assert d["by"] == ([f"t{first:02d}", [f"c{first}", f"c{first + 1}"]] if 0 <= above <= 30 else None)
    (warning,) = result.warnings
    assert warning.message.startswith("several documents of 'node' have the same 'tags': the lookup tagged=")
    assert (warning.version, warning.count, list(warning.examples)) == ("0001", 29, [2, 3, 4, 5, 6])


@servers
@pytest.mark.parametrize("source", [LIFT, RECODE], ids=["by _id", "by a key"])
@pytest.mark.parametrize("batches", [1, 5])
def test_a_resumed_pass_sees_the_state_before_its_first_run(tree: World, source: str, batches: int) -> None:
    before = tree.raws("node")
    tree.write("0001_change.py", source)
    expected = changed_at_once(tree)

    with tree.migrator(at_batch(batches, stop)) as migrator, pytest.raises(KeyboardInterrupt):
        migrator.up()
    assert tree.raws("node") not in (before, expected)
    planned = tree.plan()
    succeeded(tree.up())

    assert tree.raws("node") == expected
    for sample in planned.steps[0].samples:
        assert encode(sample.after or {}) == expected[encode({"_id": sample.id})]
    succeeded(tree.down())
    assert tree.raws("node") == before


def changed_at_once(tree: World) -> dict[bytes, bytes]:
    """What the migration makes in a single batch, where no document can meet another that is changed."""
    with tree.migrator(batch_size=10_000) as migrator:
        succeeded(migrator.up())
    after = tree.raws("node")
    succeeded(tree.down())
    return after


@each_mode
@pytest.mark.parametrize("source", [LIFT, RECODE], ids=["by _id", "by a key"])
def test_after_a_canary_it_is_the_state_before_the_canary(tree: World, source: str) -> None:
    before = tree.raws("node")
    tree.write("0001_change.py", source)
    expected = changed_at_once(tree)

    succeeded(tree.up(where={"_id": {"$in": [*range(0, NODES, 3)]}}))
    planned = tree.plan()
    succeeded(tree.up())

    assert tree.raws("node") == expected
    for sample in planned.steps[0].samples:
        assert encode(sample.after or {}) == expected[encode({"_id": sample.id})]
    succeeded(tree.down())
    assert tree.raws("node") == before


@servers
def test_what_the_application_writes_meanwhile_is_seen_without_what_the_pass_has_done(tree: World) -> None:
    tree.write(
        "0001_recode.py",
        RECODE.replace('d["code"], d', 'd["n"], d["code"], d').replace(
            '= d["above"], d["code"]', '= d.get("n", 0) + 1, d["above"], d["code"]'
        ),
    )

    def write() -> None:
        tree.change("node", 0, code="mine")  # migrated by now: it is found as it was before, by its old key
        tree.change("node", 100, above="mine")
        tree.insert("node", [{"_id": 1000, "code": "new", "above": "c3"}])
        tree.insert("node", [{"_id": 1001, "code": "newer", "above": "new"}])
        tree.remove("node", 1)
        tree.change("node", 101, above="c1")

    with tree.migrator(at_batch(3, write)) as migrator:
        result = migrator.up()

    found = {d["_id"]: d.get("found") for d in tree.documents("node")}
    assert (found[100], found[101]) == (None, [1, "c1"])
    assert (found[1000], found[1001]) == ([3, "c3"], [1000, "new"])
    assert result.error is None or isinstance(result.error, errors.Conflicts)


@one_server
@pytest.mark.parametrize("source", [LIFT, RECODE], ids=["by _id", "by a key"])
def test_another_worker_may_have_written_what_is_looked_up(
    tree: World, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    before = tree.raws("node")
    tree.write("0001_change.py", source)
    expected = changed_at_once(tree)
    monkeypatch.setattr(partitions, "WORTH", 10)
    monkeypatch.setattr(partitions, "SIZE", 10)
    monkeypatch.setattr(pool, "WAITING_S", 60.0)

    with tree.migrator(workers=2) as migrator:
        succeeded(migrator.up())

    assert tree.raws("node") == expected
    succeeded(tree.down())
    assert tree.raws("node") == before


@each_mode
def test_a_check_is_asked_with_the_state_before_again_by_verify(tree: World) -> None:
    check = """
        def check(d, parents):
            p = parents.get(d["parent"])
            return ["level: not that of before"] if p and "level" in p else None

        operations = [TransformDocuments("node", lift, parents=Lookup("node"), check=check)]
        """
    tree.write("0001_lift.py", LIFT.rpartition("operations")[0].rstrip() + check.replace("    " * 2, "    "))
    succeeded(tree.up())
    result = tree.verify()
    assert (result.checked, result.failures) == (NODES, ())


@each_mode
def test_reverse_sees_the_state_before_too(tree: World) -> None:
    reverse = """
    def lower(d, parents):
        p = parents.get(d["parent"])
        d["was"] = p.get("level") if p else None
        del d["level"]

    operations = [TransformDocuments("node", lift, reverse=lower, parents=Lookup("node"))]
    """
    tree.write("0001_lift.py", LIFT.rpartition("operations")[0].rstrip() + reverse)
    succeeded(tree.up())
    tree.insert("node", [{"_id": 500 + i, "parent": 499 + i, "level": 7} for i in range(1100)])
    tree.insert("node", [{"_id": 5000, "parent": 3, "level": 7}])

    succeeded(tree.down())

    found = {d["_id"]: d["was"] for d in tree.documents("node") if "was" in d}
    assert found == {500: None, **{500 + i: 7 for i in range(1, 1100)}, 5000: None}


@servers
def test_a_view_of_the_collection_is_refused(tree: World) -> None:
    with tree.client() as client:
        database = client[tree.database]
        database.create_collection("seen", viewOn="other", pipeline=[{"$unionWith": {"coll": "node"}}])
        database.create_collection("above", viewOn="seen")
    tree.write("0001_lift.py", LIFT.replace('Lookup("node")', 'Lookup("above")'))
    before = tree.raws("node")

    refused = tree.plan().refused
    result = tree.up()

    for error in (refused, result.error):
        assert isinstance(error, errors.MissingCapability)
        assert error.message.startswith("the lookup into 'above' sees 'node', which the same pass writes")
    assert tree.raws("node") == before


@each_mode
@pytest.mark.parametrize(
    ("lookup", "message"),
    [
        ('"typo"', "there is no collection 'typo': the lookup parents= finds nothing"),
        ('"node", key="cod"', "the lookup parents= finds nothing at all in 'node' by 'cod'"),
    ],
)
def test_a_lookup_that_finds_nothing_is_told_by_plan_and_up(tree: World, lookup: str, message: str) -> None:
    tree.write(
        "0001_lift.py", LIFT.replace('"node")]', f"{lookup})]").replace('Lookup("node")', f"Lookup({lookup})")
    )
    planned = tree.plan().steps[0].warnings
    done = succeeded(tree.up()).warnings
    assert (
        [(w.message, w.count) for w in planned] == [(w.message, w.count) for w in done] == [(message, NODES)]
    )
    assert len(done[0].examples) == 5


@each_mode
def test_of_many_with_one_key_the_smallest_id_is_given(tree: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookup_reading, "_PAGE", 7)
    tree.insert("node", [{"_id": Int64(1 << 40 | i), "above": "c1", "kind": i % 3} for i in range(40)])
    tree.insert("node", [{"_id": f"s{i}", "above": "c1", "kind": [7, i % 4]} for i in range(10)])
    source = """
        from goaime_migrate import Lookup, TransformDocuments

        def sort(d, kinds):
            d["first"] = [k["_id"] for k in map(kinds.get, (0, 1, 2, 3, 7)) if k and "first" not in k]
            d.pop("kind", None)

        operations = [TransformDocuments("node", sort, kinds=Lookup("node", key="kind"))]
        """
    tree.write("0001_sort.py", source)

    (warning,) = succeeded(tree.up()).warnings

    first = [1 << 40, 1 << 40 | 1, 1 << 40 | 2, "s3", "s0"]
    assert [d["first"] for d in tree.documents("node")] == [first] * (NODES + 50)
    assert warning.count == NODES + 50


REGROUP = """
    from goaime_migrate import Lookup, TransformDocuments

    def regroup(d, group, below, made):
        d["seen"] = [[other["_id"], other["code"]] for other in group[d["_id"] % 7]]
        d["left"] = [other["_id"] for other in below.get(d["code"], [])]
        assert d["above"] not in made
        d["new"] = d.pop("above")
        d["group"], d["rank"] = d["_id"] % 5, -d["rank"]
        d["code"] = "changed"

    operations = [
        TransformDocuments(
            "node", regroup,
            group=Lookup("node", key="group", many=True, sort=[("rank", -1)]),
            below=Lookup("node", key="above", many=True, sort=[("_id", 1)]),
            made=Lookup("node", key="new"),
        )
    ]
    """


@each_mode
def test_many_in_order_by_keys_that_the_pass_changes_removes_and_makes(world: World) -> None:
    world.settings["batch_size"] = 10
    nodes = [{**node(i), "group": i % 7, "rank": i * 37 % NODES} for i in range(NODES)]
    world.insert("node", nodes)
    before = world.raws("node")
    world.write("0001_regroup.py", REGROUP)

    succeeded(world.up())

    ranked = sorted(nodes, key=lambda d: -d["rank"])
    for d in world.documents("node"):
        assert d["seen"] == [[o["_id"], o["code"]] for o in ranked if o["group"] == d["_id"] % 7]
        assert d["left"] == ([d["_id"] + 1] if d["_id"] + 1 < NODES else [])
    succeeded(world.down())
    assert world.raws("node") == before


@each_mode
@pytest.mark.parametrize("lookup", ["'node'", "'node', key='code'", "'node', key='code', many=True"])
def test_what_is_deleted_was_there_before(tree: World, lookup: str) -> None:
    before = tree.raws("node")
    tree.write(
        "0001_delete.py",
        f"""
        from goaime_migrate import DeleteDocuments, Lookup

        def has_parent(d, by):
            return bool(by.get(d["above" if "code" in {lookup!r} else "parent"]))

        operations = [DeleteDocuments("node", when=has_parent, by=Lookup({lookup}))]
        """,
    )

    succeeded(tree.up())

    assert [d["_id"] for d in tree.documents("node")] == [0]
    succeeded(tree.down())
    assert tree.raws("node") == before


@each_mode
@pytest.mark.parametrize("many", [True, False])
def test_what_is_derived_was_not_there_before(tree: World, many: bool) -> None:
    tree.insert("lines", [{"_id": "old", "k": "c0"}, {"_id": "older", "k": "c0"}][: 1 + many])
    before = tree.raws("lines")
    tree.write(
        "0001_derive.py",
        f"""
        from goaime_migrate import DeriveDocuments, Lookup

        def lines(d, known):
            yield {{"_id": d["_id"], "k": d["code"], "found": d["above"] in known}}

        operations = [DeriveDocuments("node", "lines", lines, known=Lookup("lines", key="k", many={many}))]
        """,
    )

    succeeded(tree.up())

    assert {d["_id"] for d in tree.documents("lines") if d.get("found")} == {1}
    succeeded(tree.down())
    assert tree.raws("lines") == before
