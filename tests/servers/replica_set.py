"""Several mongods that form one replica set; a set of one node has everything but a failover."""

import functools
import secrets
import time
from contextlib import suppress
from pathlib import Path

from pymongo import MongoClient
from pymongo.errors import AutoReconnect

from tests.servers.mongod import START_TIMEOUT, Client, Mongod, Options, ServerError, close_quickly
from tests.servers.users import ADMIN, User, uri

NAME = "goaime"

# Quick failover: the server's own defaults are 10 s, 10 s and 2 s.
SETTINGS = {"electionTimeoutMillis": 2_000, "heartbeatTimeoutSecs": 2, "heartbeatIntervalMillis": 500}


class ReplicaSet:
    """A replica set of one or more nodes on loopback, ready as soon as its primary takes writes."""

    def __init__(self, directory: Path, size: int = 1, options: Options | None = None) -> None:
        self.directory = directory
        self.options = options or Options()
        self._key_file = directory / "key" if self.options.auth else None
        self.members = tuple(
            Mongod(directory / f"node{number}", self.options, replica_set=NAME, key_file=self._key_file)
            for number in range(size)
        )
        self._initiated = False

    @property
    def uri(self) -> str:
        """A connection string that names all members, as the administrator where they ask for a password."""
        return self.uri_for(ADMIN if self.options.auth else None)

    def uri_for(self, user: User | None) -> str:
        """The same for another user, or without one."""
        return uri([member.address for member in self.members], {"replicaSet": NAME}, user)

    @functools.cached_property
    def client(self) -> Client:
        """A client that follows the primary; closed when the set stops."""
        return MongoClient(self.uri, serverSelectionTimeoutMS=30_000)

    @property
    def primary(self) -> Mongod:
        """The node that takes writes; waits for an election that is under way."""
        return self.wait_for_primary()

    @property
    def secondaries(self) -> tuple[Mongod, ...]:
        """The running nodes that follow."""
        return tuple(member for member in self.members if member.running and member.hello().get("secondary"))

    def start(self) -> None:
        """Start every node that is not running and wait until the set is whole."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self._write_key()
        for member in self.members:
            member.launch()
        for member in self.members:
            member.wait_for_port()
        if not self._initiated:
            self._initiate()
        self.wait_until_whole()

    def stop(self) -> None:
        """Shut all nodes down, the primary last, so that nobody is elected meanwhile."""
        for member in self.members:
            member.resume()
        self._forget_client()
        for member in sorted(self.members, key=self._is_primary):
            member.stop()

    def kill(self) -> None:
        """End all nodes at once, as a power cut would."""
        for member in self.members:
            member.kill()
        self._forget_client()

    def restart(self) -> None:
        """Stop and start all nodes."""
        self.stop()
        self.start()

    def heal(self) -> None:
        """Thaw and restart what a test has paused or killed; quick where nothing is wrong."""
        for member in self.members:
            member.resume()
        self.start()

    def step_down(self, seconds: int = 5) -> None:
        """Make the primary resign, as an administrator would, and wait for its successor."""
        primary = self.primary
        with suppress(AutoReconnect):  # it may close the connection on which it was told
            primary.client.admin.command("replSetStepDown", seconds, secondaryCatchUpPeriodSecs=seconds - 1)
        self.wait_for_primary()

    def wait_for_primary(self, timeout: float = START_TIMEOUT) -> Mongod:
        """Wait until a node takes writes, and return it."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            for member in self.members:
                if self._is_primary(member):
                    return member
            time.sleep(0.02)
        logs = "\n".join(f"--- {member.address}\n{member.log()}" for member in self.members)
        raise ServerError(f"no primary after {timeout:g} s\n{logs}")

    def wait_until_whole(self) -> None:
        """Wait until there is a primary and every other node has caught up and follows."""
        primary = self.wait_for_primary()
        for member in self.members:
            if member is not primary:
                member.wait_until("takes part", functools.partial(self._takes_part, member))

    @staticmethod
    def _is_primary(member: Mongod) -> bool:
        return member.running and bool(member.hello().get("isWritablePrimary"))

    @staticmethod
    def _takes_part(member: Mongod) -> bool:
        hello = member.hello()
        return bool(hello.get("secondary") or hello.get("isWritablePrimary"))

    def _initiate(self) -> None:
        members = [{"_id": number, "host": member.address} for number, member in enumerate(self.members)]
        first = self.members[0]
        config = {"_id": NAME, "members": members, "settings": SETTINGS}
        first.anonymous_client.admin.command("replSetInitiate", config)
        self._initiated = True
        if self.options.auth:
            self.wait_for_primary().add_users()

    def _write_key(self) -> None:
        """The secret by which the nodes know one another; mongod refuses it if others could read it."""
        if self._key_file and not self._key_file.exists():
            self._key_file.touch(mode=0o600)
            self._key_file.write_text(secrets.token_hex(32))

    def _forget_client(self) -> None:
        close_quickly(self.__dict__.pop("client", None))
