"""What a connection string says: what is followed, what is not, and what is said of the rest."""

from __future__ import annotations

import re
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient, uri_parser

from goaime_migrate import errors
from goaime_migrate.backends.server import diagnosis
from goaime_migrate.backends.server.uri import follow
from goaime_migrate.events import Event, Notice
from goaime_migrate.results import State
from tests.integration.engines import one_server, servers
from tests.servers import Kind, ReplicaSet
from tests.servers.mongod import Mongod
from tests.world import World, succeeded

TRANSFORM = """
    from goaime_migrate import TransformDocuments

    def grow(d):
        d["n"] += 1

    operations = [TransformDocuments("c", grow)]
    """
FUNCTION = """
    def up(db):
        db.ran.insert_one({{"_id": 1, "n": 1}})
        {body}

    def down(db):
        db.ran.delete_one({{"_id": 1}})
        {body}
    """


def of_uri(world: World, options: str) -> World:
    """The same database, its connection string with more options."""
    world.uri = f"{world.uri}&{options}"
    return world


def there_and_back(world: World, options: str = "", body: str = "pass") -> list[Event]:
    """A transform and a function, up, seen, verified and down; what was told."""
    world.insert("c", [{"_id": i, "n": i} for i in range(5)])
    of_uri(world, options)
    world.write("0001_grow.py", TRANSFORM)
    world.write("0002_run.py", FUNCTION.format(body=body))
    told: list[Event] = []
    with world.migrator(told.append) as migrator:
        assert succeeded(migrator.up()).versions == ("0001", "0002")
        assert migrator.up().versions == ()
        assert {v.state for v in migrator.status().versions} == {State.APPLIED}
        assert not migrator.verify().failures
        succeeded(migrator.down("base"))
    with MongoClient[Any](world.uri.partition("?")[0], directConnection=True) as client:
        assert [d["n"] for d in client[world.database].c.find(sort=[("_id", 1)])] == list(range(5))
        assert client[world.database].ran.count_documents({}) == 0
    return told


@servers
@pytest.mark.parametrize(
    "options",
    [
        "readPreference=secondary",
        "readPreference=secondaryPreferred&readPreferenceTags=dc:x&maxStalenessSeconds=90",
        "readConcernLevel=linearizable",
        "readConcernLevel=snapshot",
        "readConcernLevel=available",
        "w=0",
        "w=3",
        "w=1&journal=false",
        "retryWrites=false&retryReads=false",
        "maxPoolSize=1&waitQueueTimeoutMS=10",
        "timeoutMS=1",
        "socketTimeoutMS=1",
        "appName=other&tz_aware=true&uuidRepresentation=javaLegacy",
        "READPREFERENCE=secondary",
    ],
)
def test_what_the_guarantees_rest_on_does_not_follow_the_uri(world: World, options: str) -> None:
    there_and_back(world, options)


@one_server
def test_users_functions_get_what_is_pinned_and_types_as_the_uri_says(world: World) -> None:
    world.write(
        "0001_look.py",
        """
        def up(db):
            for each in (db, db.client, db.client.other):
                assert each.read_preference.name == "Primary"
                assert each.read_concern.level is None
                assert each.write_concern.document["w"] == "majority"
            assert db.codec_options.tz_aware
            assert db.codec_options.uuid_representation == 4
        """,
    )
    options = (
        "readPreference=nearest&readConcernLevel=available&w=0&tz_aware=true&uuidRepresentation=standard"
    )
    succeeded(of_uri(world, options).up())


def test_an_old_secondary_is_not_asked(three_nodes: ReplicaSet, tmp_path: Path, database_name: str) -> None:
    uri = f"{three_nodes.uri}&readPreference=secondary"
    world = World(Kind.THREE_NODES, uri, database_name, tmp_path / "migrations")
    world.write(
        "0001_run.py", "def up(db):\n    db.ran.update_one({'_id': 1}, {'$inc': {'n': 1}}, upsert=True)\n"
    )
    old = three_nodes.secondaries[0].client.admin
    old.command("configureFailPoint", "stopReplProducer", mode="alwaysOn")
    try:
        succeeded(world.up())
        for _ in range(4):
            assert world.up().versions == ()
    finally:
        old.command("configureFailPoint", "stopReplProducer", mode="off")
    assert three_nodes.primary.client[database_name].ran.find_one() == {"_id": 1, "n": 1}


@one_server
def test_compressors_that_are_not_installed_are_done_without(world: World) -> None:
    told = there_and_back(world, "compressors=bogus,zlib")
    said = [e.text for e in told if isinstance(e, Notice) and "compressor" in e.text]
    assert said == ["the compressor bogus of uri is not installed here: going on without it"]
    assert uri_parser.parse_uri(follow(world.uri).text)["options"]["compressors"] == ["zlib"]


