"""What `report` finds of a history, on every engine."""

from __future__ import annotations

from typing import Any

from bson import decode_all, encode

from goaime_migrate.results import Counts, Effect, JournaledChange, ReportResult
from tests.world import World, succeeded

TWO = """
from goaime_migrate import TransformDocuments

def {name}(document):
    {body}

operations = [TransformDocuments("c", {name})]
"""
DOCUMENTS = [{"_id": n, "a": n, "b": "x"} for n in range(5)]


def transform(name: str, body: str) -> str:
    return TWO.format(name=name, body=body)


def reported(world: World) -> ReportResult:
    before = world.everything()
    with world.migrator() as migrator:
        found = migrator.report()
    assert world.everything() == before
    return found


def sample(world: World, at: int = 0) -> JournaledChange:
    return reported(world).passes[at].samples[0]


def begun(world: World, *sources: str) -> World:
    world.insert("c", DOCUMENTS)
    for number, source in enumerate(sources, 1):
        world.write(f"{number:04d}_step.py", source)
    return world


def test_a_document_before_and_after_in_the_order_of_its_fields(world: World) -> None:
    begun(world, transform("move", 'document["a"] = document.pop("a")'))
    succeeded(world.up())
    found = reported(world)
    (walk,) = found.passes
    assert (walk.versions, walk.collection, walk.documents) == (("0001",), "c", 5)
    assert walk.journal_bytes > 0
    assert [change.id for change in walk.samples] == [0, 1, 2]
    change = walk.samples[0]
    assert (change.kind, change.known, change.whole) == (Effect.CHANGED, True, True)
    assert list(change.before or {}) == ["_id", "a", "b"]
    assert list(change.after or {}) == ["_id", "b", "a"]
    assert found.versions[0].operations == ("transform c with move",)


def test_what_a_later_pass_has_changed_is_told_by_its_journal(world: World) -> None:
    begun(world, transform("first", 'document["n"] = 1'))
    succeeded(world.up())
    world.write("0002_step.py", transform("second", 'document["n"] = 2'))
    succeeded(world.up())
    first, second = (walk.samples[0] for walk in reported(world).passes)
    assert (first.before, first.after) == (DOCUMENTS[0], {**DOCUMENTS[0], "n": 1})
    assert (second.before, second.after) == ({**DOCUMENTS[0], "n": 1}, {**DOCUMENTS[0], "n": 2})


def test_versions_of_one_pass_are_told_together(world: World) -> None:
    begun(world, transform("first", 'document["n"] = 1'), transform("second", 'document["n"] += 1'))
    succeeded(world.up())
    (walk,) = reported(world).passes
    assert walk.versions == ("0001", "0002")
    assert walk.samples[0].after == {**DOCUMENTS[0], "n": 2}


def test_what_the_application_has_written_since_is_not_taken_for_the_migrations(world: World) -> None:
    begun(world, transform("first", 'document["n"] = 1'))
    succeeded(world.up())
    world.change("c", 0, b="theirs")
    world.change("c", 1, n=7)
    world.remove("c", 2)
    other, same, gone = reported(world).passes[0].samples
    assert (other.known, other.whole, other.before, other.after) == (True, False, {}, {"n": 1})
    for change in (same, gone):
        assert (change.known, change.before, change.after) == (False, {}, None)


def test_documents_that_come_and_go(world: World) -> None:
    source = """
    from goaime_migrate import DeleteDocuments, InsertDocuments

    operations = [
        InsertDocuments("roles", [{"_id": "admin", "n": 1}, {"_id": "guest", "n": 2}]),
        DeleteDocuments("c", where={"a": {"$gt": 2}}),
    ]
    """
    begun(world)
    world.write("0001_step.py", source)
    succeeded(world.up())
    world.change("roles", "guest", n=3)
    walks = {walk.collection: walk.samples for walk in reported(world).passes}
    admin, guest = walks["roles"]
    assert (admin.kind, admin.before, admin.after) == (Effect.INSERTED, None, {"_id": "admin", "n": 1})
    assert (guest.kind, guest.known, guest.after) == (Effect.INSERTED, False, None)
    assert [(each.kind, each.before, each.after) for each in walks["c"]] == [
        (Effect.DELETED, document, None) for document in DOCUMENTS[3:]
    ]


def test_fields_that_are_carried_alone_are_shown_alone(world: World) -> None:
    source = transform("narrow", 'document["n"] = document["a"]').replace(
        "narrow)]", 'narrow, fields=["a", "n"])]'
    )
    begun(world, source)
    succeeded(world.up())
    change = sample(world)
    assert change.known
    assert (change.after or {})["n"] == 0


def test_the_log_keeps_what_each_run_has_done(world: World) -> None:
    begun(world, transform("first", 'document["n"] = 1'), transform("second", 'document["m"] = 1'))
    succeeded(world.up())
    succeeded(world.down("base"))
    works = [entry.work for entry in reported(world).history if entry.work]
    assert [work.documents for work in works] == [Counts(5, 5)] * 4
    assert [work.pace[-1].done for work in works] == [5] * 4
    up, down = {work.run for work in works[:2]}, {work.run for work in works[2:]}
    assert (len(up), len(down), up & down) == (1, 1, set())


def test_a_damaged_journal_costs_its_samples_alone(world: World) -> None:
    begun(world, transform("first", 'document["n"] = 1'))
    succeeded(world.up())
    damaged: dict[str, Any] = {"data": b"nothing"}
    if world.embedded:
        file = world.dump / "schema_versions_journal.bson"
        file.write_bytes(b"".join(encode({**d, **damaged}) for d in decode_all(file.read_bytes())))
    else:
        with world.client() as client:
            client[world.database]["schema_versions_journal"].update_many({}, {"$set": damaged})
    found = reported(world)
    assert found.passes[0].samples == ()
    assert "schema_versions_journal" in found.passes[0].unread
    assert len(found.history) == 1


def test_a_log_of_before_is_read_as_it_is(world: World) -> None:
    begun(world, transform("first", 'document["n"] = 1'))
    succeeded(world.up())
    if world.embedded:
        file = world.dump / "schema_versions_log.bson"
        kept = decode_all(file.read_bytes())
        file.write_bytes(b"".join(encode({k: v for k, v in d.items() if k != "work"}) for d in kept))
    else:
        with world.client() as client:
            client[world.database]["schema_versions_log"].update_many({}, {"$unset": {"work": 1}})
    (entry,) = reported(world).history
    assert (entry.version, entry.work) == ("0001", None)


def test_an_empty_database_has_a_report(world: World) -> None:
    world.insert("c", DOCUMENTS)
    found = reported(world)
    assert (found.history, found.versions, found.passes) == ((), (), ())
