"""One child process that never outlives the test run, and free ports on loopback."""

import functools
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

LAUNCHER = Path(__file__).with_name("launcher.py")

# Below the range from which the kernel takes the ports of outgoing connections: the port of a server that is
# down for a moment must not be taken before it is back.
PORTS = range(20_000, 32_000)


@functools.cache
def _starter(_process_id: int) -> ThreadPoolExecutor:
    """The thread that starts all children of this process.

    Linux sends the parent death signal when the *thread* that started a child ends, so a server must not be
    started by a short-lived thread of a test. This one ends with the process. It is kept by process id, since
    it does not exist in a forked child.
    """
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="server-starter")


class ChildProcess:
    """A child that can be ended, frozen and thawed; signals go to this very child and no other."""

    def __init__(self, command: Sequence[str], *, env: Mapping[str, str], output: Path) -> None:
        launch = [sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid()), *command]
        with output.open("ab") as log:
            # A session of its own: ctrl-C in the terminal reaches the test run alone, which then stops it.
            start = functools.partial(
                subprocess.Popen[bytes],
                launch,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            self._popen = _starter(os.getpid()).submit(start).result()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._popen.pid

    @property
    def exit_code(self) -> int | None:
        """None while it lives (a frozen process lives)."""
        return self._popen.poll()

    def send(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens if it has ended, so a recycled process id is never hit."""
        self._popen.send_signal(number)

    def terminate(self, *, patience: float) -> None:
        """End it: politely first, thawed if it was frozen, by SIGKILL after `patience` seconds."""
        self.send(signal.SIGTERM)
        self.send(signal.SIGCONT)
        try:
            self._popen.wait(patience)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it as a crash would, and wait until it is gone."""
        self.send(signal.SIGKILL)
        self._popen.wait()


def free_port() -> int:
    """A port on 127.0.0.1 that is free now; whoever takes it must still expect to lose a race."""
    # SystemRandom: tests that seed `random` must not make all test runs on a machine try the same ports.
    choose = random.SystemRandom().choice
    for _attempt in range(1_000):
        port = choose(PORTS)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError(f"no free port between {PORTS.start} and {PORTS.stop}")
