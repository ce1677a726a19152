"""A TCP proxy before one server, for what only a network can do: lose a reply, hang, cut a connection.

A client must connect through `Proxy.uri`, which asks for a direct connection; else the driver would learn the
server's own address and go around the proxy.
"""

import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from types import TracebackType

from tests.servers.users import User, uri

OP_MSG = 2013
HEADER = struct.Struct("<iiii")  # length, request id, the request a reply is to, operation
FLAGS = struct.Struct("<I")


class Fault(Enum):
    """What happens to a command that a rule has picked."""

    CUT_BEFORE = auto()  # the connection is cut, the server never sees the command
    DROP_REPLY = auto()  # the server acts, its reply is thrown away and the connection cut
    HOLD_REPLY = auto()  # the server acts, its reply waits until the rule is released


@dataclass(eq=False)
class Rule:
    """A fault for the next `times` messages with one command; tells the test when it has struck."""

    command: str
    fault: Fault
    times: int
    _struck: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    _released: threading.Event = field(default_factory=threading.Event)

    def wait(self, timeout: float = 30.0) -> None:
        """Wait until it has struck once more; for a reply this means that the server has acted."""
        if not self._struck.acquire(timeout=timeout):
            raise TimeoutError(f"no {self.command} came within {timeout:g} s")

    def release(self) -> None:
        """Let held replies go on to the client."""
        self._released.set()

    def strike(self) -> None:
        """The proxy says: it has happened."""
        self._struck.release()

    def hold(self) -> None:
        """The proxy waits here with a held reply."""
        self._released.wait()


