"""Duplicates: the first of each stays, whatever the application writes meanwhile, and `down` brings the others back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from bson import Int64, encode
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo.errors import BulkWriteError

from goaime_migrate import errors
from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.index_keys import index_keys
from goaime_migrate.backends.server.index_groups import equal_keys
from goaime_migrate.events import BatchCommitted, Event
from goaime_migrate.results import Counts
from tests.integration.engines import each_mode, one_server, servers, two
from tests.world import World, succeeded

SOURCE = """
    from goaime_migrate import DeleteDuplicates

    operations = [DeleteDuplicates("c", {arguments})]
    """
INDEX = """
    from goaime_migrate import CreateIndex

    operations = [CreateIndex("c", {keys}, unique=True)]
    """


@pytest.fixture
def users(world: World) -> World:
    """Batches of three."""
    world.settings["batch_size"] = 3
    return world


def insert(world: World, *documents: dict[str, Any]) -> None:
    world.insert("c", [{"_id": number, **fields} for number, fields in enumerate(documents)])


def deduplicated(world: World, arguments: str, keys: str | None = None) -> list[int]:
    """The `_id`s of what stays. `plan` says how much goes, a unique index can be made, and all comes back."""
    before = list(world.raws("c").items())
    world.write("0001_once.py", SOURCE.format(arguments=arguments))
    planned = world.plan()
    assert planned.refused is None
    (operation,) = planned.steps[0].operations
    result = succeeded(world.up())
    counts = result.documents
    assert (operation.matched, operation.changed, operation.unchanged) == (
        counts.matched,
        counts.changed,
        counts.unchanged,
    )
    assert counts.changed == len(before) - len(world.raws("c"))
    staying = sorted(document["_id"] for document in world.documents("c"))
    if keys is not None:
        world.write("0002_unique.py", INDEX.format(keys=keys))
        succeeded(world.up())
    assert succeeded(world.down("base")).conflicts == ()
    after = list(world.raws("c").items())
    assert after == before if world.embedded else dict(after) == dict(before)
    return staying


@each_mode
def test_of_equal_keys_the_least_id_stays(users: World) -> None:
    insert(users, *({"email": e} for e in ("b", "a", "a", "c", "b", "a", "d", "c")))
    assert deduplicated(users, '"email"', '"email"') == [0, 1, 3, 6]


@each_mode
def test_a_key_that_nobody_has_is_told(users: World) -> None:
    insert(users, {"email": "a"}, {"email": "b"}, {"mail": None})
    users.write("0001_once.py", SOURCE.format(arguments='"mail"'))
    for warnings in (users.plan().steps[0].warnings, succeeded(users.up()).warnings):
        (warning,) = warnings
        assert warning.message == "deleted for being like another that has no mail either"
        assert (warning.count, list(warning.examples)) == (1, [1])


@each_mode
@pytest.mark.parametrize(
    ("sort", "staying"), [('[("at.on", -1)]', [0, 1, 2]), ('"at.on"', [5, 6, 7]), ('[("e", 1)]', [0, 1, 2])]
)
def test_or_the_first_in_another_order(users: World, sort: str, staying: list[int]) -> None:
    insert(users, *({"e": n % 3, "at": {"on": 7 - n if n != 5 else None}} for n in range(8)))
    assert deduplicated(users, f'"e", sort={sort}', '"e"') == staying


@each_mode
def test_keys_are_equal_as_in_a_unique_index(users: World) -> None:
    keys: list[dict[str, Any]] = [{"k": 2}, {"k": 2.0}, {"k": Int64(2)}, {"k": "2"}, {}, {"k": None}]
    insert(users, *keys, {"k": [2, 7]}, {"k": [8, "2"]}, {"k": [9, 10]}, {"k": 10}, {"k": []}, {"k": []})
    assert deduplicated(users, '"k"', '"k"') == [0, 3, 4, 8, 10]


@each_mode
def test_a_document_stays_whose_likes_all_go(users: World) -> None:
    insert(users, {"k": [1]}, {"k": [1, 2]}, {"k": [2, 3]}, {"k": [3]}, {"k": 3})
    assert deduplicated(users, '"k"', '"k"') == [0, 2]


@each_mode
def test_with_several_paths_all_have_to_be_equal(users: World) -> None:
    insert(
        users, *({"a": a, "b": {"c": c}} for a, c in ((1, 1), (1, 2), (2, 1), (1, 1.0), (2, None))), {"a": 2}
    )
    assert deduplicated(users, '["a", "b.c"]', '[("a", 1), ("b.c", 1)]') == [0, 1, 2, 4]


@two
def test_where_limits_those_that_stay_as_well(users: World) -> None:
    insert(users, *({"e": 1, "in": n > 1} for n in range(5)))
    assert deduplicated(users, '"e", where={"in": True}') == [0, 1, 2]


@each_mode
def test_nothing_is_there_twice(users: World) -> None:
    insert(users, *({"e": n} for n in range(5)))
    assert deduplicated(users, '"e"', '"e"') == list(range(5))
    users.write("0001_once.py", SOURCE.format(arguments='"e"'))
    (note,) = users.plan().steps[0].notes
    text = "delete duplicates in c by e, all but the first by _id"
    assert note == f"{text}: none of the documents looked at changes: 5"


@each_mode
def test_a_collection_that_is_not_there_has_none(users: World) -> None:
    users.write("0001_once.py", SOURCE.format(arguments='"e"'))
    assert succeeded(users.up()).documents == Counts(0, 0, 0, 0)


@each_mode
def test_a_canary_deletes_a_few_and_the_rest_follow(users: World) -> None:
    insert(users, *({"e": n % 2} for n in range(10)))
    before = users.raws("c")
    users.write("0001_once.py", SOURCE.format(arguments='"e"'))
    succeeded(users.up(where={"_id": {"$lt": 4}}))
    assert sorted(d["_id"] for d in users.documents("c")) == [0, 1, *range(4, 10)]
    users.put("c", before[encode({"_id": 3})])
    succeeded(users.up())
    assert sorted(d["_id"] for d in users.documents("c")) == [0, 1]
    assert succeeded(users.down()).conflicts == ()
    assert users.raws("c") == before


@two
def test_a_transform_before_it_has_to_be_applied_before_it_can_be_planned(users: World) -> None:
    insert(users, {"e": "A"}, {"e": "a"})
    users.write(
        "0001_lower.py",
        """
        from goaime_migrate import TransformDocuments

        def lower(d):
            d["e"] = d["e"].lower()

        operations = [TransformDocuments("c", lower)]
        """,
    )
    users.write("0002_once.py", SOURCE.format(arguments='"e"'))
    planned = users.plan().steps[1]
    assert planned.operations[0].changed is None
    assert "before 0001 is applied" in planned.notes[0]
    succeeded(users.up())
    assert [d["_id"] for d in users.documents("c")] == [0]


class Meanwhile:
    """An application that does something once, when so many documents have been examined."""

    def __init__(self, world: World, after: int, *acts: Callable[[Any], object]) -> None:
        self._world = world
        self._after = after
        self._acts = list(acts)

    def __call__(self, event: Event) -> None:
        if isinstance(event, BatchCommitted) and event.done >= self._after and self._acts:
            with self._world.client() as client:
                for act in self._acts:
                    act(client[self._world.database]["c"])
            self._acts.clear()


def run_beside(world: World, arguments: str, after: int, *acts: Callable[[Any], object]) -> list[Any]:
    """The `_id`s that stay, where an application writes when `after` documents have been examined."""
    world.write("0001_once.py", SOURCE.format(arguments=arguments))
    listener = Meanwhile(world, after, *acts)
    with world.migrator(listener) as migrator:
        succeeded(migrator.up())
    assert not listener._acts
    with world.client() as client:
        client[world.database]["c"].create_index("e", unique=True)
        client[world.database]["c"].drop_index("e_1")
    staying = sorted(document["_id"] for document in world.documents("c"))
    assert succeeded(world.down()).conflicts == ()
    return staying


@servers
def test_duplicates_that_are_inserted_meanwhile_go_too(users: World) -> None:
    insert(users, *({"e": n % 5} for n in range(12)))
    new = [{"_id": 50, "e": 2}, {"_id": 51, "e": "new"}, {"_id": 52, "e": "new"}, {"_id": -1, "e": 3}]
    staying = run_beside(users, '"e"', 3, lambda c: c.insert_many(new))
    assert staying == [-1, 0, 1, 2, 4, 51]
    assert len(users.raws("c")) == 16


@servers
def test_if_the_one_that_was_to_stay_is_changed_another_stays(users: World) -> None:
    insert(users, *({"e": 1} for _ in range(12)))
    staying = run_beside(users, '"e"', 3, lambda c: c.update_one({"_id": 0}, {"$set": {"e": "other"}}))
    assert staying == [0, 3]


@servers
def test_or_deleted(users: World) -> None:
    insert(users, *({"e": 1} for _ in range(12)))
    assert run_beside(users, '"e"', 3, lambda c: c.delete_one({"_id": 0})) == [3]


@servers
def test_one_that_is_a_duplicate_no_more_stays(users: World) -> None:
    insert(users, *({"e": 1} for _ in range(12)))
    staying = run_beside(users, '"e"', 3, lambda c: c.update_one({"_id": 9}, {"$set": {"e": "other"}}))
    assert staying == [0, 9]


@servers
def test_one_that_comes_to_be_the_first_stays_and_the_other_goes(users: World) -> None:
    insert(users, *({"e": 1, "at": n} for n in range(12)))
    act = [lambda c: c.update_one({"_id": 9}, {"$set": {"at": -1}})]
    assert run_beside(users, '"e", sort="at"', 3, *act) == [9]


@servers
def test_what_stays_may_change_anything_but_its_key(users: World) -> None:
    insert(users, *({"e": 1} for _ in range(12)))
    assert run_beside(users, '"e"', 3, lambda c: c.update_one({"_id": 0}, {"$set": {"n": 5}})) == [0]
    assert {"_id": 0, "e": 1, "n": 5} in users.documents("c")


@servers
def test_a_chain_of_likes_is_seen_as_a_whole(users: World) -> None:
    """The new document is like 5, which goes for 1: it stays."""
    insert(users, *({"e": [f"{n}"]} for n in range(12)))
    new = {"_id": 50, "e": ["z"]}
    staying = run_beside(
        users,
        '"e"',
        3,
        lambda c: c.insert_one(new),
        lambda c: c.update_one({"_id": 5}, {"$set": {"e": ["z", "1"]}}),
    )
    assert staying == [0, 1, 2, 3, 4, *range(6, 12), 50]


@one_server
def test_what_the_tail_has_looked_at_counts_once(users: World) -> None:
    insert(users, *({"e": n} for n in range(6)))
    users.write("0001_once.py", SOURCE.format(arguments='"e"'))
    act = Meanwhile(users, 3, lambda c: c.insert_one({"_id": -1, "e": 0}))
    with users.migrator(act) as migrator:
        assert succeeded(migrator.up()).documents == Counts(7, 1, 6, 0)


@one_server
def test_many_workers_delete_duplicates_together(world: World) -> None:
    world.settings["workers"] = 2
    world.insert("c", [{"_id": i, "e": i * 7 % 3_000, "text": "x" * 20} for i in range(9_000)])
    before = world.raws("c")
    world.write("0001_once.py", SOURCE.format(arguments='"e", sort=[("_id", -1)]'))
    assert succeeded(world.up()).documents.changed == 6_000
    staying = world.documents("c")
    assert len({d["e"] for d in staying}) == len(staying) == 3_000
    assert min(d["_id"] for d in staying) == 6_000
    assert succeeded(world.down()).conflicts == ()
    assert world.raws("c") == before


@two
def test_a_pass_whose_pairs_are_gone_is_refused(users: World) -> None:
    insert(users, *({"e": n % 2} for n in range(10)))
    users.write("0001_once.py", SOURCE.format(arguments='"e"'))
    succeeded(users.up(where={"_id": {"$lt": 4}}))
    if users.embedded:
        file = users.dump / "schema_versions_journal.bson"
        kept = [d for d in raw_bson.split(file.read_bytes()) if b"/lookup/duplicates/" not in d]
        file.write_bytes(b"".join(kept))
    else:
        with users.client() as client:
            client[users.database]["schema_versions_journal"].delete_many(
                {"_id": {"$regex": "/lookup/duplicates/"}}
            )
    before = users.raws("c")
    assert isinstance(users.up().error, errors.DamagedRecord)
    assert users.raws("c") == before


LEAVES = st.one_of(st.none(), st.integers(0, 2), st.lists(st.integers(0, 2), max_size=2))
INNER = st.fixed_dictionaries({}, optional={"b": LEAVES, "c": st.integers(0, 1)})
FIELDS = st.fixed_dictionaries(
    {}, optional={"a": LEAVES | INNER | st.lists(INNER | st.integers(0, 1), max_size=2)}
)


@one_server
@settings(max_examples=250, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([["a"], ["a.b"], ["a.b", "a.c"]]), FIELDS, FIELDS)
def test_keys_are_those_of_the_servers_own_index(
    world: World, paths: list[str], one: dict[str, Any], other: dict[str, Any]
) -> None:
    documents = [{"_id": 1, **one}, {"_id": 2, **other}]
    keys = [index_keys(encode(document), paths) for document in documents]
    with world.client() as client:
        collection = client[world.database]["_".join(paths)]
        collection.create_index([(path, 1) for path in paths], unique=True)
        collection.delete_many({})
        with suppress(BulkWriteError):
            collection.insert_many(documents)
        taken = collection.count_documents({}) == 1
    assert taken is not keys[0].isdisjoint(keys[1])


@one_server
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([["a"], ["a.b"], ["a.b", "a.c"], ["a", "a.b"]]), st.lists(FIELDS, max_size=6))
def test_the_server_counts_equal_keys_as_they_are_made_here(
    world: World, paths: list[str], listed: list[dict[str, Any]]
) -> None:
    documents = [{"_id": number, **fields} for number, fields in enumerate(listed)]
    with world.client() as client:
        collection = client[world.database]["c"]
        collection.delete_many({})
        if documents:
            collection.insert_many(documents)
        found = equal_keys(collection, {"name": "i", "key": dict.fromkeys(paths, 1)}, 100, 10.0)
    having = Counter(key for document in documents for key in index_keys(encode(document), paths))
    there = {key: n for key, n in having.items() if n > 1}
    assert sorted(n for _, _, n in found.groups) == sorted(there.values())
    assert found.complete
