"""`up --where`: a few documents first, all of them later, and back again."""

from __future__ import annotations

from typing import Any

import pytest
from bson import encode

from goaime_migrate import errors
from goaime_migrate.events import Event, Notice
from goaime_migrate.results import OnConflict
from tests.integration.engines import dump, each_mode, two
from tests.world import World, succeeded

GROW = """
    from goaime_migrate import TransformDocuments

    def grow(d):
        d["n"] += 1000

    operations = [TransformDocuments("c", grow{options})]
    """
FEW: dict[str, Any] = {"_id": {"$in": [2, 5, 9]}}
PAST_CANARY = range(1000, 1010)


@pytest.fixture
def numbers(world: World) -> World:
    """Ten documents, in batches of three, and a transform that must not be applied twice."""
    world.settings["batch_size"] = 3
    world.insert("c", [{"_id": i, "n": i} for i in range(10)])
    world.write("0001_grow.py", GROW.format(options=""))
    return world


@pytest.fixture
def canary(numbers: World) -> World:
    """The same, three documents of it migrated."""
    succeeded(numbers.up(where=FEW))
    return numbers


def values(world: World) -> list[int]:
    return [d["n"] for d in world.documents("c")]


@each_mode
def test_a_canary_migrates_the_documents_that_match_alone(numbers: World) -> None:
    result = succeeded(numbers.up(where=FEW))
    assert (result.versions, result.documents.changed) == ((), 3)
    assert values(numbers) == [0, 1, 1002, 3, 4, 1005, 6, 7, 8, 1009]
    status = numbers.status()
    assert [str(v.state) for v in status.versions] == ["partial"]
    assert status.pending == ("0001",)


@each_mode
@pytest.mark.parametrize("further", [{}, {"_id": {"$lte": 1}}], ids=["changed", "unchanged too"])
def test_documents_that_the_canary_has_looked_at_count_once(numbers: World, further: dict[str, Any]) -> None:
    numbers.write("0001_grow.py", GROW.format(options="").replace("+= 1000", "+= 1000 * (d['n'] != 1)"))
    succeeded(numbers.up(where={"$or": [FEW, further]} if further else FEW))
    succeeded(numbers.up())
    counts = numbers.status().versions[0].documents
    assert counts is not None
    assert (counts.matched, counts.changed, counts.unchanged) == (10, 9, 1)


@two
def test_what_the_canary_has_left_out_is_not_taken_for_looked_at_where_there_is_a_reverse(
    numbers: World,
) -> None:
    numbers.write("0001_grow.py", GROW.format(options=", reverse=lambda d: None"))
    succeeded(numbers.up(where=FEW))
    succeeded(numbers.up())
    counts = numbers.status().versions[0].documents
    assert counts is not None
    assert (counts.matched, counts.changed, counts.unchanged) == (10, 10, 0)


@each_mode
def test_the_next_up_completes_it_without_touching_the_canary_again(canary: World) -> None:
    result = succeeded(canary.up())
    assert result.versions == ("0001",)
    assert result.documents.changed == 7
    assert values(canary) == list(PAST_CANARY)
    assert canary.states() == ["applied"]


@each_mode
def test_down_after_a_completed_canary_is_exact(numbers: World) -> None:
    before = numbers.raws("c")
    succeeded(numbers.up(where=FEW))
    succeeded(numbers.up())
    result = succeeded(numbers.down())
    assert (result.documents.changed, result.conflicts) == (10, ())
    assert numbers.raws("c") == before


@each_mode
def test_down_of_a_canary_alone_is_exact(numbers: World) -> None:
    before = numbers.raws("c")
    succeeded(numbers.up(where=FEW))
    result = succeeded(numbers.down())
    assert result.documents.changed == 3
    assert numbers.raws("c") == before
    assert numbers.states() == ["pending"]
    succeeded(numbers.up())
    assert values(numbers) == list(PAST_CANARY)


@each_mode
def test_a_canary_that_the_application_wrote_in_other_fields_is_left_and_its_fields_kept(
    canary: World,
) -> None:
    canary.change("c", 5, more=1)
    succeeded(canary.up())
    assert values(canary) == list(PAST_CANARY)
    result = succeeded(canary.down())
    assert result.conflicts == ()
    assert canary.documents("c")[5] == {"_id": 5, "n": 5, "more": 1}


@each_mode
def test_a_canary_that_the_application_put_back_is_migrated_again(canary: World) -> None:
    canary.put("c", encode({"_id": 5, "n": 5}))
    succeeded(canary.up())
    assert values(canary) == list(PAST_CANARY)
    succeeded(canary.down())
    assert values(canary) == list(range(10))


@each_mode
def test_a_canary_that_the_application_wrote_in_the_same_field_is_a_conflict(canary: World) -> None:
    canary.change("c", 5, n=7)
    error = canary.up().error
    assert isinstance(error, errors.Conflicts)
    assert (error.exit_code, error.version, error.id) == (1, "0001", 5)
    assert canary.states()[0] == "partial"
    assert canary.documents("c")[5]["n"] == 7
    result = succeeded(canary.down(on_conflict=OnConflict.RESTORE))
    assert [c.id for c in result.conflicts] == [5]
    assert values(canary) == list(range(10))


@each_mode
def test_a_transform_that_may_be_applied_twice_knows_no_conflict(numbers: World) -> None:
    numbers.write("0001_grow.py", GROW.format(options="").replace('d["n"] += 1000', 'd["m"] = d["n"] + 1'))
    succeeded(numbers.up(where=FEW))
    numbers.change("c", 5, m=-1, n=50)
    succeeded(numbers.up())
    assert [d["m"] for d in numbers.documents("c")] == [1, 2, 3, 4, 5, 51, 7, 8, 9, 10]
    succeeded(numbers.down())
    assert numbers.documents("c")[5] == {"_id": 5, "n": 50, "m": -1} or "m" not in numbers.documents("c")[5]
    assert all("m" not in d for d in numbers.documents("c") if d["_id"] != 5)


