"""Documents that a pass has made, many of them found by one key of the journal: each is told from those beside it."""

from __future__ import annotations

from contextlib import closing

import pytest
from bson import encode

from goaime_migrate import Settings
from goaime_migrate.backends.connect import connect
from goaime_migrate.backends.ports import JOURNAL, Backend
from goaime_migrate.journal import claims
from goaime_migrate.results import OnConflict
from tests.integration.engines import two
from tests.world import World, succeeded

SOURCE = """
    from goaime_migrate import InsertDocuments

    operations = [InsertDocuments("rooms", [{"_id": n, "beds": 2} for n in range(40)])]
    """
"""In batches of eight, all in one neighbourhood."""


def reading(world: World) -> closing[Backend]:
    """The database as commands that only look see it."""
    return closing(connect(Settings(uri=world.uri, database=world.database), write=False))


def _raw(number: int) -> bytes:
    return encode({"_id": number})


@pytest.fixture
def rooms(world: World) -> World:
    world.settings["batch_size"] = 8
    world.write("0001_rooms.py", SOURCE)
    succeeded(world.up())
    return world


@two
def test_each_is_known_and_no_neighbour_is(rooms: World) -> None:
    heads = [each for each in rooms.documents(JOURNAL) if "ids" in each]
    assert [len(head["ids"]) for head in heads] == [1] * 5
    pass_id, wanted = heads[0]["pass"], [_raw(number) for number in (39, 0, 41, 17, 255, -1)]
    with reading(rooms) as reader:
        assert {*claims.find_made(reader, pass_id, wanted)} == {_raw(39), _raw(0), _raw(17)}
        assert claims.written(reader, pass_id, wanted) == {_raw(39), _raw(0), _raw(17)}


@two
def test_a_neighbour_of_the_application_stays(rooms: World) -> None:
    rooms.insert("rooms", [{"_id": 40, "beds": 1}])
    rooms.change("rooms", 17, beds=3)
    back = succeeded(rooms.down(on_conflict=OnConflict.RESTORE))
    assert (back.documents.changed, len(back.conflicts)) == (39, 1)
    assert rooms.documents("rooms") == [{"_id": 40, "beds": 1}]


@two
def test_what_was_erased_is_known_still(rooms: World) -> None:
    pass_id = rooms.documents(JOURNAL)[0]["pass"]
    with rooms.migrator() as migrator:
        migrator.erase("rooms", 17)
    with reading(rooms) as reader:
        assert not claims.find_made(reader, pass_id, [_raw(17)])
        assert claims.written(reader, pass_id, [_raw(17), _raw(18), _raw(40)]) == {_raw(17), _raw(18)}
