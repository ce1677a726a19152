"""What is refused when a file is loaded a server does refuse, and what is let pass it takes."""

from __future__ import annotations

from typing import Any

import pytest
from pymongo.errors import PyMongoError

from tests.integration.engines import one_server
from tests.specifications import COLLECTIONS, FINE_INDEXES, FINE_VALIDATORS, INDEXES, VALIDATORS
from tests.world import World


@pytest.mark.since("6.0")
@one_server
def test_the_server_agrees_of_indexes(world: World) -> None:
    with world.client() as client:
        assert _refused(client[world.database], INDEXES) == set(INDEXES)
        assert _refused(client[world.database], FINE_INDEXES) == set()


def _refused(database: Any, specifications: dict[str, Any]) -> set[str]:
    found = set()
    for what, (keys, options) in specifications.items():
        database.drop_collection("c")
        try:
            database.command("createIndexes", "c", indexes=[{"key": dict(keys), "name": "i", **options}])
        except PyMongoError:
            found.add(what)
    return found


@one_server
@pytest.mark.parametrize(("name", "options"), COLLECTIONS.values(), ids=COLLECTIONS)
def test_the_server_agrees_of_collections(world: World, name: str, options: dict[str, Any]) -> None:
    with world.client() as client, pytest.raises(PyMongoError):
        client[world.database].create_collection(name, **options)


@one_server
def test_the_server_agrees_of_validators(world: World) -> None:
    with world.client() as client:
        database = client[world.database]
        for validator in VALIDATORS.values():
            with pytest.raises(PyMongoError):
                database.create_collection("c", validator=validator)
        for number, validator in enumerate(FINE_VALIDATORS.values()):
            database.create_collection(f"c{number}", validator=validator)
