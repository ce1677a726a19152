"""`rehearse`: what it proves on a copy, what it finds, and that the database itself is only read."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from goaime_migrate import errors
from goaime_migrate.results import RehearsalResult
from tests.integration.engines import each_mode, servers, two
from tests.integration.users import AsUser, role
from tests.servers import ReplicaSet
from tests.world import World, succeeded

CHECKS = ["up", "verify", "up again", "pure", "down", "documents", "indexes", "validators", "collections"]
TOTAL = """
    from goaime_migrate import *


    def add_total(order, prices):
        order["total"] = prices[order["item"]]["price"] * order["n"]


    operations = [
        TransformDocuments("orders", add_total, prices=Lookup("prices", key="item")),
        CreateIndex("orders", "total"),
        SetValidator("orders", {"required": ["total"]}),
        RenameCollection("orders", "sales"),
    ]
"""


def rehearse(world: World, target: str | None = None, **options: Any) -> RehearsalResult:
    with world.migrator() as migrator:
        return migrator.rehearse(target, **options)


def failed(result: RehearsalResult) -> dict[str, str]:
    return {check.name: check.detail for check in result.checks if not check.ok}


@pytest.fixture
def shop(world: World) -> World:
    world.insert("orders", [{"_id": n, "item": f"i{n % 50}", "n": n} for n in range(400)])
    world.insert("prices", [{"_id": n, "item": f"i{n}", "price": n} for n in range(60)])
    world.insert("others", [{"_id": 1}])
    world.write("0001_add_total.py", TOTAL)
    return world


def everything(world: World) -> object:
    return world.catalogue(), *(world.raws(name) for name in ("orders", "prices", "others"))


@each_mode
@pytest.mark.parametrize("memory", [False, True])
def test_there_and_back_and_nothing_is_written(shop: World, memory: bool) -> None:
    before = everything(shop)
    result = rehearse(shop, memory=memory)
    assert result.error is None
    assert [check.name for check in result.checks] == [*CHECKS, "up after down"]
    assert failed(result) == {}
    assert (result.versions, result.documents) == (("0001",), 450)
    assert everything(shop) == before
    assert databases(shop) == [shop.database]


def databases(world: World) -> list[str]:
    if world.embedded:
        return sorted(path.name for path in world.dump.parent.iterdir())
    with world.client() as client:
        return [name for name in client.list_database_names() if name.startswith(world.database)]


@two
def test_a_sample_has_what_it_looks_up(shop: World) -> None:
    result = rehearse(shop, sample=10)
    assert failed(result) == {}
    assert 10 < result.documents <= 70


@two
def test_only_what_is_pending_is_rehearsed(shop: World) -> None:
    succeeded(shop.up())
    shop.write(
        "0002_double.py",
        """
        from goaime_migrate import *

        def double(sale):
            sale["total"] *= 2

        operations = [TransformDocuments("sales", double)]
        """,
    )
    result = rehearse(shop)
    assert (result.versions, failed(result)) == (("0002",), {})
    succeeded(shop.up())
    assert rehearse(shop).versions == ()


@two
def test_what_does_not_come_back(world: World) -> None:
    world.insert("c", [{"_id": 1, "a": 1, "b": 2}, {"_id": 2, "b": 3}])
    world.write(
        "0001_bad.py",
        """
        def up(db):
            db.c.update_many({}, {"$unset": {"a": ""}, "$set": {"x": 1}})
            db.c.create_index("b")

        def down(db):
            db.c.update_many({}, {"$unset": {"x": ""}})
        """,
    )
    result = rehearse(world)
    assert isinstance(result.error, errors.RehearsalFailed)
    assert (result.error.exit_code, result.error.id, result.error.field) == (5, 1, "a")
    assert failed(result) == {
        "documents": "c: the document 1 differs: a is absent, was 1",
        "indexes": "c: index 'b_1' was not there before",
    }


@two
def test_a_transform_that_is_not_pure(world: World) -> None:
    world.insert("c", [{"_id": 1}, {"_id": 2}])
    world.write(
        "0001_count.py",
        """
        from itertools import count
        from goaime_migrate import *

        numbers = count()

        def number(document):
            document["n"] = next(numbers)

        operations = [TransformDocuments("c", number)]
        """,
    )
    result = rehearse(world)
    assert list(failed(result)) == ["pure"]
    assert isinstance(result.error, errors.RehearsalFailed)
    assert result.error.field == "n"


@two
@pytest.mark.parametrize(("factor", "fine"), [("100", True), ("10", False)])
def test_reverse_is_tried_on_results(world: World, factor: str, fine: bool) -> None:
    world.insert("c", [{"_id": n, "price": n} for n in range(1, 5)])
    world.write(
        "0001_cents.py",
        f"""
        from goaime_migrate import *

        def to_cents(document):
            if "price" in document:
                document["cents"] = document.pop("price") * 100

        def to_price(document):
            document["price"] = document.pop("cents") // {factor}

        operations = [TransformDocuments("c", to_cents, reverse=to_price)]
        """,
    )
    result = rehearse(world)
    assert failed(result).keys() == (set() if fine else {"reverse"})
    assert fine or (result.error is not None and result.error.field == "cents")


@two
def test_what_raises_is_the_error_of_the_migration(shop: World) -> None:
    shop.insert("orders", [{"_id": "odd"}])
    result = rehearse(shop)
    assert isinstance(result.error, errors.TransformFailed)
    assert (result.error.exit_code, result.error.id) == (1, "odd")
    assert list(failed(result)) == ["up"]
    assert databases(shop) == [shop.database]


PROMISES = {
    "check": "operations = [TransformDocuments('c', t, check=lambda d: ['too many'] if d['n'] > 3 else [])]",
    "model": "class M(BaseModel):\n    n: int = Field(lt=4)\noperations = [TransformDocuments('c', t, model=M)]",
    "verify": "operations = [TransformDocuments('c', t)]\ndef verify(db): return ['too many']",
}


@two
@pytest.mark.parametrize("promise", PROMISES.values(), ids=PROMISES)
def test_a_promise_that_does_not_hold_is_no_error_of_the_migration(world: World, promise: str) -> None:
    """Whether the plan foresees it, or it is found on the copy."""
    world.insert("c", [{"_id": 1, "n": 0}, {"_id": "odd", "n": 7}])
    head = "from goaime_migrate import *\nfrom pydantic import BaseModel, Field\ndef t(d): d['t'] = 1\n"
    world.write("0001_promise.py", head + promise)
    result = rehearse(world)
    assert isinstance(result.error, errors.RehearsalFailed)
    assert (result.error.exit_code, result.error.version) == (5, "0001")
    assert result.error.id == (None if "verify" in promise else "odd")
    assert result.error.message.startswith("up: ")
    assert "goaime-migrate rehearse" in result.error.hint
    (detail,) = failed(result).values()
    assert detail in result.error.message
    assert list(failed(result)) == ["up"]


@two
def test_what_a_rule_refuses_names_a_document_and_says_what_to_do(world: World) -> None:
    world.insert("c", [{"_id": 1, "n": 0}, {"_id": 2, "n": 0}])
    world.write(
        "0001_index.py",
        "from goaime_migrate import *\noperations = [CreateIndex('c', 'n', unique=True)]",
    )
    error = rehearse(world).error
    assert isinstance(error, errors.WouldFail)
    assert (error.exit_code, error.id) == (9, 1)
    assert "DeleteDuplicates('c', 'n')" in error.hint
    assert "goaime-migrate rehearse" in error.hint


@servers
def test_a_new_validator_names_the_documents_that_do_not_meet_it(world: World) -> None:
    world.insert("c", [{"_id": 1}])
    world.write(
        "0001_demand.py",
        "from goaime_migrate import *\noperations = [SetValidator('c', {'required': ['n']})]",
    )
    assert failed(rehearse(world))["verify"].startswith("0001: c: the document 1: does not meet")


@two
def test_an_unfinished_version_comes_first(shop: World) -> None:
    shop.insert("orders", [{"_id": "odd"}])
    assert shop.up().error is not None
    with pytest.raises(errors.Refused, match="0001 is failed"):
        rehearse(shop)


@two
def test_a_version_without_a_way_back(world: World) -> None:
    world.insert("c", [{"_id": 1}])
    world.write("0001_set.py", "def up(db):\n    db.c.update_many({}, {'$set': {'a': 1}})\n")
    result = rehearse(world)
    assert list(failed(result)) == ["down"]
    assert isinstance(result.error, errors.RehearsalFailed)


def test_in_memory_it_takes_no_more_than_reading(as_user: AsUser, database_name: str) -> None:
    assert rehearse(as_user([role("read", database_name)]), memory=True).error is None


def test_on_the_server_it_takes_the_copy_and_no_more(
    as_user: AsUser, secured_replica_set: ReplicaSet, database_name: str
) -> None:
    world, copy = as_user([role("read", database_name)]), f"{database_name}_rehearsal_1"
    admin = secured_replica_set.client.admin
    for name in ("readWrite", "dbAdmin"):
        if name == "dbAdmin":
            validator = {"_id": {"$type": "int"}}
            secured_replica_set.client[database_name].command("collMod", "c", validator=validator)
        with pytest.raises(errors.MissingPrivilege) as caught:
            rehearse(world)
        assert f"[{{ role: '{name}', db: '{copy}' }}]" in str(caught.value.hint)
        assert "rehearse --memory" in str(caught.value.hint)
        admin.command("grantRolesToUser", f"user_{database_name}", roles=[role(name, copy)])
        assert rehearse(world).error is None
        assert copy not in secured_replica_set.client.list_database_names()
    assert secured_replica_set.client[database_name].list_collection_names() == ["c"]


@servers
def test_a_database_of_others_is_left_alone(shop: World) -> None:
    with shop.client() as client:
        taken = client[f"{shop.database}_rehearsal_1"]
        taken.precious.insert_one({"_id": 1})
        try:
            assert failed(rehearse(shop)) == {}
            assert [*taken.list_collection_names(), taken.precious.count_documents({})] == ["precious", 1]
            assert databases(shop) == [shop.database, taken.name]
        finally:
            client.drop_database(taken.name)


LOOKS = """
    from goaime_migrate import *


    def rise(person, people, places, counts):
        boss = person.get("boss")
        person["under"] = people[boss]["name"] if boss is not None else "nobody"
        person["town"] = places[person["place"]]["town"]
        person["of"] = counts[person["place"]]["n"]


    operations = [TransformDocuments(
        "people", rise,
        people=Lookup("people", fields=["name"]),
        places=Lookup("places", where={"town": {"$exists": True}}),
        counts=Lookup("tallies", pipeline=[{"$group": {"_id": "$place", "n": {"$sum": 1}}}]),
    )]
