"""`sweep` brings forward what was written in an old shape since, and `down` gives back what the old application wrote."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from bson import encode
from pymongo.errors import OperationFailure

from goaime_migrate import errors
from goaime_migrate.backends.server.change_stream import MongoChangeStream
from goaime_migrate.events import BatchCommitted, Event, Notice
from goaime_migrate.journal.kinds import Kind as SegmentKind
from goaime_migrate.results import SweptDocuments
from goaime_migrate.run.brake import Brake
from goaime_migrate.run.collector import Collector, HistoryGone
from goaime_migrate.sweep.collection import CollectionSweep
from tests.faults.runs import eventually
from tests.integration.engines import each_mode, one_server, servers
from tests.servers import Kind
from tests.world import World, succeeded

CENTS = """
from goaime_migrate import *

def cents(order):
    if "price" in order:
        order["cents"] = int(order.pop("price") * 100)

operations = [TransformDocuments("orders", cents)]
"""
NAMED = """
from goaime_migrate import *

def name(order, people):
    if "name" not in order:
        order["name"] = people[order["by"]]["name"]

operations = [
    TransformDocuments("orders", name, people=Lookup("people")),
    AddField("orders", "open", True),
]
"""


def order(number: int, **more: Any) -> dict[str, Any]:
    return {"_id": number, "by": number % 3, "price": number * 10, **more}


def moved(number: int, **more: Any) -> dict[str, Any]:
    """What becomes of such an order."""
    return {
        "_id": number,
        "by": number % 3,
        "cents": number * 1000,
        "name": f"n{number % 3}",
        "open": True,
        **more,
    }


@pytest.fixture
def shop(world: World) -> World:
    """Orders in their new shape, two versions in two passes."""
    world.settings["batch_size"] = 2
    world.insert("people", [{"_id": n, "name": f"n{n}"} for n in range(3)])
    world.insert("orders", [order(n) for n in range(5)])
    world.write("0001_cents.py", CENTS)
    succeeded(world.up())
    world.write("0002_named.py", NAMED)
    succeeded(world.up())
    return world


def old_writes(world: World) -> Mapping[bytes, bytes]:
    """What an old application does: it inserts, and replaces what it had read before."""
    world.put("orders", encode(order(9, note="new")))
    world.put("orders", encode(order(1, note="read before")))
    return world.raws("orders")


def changes(world: World, **more: Any) -> list[tuple[str, int]]:
    return [(each.version, each.changed) for each in succeeded(world.sweep(**more)).swept]


@one_server
def test_each_document_counts_once_for_the_pace(shop: World, monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[int] = []
    monkeypatch.setattr(Brake, "done", lambda _, documents: counted.append(documents))
    for number in range(20, 25):
        shop.put("orders", encode(order(number)))
    assert changes(shop) == [("0001", 5), ("0002", 5)]
    assert sum(counted) == 5


@each_mode
def test_what_was_written_in_an_old_shape_is_brought_forward_and_taken_back(shop: World) -> None:
    written = old_writes(shop)

    result = succeeded(shop.sweep())

    assert [(s.version, s.collection, s.changed, s.conflicts) for s in result.swept] == [
        ("0001", "orders", 2, 0),
        ("0002", "orders", 2, 0),
    ]
    assert result.remaining == 0
    assert shop.documents("orders") == [
        moved(0),
        {"_id": 1, "by": 1, "note": "read before", "cents": 1000, "name": "n1", "open": True},
        *(moved(n) for n in (2, 3, 4)),
        {"_id": 9, "by": 0, "note": "new", "cents": 9000, "name": "n0", "open": True},
    ]
    assert changes(shop) == [("0001", 0), ("0002", 0)]

    succeeded(shop.down("base"))
    after = shop.raws("orders")
    for number in (1, 9):
        identity = encode({"_id": number})
        assert after[identity] == written[identity]
    assert [d for d in shop.documents("orders") if d["_id"] not in (1, 9)] == [order(n) for n in (0, 2, 3, 4)]

    succeeded(shop.up())
    assert shop.verify().stragglers == ()


@each_mode
def test_a_dry_run_says_what_would_be_changed_and_writes_nothing(shop: World) -> None:
    old_writes(shop)
    before = shop.everything()
    result = succeeded(shop.sweep(dry_run=True))
    assert [(s.version, s.changed) for s in result.swept] == [("0001", 2), ("0002", 2)]
    assert result.remaining == 2
    assert shop.everything() == before


@each_mode
def test_verify_finds_them_without_a_model(shop: World) -> None:
    assert shop.verify().stragglers == ()
    assert (shop.verify().promises, shop.verify().without_promise) == (2, ())
    old_writes(shop)
    shop.put("orders", encode({"_id": 7, "by": 0, "cents": 1}))
    found = {(s.version, s.collection, s.count, s.examples) for s in shop.verify().stragglers}
    assert found == {("0001", "orders", 2, (1, 9)), ("0002", "orders", 1, (7,))}
    succeeded(shop.sweep())
    assert shop.verify().stragglers == ()


@each_mode
def test_each_sweep_of_a_document_is_its_last_word(shop: World) -> None:
    for price in (1, 2, 3):
        shop.put("orders", encode({"_id": 2, "price": price, "by": 1}))
        assert changes(shop) == [("0001", 1), ("0002", 1)]
    shop.put(
        "orders", encode({"_id": 2, "by": 2, "cents": 5, "open": False})
    )  # of the release before the last
    assert changes(shop) == [("0001", 0), ("0002", 1)]
    succeeded(shop.down())
    assert shop.documents("orders")[2] == {"_id": 2, "by": 2, "cents": 5, "open": False}
    succeeded(shop.up())
    succeeded(shop.down("base"))
    assert shop.documents("orders")[3] == order(3)


@each_mode
def test_a_version_that_leaves_it_alone_does_not_take_back_what_it_had_done_before(shop: World) -> None:
    """The old application writes whole what it has read, with a field that the newer version had set."""
    shop.put("orders", encode({"_id": 1, "by": 1, "price": 1, "name": "n1", "open": True}))
    written = shop.raws("orders")
    assert changes(shop) == [("0001", 1), ("0002", 0)]
    succeeded(shop.down("base"))
    assert shop.raws("orders")[encode({"_id": 1})] == written[encode({"_id": 1})]


@each_mode
def test_steps_that_were_fused_are_swept_and_taken_back_together_or_one_by_one(world: World) -> None:
    world.insert("people", [{"_id": n, "name": f"n{n}"} for n in range(3)])
    world.insert("orders", [order(n) for n in range(3)])
    world.write("0001_cents.py", CENTS)
    world.write("0002_named.py", NAMED)
    succeeded(world.up())
    world.put("orders", encode(order(7)))
    world.insert("people", [{"_id": 30, "name": "late"}])
    world.put("orders", encode({"_id": 8, "by": 30, "price": 1}))
    assert changes(world) == [("0001", 2), ("0002", 2)]
    assert world.documents("orders")[-1] == {"_id": 8, "by": 30, "cents": 100, "name": "late", "open": True}
    assert succeeded(world.down()).conflicts == ()
    assert world.documents("orders")[-2:] == [
        {"_id": 7, "by": 1, "cents": 7000},
        {"_id": 8, "by": 30, "cents": 100},
    ]
    world.put("orders", encode({"_id": 9, "by": 1, "price": 2}))
    assert changes(world) == [("0001", 1)]
    succeeded(world.down())
    assert world.documents("orders") == [
        *(order(n) for n in (0, 1, 2, 7)),
        {"_id": 8, "by": 30, "price": 1},
        {"_id": 9, "by": 1, "price": 2},
    ]


@each_mode
def test_a_canary_is_finished_first_and_swept_then(world: World) -> None:
    world.insert("orders", [order(n) for n in range(4)])
    world.write("0001_cents.py", CENTS)
    succeeded(world.up(where={"_id": 2}))
    with pytest.raises(errors.Refused, match="0001 is partial") as refused:
        world.sweep()
    assert "goaime-migrate up" in refused.value.hint
    succeeded(world.up())
    world.put("orders", encode(order(2)))
    assert changes(world) == [("0001", 1)]
    assert succeeded(world.down()).documents.changed == 4
    assert world.documents("orders") == [order(n) for n in range(4)]


COUNTS = """
from goaime_migrate import *

