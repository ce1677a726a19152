"""`blame`: which version changed a document, and what it was before, on every engine; nothing is written."""

from __future__ import annotations

from typing import Any

import pytest
from bson import Decimal128, Int64, encode

from goaime_migrate import errors
from goaime_migrate.backends.ports import JOURNAL
from goaime_migrate.events import BatchCommitted, Event
from goaime_migrate.results import ABSENT, BlamedChange, BlameResult, ChangeKind
from goaime_migrate.transform import projection
from tests.integration.engines import each_mode, one_server
from tests.world import World, succeeded

FUSED = {
    "0001_add.py": """
        from goaime_migrate import *

        def add(d, users):
            d["name"] = users[d["_id"]]["name"]
            d["twice"] = d["n"] * 2

        operations = [TransformDocuments("c", add, users=Lookup("users"))]
    """,
    "0002_change.py": """
        from goaime_migrate import *

        def change(d):
            d["n"] = float(d["n"])
            d["twice"] += 1
            del d["old"]

        operations = [TransformDocuments("c", change)]
    """,
    "0003_order.py": """
        from goaime_migrate import *

        def order(d):
            return dict(sorted(d.items(), reverse=True))

        operations = [TransformDocuments("c", order)]
    """,
}
MORE = {
    "0004_rename.py": """
        from goaime_migrate import *
        operations = [RenameCollection("c", "e"), AddField("e", "added", None)]
    """,
    "0005_server.py": """
        from goaime_migrate import *
        operations = [UpdateDocuments("e", [{"$set": {"twice": {"$add": ["$twice", 100]}}}])]
    """,
    "0006_come_and_go.py": """
        from goaime_migrate import *

        def twin(d):
            return [{"_id": d["_id"] + 100, "of": d["n"]}]

        operations = [
            DeleteDocuments("e", where={"_id": 1}),
            InsertDocuments("e", [{"_id": 50, "n": 1.0, "twice": 7}]),
            DeleteDuplicates("e", "twice"),
            DeriveDocuments("e", "twins", twin),
        ]
    """,
}


def blame(world: World, collection: str, identity: Any) -> BlameResult:
    with world.migrator() as migrator:
        return migrator.blame(collection, identity)


def as_of(world: World, collection: str, identity: Any, version: str) -> Any:
    with world.migrator() as migrator:
        return migrator.as_of(collection, identity, version).document


def told(change: BlamedChange) -> tuple[str, str, dict[str, tuple[Any, Any]]]:
    return change.version, str(change.kind), {f.field: (f.before, f.after) for f in change.fields}


def notes(result: BlameResult) -> str:
    return "; ".join(result.notes)


@pytest.fixture
def old(world: World) -> World:
    """Documents in their old shape, and migrations that are not applied."""
    world.settings["batch_size"] = 3
    world.insert("c", [{"_id": i, "n": i, "old": "x"} for i in range(8)])
    world.insert("users", [{"_id": i, "name": f"u{i}"} for i in range(8)])
    for name, source in (FUSED | MORE).items():
        world.write(name, source)
    return world


@each_mode
def test_each_member_of_a_fused_pass_is_told_with_its_own_fields(old: World) -> None:
    succeeded(old.up("3"))
    before = old.everything()
    found = blame(old, "c", 5)
    assert [told(change) for change in found.changes] == [
        ("0001", "up", {"name": (ABSENT, "u5"), "twice": (ABSENT, 10)}),
        ("0002", "up", {"n": (5, 5.0), "twice": (10, 11), "old": ("x", ABSENT)}),
        ("0003", "up", {}),
    ]
    assert found.changes[2].note == "the order of its fields"
    assert all(change.at and change.who for change in found.changes)
    assert found.notes == ()
    assert old.everything() == before


@each_mode
def test_a_document_can_be_had_as_it_was_before_any_version(old: World) -> None:
    shapes = []
    for number in range(1, 7):
        shapes.append({d["_id"]: d for d in old.documents("c" if number <= 4 else "e")})
        succeeded(old.up(str(number)))
    succeeded(old.down("base"))
    succeeded(old.up())  # now the first three are one pass
    known = {d["_id"]: d for d in old.documents("e")}
    for identity in (*range(8), 50):
        for number, shape in enumerate(shapes, 1):
            found = as_of(old, "e", identity, str(number))
            assert encode({"": found}) == encode({"": shape.get(identity)})
        if identity in known:
            assert known[identity] == blame_forward(old, identity, shapes[0].get(identity))