class Proxy:
    """Forwards everything to one address until it is told otherwise; a context manager."""

    def __init__(self, upstream: str) -> None:
        host, port = upstream.rsplit(":", 1)
        self._upstream = (host, int(port))
        self._lock = threading.Lock()
        self._rules: list[Rule] = []
        self._links: set[_Link] = set()
        self._flowing = threading.Event()
        self._flowing.set()
        self._plugged_in = True
        self._listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, name="proxy-accept", daemon=True).start()

    @property
    def address(self) -> str:
        """Host and port of the proxy."""
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    @property
    def uri(self) -> str:
        """A connection string for the server behind it."""
        return self.uri_for(None)

    def uri_for(self, user: User | None) -> str:
        """The same for a user."""
        return uri([self.address], {"directConnection": "true"}, user)

    # ---- what happens to single commands ----

    def cut_before(self, command: str, *, times: int = 1) -> Rule:
        """Cut the connection on which the command comes, before the server has seen it."""
        return self._add(Rule(command, Fault.CUT_BEFORE, times))

    def drop_reply(self, command: str, *, times: int = 1) -> Rule:
        """Let the server act, then throw its reply away and cut the connection."""
        return self._add(Rule(command, Fault.DROP_REPLY, times))

    def hold_reply(self, command: str, *, times: int = 1) -> Rule:
        """Let the server act, then keep its reply until `Rule.release`."""
        return self._add(Rule(command, Fault.HOLD_REPLY, times))

    def clear(self) -> None:
        """Forget all rules and let held replies go."""
        with self._lock:
            rules, self._rules = self._rules, []
        for rule in rules:
            rule.release()

    # ---- what happens to everything ----

    def stall(self) -> None:
        """Let nothing pass, in either direction, while connections stay open."""
        self._flowing.clear()

    def flow(self) -> None:
        """Let everything pass again, in order and complete."""
        self._flowing.set()

    def cut(self) -> None:
        """Cut all present connections; new ones are welcome."""
        with self._lock:
            links = list(self._links)
        for link in links:
            link.close()

    def unplug(self) -> None:
        """Cut all connections and close every new one at once."""
        self._plugged_in = False
        self.cut()

    def plug_in(self) -> None:
        """Take new connections again."""
        self._plugged_in = True

    def close(self) -> None:
        """End everything."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._listener.close()
        self.clear()
        self.flow()
        self.unplug()

    def __enter__(self) -> "Proxy":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ---- inside ----

    def _add(self, rule: Rule) -> Rule:
        with self._lock:
            self._rules.append(rule)
        return rule

    def _accept(self) -> None:
        while True:
            try:
                client, _address = self._listener.accept()
            except OSError:
                return  # closed
            if not self._plugged_in:
                client.close()
                continue
            try:
                server = socket.create_connection(self._upstream, timeout=10)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            link = _Link(self, client, server)
            with self._lock:
                self._links.add(link)
            link.start()

    def pick(self, message: bytes) -> Rule | None:
        """The rule that this request falls under, used up by one."""
        if not self._rules:
            return None
        command = command_name(message)
        with self._lock:
            for rule in self._rules:
                if rule.command == command and rule.times > 0:
                    rule.times -= 1
                    return rule
        return None

    def wait_until_flowing(self) -> None:
        """Block while the proxy is stalled."""
        self._flowing.wait()

    def forget(self, link: "_Link") -> None:
        """A link has closed."""
        with self._lock:
            self._links.discard(link)


class _Link:
    """A client's connection and the one to the server that belongs to it, with a thread each way."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self._awaited: dict[int, Rule] = {}  # request id -> the rule for its reply
        for side in (client, server):
            side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def start(self) -> None:
        """Begin to forward."""
        for direction in (self._forward_requests, self._forward_replies):
            threading.Thread(target=self._guarded, args=(direction,), name="proxy-link", daemon=True).start()

    def close(self) -> None:
        """Cut both connections."""
        for side in (self._client, self._server):
            with suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)  # wakes a thread that reads; close alone does not
            side.close()
        self._proxy.forget(self)

    def _guarded(self, direction: Callable[[], None]) -> None:
        """However one direction ends, by the peer, a rule or the test, the whole link ends."""
        try:
            direction()
        except OSError:
            pass
        finally:
            self.close()

    def _forward_requests(self) -> None:
        while message := read_message(self._client):
            rule = self._proxy.pick(message)
            if rule and rule.fault is Fault.CUT_BEFORE:
                self.close()
                rule.strike()
                return
            if rule:
                self._awaited[request_id(message)] = rule
            self._proxy.wait_until_flowing()
            self._server.sendall(message)

    def _forward_replies(self) -> None:
        while message := read_message(self._server):
            rule = self._awaited.pop(reply_to(message), None)
            if rule and rule.fault is Fault.DROP_REPLY:
                self.close()
                rule.strike()
                return
            if rule:
                rule.strike()
                rule.hold()
            self._proxy.wait_until_flowing()
            self._client.sendall(message)


def read_message(connection: socket.socket) -> bytes | None:
    """One whole wire message, or None when the peer has closed."""
    header = _read(connection, 4)
    if header is None:
        return None
    body = _read(connection, int.from_bytes(header, "little") - 4)
    return None if body is None else header + body


def _read(connection: socket.socket, size: int) -> bytes | None:
    buffer = bytearray(size)
    view, filled = memoryview(buffer), 0
    while filled < size:
        received = connection.recv_into(view[filled:])
        if received == 0:
            return None
        filled += received
    return bytes(buffer)


def request_id(message: bytes) -> int:
    """The id by which a reply names its request."""
    return int(HEADER.unpack_from(message)[1])


def reply_to(message: bytes) -> int:
    """The id of the request that a reply is to."""
    return int(HEADER.unpack_from(message)[2])


def command_name(message: bytes) -> str | None:
    """The first key of an OP_MSG's body; None for the older operations, which only a first hello uses."""
    if HEADER.unpack_from(message)[3] != OP_MSG:
        return None
    position = HEADER.size + FLAGS.size
    while position < len(message):
        kind, position = message[position], position + 1
        size = int.from_bytes(message[position : position + 4], "little")
        if kind == 0:
            name_at = position + 5  # after the body's size and the first element's type
            return message[name_at : message.index(0, name_at)].decode()
        position += size  # a document sequence, which may come before the body
    return None
