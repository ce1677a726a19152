"""Documents that a migration deletes: which go, which stay, and that they come back as they were."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from bson import encode
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from goaime_migrate import errors
from goaime_migrate.backends.bson_order import id_key
from goaime_migrate.render import plan as plan_text
from goaime_migrate.render.style import Style
from goaime_migrate.results import Conflict, Counts, Direction, OnConflict
from tests.integration.engines import dump, each_mode, one_server, servers, two
from tests.unit.values import FIELDS, FRAGILE, IDS, SURVIVORS, document, element
from tests.world import World, ids, succeeded

WHERE = """
    from goaime_migrate import DeleteDocuments

    operations = [DeleteDocuments("c", where={"old": True})]
    """
WHEN = """
    from collections.abc import Mapping
    from goaime_migrate import DeleteDocuments, Document, Lookup

    def orphan(d: Document, users: Mapping[int, Document]) -> bool:
        d["old"] = "changed in a copy"
        return d["user"] not in users

    operations = [DeleteDocuments("c", when=orphan, users=Lookup("users"){where})]
    """
BODY = """
    from goaime_migrate import DeleteDocuments

    def goes(d):
        {body}

    operations = [DeleteDocuments("c", when=goes)]
    """


@pytest.fixture
def things(world: World) -> World:
    """Twelve documents, of which every third is old and every fourth has no user, in batches of five."""
    world.settings["batch_size"] = 5
    world.insert(
        "c",
        ({"_id": i, "old": i % 3 == 0, "user": i % 4} for i in (7, 3, 11, 0, *range(8, 11), 1, 2, 4, 5, 6)),
    )
    world.insert("users", [{"_id": i} for i in (0, 1, 2)])
    return world


def left(world: World) -> list[Any]:
    return sorted(ids(world.documents("c")))


def there_and_back(world: World, expected: list[Any]) -> None:
    """`up` leaves these documents, as `plan` says, and `down` gives back every byte, in a dump every place."""
    before = list(world.raws("c").items())
    planned = succeeded_plan(world)
    result = succeeded(world.up())
    assert left(world) == expected
    counts = result.documents
    assert (counts.matched, counts.changed, counts.unchanged) == planned
    assert counts.changed == len(before) - len(expected)
    result = succeeded(world.down())
    assert (result.conflicts, result.documents.changed) == ((), counts.changed)
    after = list(world.raws("c").items())
    assert after == before if world.embedded else dict(after) == dict(before)


def succeeded_plan(world: World) -> tuple[int | None, int | None, int | None]:
    planned = world.plan()
    assert planned.refused is None
    (operation,) = planned.steps[0].operations
    return operation.matched, operation.changed, operation.unchanged


@each_mode
def test_what_matches_goes_and_comes_back(things: World) -> None:
    things.write("0001_old.py", WHERE)
    there_and_back(things, [1, 2, 4, 5, 7, 8, 10, 11])


@each_mode
def test_a_function_says_what_goes_and_changes_nothing(things: World) -> None:
    things.write("0001_orphans.py", WHEN.format(where=""))
    there_and_back(things, [i for i in range(12) if i % 4 != 3])


@each_mode
def test_where_and_when_have_to_agree(things: World) -> None:
    things.write("0001_orphans.py", WHEN.format(where=', where={"old": True}'))
    there_and_back(things, [i for i in range(12) if i not in (3,)])


@each_mode
def test_all_may_go(things: World) -> None:
    things.write("0001_all.py", BODY.format(body="return True"))
    there_and_back(things, [])


@two
@pytest.mark.parametrize("name", [*SURVIVORS, *FRAGILE])
def test_whatever_is_in_a_document_comes_back(world: World, name: str) -> None:
    world.insert("c", [document(element("_id", 1), {**SURVIVORS, **FRAGILE}[name]), encode({"_id": 2})])
    world.write(
        "0001_one.py",
        'from goaime_migrate import DeleteDocuments\noperations = [DeleteDocuments("c", where={"_id": 1})]',
    )
    there_and_back(world, [2])


@dump
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(IDS, FIELDS, st.booleans()), unique_by=lambda d: id_key(encode({"_id": d[0]})), max_size=12
    )
)
def test_down_gives_back_the_very_file(
    world: World, documents: list[tuple[Any, dict[str, Any], bool]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        other = World(world.kind, f"dump:{folder}", "shop", Path(folder) / "migrations", {"batch_size": 3})
        other.insert("c", [encode({"_id": i, **fields, "goes": goes}) for i, fields, goes in documents])
        other.write("0001_some.py", BODY.format(body='return d["goes"]'))
        file = other.dump / "c.bson"
        before = file.read_bytes()
        assert succeeded(other.up()).documents.changed == sum(goes for _, _, goes in documents)
        succeeded(other.down())
        assert file.read_bytes() == before


@each_mode
def test_what_the_application_has_put_in_its_place_is_a_conflict(things: World) -> None:
    things.write("0001_old.py", WHERE)
    before = things.raws("c")
    succeeded(things.up())
    theirs = encode({"_id": 3, "theirs": 1})
    things.put("c", theirs)
    things.put("c", before[encode({"_id": 6})])
    preview = things.plan(direction=Direction.DOWN).preview
    assert preview is not None
    assert preview.conflicts == 1
    stopped = things.down(on_conflict=OnConflict.STOP)
    assert isinstance(stopped.error, errors.Conflicts)
    result = succeeded(things.down())
    assert result.conflicts == (Conflict("0001", "c", 3, ()),)
    assert things.raws("c") == before | {encode({"_id": 3}): theirs}
    assert result.documents.changed + stopped.documents.changed == 2


@each_mode
def test_or_what_was_deleted_takes_its_place_again(things: World) -> None:
    things.write("0001_old.py", WHERE)
    before = things.raws("c")
    succeeded(things.up())
    things.put("c", encode({"_id": 3, "theirs": 1}))
    assert len(succeeded(things.down(on_conflict=OnConflict.RESTORE)).conflicts) == 1
    assert things.raws("c") == before


@servers
def test_a_unique_index_that_refuses_one_is_a_conflict(things: World) -> None:
    things.write("0001_old.py", WHERE)
    before = things.raws("c")
    succeeded(things.up())
    with things.client() as client:
        collection = client[things.database]["c"]
        collection.delete_many({"_id": {"$ne": 7}})
        collection.create_index("user", unique=True)
    result = succeeded(things.down())
    assert result.conflicts == (Conflict("0001", "c", 3, ("user",)),)
    assert things.raws("c") == {encode({"_id": i}): before[encode({"_id": i})] for i in (0, 6, 7, 9)}


@each_mode
def test_a_function_that_raises_stops_the_run_at_its_line(things: World) -> None:
    things.write("0001_goes.py", BODY.format(body='return d["nothing"] == 1'))
    result = things.up()
    assert isinstance(result.error, errors.TransformFailed)
    assert (result.error.id, result.error.field) == (0, "nothing")
    assert 'return d["nothing"] == 1' in (result.error.detail or "")
    assert len(things.raws("c")) == 12


@each_mode
@pytest.mark.parametrize("answer", ["None", "1", "d", "'yes'"])
def test_anything_but_a_bool_is_refused(things: World, answer: str) -> None:
    things.write("0001_goes.py", BODY.format(body=f"return {answer}"))
    result = things.up()
    assert isinstance(result.error, errors.InvalidResult)
    assert "must say True for a document that goes" in result.error.message
    assert len(things.raws("c")) == 12


@each_mode
def test_a_canary_deletes_a_few_and_the_rest_follow(things: World) -> None:
    things.write("0001_old.py", WHERE)
    before = things.raws("c")
    assert succeeded(things.up(where={"_id": {"$lt": 5}})).documents.changed == 2
    assert left(things) == [1, 2, *range(4, 12)]
    if not things.embedded:  # somebody puts one back
        things.put("c", before[encode({"_id": 3})])
    succeeded(things.up())
    assert left(things) == [1, 2, 4, 5, 7, 8, 10, 11]
    result = succeeded(things.down())
    assert (result.conflicts, things.raws("c")) == ((), before)


@each_mode
def test_a_canary_alone_is_taken_back(things: World) -> None:
    things.write("0001_old.py", WHERE)
    before = things.raws("c")
    succeeded(things.up(where={"_id": {"$lt": 5}}))
    succeeded(things.down())
    assert things.raws("c") == before


@each_mode
def test_between_other_versions_each_is_taken_back_as_it_was(things: World) -> None:
    things.write(
        "0001_more.py", 'from goaime_migrate import AddField\noperations = [AddField("c", "more", 1)]'
    )
    things.write("0002_old.py", WHERE)
    things.write(
        "0003_most.py", 'from goaime_migrate import AddField\noperations = [AddField("c", "most", 2)]'
    )
    before = things.raws("c")
    succeeded(things.up("0001"))
    between = things.raws("c")
    succeeded(things.up())
    assert left(things) == [1, 2, 4, 5, 7, 8, 10, 11]
    preview = things.plan("base", direction=Direction.DOWN).preview
    assert preview is not None
    assert (preview.exact, preview.conflicts) == (8 + 4 + 12, 0)
    succeeded(things.down("0001"))
    assert things.raws("c") == between
    succeeded(things.down())
    assert things.raws("c") == before


@two
def test_the_plan_shows_which_go(things: World) -> None:
    things.write("0001_old.py", WHERE)
    planned = things.plan()
    sample = planned.steps[0].samples[0]
    assert (sample.id, sample.before, sample.after) == (0, {"_id": 0, "old": True, "user": 0}, None)
    text = plan_text.plan(planned, Style())
    assert "document 0 goes" in text
    assert "delete documents of c where {'old': True}" in text


@two
def test_its_verify_promises_nothing(things: World) -> None:
    things.write("0001_old.py", WHERE)
    succeeded(things.up())
    assert things.verify().without_promise == ("0001",)


@each_mode
def test_status_counts_what_went(things: World) -> None:
    things.write("0001_old.py", WHERE)
    succeeded(things.up())
    (version,) = things.status().versions
    assert version.documents == Counts(4, 4, 0, 0)


@one_server
def test_many_workers_delete_together(world: World) -> None:
    world.insert("c", [{"_id": i, "old": i % 2 == 0, "text": "x" * 20} for i in range(9_000)])
    before = world.raws("c")
    world.settings["workers"] = 2
    world.write("0001_old.py", WHERE)
    assert succeeded(world.up()).documents.changed == 4_500
    assert left(world) == list(range(1, 9_000, 2))
    succeeded(world.down())
    assert world.raws("c") == before