def blame_forward(world: World, identity: int, document: dict[str, Any] | None) -> dict[str, Any]:
    """The document that comes of its first shape and all that is told of it."""
    made = dict(document or {"_id": identity})
    for change in blame(world, "e", identity).changes:
        for field in change.fields:
            assert made.get(field.field, ABSENT) == field.before
            if field.after is ABSENT:
                del made[field.field]
            else:
                made[field.field] = field.after
    return made


@each_mode
def test_documents_that_came_and_went_are_known(old: World) -> None:
    succeeded(old.up())
    deleted = blame(old, "e", 1)
    assert deleted.changes[-1].note == "deleted"
    assert told(deleted.changes[-1])[2]["n"] == (1.0, ABSENT)
    assert "not in e any more" in notes(deleted)
    (inserted,) = blame(old, "e", 50).changes
    assert told(inserted) == ("0006", "up", {"n": (ABSENT, 1.0), "twice": (ABSENT, 7)})
    assert inserted.note == "inserted"
    (derived,) = blame(old, "twins", 103).changes
    assert told(derived) == ("0006", "up", {"of": (ABSENT, 3.0)})


@each_mode
def test_the_id_is_found_whatever_type_its_number_has(old: World) -> None:
    old.insert("c", [{"_id": Int64(20), "n": 1, "old": ""}, {"_id": 21.0, "n": 1, "old": ""}])
    old.insert("users", [{"_id": 20, "name": ""}, {"_id": 21, "name": ""}])
    succeeded(old.up("1"))
    old.remove("c", Int64(20))
    for identity, kind in ((20, Int64), (21, float)):
        found = blame(old, "c", identity)
        assert [change.version for change in found.changes] == ["0001"]
        assert type(found.id) is kind


EQUAL: list[tuple[Any, Any]] = [
    ({"tenant": Int64(7)}, {"tenant": 7}),
    ({"a": 1.0}, {"a": 1}),
    (Decimal128("1.0"), 1),
    (1e17, 10**17),
    (Decimal128("2.50"), 2.5),
]


@each_mode
@pytest.mark.parametrize("there", [True, False])
def test_a_document_is_found_by_all_that_is_equal_to_its_id(world: World, there: bool) -> None:
    world.insert("c", [{"_id": stored, "n": n} for n, (stored, _) in enumerate(EQUAL)])
    world.write("0001_add.py", "from goaime_migrate import *\noperations = [AddField('c', 'm', 1)]\n")
    succeeded(world.up())
    if not there:
        for stored, _ in EQUAL:
            world.remove("c", stored)
    with world.migrator() as migrator:
        for n, (stored, asked) in enumerate(EQUAL):
            found = migrator.blame("c", asked)
            assert (found.id, [change.version for change in found.changes]) == (stored, ["0001"])
            before = migrator.as_of("c", asked, "0001").document
            assert before == {"_id": stored, "n": n}


@each_mode
def test_a_document_that_nothing_knows_is_a_usage_error(old: World) -> None:
    for collection in ("c", "nothing"):
        with pytest.raises(errors.UnknownDocument, match=f"collection {collection}") as caught:
            blame(old, collection, 99)
        assert (caught.value.exit_code, caught.value.code) == (2, "GM107")
    assert blame(old, "c", 5).changes == ()
    with pytest.raises(errors.UnknownTarget):
        as_of(old, "c", 5, "9")
    assert as_of(old, "c", 5, "3") == {"_id": 5, "n": 5, "old": "x"}


@each_mode
def test_what_a_canary_has_done_is_told_so(old: World) -> None:
    succeeded(old.up("1", where={"_id": 2}))
    (change,) = blame(old, "c", 2).changes
    assert (change.version, change.kind) == ("0001", ChangeKind.CANARY)
    assert blame(old, "c", 3).changes == ()
    succeeded(old.up("1"))
    (change,) = blame(old, "c", 3).changes
    assert change.kind is ChangeKind.UP


@one_server
def test_what_the_tail_has_done_is_told_so(old: World) -> None:
    written: list[Event] = []

    def listen(event: Event) -> None:
        if isinstance(event, BatchCommitted) and not written:
            written.append(event)
            old.put("c", encode({"_id": 0, "n": 77, "old": "y"}))

    with old.migrator(listen) as migrator:
        succeeded(migrator.up("1"))
    first, second = blame(old, "c", 0).changes
    assert told(first) == ("0001", "up", {"name": (ABSENT, "u0"), "twice": (ABSENT, 0)})
    assert told(second) == ("0001", "tail", {"name": (ABSENT, "u0"), "twice": (ABSENT, 154)})


