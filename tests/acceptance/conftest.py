"""A project as a person has it: a folder, a database, and the `goaime-migrate` program."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.project import Project
from tests.conftest import EMBEDDED, FIXTURE_OF_KIND, StartServer
from tests.servers import Kind
from tests.world import World


@pytest.fixture(params=[EMBEDDED, Kind.REPLICA_SET], ids=str)
def project(
    request: pytest.FixtureRequest, start_server: StartServer, database_name: str, tmp_path: Path
) -> Iterator[Project]:
    """Five people and no migrations, in a dump directory and in a server."""
    if request.param == EMBEDDED:
        uri = f"dump:{tmp_path / 'dump'}"
    else:
        uri = request.getfixturevalue(FIXTURE_OF_KIND[request.param]).uri
    made = Project(tmp_path, World(str(request.param), uri, database_name, tmp_path / "migrations"))
    made.prepare()
    yield made
    if not made.world.embedded:
        with made.world.client() as client:
            client.drop_database(database_name)


@pytest.fixture
def embedded(tmp_path: Path) -> Project:
    """The same in a dump directory only, for what no database has a part in."""
    world = World(EMBEDDED, f"dump:{tmp_path / 'dump'}", "goaime", tmp_path / "migrations")
    made = Project(tmp_path, world)
    made.prepare()
    return made
