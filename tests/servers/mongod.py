"""One mongod on loopback: started, stopped, killed, frozen, restarted. Alone it is a standalone server."""

import functools
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pymongo
from pymongo import MongoClient
from pymongo.errors import ConnectionFailure

from tests.servers.binary import find_mongod
from tests.servers.process import ChildProcess, free_port
from tests.servers.users import ADMIN, OTHER, READER, WRITER, User, uri

Client = MongoClient[dict[str, Any]]

START_TIMEOUT = 60.0
STOP_PATIENCE = 15.0
EXIT_ADDRESS_IN_USE = 48


class ServerError(RuntimeError):
    """A server of the test kit did not do what it was told; the message ends with its last log lines."""


@dataclass(frozen=True, slots=True)
class Options:
    """What can be chosen for a server; the defaults are small and quick."""

    oplog_mb: int = 128
    cache_gb: float = 0.25
    auth: bool = False
    parameters: Mapping[str, str | int | float | bool] = field(default_factory=dict)


# Small files, no telemetry, an immediate shutdown; enableTestCommands opens `configureFailPoint`.
BASE_PARAMETERS: Mapping[str, str | int | float | bool] = {
    "enableTestCommands": 1,
    "shutdownTimeoutMillisForSignaledShutdown": 100,
    "diagnosticDataCollectionEnabled": False,
}