@each_mode
def test_what_can_only_be_proved_by_the_code_is_said_to_be_unknown_without(old: World) -> None:
    succeeded(old.up("2"))
    old.change("c", 4, twice=-1)
    assert told(blame(old, "c", 4).changes[1])[2]["twice"] == (8, 9)  # by taking the steps again
    (old.folder / "0001_add.py").write_text("operations = []\n")
    (change,) = blame(old, "c", 4).changes
    assert (change.version, told(change)[2]["n"]) == ("0002", (4, 4.0))
    (unknown,) = [field for field in change.fields if field.note is not ABSENT]
    assert (unknown.field, unknown.before, unknown.after) == ("twice", ABSENT, ABSENT)
    assert "done by 0001, 0002 together" in str(change.note)
    with pytest.raises(errors.EditedMigration):
        as_of(old, "c", 4, "2")
    assert as_of(old, "c", 4, "1") == {"_id": 4, "n": 4, "old": "x"}


@each_mode
def test_a_collection_is_found_by_the_name_that_it_had(old: World) -> None:
    succeeded(old.up("4"))
    now, before = blame(old, "e", 6), blame(old, "c", 6)
    assert [change.version for change in now.changes] == ["0001", "0002", "0003", "0004"]
    assert now.changes == before.changes
    old.insert("c", [{"_id": 6}])  # another one, by the name that is free
    assert blame(old, "c", 6).changes == ()


@each_mode
def test_a_damaged_journal_is_refused_as_down_does(old: World) -> None:
    succeeded(old.up("3"))
    record = next(d for d in old.documents(JOURNAL) if "2-scan" in d["_id"])
    old.remove(JOURNAL, record["_id"])
    with pytest.raises(errors.JournalIncomplete) as caught:
        blame(old, "c", 7)
    assert caught.value.message == getattr(old.down().error, "message", None)


@each_mode
def test_functions_are_named_since_no_journal_has_what_they_wrote(old: World) -> None:
    succeeded(old.up("3"))
    old.write("0004_rename.py", "def up(db):\n    db.c.update_one({'_id': 5}, {'$set': {'f': 1}})\n")
    succeeded(old.up("4"))
    assert "0004 is a plain function" in notes(blame(old, "c", 5))
    with old.migrator() as migrator:
        assert "0004 is a plain function" in str(migrator.as_of("c", 5, "2").notes)
        assert migrator.as_of("c", 5, "5").notes == ()


@one_server
def test_what_is_kept_of_some_fields_alone_is_no_document(
    old: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projection, "FROM", 1)
    old.write(
        "0001_add.py", FUSED["0001_add.py"].replace('"users")', '"users"), fields=["n", "name", "twice"]')
    )
    succeeded(old.up("1"))
    assert as_of(old, "c", 5, "1") == {"_id": 5, "n": 5, "old": "x"}
    old.remove("c", 5)
    assert told(blame(old, "c", 5).changes[0])[2] == {"name": (ABSENT, "u5"), "twice": (ABSENT, 10)}
    with pytest.raises(errors.JournalPruned, match="of name, twice the journal has it"):
        as_of(old, "c", 5, "1")


@each_mode
def test_changes_are_told_in_the_order_of_time(world: World) -> None:
    world.insert("c", [{"_id": 1, "a": 1, "b": 1, "n": 0}, {"_id": 2}])
    for version, name in ("0001", "a"), ("0002", "b"):
        world.write(
            f"{version}_{name}.py",
            f"""
            from goaime_migrate import *

            def more(d):
                if {name!r} in d:
                    d["{name}{name}"] = d.pop({name!r}) + d["n"]

            operations = [TransformDocuments("c", more)]
            """,
        )
    succeeded(world.up("1", where={"_id": 1}))
    succeeded(world.up("1"))
    succeeded(world.up("2"))
    world.put("c", encode({"_id": 1, "a": 2, "b": 2, "n": 1}))
    succeeded(world.sweep())
    found = blame(world, "c", 1).changes
    assert [(change.version, str(change.kind)) for change in found] == [
        ("0001", "canary"), ("0002", "up"), ("0001", "sweep"), ("0002", "sweep"),
    ]  # fmt: skip
    times = [change.at for change in found]
    assert times == sorted(times, key=str)
    assert [told(change)[2] for change in found] == [
        {"a": (1, ABSENT), "aa": (ABSENT, 1)},
        {"b": (1, ABSENT), "bb": (ABSENT, 1)},
        {"a": (2, ABSENT), "aa": (ABSENT, 3)},
        {"b": (2, ABSENT), "bb": (ABSENT, 3)},
    ]
