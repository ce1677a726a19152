"""Worker processes of this host, as the run that has started them sees them."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import IO, Any

from goaime_migrate.config import Settings
from goaime_migrate.errors import WorkerFailed
from goaime_migrate.errors.hint import UP, Hint
from goaime_migrate.redaction import redact
from goaime_migrate.results import Document
from goaime_migrate.run.work import SourceFile, Work, sharing
from goaime_migrate.workers.context import file_record
from goaime_migrate.workers.messages import Channel
from goaime_migrate.workers.worker import Gone, Hear, Worker

_KEPT = 20
"""Lines of a worker's stderr that are kept, for the message about one that could not start."""
_LEAVING_S = 5.0
"""How long an idle worker may take to leave before it is killed."""


class ProcessWorker:
    """A process of its own session, so that Ctrl-C reaches only the run, which tells it what to do."""

    def __init__(self, settings: Settings, files: Iterable[SourceFile], threads: int = 1) -> None:
        try:
            self._popen = subprocess.Popen(
                [sys.executable, "-P", "-m", "goaime_migrate.workers"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": _import_path()},
                start_new_session=True,
            )
        except OSError as error:
            raise WorkerFailed(
                f"a worker process cannot be started: {error}", hint=Hint("{}", UP.to("--workers", "1"))
            ) from error
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        assert self._popen.stderr is not None
        self._channel = Channel(self._popen.stdout, self._popen.stdin)
        self._said: deque[str] = deque(maxlen=_KEPT)
        self.sessions: Sequence[Document] = ()
        self.ready = False
        self.ended = False
        self.threads = threads
        self.partitions: list[int] = []
        self._threads = [
            threading.Thread(target=self._pass_on, args=(self._popen.stderr,), daemon=True),
        ]
        self._threads[0].start()
        self.tell(
            do="begin",
            settings=settings.record(),
            files=[file_record(file) for file in files],
            threads=threads,
        )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._popen.pid

    @property
    def load(self) -> int:
        """How many partitions it is at work on."""
        return len(self.partitions)

    def listen(self, hear: Hear, gone: Gone) -> None:
        """Call back from a thread: for every message, and once when it has ended."""

        def loop() -> None:
            try:
                for message in self._channel.messages():
                    hear(self, message)
            except BaseException:  # not a message: nobody can say what it is doing
                self._popen.kill()
                raise
            finally:
                self._popen.wait()
                self._threads[0].join(timeout=1)
                gone(self)

        thread = threading.Thread(target=loop, name=f"worker {self.pid}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def open(self, work: Work, spec: Document) -> None:
        """Tell it what the work is."""
        self.tell(do="open", spec=spec)

    def tell(self, **message: Any) -> None:
        """Send a message; one that has ended does not hear it, and is known by its end."""
        with suppress(OSError, ValueError):
            self._channel.tell(**message)

    @property
    def name(self) -> str:
        """With its pid."""
        return f"worker process {self.pid}"

    @property
    def end(self) -> str:
        """How it has ended, for people."""
        status = self._popen.poll()
        return f"was killed by signal {-status}" if status is not None and status < 0 else f"exited {status}"

    @property
    def said(self) -> str:
        """The last that it wrote to stderr, secrets left out."""
        return "".join(self._said).strip()

    def kill(self) -> None:
        """End it as `kill -9` does."""
        self._popen.kill()
        self._popen.wait()

    def release(self) -> None:
        """Let it go; one that is idle leaves at once."""
        with suppress(OSError):
            self._channel.close()

    def close(self) -> None:
        """Wait until it has left. Kills one that does not."""
        self.release()
        try:
            self._popen.wait(_LEAVING_S)
        except subprocess.TimeoutExpired:
            self.kill()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(timeout=_LEAVING_S)
        for pipe in (self._popen.stdout, self._popen.stderr):
            if pipe is not None:
                pipe.close()

    def _pass_on(self, stderr: IO[bytes]) -> None:
        for line in stderr:
            text = redact(line.decode("utf-8", "replace"))
            self._said.append(text)
            with suppress(OSError, ValueError):
                sys.stderr.write(text)
                sys.stderr.flush()


def _import_path() -> str:
    """Modules are found where this process finds them, whatever has changed its `sys.path`."""
    return os.pathsep.join(os.path.abspath(entry) for entry in sys.path)  # noqa: PTH100 (not resolved)


class ProcessWorkers:
    """Other processes of this host."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def workers_for(self, partitions: int) -> int:
        """As many as are worth it."""
        return sharing(self._settings, partitions)

    def new(self, files: Sequence[SourceFile], threads: int) -> Worker:
        """One more process, started now."""
        return ProcessWorker(self._settings, files, threads)

    def close(self) -> None:
        """Nothing is left open."""
