"""Down: the very bytes that were there, the application's newer ones kept, and everything else said."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from bson import encode

from goaime_migrate import errors
from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import Changes, Collision, Committed, Reader
from goaime_migrate.backends.server import change_stream
from goaime_migrate.backends.server.transactional import TransactionalBackend
from goaime_migrate.down import recorder
from goaime_migrate.events import BatchCommitted, Event
from goaime_migrate.results import Conflict, Direction, OnConflict
from goaime_migrate.run import pacing
from tests.conftest import EMBEDDED
from tests.integration.engines import dump, each_mode, one_server, servers, two
from tests.world import World, succeeded

SOURCE = """
    from goaime_migrate import TransformDocuments

    def reshape(d):
        d["n"] += 1000
        d["new"] = "made"
        d.pop("old", None)

    def back(d):
        d["n"] -= 1000
        d.pop("new", None)

    operations = [TransformDocuments("c", reshape{options})]
    """
DOCUMENTS = [{"_id": i, "n": i, "old": "x", "same": True} for i in range(7)]


@pytest.fixture
def numbers(world: World) -> World:
    """Seven documents in batches of three, not migrated."""
    world.insert("c", DOCUMENTS)
    world.settings["batch_size"] = 3
    world.write("0001_reshape.py", SOURCE.format(options=""))
    return world


@pytest.fixture
def applied(numbers: World) -> World:
    """The same, migrated."""
    succeeded(numbers.up())
    return numbers


def by_id(world: World) -> dict[Any, dict[str, Any]]:
    return {d["_id"]: d for d in world.documents("c")}


def old(identity: int, **newer: Any) -> dict[str, Any]:
    return {"_id": identity, "n": identity, "old": "x", "same": True, **newer}


@each_mode
def test_the_very_bytes_come_back(numbers: World) -> None:
    before = numbers.raws("c")
    result = succeeded(numbers.up())
    assert (result.documents.matched, result.documents.changed) == (7, 7)
    assert by_id(numbers)[3] == {"_id": 3, "n": 1003, "same": True, "new": "made"}
    result = succeeded(numbers.down())
    assert (result.direction, result.versions) == (Direction.DOWN, ("0001",))
    assert (result.documents.matched, result.documents.changed, result.conflicts) == (7, 7, ())
    assert numbers.raws("c") == before


@dump
def test_documents_of_a_dump_stay_in_their_order(world: World) -> None:
    world.insert("c", reversed(DOCUMENTS))
    world.write("0001_reshape.py", SOURCE.format(options=""))
    before = (world.dump / "c.bson").read_bytes()
    world.up()
    assert [
        raw_bson.id_value(raw_bson.id_of(d)) for d in raw_bson.split((world.dump / "c.bson").read_bytes())
    ] == [
        6,
        5,
        4,
        3,
        2,
        1,
        0,
    ]
    world.down()
    assert (world.dump / "c.bson").read_bytes() == before


@each_mode
def test_there_and_back_again_leaves_the_same_each_time(numbers: World) -> None:
    before = numbers.raws("c")
    succeeded(numbers.up())
    after = numbers.raws("c")
    for _ in range(2):
        succeeded(numbers.down())
        assert numbers.raws("c") == before
        succeeded(numbers.up())
        assert numbers.raws("c") == after


@each_mode
def test_nothing_of_a_version_is_left_but_its_log(numbers: World) -> None:
    numbers.up()
    numbers.down()
    for collection in (
        "schema_versions",
        "schema_versions_progress",
        "schema_versions_journal",
        "schema_versions_tail",
    ):
        assert numbers.documents(collection) == []
    assert len(numbers.documents("schema_versions_log")) == 2


class Killed(BaseException):
    """The run goes no further."""


@servers
def test_what_a_killed_run_left_of_a_pass_is_removed_by_a_later_one(
    numbers: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers.write("0002_more.py", "from goaime_migrate import *\noperations = [AddField('c', 'm', 1)]\n")
    before = numbers.raws("c")
    succeeded(numbers.up())
    with monkeypatch.context() as killed:
        killed.setattr(recorder, "clear", _killed)
        with pytest.raises(Killed):
            numbers.down("base")
    assert numbers.states() == ["pending", "pending"]
    left = {record["pass"] for record in numbers.documents("schema_versions_journal")}
    assert len(left) == 1
    with numbers.client() as client:
        tail = client[numbers.database]["schema_versions_tail"]
        tail.insert_many([{"_id": 1, "pass": left.pop()}, {"_id": 2, "pass": "of others"}])

    succeeded(numbers.up("0001"))

    found = {record["pass"] for record in numbers.documents("schema_versions_journal")}
    assert found == {p["_id"] for p in numbers.documents("schema_versions_progress") if p["kind"] == "pass"}
    assert [record["pass"] for record in numbers.documents("schema_versions_tail")] == ["of others"]
    succeeded(numbers.down())
    assert numbers.raws("c") == before


def _killed(*_: object) -> None:
    raise Killed


@servers
def test_a_journal_that_was_never_taken_back_is_kept_whatever_has_become_of_the_other_records(
    numbers: World,
) -> None:
    succeeded(numbers.up())
    kept = numbers.raws("schema_versions_journal")
    with numbers.client() as client:
        for name in ("schema_versions", "schema_versions_progress"):
            client[numbers.database][name].delete_many({})
    with pytest.raises(errors.DamagedRecord):
        numbers.up()
    assert kept.items() <= numbers.raws("schema_versions_journal").items()


@one_server
def test_what_was_collected_during_a_way_down_is_forgotten_after_it(
    numbers: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    succeeded(numbers.up())
    monkeypatch.setattr(change_stream, "_AWAIT_MS", 20)

    def write(event: Event) -> None:
        if isinstance(event, BatchCommitted):
            numbers.change("c", 2, more=1)

    with numbers.migrator(write) as migrator:
        succeeded(migrator.down())
    assert numbers.documents("schema_versions_tail") == []


@each_mode
def test_other_fields_that_the_application_wrote_are_kept(applied: World) -> None:
    applied.change("c", 2, more=[1], same=False)
    result = succeeded(applied.down())
    assert result.conflicts == ()
    assert by_id(applied)[2] == old(2, more=[1]) | {"same": False}
    assert list(by_id(applied)[2]) == ["_id", "n", "old", "same", "more"]
    assert by_id(applied)[1] == old(1)


@each_mode
def test_a_document_that_the_application_put_back_is_left(applied: World) -> None:
    applied.put("c", encode(old(2)))
    result = succeeded(applied.down())
    assert result.documents.unchanged == 1
    assert by_id(applied)[2] == old(2)


@each_mode
def test_a_deleted_document_stays_deleted(applied: World) -> None:
    applied.remove("c", 2)
    result = succeeded(applied.down())
    assert 2 not in by_id(applied)
    assert (len(by_id(applied)), result.documents.changed) == (6, 6)


@each_mode
@pytest.mark.parametrize(
    ("choice", "kept"),
    [(OnConflict.KEEP, old(2) | {"n": 7}), (OnConflict.RESTORE, old(2))],
)
def test_a_field_that_the_application_wrote_too_is_a_conflict(
    applied: World, choice: OnConflict, kept: dict[str, Any]
) -> None:
    applied.change("c", 2, n=7)
    result = succeeded(applied.down(on_conflict=choice))
    assert result.conflicts == (Conflict("0001", "c", 2, ("n",)),)
    assert result.documents.conflicts == 1
    assert by_id(applied)[2] == kept
    assert applied.states() == ["pending"]


@each_mode
def test_down_may_stop_at_a_conflict_and_go_on_another_way(applied: World) -> None:
    applied.change("c", 4, n=7)
    result = applied.down(on_conflict=OnConflict.STOP)
    error = result.error
    assert isinstance(error, errors.Conflicts)
    assert (error.exit_code, error.id, error.field) == (1, 4, "n")
    assert "--on-conflict keep" in error.hint
    assert applied.states() == ["reverting"]
    assert by_id(applied)[4]["n"] == 7
    succeeded(applied.down())
    assert by_id(applied) == {i: old(i) for i in range(7)} | {4: old(4) | {"n": 7}}


@each_mode
def test_documents_inserted_since_are_left_and_counted(applied: World) -> None:
    applied.put("c", encode({"_id": 100, "n": 1, "new": "born"}))
    applied.put("c", encode({"_id": -1, "n": 2}))
    result = succeeded(applied.down())
    assert result.born == 2
    assert by_id(applied)[100] == {"_id": 100, "n": 1, "new": "born"}
    assert by_id(applied)[-1] == {"_id": -1, "n": 2}


@each_mode
def test_documents_inserted_since_are_taken_back_by_reverse(numbers: World) -> None:
    numbers.write("0001_reshape.py", SOURCE.format(options=", reverse=back"))
    succeeded(numbers.up())
    for identity in (-1, 3.5, 100):
        numbers.put("c", encode({"_id": identity, "n": 1005, "new": "born"}))
    result = succeeded(numbers.down())
    assert result.born == 3
    assert [by_id(numbers)[i] for i in (-1, 3.5, 100)] == [{"_id": i, "n": 5} for i in (-1, 3.5, 100)]
    assert all(by_id(numbers)[i] == old(i) for i in range(7))


@two
def test_reverse_gets_the_lookups_that_its_signature_names(world: World) -> None:
    world.insert("users", [{"_id": 5, "name": "amy"}])
    world.insert("c", [{"_id": 1, "name": "amy"}])
    world.write(
        "0001_link.py",
        """
        from goaime_migrate import Lookup, TransformDocuments

        def link(d, users, others):
            d["user"] = users[d.pop("name")]["_id"]

        def unlink(d, others):
            d["name"] = others[d.pop("user")]["name"]

        operations = [
            TransformDocuments(
                "c", link, reverse=unlink, users=Lookup("users", key="name"), others=Lookup("users")
            )
        ]
        """,
    )
    succeeded(world.up())
    world.put("c", encode({"_id": 2, "user": 5}))
    succeeded(world.down())
    assert world.documents("c") == [{"_id": 1, "name": "amy"}, {"_id": 2, "name": "amy"}]


@two
def test_with_a_filter_reverse_is_for_documents_that_up_did_not_see(numbers: World) -> None:
    numbers.write("0001_reshape.py", SOURCE.format(options=', reverse=back, where={"n": {"$gte": 3}}'))
    before = numbers.raws("c")
    succeeded(numbers.up())
    numbers.put("c", encode({"_id": 100, "n": 1005, "new": "born"}))
    succeeded(numbers.down())
    assert numbers.raws("c") == before | {encode({"_id": 100}): encode({"_id": 100, "n": 5})}


@two
def test_a_reverse_that_fails_says_for_which_document(numbers: World) -> None:
    numbers.write("0001_reshape.py", SOURCE.format(options=", reverse=back"))
    succeeded(numbers.up())
    numbers.put("c", encode({"_id": 100, "new": "born"}))
    error = numbers.down().error
    assert isinstance(error, errors.TransformFailed)
    assert (error.id, error.field) == (100, "n")
    assert "back raised KeyError" in error.message
    numbers.put("c", encode({"_id": 100, "n": 1001}))
    succeeded(numbers.down())
    assert by_id(numbers) == {i: old(i) for i in range(7)} | {100: {"_id": 100, "n": 1}}


@each_mode
def test_a_restored_document_that_a_unique_index_refuses_is_a_conflict(applied: World) -> None:
    applied.put("c", encode({"_id": 100, "n": 2}))
    _unique_in_the_way(applied)
    result = succeeded(applied.down())
    assert [(c.id, c.fields) for c in result.conflicts] == [(2, ("n",))]
    assert by_id(applied) == {i: old(i) for i in range(7)} | {
        2: {"_id": 2, "n": 1002, "same": True, "new": "made"},
        100: {"_id": 100, "n": 2},
    }
    assert applied.states() == ["pending"]


@each_mode
def test_down_may_stop_where_a_unique_index_refuses_a_document(applied: World) -> None:
    applied.put("c", encode({"_id": 100, "n": 2}))
    _unique_in_the_way(applied)
    error = applied.down(on_conflict=OnConflict.STOP).error
    assert isinstance(error, errors.Conflicts)
    assert (error.id, error.field) == (2, "n")
    applied.remove("c", 100)
    succeeded(applied.down())
    assert by_id(applied) == {i: old(i) for i in range(7)}


@each_mode
def test_a_unique_index_that_let_documents_move_up_one_by_one_lets_them_down_again(numbers: World) -> None:
    numbers.write(
        "0001_reshape.py", 'from goaime_migrate import *\noperations = [CreateIndex("c", "n", unique=True)]'
    )
    numbers.write(
        "0002_shift.py",
        """
        from goaime_migrate import TransformDocuments

        def shift(d):
            d["n"] -= 1

        operations = [TransformDocuments("c", shift)]
        """,
    )
    before = numbers.raws("c")
    succeeded(numbers.up())
    result = succeeded(numbers.down())
    assert result.conflicts == ()
    assert numbers.raws("c") == before


def _unique_in_the_way(world: World) -> None:
    """What an administrator does."""
    if world.embedded:
        metadata = world.dump / "c.metadata.json"
        index = '{"v": 2, "key": {"n": 1}, "name": "n_1", "unique": true}'
        metadata.write_text(f'{{"options": {{}}, "indexes": [{index}]}}')
    else:
        with world.client() as client:
            client[world.database].c.create_index("n", unique=True)


# --- several steps in one pass ---------------------------------------------------------------------------------


@pytest.fixture
def fused(numbers: World) -> World:
    """A second and a third version in the same pass."""
    step = """
        from goaime_migrate import TransformDocuments

        def step(d):
            {body}

        operations = [TransformDocuments("c", step)]
        """
    numbers.write("0002_twice.py", step.format(body='d["n"] *= 2'))
    numbers.write("0003_text.py", step.format(body='d["n"] = str(d["n"]); d["third"] = 3'))
    succeeded(numbers.up())
    assert by_id(numbers)[1] == {"_id": 1, "n": "2002", "same": True, "new": "made", "third": 3}
    return numbers


@each_mode
def test_down_inside_a_shared_pass_leaves_what_the_lower_steps_made(fused: World) -> None:
    succeeded(fused.down())
    assert by_id(fused)[1] == {"_id": 1, "n": 2002, "same": True, "new": "made"}
    succeeded(fused.down())
    assert by_id(fused)[1] == {"_id": 1, "n": 1001, "same": True, "new": "made"}
    succeeded(fused.down())
    assert by_id(fused) == {i: old(i) for i in range(7)}


@each_mode
def test_inside_a_shared_pass_the_applications_fields_are_kept_too(fused: World) -> None:
    fused.change("c", 1, more=1)
    fused.change("c", 2, new="theirs")
    fused.remove("c", 3)
    result = succeeded(fused.down("1"))
    assert result.conflicts == ()
    assert by_id(fused)[1] == {"_id": 1, "n": 1001, "same": True, "new": "made", "more": 1}
    assert by_id(fused)[2] == {"_id": 2, "n": 1002, "same": True, "new": "theirs"}
    result = succeeded(fused.down())
    assert [(c.id, c.fields) for c in result.conflicts] == [(2, ("new",))]
    assert by_id(fused)[1] == old(1, more=1)
    assert by_id(fused)[2] == old(2, new="theirs")
    assert 3 not in by_id(fused)


@two
def test_inside_a_shared_pass_up_is_exact_again(fused: World) -> None:
    after = fused.raws("c")
    for target in ("2", "1"):
        succeeded(fused.down(target))
        succeeded(fused.up())
        assert fused.raws("c") == after
    succeeded(fused.down("base"))
    assert by_id(fused) == {i: old(i) for i in range(7)}


@each_mode
def test_lookups_are_replayed_as_they_were_when_up_saw_them(world: World) -> None:
    world.insert("users", [{"_id": 5, "name": "amy", "city": "x"}])
    world.insert("c", [{"_id": i, "name": "amy"} for i in range(3)])
    before = world.raws("c")
    link = """
        from goaime_migrate import Lookup, TransformDocuments

        def link(d, users):
            d["{field}"] = users["amy"]["city"]

        operations = [TransformDocuments("c", link, users=Lookup("users", key="name"))]
        """
    world.write("0001_link.py", link.format(field="one"))
    world.write("0002_link.py", link.format(field="two"))
    succeeded(world.up())
    world.change("users", 5, city="y")

    result = succeeded(world.down())

    assert result.conflicts == ()
    assert [d["one"] for d in world.documents("c")] == ["x", "x", "x"]
    succeeded(world.down())
    assert world.raws("c") == before


@dump
def test_plan_says_what_down_will_find(fused: World) -> None:
    fused.change("c", 1, more=1)
    fused.change("c", 2, n="theirs")
    fused.put("c", encode({"_id": 100, "n": "1"}))
    plan = fused.plan("base", direction=Direction.DOWN)
    assert plan.preview is not None
    found = plan.preview
    assert (found.exact, found.merged, found.conflicts, found.born) == (5, 1, 1, 1)
    assert [s.version for s in plan.steps] == ["0003", "0002", "0001"]


@two
def test_what_down_restores_passes_by_validators(numbers: World) -> None:
    if numbers.kind == EMBEDDED:
        pytest.skip("a dump directory checks no validators")
    before = numbers.raws("c")
    succeeded(numbers.up())
    with numbers.client() as client:
        client[numbers.database].command("collMod", "c", validator={"new": {"$exists": True}})
    succeeded(numbers.down())
    assert numbers.raws("c") == before


@one_server
def test_a_document_that_collides_for_ever_ends_a_reversal_and_is_named(
    numbers: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = numbers.raws("c")
    numbers.write("0001_reshape.py", SOURCE.format(options=", reverse=back"))
    succeeded(numbers.up())
    numbers.insert("c", [{"_id": i, "n": 1000 + i, "new": "made"} for i in range(100, 103)])
    transact = TransactionalBackend.transact

    def collide(backend: TransactionalBackend, work: Callable[[Reader], Changes]) -> Committed:
        def unit(reader: Reader) -> Changes:
            changes = work(reader)
            if any(raw_bson.id_value(write.id) == 101 for write in changes.writes):
                raise Collision("on and on")
            return changes

        return transact(backend, unit)

    with monkeypatch.context() as colliding:
        colliding.setattr(TransactionalBackend, "transact", collide)
        colliding.setattr(TransactionalBackend, "transaction_lifetime", lambda _: 0.1)
        colliding.setattr(pacing, "PATIENCE", 3)
        error = numbers.down().error
    assert isinstance(error, errors.Contended)
    assert (error.id, error.version) == (101, "0001")
    assert [by_id(numbers)[i]["n"] for i in (100, 101, 102)] == [100, 1101, 1102]

    succeeded(numbers.down())
    assert {d: numbers.raws("c")[d] for d in before} == before
    assert [by_id(numbers)[i]["n"] for i in (100, 101, 102)] == [100, 101, 102]


@two
def test_a_reverse_that_fails_is_corrected_as_its_error_says(numbers: World) -> None:
    numbers.write("0001_reshape.py", SOURCE.format(options=", reverse=back"))
    succeeded(numbers.up())
    numbers.put("c", encode({"_id": 100, "new": "born"}))
    error = numbers.down().error
    assert isinstance(error, errors.TransformFailed)
    assert error.hint == (
        "correct the document, then: goaime-migrate down; "
        f"or correct {numbers.folder / '0001_reshape.py'}, then: goaime-migrate repair, which accepts the edit, "
        "and goaime-migrate down"
    )
    source = SOURCE.format(options=", reverse=lambda d: d.pop('new') and None")
    numbers.write("0001_reshape.py", source)
    with pytest.raises(errors.HistoryError, match="was edited"):
        numbers.up()
    with pytest.raises(errors.EditedMigration, match="it was edited"):
        numbers.down()
    with numbers.migrator() as migrator:
        assert migrator.repair().accepted == ("0001",)
    succeeded(numbers.down())
    assert by_id(numbers) == {i: old(i) for i in range(7)} | {100: {"_id": 100}}
