"""Servers for the tests, started when the first test asks for one and ended with the session.

`standalone`, `replica_set` (one node) and `three_nodes` are shared by all tests, so a test works in the
database `database_name` and breaks nothing. `server` runs a test on each of these kinds, `backend` on a dump
directory as well. Tests that kill, pause or cut take `breakable_replica_set` or `breakable_three_nodes`.

Properties are tried on the same examples in every run; `--hypothesis-profile=default` looks for new ones.
"""

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings

from goaime_migrate import redaction
from tests import selection
from tests.servers import (
    ExternalServer,
    Kind,
    LocalServer,
    Mongod,
    Options,
    ReplicaSet,
    Server,
    find_mongod,
    running_server,
)

settings.register_profile("repeatable", derandomize=True, database=None, deadline=None)
settings.load_profile("repeatable")

UNIT_TESTS = Path(__file__).parent / "unit"
FIXTURE_OF_KIND = {
    Kind.STANDALONE: "standalone",
    Kind.REPLICA_SET: "replica_set",
    Kind.THREE_NODES: "three_nodes",
}
SERVER_FIXTURES = {*FIXTURE_OF_KIND.values(), "local_replica_set", "secured_replica_set", "server"}
EMBEDDED = "embedded"

StartServer = Callable[..., LocalServer]


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--short`, for what is tried before every merge."""
    parser.addoption("--short", action="store_true", help="some tests of every kind: see tests/selection.py")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what a short run does without.

    Unit tests are quick because they have no server: say so before one gets it unnoticed.
    """
    for item in items:
        wants_server = "start_server" in getattr(item, "fixturenames", ())
        if wants_server and item.path.is_relative_to(UNIT_TESTS):
            raise pytest.UsageError(f"{item.nodeid} is a unit test and asks for a server")
    if config.getoption("short"):
        chosen = selection.short(items)
        config.hook.pytest_deselected(items=[item for item in items if item not in set(chosen)])
        items[:] = chosen


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what the MongoDB at hand is too old for."""
    for mark in item.iter_markers("since"):
        wanted = tuple(map(int, mark.args[0].split(".")))
        if selection.needs_server(item) and find_mongod().release < wanted:
            pytest.skip(f"MongoDB {mark.args[0]} and later")


@pytest.fixture(autouse=True)
def _no_secrets_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test's connection string hides is no secret in the next test."""
    monkeypatch.setattr(redaction, "_hidden", {})


@pytest.fixture(scope="session")
def start_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartServer]:
    """Starts servers that live until the end of the session; whatever gives a test a server asks for this."""
    with ExitStack() as servers:

        def start(kind: Kind, options: Options | None = None) -> LocalServer:
            # pytest removes the folders of old runs, so not even a killed run leaves data behind for long.
            parent = tmp_path_factory.mktemp(kind.value)
            return servers.enter_context(running_server(kind, options, parent=parent))

        yield start


@pytest.fixture(scope="session")
def standalone(start_server: StartServer) -> Mongod:
    """A server without transactions and change streams."""
    server = start_server(Kind.STANDALONE)
    assert isinstance(server, Mongod)
    return server


@pytest.fixture(scope="session")
def local_replica_set(start_server: StartServer) -> ReplicaSet:
    """A replica set of one node whose process is ours: it has fail points."""
    server = start_server(Kind.REPLICA_SET)
    assert isinstance(server, ReplicaSet)
    return server


@pytest.fixture(scope="session")
def replica_set(request: pytest.FixtureRequest, start_server: StartServer) -> Iterator[Server]:
    """A replica set of one node: the one that GOAIME_MIGRATE_TEST_URI names, else `local_replica_set`."""
    if external := os.environ.get("GOAIME_MIGRATE_TEST_URI"):
        server = ExternalServer(external)
        yield server
        server.client.close()
    else:
        yield request.getfixturevalue("local_replica_set")


@pytest.fixture(scope="session")
def three_nodes(start_server: StartServer) -> ReplicaSet:
    """A replica set of three nodes."""
    server = start_server(Kind.THREE_NODES)
    assert isinstance(server, ReplicaSet)
    return server


@pytest.fixture(scope="session")
def secured_replica_set(start_server: StartServer) -> ReplicaSet:
    """A replica set of one node that asks for a password; the users are those of `tests.servers.users`."""
    server = start_server(Kind.REPLICA_SET, Options(auth=True))
    assert isinstance(server, ReplicaSet)
    return server


@pytest.fixture
def breakable_replica_set(local_replica_set: ReplicaSet) -> Iterator[ReplicaSet]:
    """One node that a test may kill, pause and restart; it is well again afterwards."""
    yield local_replica_set
    local_replica_set.heal()


@pytest.fixture
def breakable_three_nodes(three_nodes: ReplicaSet) -> Iterator[ReplicaSet]:
    """Three nodes that a test may kill, pause and restart; they are well again afterwards."""
    yield three_nodes
    three_nodes.heal()


@pytest.fixture(scope="session", params=list(Kind), ids=str)
def server(request: pytest.FixtureRequest, start_server: StartServer) -> Server:
    """Each kind of server in turn; `parametrize("server", [Kind.STANDALONE], indirect=True)` limits it."""
    server: Server = request.getfixturevalue(FIXTURE_OF_KIND[request.param])
    return server


@pytest.fixture
def database_name(request: pytest.FixtureRequest) -> Iterator[str]:
    """A name that no other test uses; the database is dropped from every server that the test had."""
    servers = [request.getfixturevalue(name) for name in request.fixturenames if name in SERVER_FIXTURES]
    name = f"test_{uuid.uuid4().hex[:12]}"
    yield name
    for each in servers:
        each.heal()
        each.client.drop_database(name)


@dataclass(frozen=True, slots=True)
class Backend:
    """Where a behaviour test runs: what `--uri` and `--database` get, and which kind it is."""

    kind: str
    uri: str
    database: str


@pytest.fixture(params=[EMBEDDED, *Kind], ids=str)
def backend(request: pytest.FixtureRequest, start_server: StartServer, tmp_path: Path) -> Iterator[Backend]:
    """An empty database of each kind: a dump directory and every kind of server."""
    if request.param == EMBEDDED:
        (tmp_path / "dump").mkdir()
        yield Backend(EMBEDDED, f"dump:{tmp_path / 'dump'}", "goaime")
        return
    server: Server = request.getfixturevalue(FIXTURE_OF_KIND[request.param])
    name = f"test_{uuid.uuid4().hex[:12]}"
    yield Backend(request.param, server.uri, name)
    server.client.drop_database(name)