"""


@two
def test_what_is_looked_up_needs_more_in_turn(world: World) -> None:
    people = [{"_id": n, "name": f"p{n}", "boss": n // 2 or None, "place": n % 7} for n in range(1, 301)]
    world.insert("people", people)
    world.insert("places", [{"_id": n, "town": f"t{n}"} for n in range(40)])
    world.insert("tallies", [{"_id": n, "place": n % 7} for n in range(70)])
    world.write("0001_rise.py", LOOKS)
    result = rehearse(world, sample=5)
    assert result.error is None, failed(result)
    assert 70 + 5 + 1 <= result.documents <= 70 + 7 + 5 * 9
    assert result.notes == ("all of tallies is copied: 0001 aggregates it",)


@two
def test_documents_that_come_and_go(world: World) -> None:
    world.insert("c", [{"_id": n, "k": n % 40, "p": n % 3} for n in range(200)])
    world.insert("d", [{"_id": "x0"}, {"_id": "a", "name": "one"}])
    world.write(
        "0001_many.py",
        """
        from goaime_migrate import *

        def derive(document):
            yield {"_id": f"d{document['_id']}", "of": document["k"]}

        operations = [
            DeleteDocuments("c", where={"p": 1}),
            DeleteDuplicates("c", "k"),
            DeriveDocuments("c", "d", derive),
            InsertDocuments("d", [{"name": "one"}, {"name": "two"}], key="name"),
            AddField("d", "new", 1, where={"name": "two"}),
        ]
        """,
    )
    for options in ({"sample": 20}, {"sample": None}, {"sample": 20, "memory": True}):
        assert failed(rehearse(world, **options)) == {}


@two
@pytest.mark.parametrize("sample", [None, 5])
def test_all_and_what_is_no_plain_collection(world: World, sample: int | None) -> None:
    world.insert("c", [{"_id": n} for n in range(30)])
    if not world.embedded:
        with world.client() as client:
            database = client[world.database]
            database.command("create", "seen", viewOn="c", pipeline=[])
            database.create_collection("times", timeseries={"timeField": "at"})
            database.create_collection("capped", capped=True, size=4096, collation={"locale": "de"})
    world.write(
        "0001_plain.py",
        "def up(db):\n    db.c.update_many({}, {'$set': {'a': 1}})\n\n\n"
        "def down(db):\n    db.c.update_many({}, {'$unset': {'a': 1}})\n",
    )
    result = rehearse(world, sample=sample)
    assert failed(result) == {}
    assert result.documents == (sample or 30)
    assert result.notes == ()
    assert databases(world) == [world.database]


@pytest.fixture
def odd(world: World) -> World:
    """A capped collection with a validator that its document breaks, and measurements."""
    world.insert("c", [{"_id": 1, "k": 7}])
    with world.client() as client:
        database = client[world.database]
        database.create_collection("log", capped=True, size=4096)
        database.log.insert_many([{"_id": n, "large": "x" * 20} for n in range(20, 0, -1)])
        database.command("collMod", "log", validator={"_id": {"$gt": 100}})
        database.create_collection("ts", timeseries={"timeField": "at", "metaField": "of"})
        database.ts.insert_many(
            [{"_id": n, "at": datetime(2020, 1, n), "of": n, "v": 7} for n in range(1, 8)]
        )
    return world


def operations(world: World, text: str) -> None:
    world.write("0001_odd.py", f"from goaime_migrate import *\n\n\n{text}\n")


@servers
@pytest.mark.parametrize("memory", [False, True])
@pytest.mark.parametrize(
    "text",
    [
        "operations = [RenameCollection('log', 'log_2')]",
        "operations = [DropCollection('log')]",
        "operations = [CreateIndex('log', 'large')]",
        "def up(db):\n    db.log.insert_one({'_id': 500})\n\n\ndef down(db):\n    db.log.drop()\n",
    ],
)
def test_a_capped_collection_is_copied(odd: World, text: str, memory: bool) -> None:
    operations(odd, text)
    result = rehearse(odd, memory=memory)
    wrong = {"documents", "collections", "indexes", "validators"} if "up(db)" in text else set()
    assert failed(result).keys() - wrong == set()
    assert result.documents >= 20
    succeeded(odd.up())


@servers
@pytest.mark.parametrize("sample", [2, None])
def test_measurements_are_copied(odd: World, sample: int | None) -> None:
    operations(
        odd,
        """
