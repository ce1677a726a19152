"""What others have dropped, renamed or put in a place: `down` and `plan --down` say so before anything is written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from goaime_migrate import errors
from goaime_migrate.backends.connect import connect
from goaime_migrate.backends.ports import RECORDS, Backend
from goaime_migrate.config import Settings
from goaime_migrate.events import silent
from goaime_migrate.results import Direction
from goaime_migrate.run.lock import hold
from tests.integration.engines import each_mode, one_server, servers, two
from tests.world import World, succeeded

ADD = 'AddField("c", "k", 1)'
DOCUMENTS = [{"_id": i, "n": i} for i in range(5)]


@contextmanager
def others(world: World) -> Iterator[Backend]:
    """Somebody else, who changes what collections there are."""
    backend = connect(Settings(uri=world.uri, database=world.database), write=True)
    try:
        with hold(backend, 5, silent):
            yield backend
    finally:
        backend.close()


def applied(world: World, *sources: str) -> World:
    """Documents in `c` and `d`, and a version for each of these operations, applied."""
    world.insert("c", DOCUMENTS)
    world.insert("d", DOCUMENTS)
    for number, source in enumerate(sources, 1):
        world.write(
            f"{number:04d}_step.py", f"from goaime_migrate import *  # noqa: F403\noperations = [{source}]"
        )
    succeeded(world.up())
    return world


def refused(world: World, code: str, message: str, hint: str) -> None:
    """`plan --down` and `down` refuse to go back to base, for this reason, and nothing is written."""
    before = {name: world.raws(name) for name in ("c", "d", *RECORDS) if not name.endswith("lock")}
    planned, error = world.plan("base", direction=Direction.DOWN).refused, world.down("base").error
    assert isinstance(planned, errors.MigrateError)
    assert isinstance(error, errors.MigrateError)
    assert (error.code, error.message, str(error.hint)) == (planned.code, planned.message, str(planned.hint))
    assert error.code == code
    assert message in error.message
    assert hint in error.hint
    assert "goaime-migrate down" in error.hint
    assert {name: world.raws(name) for name in before} == before
    assert set(world.states()) == {"applied"}


def reverts(world: World) -> None:
    """Nothing is in the way any more."""
    assert world.plan("base", direction=Direction.DOWN).refused is None
    succeeded(world.down("base"))
    assert world.documents("c") == DOCUMENTS


@each_mode
def test_a_collection_that_was_dropped(world: World) -> None:
    applied(world, ADD, 'AddField("d", "k", 1)')
    with others(world) as backend:
        backend.drop_collection("c")
    way = "an empty file c.bson" if world.embedded else "in mongosh: db.createCollection('c')"
    refused(world, "GM312", "there is no collection c, and the journal has documents for it", way)
    with others(world) as backend:
        backend.create_collection("c", {})
    succeeded(world.down("base"))
    assert world.documents("d") == DOCUMENTS


@servers
def test_a_collection_that_was_renamed_away(world: World) -> None:
    applied(world, ADD)
    with others(world) as backend:
        backend.rename_collection("c", "elsewhere")
    hint = "in mongosh: db.getCollection('elsewhere').renameCollection('c')"
    refused(world, "GM312", "it is called elsewhere now", hint)
    with others(world) as backend:
        backend.rename_collection("elsewhere", "c")
    reverts(world)


@two
@pytest.mark.parametrize("source", [ADD, 'CreateIndex("c", "n")', 'SetValidator("c", {"required": ["n"]})'])
def test_a_view_in_its_place(world: World, source: str) -> None:
    applied(world, source)
    with others(world) as backend:
        backend.rename_collection("c", "behind")
        backend.create_collection("c", {"viewOn": "behind", "pipeline": []})
    refused(world, "GM804", "c is a view now: 0001 cannot be taken back in it", "drop the view (in ")
    with others(world) as backend:
        backend.drop_collection("c")
        backend.rename_collection("behind", "c")
    reverts(world)


@one_server
def test_a_collection_that_was_made_a_capped_one(world: World) -> None:
    applied(world, ADD)
    with world.client() as client:
        database = client[world.database]
        database.command({"convertToCapped": "c", "size": 100_000})
        refused(world, "GM804", "c is a capped collection now", "aggregate([{$out: 'c_2'}])")
        database.c.aggregate([{"$out": "c_2"}])
        database.c_2.rename("c", dropTarget=True)
    reverts(world)


@two
@pytest.mark.parametrize("source", ['RenameCollection("c", "e")', 'DropCollection("c")'])
def test_a_name_that_others_have_taken(world: World, source: str) -> None:
    applied(world, ADD, source)
    world.insert("c", [{"_id": "theirs"}])
    way = (
        "rename the files c.* to c_2.*" if world.embedded else "db.getCollection('c').renameCollection('c_2')"
    )
    refused(world, "GM800", "taking 0002 back gives c its place again", way)
    with others(world) as backend:
        backend.rename_collection("c", "c_2")
    reverts(world)
    assert world.documents("c_2") == [{"_id": "theirs"}]


@two
def test_the_name_of_a_view_that_others_have_taken(world: World) -> None:
    applied(world, 'CreateCollection("v", viewOn="c", pipeline=[])', 'DropCollection("v")')
    world.insert("v", [{"_id": "theirs"}])
    refused(world, "GM800", "taking 0002 back gives v its place again", "then: goaime-migrate down")


@two
def test_what_was_kept_aside_and_is_gone(world: World) -> None:
    applied(world, ADD, 'DropCollection("c")')
    with others(world) as backend:
        backend.drop_collection("schema_versions_aside.0002.c")
    message = (
        "renames schema_versions_aside.0002.c to c, and there is no collection schema_versions_aside.0002.c"
    )
    refused(world, "GM800", message, "go back no further than: goaime-migrate down 0002")


@two
def test_names_that_the_way_back_itself_frees_and_takes(world: World) -> None:
    """Nothing of this is in the way: a chain of names, a derived collection in the place of a dropped one."""
    derive = 'DeriveDocuments("c", "d", lambda document: [{"_id": document["_id"], "new": 1}])'
    applied(
        world,
        'DropCollection("d")',
        derive,
        'RenameCollection("c", "e")',
        'RenameCollection("d", "c")',
        'RenameCollection("e", "d")',
        'AddField("d", "k", 1)',
    )
    reverts(world)
    assert world.documents("d") == DOCUMENTS


@two
def test_what_is_above_can_be_taken_back(world: World) -> None:
    applied(world, 'DropCollection("d")', ADD)
    world.insert("d", [{"_id": "theirs"}])
    assert succeeded(world.down()).versions == ("0002",)
    assert world.documents("c") == DOCUMENTS