class Mongod:
    """A mongod process with its port and data directory, both kept over a restart."""

    def __init__(
        self,
        directory: Path,
        options: Options | None = None,
        *,
        replica_set: str | None = None,
        key_file: Path | None = None,
    ) -> None:
        self.directory = directory
        self.options = options or Options()
        self.port = free_port()
        self._replica_set = replica_set
        self._key_file = key_file
        self._process: ChildProcess | None = None
        self._paused = False
        self._log_start = 0

    # ---- what a test asks ----

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    @property
    def uri(self) -> str:
        """A connection string for this node alone, as the administrator where it asks for a password."""
        return self.uri_for(ADMIN if self.options.auth else None)

    def uri_for(self, user: User | None) -> str:
        """The same for another user, or without one."""
        return uri([self.address], {"directConnection": "true"}, user)

    @property
    def members(self) -> tuple["Mongod", ...]:
        """This node: so that standalone servers and replica sets can be handled alike."""
        return (self,)

    @property
    def primary(self) -> "Mongod":
        """The node that takes writes."""
        return self

    @property
    def pid(self) -> int:
        """The process id of the running mongod."""
        if self._process is None:
            raise ServerError(f"{self.address} was never started")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether there is a process; a frozen one counts."""
        return self._process is not None and self._process.exit_code is None

    @functools.cached_property
    def client(self) -> Client:
        """A direct connection to this node, closed and forgotten whenever the node stops."""
        return MongoClient(self.uri, serverSelectionTimeoutMS=5_000)

    @functools.cached_property
    def anonymous_client(self) -> Client:
        """The same without a password: enough for `hello`, and to set up a server that has no users yet."""
        return MongoClient(self.uri_for(None), serverSelectionTimeoutMS=2_000)

    def hello(self) -> dict[str, Any]:
        """What the node says of itself; empty while it does not answer."""
        if self._paused or not self.running:
            return {}
        try:
            with pymongo.timeout(2):
                return self.anonymous_client.admin.command("hello")
        except ConnectionFailure:
            return {}

    def log(self, *, last: int = 20) -> str:
        """The last lines of its log."""
        path = self._log_path
        return "\n".join(path.read_text(errors="replace").splitlines()[-last:]) if path.exists() else ""

    # ---- what a test does ----

    def start(self) -> None:
        """Start and wait until it accepts connections and, if it stands alone, writes."""
        first_time = self._process is None
        self.launch()
        self.wait_for_port()
        if self._replica_set is None:
            self.wait_until("takes writes", lambda: self.hello().get("isWritablePrimary"))
            if first_time and self.options.auth:
                self.add_users()

    def launch(self) -> None:
        """Start the process without waiting for it: several nodes come up quicker side by side."""
        if self.running:
            return
        (self.directory / "data").mkdir(parents=True, exist_ok=True)
        self._log_start = self._log_path.stat().st_size if self._log_path.exists() else 0
        binary = find_mongod()
        command = [str(binary.path), *self._arguments()]
        self._process = ChildProcess(command, env=binary.environment(), output=self._log_path)

    def wait_for_port(self) -> None:
        """Wait until it accepts connections, on another port if a stranger was quicker on a new node's."""
        for _attempt in range(5):
            self.wait_until("listens", lambda: not self.running or self._listens())
            if self.running:
                return
            if self._process is None or self._process.exit_code != EXIT_ADDRESS_IN_USE:
                break
            self.port = free_port()
            self.launch()
        raise ServerError(f"{self.address} did not start:\n{self.log()}")

    def stop(self) -> None:
        """Shut down cleanly; by force if it does not."""
        self.resume()
        self._forget_clients()
        if self._process:
            self._process.terminate(patience=STOP_PATIENCE)

    def kill(self) -> None:
        """End it as a crash or a power cut would."""
        if self._process:
            self._process.kill()
        self._paused = False
        self._forget_clients()

    def restart(self) -> None:
        """Start again on the same port and data, after a clean stop if it was running."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Freeze the process: connections stay open and nothing answers."""
        self._signal(signal.SIGSTOP)
        self._paused = True
        self.wait_until("had stopped", lambda: _threads(self.pid) <= {"T"})

    def resume(self) -> None:
        """Thaw it."""
        self._signal(signal.SIGCONT)
        self._paused = False

    def heal(self) -> None:
        """Back to normal after a test that paused or killed it; quick where nothing is wrong."""
        self.resume()
        if not self.running:
            self.start()

    def add_users(self) -> None:
        """Create the users of `tests.servers.users`; while there are none, localhost may create the first."""
        users = [(self.anonymous_client, ADMIN), *((self.client, user) for user in (WRITER, OTHER, READER))]
        for client, user in users:
            client.admin.command("createUser", user.name, pwd=user.password, roles=list(user.roles))

    def wait_until(self, what: str, condition: Callable[[], object], timeout: float = START_TIMEOUT) -> None:
        """Wait for a condition; a failure names the node and shows its log."""
        deadline = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > deadline:
                raise ServerError(f"{timeout:g} s were not enough until {self.address} {what}:\n{self.log()}")
            time.sleep(0.01)

    # ---- inside ----

    @property
    def _log_path(self) -> Path:
        return self.directory / "mongod.log"

    def _arguments(self) -> list[str]:
        arguments = ["--bind_ip", "127.0.0.1", "--port", str(self.port), "--nounixsocket"]
        arguments += ["--dbpath", str(self.directory / "data")]
        arguments += ["--wiredTigerCacheSizeGB", str(self.options.cache_gb)]
        # Without this a node preallocates 300 MB of journal.
        arguments += ["--wiredTigerEngineConfigString", "log=(prealloc=false,file_max=10MB)"]
        if self._replica_set:
            arguments += ["--replSet", self._replica_set, "--oplogSize", str(self.options.oplog_mb)]
        if self._key_file:
            arguments += ["--keyFile", str(self._key_file)]
        elif self.options.auth:
            arguments += ["--auth"]
        for name, value in {**BASE_PARAMETERS, **self.options.parameters}.items():
            text = str(value).lower() if isinstance(value, bool) else value
            arguments += ["--setParameter", f"{name}={text}"]
        return arguments

    def _listens(self) -> bool:
        """Whether it says so: that somebody answers on the port does not prove that it is this process."""
        with self._log_path.open("rb") as log:
            log.seek(self._log_start)
            return b"Waiting for connections" in log.read()

    def _signal(self, number: signal.Signals) -> None:
        if self._process:
            self._process.send(number)

    def _forget_clients(self) -> None:
        for name in ("client", "anonymous_client"):
            close_quickly(self.__dict__.pop(name, None))


def close_quickly(client: Client | None) -> None:
    """Close a client whose server may be gone: left alone it would look for one to end its sessions there."""
    if client:
        with pymongo.timeout(0.1):
            client.close()


def _threads(pid: int) -> set[str]:
    """The states of a process's threads, as the kernel has them: each of them takes a signal by itself."""
    states = set()
    for stat in Path(f"/proc/{pid}/task").glob("*/stat"):
        with suppress(OSError):
            states.add(stat.read_text().rpartition(")")[2].split()[0])
    return states