def count(order):
    order["n"] += 1
    order["v"] = 2

operations = [TransformDocuments("orders", count, where={"v": {"$exists": False}})]
"""


@each_mode
def test_a_where_that_leaves_out_what_is_done_is_enough(world: World) -> None:
    world.insert("orders", [{"_id": n, "n": n} for n in range(4)])
    world.write("0001_count.py", COUNTS)
    succeeded(world.up())
    world.put("orders", encode({"_id": 1, "n": 1}))  # as it was: it was read before
    world.put("orders", encode({"_id": 2, "n": 70}))  # nobody knows whether it has been counted
    world.put("orders", encode({"_id": 9, "n": 9}))
    result = succeeded(world.sweep())
    (swept,) = result.swept
    assert (swept.changed, swept.conflicts, result.remaining) == (2, 1, 1)
    assert [d["n"] for d in world.documents("orders")] == [1, 2, 70, 4, 10]
    assert [(s.changed, s.conflicts) for s in world.sweep().swept] == [(0, 1)]


@each_mode
def test_what_cannot_be_told_apart_is_refused_with_nothing_written(world: World) -> None:
    world.insert("orders", [{"_id": n, "n": n} for n in range(4)])
    world.write("0001_count.py", COUNTS.replace(', where={"v": {"$exists": False}}', ""))
    succeeded(world.up())
    before = world.raws("orders")
    result = world.sweep()
    assert isinstance(result.error, errors.CannotTell)
    assert result.swept == ()
    assert world.raws("orders") == before
    assert world.verify().stragglers == ()
    assert world.verify().without_promise == ("0001",)


@each_mode
def test_after_a_plain_function_nothing_is_claimed(world: World) -> None:
    world.insert("orders", [order(n) for n in range(3)])
    world.write("0001_cents.py", CENTS)
    world.write("0002_plain.py", "def up(db):\n    db.orders.update_many({}, {'$set': {'price': 1}})\n")
    succeeded(world.up())
    assert isinstance(world.sweep().error, errors.CannotTell)
    found = world.verify()
    assert found.stragglers == ()
    assert "0002 has run up(db)" in found.unchecked[0].reason


@each_mode
def test_a_later_version_that_changes_the_same_field_again_is_no_false_alarm(world: World) -> None:
    """Each of them alone would change what the other has made."""
    world.insert("orders", [order(n) for n in range(3)])
    world.write("0001_cents.py", CENTS)
    world.write("0002_set.py", 'from goaime_migrate import *\noperations = [AddField("orders", "a", 1)]\n')
    world.write("0003_off.py", 'from goaime_migrate import *\noperations = [RemoveField("orders", "a")]\n')
    succeeded(world.up())
    assert world.verify().stragglers == ()
    world.put("orders", encode(order(1)))
    assert [(s.version, s.count) for s in world.verify().stragglers] == [("0001", 1)]
    assert changes(world) == [("0001", 1), ("0002", 1), ("0003", 1)]
    refused = world.sweep("0002").error
    assert isinstance(refused, errors.CannotTell)
    assert "0003 has changed the documents since" in refused.message
    assert world.documents("orders")[1] == {"_id": 1, "by": 1, "cents": 1000}


@each_mode
def test_what_was_looked_up_stays_what_it_was(shop: World) -> None:
    shop.change("people", 0, name="renamed")
    shop.insert("people", [{"_id": 8, "name": "late"}])
    assert shop.verify().stragglers == ()
    shop.put("orders", encode({"_id": 3, "by": 0, "price": 1}))
    shop.put("orders", encode({"_id": 8, "by": 8, "price": 1}))
    succeeded(shop.sweep())
    assert [d["name"] for d in shop.documents("orders")] == ["n0", "n1", "n2", "n0", "n1", "late"]


@each_mode
def test_a_document_that_cannot_be_brought_forward_stops_no_other(shop: World) -> None:
    shop.put("orders", encode({"_id": 7, "by": 55, "price": 1}))
    shop.put("orders", encode(order(9)))
    result = shop.sweep()
    assert isinstance(result.error, errors.TransformFailed)
    assert result.error.id == 7
    assert "goaime-migrate sweep" in result.error.hint
    assert (result.remaining, [s.changed for s in result.swept]) == (1, [1, 1])
    shop.remove("orders", 7)
    assert changes(shop) == [("0001", 0), ("0002", 0)]


@each_mode
def test_pipelines_are_swept_in_their_place(world: World) -> None:
    world.insert("orders", [order(n) for n in range(3)])
    world.write("0001_cents.py", CENTS)
    world.write(
        "0002_euros.py",
        'from goaime_migrate import *\noperations = [UpdateDocuments("orders", '
        '[{"$set": {"euros": {"$divide": ["$cents", 100]}}}], where={"euros": {"$exists": False}})]\n',
    )
    succeeded(world.up())
    world.put("orders", encode(order(1)))
    world.put("orders", encode({"_id": 5, "by": 1, "cents": 500}))
    assert [(s.version, s.count) for s in world.verify().stragglers] == [("0001", 1), ("0002", 1)]
    assert changes(world) == [("0001", 1), ("0002", 2)]
    assert [d["euros"] for d in world.documents("orders")] == [0, 10, 20, 5]


@each_mode
def test_with_nothing_applied_there_is_nothing_to_do(world: World) -> None:
    world.write("0001_cents.py", CENTS)
    before = world.everything() if not world.embedded else None
    assert succeeded(world.sweep()).swept == ()
    if before is not None:
        assert world.everything() == before


@each_mode
def test_what_is_done_once_is_not_done_again(world: World) -> None:
    world.insert("orders", [order(n) for n in range(3)])
    world.write("0001_cents.py", CENTS)
    world.write(
        "0002_once.py",
        "from goaime_migrate import *\noperations = ["
        'InsertDocuments("orders", [{"_id": 50, "cents": 1}]), DeleteDocuments("orders", where={"by": 2})]\n',
    )
    succeeded(world.up())
    world.remove("orders", 50)
    world.put("orders", encode(order(8)))
    told: list[Event] = []
    with world.migrator(told.append) as migrator:
        matched = 1 if world.kind == Kind.REPLICA_SET else 3  # what was written, or all
        assert succeeded(migrator.sweep()).swept == (SweptDocuments("0001", "orders", matched, 1, 0),)
    notices = [event.text for event in told if isinstance(event, Notice)]
    assert "0002 inserts or derives documents: that is done once, and a sweep does not do it again" in notices


def test_a_version_that_was_only_recorded_is_refused(world: World) -> None:
    world.insert("orders", [order(1)])
    world.write("0001_cents.py", CENTS)
    with world.migrator() as migrator:
        migrator.stamp("head")
    assert isinstance(world.sweep().error, errors.CannotTell)
    assert [(s.version, s.count) for s in world.verify().stragglers] == [("0001", 1)]


@one_server
def test_the_change_stream_says_what_to_look_at(shop: World) -> None:
    told: list[Event] = []
    for matched in (5, 2, 0):  # what the second version has written, first; then what came since
        if matched == 2:
            old_writes(shop)
        with shop.migrator(told.append) as migrator:
            assert {s.matched for s in succeeded(migrator.sweep()).swept} == {matched}
    notices = [event.text for event in told if isinstance(event, Notice)]
    assert all("orders: what was written since" in text for text in notices)


@one_server
def test_the_journal_of_sweeps_is_looked_over_too(shop: World) -> None:
    old_writes(shop)
    succeeded(shop.sweep())
    with shop.client() as client:
        journal = client[shop.database].schema_versions_journal
        assert journal.delete_one({"kind": str(SegmentKind.SWEEP)}).deleted_count
    assert [p.code for p in shop.status().problems] == ["GM805"]
    before = shop.raws("orders")
    assert isinstance(shop.down("base").error, errors.JournalIncomplete)
    assert shop.raws("orders") == before


def collected(world: World) -> int:
    """How many portions of what others wrote are kept for the next sweep."""
    with world.client() as client:
        return int(client[world.database].schema_versions_tail.count_documents({}))


@one_server
def test_what_is_written_while_it_ends_is_looked_at_by_the_next(
    shop: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The collector reads on until the very end: what it stores last must not hide what came before."""
    ends = CollectionSweep.close

    def close(sweep: CollectionSweep) -> None:
        shop.put("orders", encode(order(20)))
        eventually(lambda: collected(shop) > 0)
        ends(sweep)
        shop.put("orders", encode(order(21)))
        eventually(lambda: collected(shop) > 0)

    with monkeypatch.context() as patched:
        patched.setattr(CollectionSweep, "close", close)
        assert changes(shop) == [("0001", 0), ("0002", 0)]
    assert changes(shop) == [("0001", 2), ("0002", 2)]
    assert shop.verify().stragglers == ()


