"""Forks a ready-made process for every run: all imports are done once, so that hundreds of runs take no time.

It reads one request a line from stdin, ``{"id", "argv", "output", "strikes", "constants", "record", "files"}``, and
writes ``{"id", "pid"}`` when the run has begun and ``{"id", "status"}`` when it has ended. It has no threads and no
client of its own. Its children die with it, and it dies with whoever started it.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import pkgutil
import select
import signal
import sys
import threading
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from pymongo import monitoring
from pymongo.synchronous import pool

import goaime_migrate
from goaime_migrate.cli import main as goaime_main

PR_SET_PDEATHSIG = 1  # from <linux/prctl.h>
QUICK = {"backends.server.change_stream._AWAIT_MS": 20}
"""Constants that only make a short run long."""


class Striker(monitoring.CommandListener):
    """Sends this process a signal before, while or after the n-th command that matches."""

    def __init__(self, strikes: list[dict[str, Any]], record: str | None) -> None:
        self._strikes = strikes
        self._guard = threading.Lock()
        self._armed = threading.local()
        self._after: dict[int, int] = {}
        self._record = Path(record).open("a") if record else None  # noqa: SIM115 (it lives as long as the process)
        vars(pool)["sendall"] = self._sendall

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        """Count the command; strike before it is sent, or arm what strikes later."""
        named = event.command.get(event.command_name)
        self._armed.signal = None
        for strike in self.about_to(
            event.command_name, named if isinstance(named, str) else event.command.get("collection", "")
        ):
            if strike["moment"] == "sent":
                self._armed.signal = strike["signal"]
            else:
                self._after[event.request_id] = strike["signal"]

    def about_to(self, command: str, collection: str) -> list[dict[str, Any]]:
        """Count it and strike; what strikes later is returned."""
        with self._guard:
            self._note(command, collection)
            due = [strike for strike in self._strikes if _matches(strike, command, collection)]
            due = [strike for strike in due if _counted_down(strike)]
        for strike in due:
            if strike["moment"] == "before":
                _strike(strike["signal"])
        return [strike for strike in due if strike["moment"] != "before"]

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Strike where the reply has come and nobody has seen it."""
        self._answered(event.request_id)

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """The same for an error."""
        self._answered(event.request_id)

    def _answered(self, request: int) -> None:
        number = self._after.pop(request, None)
        if number is not None:
            _strike(number)

    def _sendall(self, connection: Any, message: bytes) -> None:
        connection.sendall(message)
        number, self._armed.signal = getattr(self._armed, "signal", None), None
        if number is not None:
            _strike(number)

    def _note(self, command: str, collection: str) -> None:
        if self._record is not None:
            self._record.write(json.dumps([command, collection]) + "\n")
            self._record.flush()


class FileStriker:
    """The same for files: strikes before the n-th change of a directory."""

    CHANGES: ClassVar = {"os.mkdir": 2, "os.remove": 1, "os.rename": 2, "os.rmdir": 1, "open": None}
    """Each with the place, among its arguments, of the folder that the first one is relative to."""

    def __init__(self, striker: Striker, folder: str) -> None:
        self._striker = striker
        self._folder = folder
        sys.addaudithook(self._seen)

    def _seen(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event not in self.CHANGES:
            return
        if event == "open" and not (
            isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        ):
            return
        if self._is_within(str(arguments[0]), self.CHANGES[event], arguments):
            self._striker.about_to(event, "")

    def _is_within(self, path: str, place: int | None, arguments: tuple[Any, ...]) -> bool:
        """What is opened relative to a folder does not say which: nothing but a dump is."""
        if place is not None and isinstance(arguments[place], int) and arguments[place] >= 0:
            path = f"{Path(f'/proc/self/fd/{arguments[place]}').readlink()}/{path}"
        return path.startswith(self._folder) or (place is None and "/" not in path)


def _matches(strike: dict[str, Any], command: str, collection: str) -> bool:
    return strike["command"] in (None, command) and strike["collection"] in (None, collection)


def _counted_down(strike: dict[str, Any]) -> bool:
    strike["nth"] -= 1
    return bool(strike["nth"] == 0)


def _strike(number: int) -> None:
    """To this very thread: it does not get any further."""
    signal.pthread_kill(threading.get_ident(), number)


def _run(request: dict[str, Any]) -> int:
    """One run in a fresh child; its exit status."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    os.setsid()
    output = os.open(request["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for old, new in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(old, new)
    for path, value in {**QUICK, **request["constants"]}.items():
        module, _, name = path.rpartition(".")
        assert hasattr(sys.modules[f"goaime_migrate.{module}"], name), path
        setattr(sys.modules[f"goaime_migrate.{module}"], name, value)
    if request["strikes"] or request["record"]:
        striker = Striker(request["strikes"], request["record"])
        monitoring.register(striker)
        if request["files"]:
            FileStriker(striker, request["files"])
    try:
        return goaime_main(request["argv"])
    except BaseException:  # noqa: BLE001 (the log must have it, whatever it is)
        traceback.print_exc()
        return 99
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()


def _import_everything() -> None:
    for module in pkgutil.walk_packages(goaime_migrate.__path__, "goaime_migrate."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


class Server:
    """Takes requests until nobody is there any more to make them."""

    def __init__(self) -> None:
        self._answers = os.fdopen(os.dup(1), "w")
        self._children: dict[int, int] = {}
        self._wake, woken = os.pipe()
        for end in (self._wake, woken):
            os.set_blocking(end, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(woken)

    def serve(self) -> None:
        """Wait for requests and for children that end."""
        pending = b""
        self._tell(ready=True)
        while True:
            readable, _, _ = select.select([0, self._wake], [], [])
            if self._wake in readable:
                self._reap()
            if 0 in readable:
                received = os.read(0, 65536)
                if not received:
                    return
                *lines, pending = (pending + received).split(b"\n")
                for line in lines:
                    self._begin(json.loads(line))

    def _begin(self, request: dict[str, Any]) -> None:
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os._exit(_run(request))
        self._children[pid] = request["id"]
        self._tell(id=request["id"], pid=pid)

    def _reap(self) -> None:
        with suppress(BlockingIOError):
            os.read(self._wake, 4096)
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            self._tell(id=self._children.pop(pid), status=os.waitstatus_to_exitcode(status))

    def _tell(self, **answer: Any) -> None:
        self._answers.write(json.dumps(answer) + "\n")
        self._answers.flush()


if __name__ == "__main__":
    _import_everything()
    Server().serve()