@servers
@pytest.mark.parametrize(
    "body",
    ["db.client.close()", "with db.client: pass", "db.client.close(); db.client.close()"],
    ids=["close", "with", "twice"],
)
def test_a_function_that_closes_its_client_does_not_stop_the_run(world: World, body: str) -> None:
    told = there_and_back(world, body=body)
    assert any("has closed the client" in e.text for e in told if isinstance(e, Notice))


@pytest.fixture
def _brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that says nothing is not waited for."""
    monkeypatch.setattr(diagnosis, "_PATIENCE_S", 0.1)


# --- what the uri says wrongly -----------------------------------------------------------------------------------


def refused(world: World) -> errors.MigrateError:
    """The error of a command that only reads, which one that writes meets too."""
    world.write("0001_grow.py", TRANSFORM)
    with pytest.raises(errors.MigrateError) as reading:
        world.status()
    with pytest.raises(errors.MigrateError) as writing:
        world.up()
    assert type(reading.value) is type(writing.value)
    return writing.value


def alone(server: Mongod | ReplicaSet, folder: Path, options: str) -> World:
    """A database at a node's own address."""
    node = server.primary if isinstance(server, ReplicaSet) else server
    return World("any", f"mongodb://{node.address}/x?serverSelectionTimeoutMS=300&{options}", "x", folder)


@pytest.mark.parametrize("more", ["", "&directConnection=true"])
def test_the_name_of_another_replica_set_is_said(
    local_replica_set: ReplicaSet, tmp_path: Path, more: str
) -> None:
    error = refused(alone(local_replica_set, tmp_path, f"replicaSet=rs7{more}"))
    assert isinstance(error, errors.InvalidUri)
    assert re.search(
        r"uri names the replica set 'rs7', and 127.0.0.1:\d+ is a member of 'goaime'", error.message
    )
    assert error.hint == "write replicaSet=goaime in uri"


def test_a_server_that_is_in_no_replica_set_is_told_from_one(standalone: Mongod, tmp_path: Path) -> None:
    error = refused(alone(standalone, tmp_path, "replicaSet=rs7"))
    assert isinstance(error, errors.InvalidUri)
    assert "is no member of one" in error.message


def test_a_secondary_is_said_for_what_it_is(three_nodes: ReplicaSet, tmp_path: Path) -> None:
    node = three_nodes.secondaries[0]
    error = refused(World("any", f"mongodb://{node.address}/x?directConnection=true", "x", tmp_path))
    assert isinstance(error, errors.InvalidUri)
    assert f"directly to {node.address}, which is a secondary of the replica set goaime" in error.message
    assert f"its primary is {three_nodes.primary.address}" in error.message
    assert "replicaSet=goaime" in error.hint


@pytest.mark.usefixtures("_brief")
def test_tls_of_a_server_that_has_none(local_replica_set: ReplicaSet, tmp_path: Path) -> None:
    error = refused(alone(local_replica_set, tmp_path, "tls=true"))
    assert isinstance(error, errors.InvalidUri)
    assert "uri asks for TLS, and the server" in error.message


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key with a certificate for localhost that nobody has signed."""
    folder = tmp_path_factory.mktemp("tls")
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout key -out cert"
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    both = folder / "both.pem"
    both.write_text((folder / "key").read_text() + (folder / "cert").read_text())
    return both


@pytest.fixture(scope="module")
def tls_port(certificate: Path) -> Iterator[int]:
    """A server that speaks TLS, and says nothing more."""
    import socket
    import threading

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                accepted, _ = listener.accept()
            except OSError:
                return
            with suppress(OSError), context.wrap_socket(accepted, server_side=True) as secured:
                secured.recv(1)

    threading.Thread(target=serve, daemon=True).start()
    yield listener.getsockname()[1]
    listener.close()


@pytest.mark.usefixtures("_brief")
def test_tls_that_the_server_wants(tls_port: int, tmp_path: Path) -> None:
    error = refused(
        World("any", f"mongodb://localhost:{tls_port}/x?serverSelectionTimeoutMS=300", "x", tmp_path)
    )
    assert isinstance(error, errors.InvalidUri)
    assert f"the server localhost:{tls_port} wants TLS, and uri does not ask for it" in error.message


def test_a_certificate_that_is_not_trusted(tls_port: int, tmp_path: Path) -> None:
    options = "tls=true&serverSelectionTimeoutMS=300"
    error = refused(World("any", f"mongodb://localhost:{tls_port}/x?{options}", "x", tmp_path))
    assert isinstance(error, errors.InvalidUri)
    assert "the certificate of the server is not accepted" in error.message
    assert "tlsCAFile" in error.hint


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_file_of_the_uri_that_cannot_be_used(content: str | None, tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    error = refused(World("any", f"mongodb://localhost/x?tls=true&tlsCAFile={file}", "x", tmp_path / "m"))
    assert isinstance(error, errors.InvalidUri)
    assert "the file of tlsCAFile" in error.message
    assert str(file) in error.message
