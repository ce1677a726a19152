"""Runs of the command line in processes of their own, which may be killed or frozen at an exact moment."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import Any, Literal

from tests.world import REPOSITORY, World

PATIENCE_S = 60.0

Moment = Literal["before", "sent", "after"]
MOMENTS: tuple[Moment, ...] = ("before", "sent", "after")


@dataclass(frozen=True)
class Strike:
    """A signal that a run sends itself at the n-th command that matches.

    `before`: the server never sees the command. `sent`: it does, and the run does not see the reply. `after`: the
    reply has come, the engine does not know it yet.
    """

    command: str | None = None
    collection: str | None = None
    nth: int = 1
    moment: Moment = "before"
    signal: int = signal.SIGKILL

    def __str__(self) -> str:
        return f"{self.moment} {self.command or 'command'} {self.collection or ''} #{self.nth}".replace(
            "  ", " "
        )


class Run:
    """One process that runs one command."""

    def __init__(self, output: Path) -> None:
        self._output = output
        self._began = threading.Event()
        self._ended = threading.Event()
        self._pid = 0
        self._status = 0

    def told(self, answer: Mapping[str, int]) -> None:
        """What the forker says of it."""
        if "pid" in answer:
            self._pid = answer["pid"]
            self._began.set()
        else:
            self._status = answer["status"]
            self._ended.set()

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._began.wait(PATIENCE_S)
        return self._pid

    @property
    def running(self) -> bool:
        """Whether it has not ended; a frozen one has not."""
        return not self._ended.is_set()

    @property
    def frozen(self) -> bool:
        """Whether it has stopped itself."""
        return _state(self.pid) == "T"

    @property
    def output(self) -> str:
        """Everything that it has printed so far."""
        return self._output.read_text(errors="replace") if self._output.exists() else ""

    def wait(self, timeout: float = PATIENCE_S) -> int:
        """Its exit status, negative for the signal that ended it."""
        if not self._ended.wait(timeout):
            self.send(signal.SIGKILL)
            raise AssertionError(f"still running after {timeout:g} s:\n{self.output}")
        return self._status

    def send(self, number: int) -> None:
        """Send a signal to this very process; nothing happens if it has ended."""
        if self.running:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it as `kill -9` does."""
        self.send(signal.SIGKILL)
        self.wait()

    def end_after(self, seconds: float) -> None:
        """Kill it at that instant, wherever it is then, unless it has ended."""
        self._ended.wait(seconds)
        self.kill()

    def wait_until_frozen(self) -> None:
        """Wait until it has stopped itself."""
        eventually(lambda: not self.running or self.frozen)
        assert self.running, f"it was to freeze and has ended with {self._status}:\n{self.output}"

    def thaw(self) -> None:
        """Let it go on."""
        self.send(signal.SIGCONT)


class Forker:
    """Starts runs; a context manager."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = count()
        self._runs: dict[int, Run] = {}
        self._guard = threading.Lock()
        self._popen = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.forker"],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self._popen.stdout is not None
        self._answers = self._popen.stdout
        assert json.loads(self._answers.readline()) == {"ready": True}
        self._reader = threading.Thread(target=self._listen, name="forker", daemon=True)
        self._reader.start()

    def __enter__(self) -> Forker:
        return self

    def __exit__(self, *_: object) -> None:
        for run in list(self._runs.values()):
            if run.running:
                run.kill()
        assert self._popen.stdin is not None
        self._popen.stdin.close()
        self._popen.wait(PATIENCE_S)
        self._reader.join()
        self._answers.close()

    def start(
        self,
        world: World,
        *argv: str,
        strikes: Sequence[Strike] = (),
        constants: Mapping[str, float] | None = None,
        record: Path | None = None,
        batch_size: int | None = 20,
        uri: str | None = None,
    ) -> Run:
        """Begin a command on a world. `constants` replace those of the package, by path; `record` gets what is sent."""
        number = next(self._numbers)
        output = self._folder / f"run-{number:04d}.txt"
        options = ["--uri", uri or world.uri, "--database", world.database, "--migrations", str(world.folder)]
        if argv[0] in ("up", "down", "sweep") and batch_size is not None:
            options += ["--batch-size", str(batch_size)]
        request: dict[str, Any] = {
            "id": number,
            "argv": [*argv, *options],
            "output": str(output),
            "strikes": [asdict(strike) for strike in strikes],
            "constants": dict(constants or {}),
            "record": None if record is None else str(record),
            "files": world.uri.removeprefix("dump:") if world.embedded else None,
        }
        run = self._runs[number] = Run(output)
        assert self._popen.stdin is not None
        with self._guard:
            self._popen.stdin.write(json.dumps(request) + "\n")
            self._popen.stdin.flush()
        return run

    def run(self, world: World, *argv: str, **options: Any) -> int:
        """A command to its end; its exit status."""
        return self.start(world, *argv, **options).wait()

    def succeed(self, world: World, *argv: str, timeout: float = PATIENCE_S, **options: Any) -> Run:
        """A command that must exit 0."""
        run = self.start(world, *argv, **options)
        status = run.wait(timeout)
        assert status == 0, f"{argv} exited {status}:\n{run.output}"
        return run

    def _listen(self) -> None:
        for line in self._answers:
            answer = json.loads(line)
            self._runs[answer["id"]].told(answer)


def eventually(condition: Callable[[], object], timeout: float = PATIENCE_S) -> None:
    """Wait for a condition that will come true."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout:g} s"
        time.sleep(0.005)


def recorded(record: Path) -> list[tuple[str, str]]:
    """Command and collection of everything that a recorded run has sent."""
    return [tuple(json.loads(line)) for line in record.read_text().splitlines()]


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""