@one_server
def test_history_that_was_lost_by_a_sweep_that_was_cut_off_is_not_taken_for_seen(
    shop: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.put("orders", encode(order(20)))

    def lost(*_: object) -> list[list[bytes]]:
        raise HistoryGone

    def cut_off(_: CollectionSweep) -> None:
        shop.put("orders", encode(order(21)))
        eventually(lambda: collected(shop) > 0)
        raise errors.Interrupted("cut off")

    with monkeypatch.context() as patched:
        patched.setattr(Collector, "rounds", lost)
        patched.setattr(CollectionSweep, "_look_at_all", cut_off)
        assert isinstance(shop.sweep().error, errors.Interrupted)
    assert changes(shop) == [("0001", 2), ("0002", 2)]


def left(world: World) -> int:
    """How many documents a sweep says to have left."""
    return world.sweep().remaining


@each_mode
def test_what_was_left_is_looked_at_again_by_the_next(shop: World) -> None:
    shop.put("orders", encode({"_id": 7, "by": 55, "price": 1}))
    assert [left(shop), left(shop), left(shop)] == [1, 1, 1]
    shop.insert("people", [{"_id": 55, "name": "late"}])
    assert changes(shop) == [("0001", 1), ("0002", 1)]
    assert left(shop) == 0


@one_server
def test_what_an_index_refused_is_looked_at_again_too(shop: World) -> None:
    with shop.client() as client:
        orders = client[shop.database].orders
        orders.create_index("cents", unique=True)
        shop.put("orders", encode({"_id": 7, "by": 1, "price": 10}))
        assert [left(shop), left(shop)] == [1, 1]
        assert collected(shop) == 1
        orders.drop_index("cents_1")
    assert changes(shop) == [("0001", 1), ("0002", 1)]
    assert collected(shop) == 0


@servers
@pytest.mark.parametrize("by_hand", [False, True], ids=["version", "by hand"])
def test_a_collection_that_was_renamed_before_is_looked_at_as_a_whole(world: World, by_hand: bool) -> None:
    world.insert("orders", [order(n) for n in range(3)])
    world.write("0001_cents.py", CENTS)
    world.write(
        "0002_renamed.py",
        'from goaime_migrate import *\noperations = [RenameCollection("orders", "sales")]\n',
    )
    succeeded(world.up())
    if by_hand:
        with world.client() as client:
            client[world.database].sales.rename("aside")
            client[world.database].aside.rename("sales")
    world.put("sales", encode(order(7)))
    told: list[Event] = []
    with world.migrator(told.append) as migrator:
        assert [each.changed for each in succeeded(migrator.sweep()).swept] == [1]
    notices = [event.text for event in told if isinstance(event, Notice)]
    if world.kind == Kind.REPLICA_SET:
        assert "sales: it has been dropped or renamed since; every document is looked at" in notices
    else:
        assert "sales: every document is looked at" in notices
    world.put("sales", encode(order(8)))
    assert changes(world) == [("0001", 1)]


@one_server
def test_what_was_left_before_it_was_renamed_is_looked_at_too(shop: World) -> None:
    shop.put("orders", encode({"_id": 7, "by": 55, "price": 1}))
    assert left(shop) == 1
    shop.write(
        "0003_renamed.py",
        'from goaime_migrate import *\noperations = [RenameCollection("orders", "sales")]\n',
    )
    succeeded(shop.up())
    assert [left(shop), left(shop)] == [1, 1]
    shop.insert("people", [{"_id": 55, "name": "late"}])
    assert changes(shop) == [("0001", 1), ("0002", 1)]
    assert (collected(shop), shop.verify().stragglers) == (0, ())


@each_mode
def test_the_log_has_how_many_documents_there_were(shop: World) -> None:
    old_writes(shop)
    shop.put("orders", encode({"_id": 7, "by": 55, "price": 1}))
    shop.sweep()
    with shop.migrator() as migrator:
        swept = [entry for entry in migrator.history() if entry.action == "sweep"]
    assert [(entry.version, entry.result) for entry in swept] == [("0001", "swept"), ("0002", "swept")]
    for entry in swept:
        assert entry.work is not None
        assert entry.work.documents is not None
        found = entry.work.documents
        assert (found.changed, found.conflicts) == (2, 0)
        assert found.matched == found.changed + found.unchanged >= 2
    assert len({entry.work.run for entry in swept if entry.work}) == 1


class OldApplication:
    """Hears of a sweep that follows, and acts once when that has come through."""

    def __init__(self, act: Callable[[], object]) -> None:
        self.act = act
        self.acted = False
        self.notices: list[str] = []

    def __call__(self, event: Event) -> None:
        if isinstance(event, Notice):
            self.notices.append(event.text)
        elif not self.acted:
            self.acted = isinstance(event, BatchCommitted)
            if self.acted:
                self.act()


@one_server
@pytest.mark.parametrize("way", ["drop", "rename"])
def test_a_collection_that_goes_while_it_is_followed_is_told_by_name(shop: World, way: str) -> None:
    def go() -> None:
        with shop.client() as client:
            database = client[shop.database]
            if way == "rename":
                database.orders.rename("elsewhere")
            else:
                database.orders.drop()

    heard = OldApplication(go)
    shop.put("orders", encode(order(9)))
    with shop.migrator(heard) as migrator:
        result = migrator.sweep(follow=30.0)
    assert isinstance(result.error, errors.CollectionChanged)
    assert result.error.message == "orders was dropped or renamed while it was worked on"
    assert result.error.hint == (
        "bring the collection back, then: goaime-migrate sweep; or: goaime-migrate down"
    )
    for dry_run in (True, False):
        heard = OldApplication(lambda: None)
        with shop.migrator(heard) as migrator:
            assert succeeded(migrator.sweep(dry_run=dry_run)).remaining == 0
        assert heard.notices[0] == "orders: there is no such collection any more, and so nothing to look at"


@one_server
@pytest.mark.parametrize("code", [136, 260, 280, 286])
@pytest.mark.parametrize("when", [1, 3])
def test_where_history_is_lost_every_document_is_looked_at(
    shop: World, monkeypatch: pytest.MonkeyPatch, code: int, when: int
) -> None:
    usual, looked = MongoChangeStream._events, 0

    def lost(stream: MongoChangeStream, events: Any) -> list[bytes]:
        nonlocal looked
        looked += 1
        if looked == when:
            shop.put("orders", encode(order(9)))
            raise OperationFailure("the resume point may no longer be in the oplog", code)
        return usual(stream, events)

    monkeypatch.setattr(MongoChangeStream, "_events", lost)
    heard = OldApplication(lambda: None)
    with shop.migrator(heard) as migrator:
        assert succeeded(migrator.sweep(follow=2.0)).remaining == 0
    assert heard.notices[1:] == ["orders: the oplog does not reach back so far; every document is looked at"]
    assert shop.documents("orders")[-1] == moved(9)
