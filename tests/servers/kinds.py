"""The kinds of server that the tests know, and one way to run any of them."""

import functools
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from pymongo import MongoClient

from tests.servers.mongod import Client, Mongod, Options
from tests.servers.replica_set import ReplicaSet


class Kind(StrEnum):
    """What a server can do decides how goaime-migrate works on it, so the same tests run on each kind."""

    STANDALONE = "standalone"  # no transactions, no change streams
    REPLICA_SET = "replica-set"  # one node
    THREE_NODES = "three-nodes"  # can fail over


class Server(Protocol):
    """All that a test needs which breaks nothing."""

    @property
    def uri(self) -> str:
        """How the product connects."""

    @property
    def client(self) -> Client:
        """How the test itself looks and writes."""

    def heal(self) -> None:
        """Bring every node back that is not running as it should."""


@dataclass(frozen=True)
class ExternalServer:
    """A server that somebody else runs: only its databases are the tests' own."""

    uri: str

    @functools.cached_property
    def client(self) -> Client:
        """A client for it."""
        return MongoClient(self.uri, serverSelectionTimeoutMS=10_000)

    def heal(self) -> None:
        """Nothing: the tests may not touch its processes."""


LocalServer = Mongod | ReplicaSet


def new_server(kind: Kind, directory: Path, options: Options | None = None) -> LocalServer:
    """A server that is not started yet and keeps everything it writes in `directory`."""
    match kind:
        case Kind.STANDALONE:
            return Mongod(directory, options)
        case Kind.REPLICA_SET:
            return ReplicaSet(directory, 1, options)
        case Kind.THREE_NODES:
            return ReplicaSet(directory, 3, options)


@contextmanager
def running_server(
    kind: Kind, options: Options | None = None, *, parent: Path | None = None
) -> Iterator[LocalServer]:
    """A running server, gone at the end with its data; `parent` is where the data goes meanwhile."""
    with tempfile.TemporaryDirectory(prefix="goaime-migrate-server-", dir=parent) as directory:
        server = new_server(kind, Path(directory), options)
        try:
            server.start()
            yield server
        finally:
            server.kill()  # its data goes with it, so there is nothing to shut down in order