def look(document, seen):
    document["of"] = seen[7]["of"]


operations = [
    CreateIndex("ts", "of", name="by_of"),
    TransformDocuments("c", look, seen=Lookup("ts", key="v", sort=[("of", -1)])),
]
""",
    )
    result = rehearse(odd, sample=sample)
    assert (result.error, failed(result), result.documents) == (None, {}, 8)
    succeeded(odd.up())


@servers
def test_measurements_that_nothing_looks_up_are_left_where_they_are(odd: World) -> None:
    operations(odd, "operations = [CreateIndex('ts', 'of', name='by_of')]")
    result = rehearse(odd)
    assert (result.error, failed(result), result.documents) == (None, {}, 0)
    assert result.notes == ("ts is copied without its documents: it is a time-series collection",)


@servers
@pytest.mark.parametrize("memory", [False, True])
@pytest.mark.parametrize(
    "text",
    [
        "operations = [AddField('ts', 'new', 1)]",
        "operations = [DropCollection('ts')]",
        "operations = [AddField('log', 'new', 1)]",
        "operations = [RenameCollection('nowhere', 'here')]",
        "operations = [UpdateDocuments('c', [{'$set': {'z': {'$divide': ['$k', 0]}}}])]",
    ],
)
def test_what_up_would_refuse_is_not_called_proved(odd: World, text: str, memory: bool) -> None:
    operations(odd, text)
    result = rehearse(odd, memory=memory)
    planned, applied = odd.plan().refused, odd.up().error
    assert result.error is not None
    assert planned is not None
    assert applied is not None
    assert result.error.code == planned.code
    assert list(failed(result)) == ["up"]
    assert "goaime-migrate plan" not in str(result.error.hint)


@servers
def test_what_only_the_server_refuses_is_refused_on_the_copy(odd: World) -> None:
    operations(odd, "operations = [RenameCollection('ts', 'ts2')]")
    result, applied = rehearse(odd), odd.up().error
    assert applied is not None
    assert failed(result) == {"up": applied.message}


@servers
def test_in_memory_what_cannot_be_copied_is_not_called_proved(odd: World) -> None:
    operations(odd, "operations = [CreateIndex('ts', 'of')]")
    with pytest.raises(errors.Refused, match=r"ts cannot be copied: .* time-series") as caught:
        rehearse(odd, memory=True)
    assert str(caught.value.hint) == "rehearse it on the server: goaime-migrate rehearse"


@servers
def test_in_memory_a_function_goes_without_what_cannot_be_copied(odd: World) -> None:
    operations(odd, "def up(db):\n    pass\n\n\ndef down(db):\n    pass\n")
    result = rehearse(odd, memory=True)
    assert failed(result) == {}
    assert result.notes == ("ts is not copied: it is a time-series collection",)