@each_mode
def test_a_canary_that_was_deleted_stays_deleted(canary: World) -> None:
    canary.remove("c", 5)
    succeeded(canary.up())
    assert values(canary) == [n for n in PAST_CANARY if n != 1005]
    succeeded(canary.down())
    assert values(canary) == [n for n in range(10) if n != 5]


@each_mode
def test_documents_inserted_after_the_canary_are_migrated_by_the_next_up(canary: World) -> None:
    for identity in (-1, 50):
        canary.put("c", encode({"_id": identity, "n": identity}))
    succeeded(canary.up())
    assert sorted(values(canary)) == [999, *PAST_CANARY, 1050]
    succeeded(canary.down())
    assert sorted(values(canary)) == [-1, *range(10), 50]


@two
def test_a_canary_of_several_versions_in_one_pass(numbers: World) -> None:
    before = numbers.raws("c")
    numbers.write("0002_twice.py", GROW.format(options="").replace("+= 1000", "*= 2"))
    succeeded(numbers.up(where=FEW))
    assert numbers.states() == ["partial", "partial"]
    succeeded(numbers.up())
    assert values(numbers) == [2 * n for n in PAST_CANARY]
    succeeded(numbers.down())
    assert values(numbers) == list(PAST_CANARY)
    succeeded(numbers.down())
    assert numbers.raws("c") == before


@two
def test_a_canary_of_a_migration_with_a_filter_takes_what_matches_both(numbers: World) -> None:
    before = numbers.raws("c")
    numbers.write("0001_grow.py", GROW.format(options=', where={"n": {"$lt": 6}}'))
    succeeded(numbers.up(where=FEW))
    assert values(numbers) == [0, 1, 1002, 3, 4, 1005, 6, 7, 8, 9]
    succeeded(numbers.up())
    assert values(numbers) == [1000, 1001, 1002, 1003, 1004, 1005, 6, 7, 8, 9]
    succeeded(numbers.down())
    assert numbers.raws("c") == before


@two
def test_a_canary_of_a_pipeline(numbers: World) -> None:
    before = numbers.raws("c")
    numbers.write(
        "0001_grow.py",
        'from goaime_migrate import *\noperations = [UpdateDocuments("c", [{"$set": {"n": {"$add": ["$n", 1000]}}}])]',
    )
    succeeded(numbers.up(where=FEW))
    succeeded(numbers.up())
    assert values(numbers) == list(PAST_CANARY)
    succeeded(numbers.down())
    assert numbers.raws("c") == before


@two
def test_a_canary_that_matches_nothing_changes_nothing(numbers: World) -> None:
    assert succeeded(numbers.up(where={"n": -5})).documents.matched == 0
    assert values(numbers) == list(range(10))
    assert numbers.states() == ["pending"]
    succeeded(numbers.up(where=FEW))
    succeeded(numbers.up())
    assert values(numbers) == list(PAST_CANARY)


@two
def test_a_second_canary_is_refused_while_the_first_is_unfinished(canary: World) -> None:
    error = _refused(canary, {"_id": 1})
    assert "an unfinished pass is in the way of a canary" in error.message
    assert values(canary)[1] == 1


@dump
@pytest.mark.parametrize(
    ("where", "said"), [(FEW, "only the canary is migrated"), ({"n": -5}, "matches --where")]
)
def test_a_run_says_that_it_was_a_canary_or_that_there_is_none(
    numbers: World, where: dict[str, Any], said: str
) -> None:
    seen: list[Event] = []
    with numbers.migrator(seen.append) as migrator:
        succeeded(migrator.up(where=where))
    (notice,) = [event for event in seen if isinstance(event, Notice)]
    assert said in notice.text


@dump
def test_the_log_says_that_there_was_a_canary(canary: World) -> None:
    with canary.migrator() as migrator:
        assert [(e.action, e.version, e.result) for e in migrator.history()] == [("up", "0001", "canary")]


@dump
def test_a_canary_over_more_than_one_pass_is_refused(numbers: World) -> None:
    numbers.write("0002_index.py", 'from goaime_migrate import *\noperations = [CreateIndex("c", "n")]')
    error = _refused(numbers, FEW)
    assert "--where works on one pass over one collection" in error.message
    planned = numbers.plan(where=FEW).refused
    assert planned is not None
    assert planned.message == error.message
    assert numbers.states() == ["pending", "pending"]
    with numbers.migrator() as migrator:
        succeeded(migrator.up("0001", where=FEW))
    assert numbers.states() == ["partial", "pending"]


def _refused(world: World, where: dict[str, Any]) -> errors.MigrateError:
    try:
        error = world.up(where=where).error
    except errors.MigrateError as raised:
        error = raised
    assert isinstance(error, errors.Refused)
    assert error.exit_code == 9
    return error


@each_mode
def test_a_canary_whose_file_was_edited_is_refused_with_the_two_ways_on(canary: World) -> None:
    canary.write("0001_grow.py", GROW.format(options="").replace("1000", "2000"))
    with pytest.raises(errors.PinnedPassEdited) as caught:
        canary.up()
    assert "goaime-migrate down" in caught.value.hint
    assert "goaime-migrate repair" in caught.value.hint
    succeeded(canary.down())
    assert values(canary) == list(range(10))
