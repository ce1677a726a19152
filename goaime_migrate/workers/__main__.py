"""A worker process: ``python -m goaime_migrate.workers``, started by a run and spoken to through its stdin and stdout.

Everything that it has to know comes through stdin, the connection string too. What users' code prints goes to stderr.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from typing import IO, NoReturn

from goaime_migrate.memory import keep_freed
from goaime_migrate.workers.loop import WorkerLoop
from goaime_migrate.workers.messages import Channel

_GRACE_S = 5.0
"""How long a batch may still take once the run is gone."""


def _leave() -> NoReturn:
    """The run is gone: what is still being done has a moment to end."""
    time.sleep(_GRACE_S)
    os._exit(1)


def _own_pipes() -> tuple[IO[bytes], IO[bytes]]:
    """The inherited pipes for the protocol alone; for users' code stdin is empty, and stdout is stderr."""
    incoming, outgoing = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return incoming, outgoing


def main() -> NoReturn:
    """Run, and leave at once: there is nothing to wait for."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who has started it decides when it stops
    keep_freed()
    status = 1
    try:
        WorkerLoop(Channel(*_own_pipes()), _leave).run()
        status = 0
    except BrokenPipeError:
        pass  # the run is gone, and nobody is there to be told
    except Exception:  # noqa: BLE001 (the last resort; the run shows what a worker writes to stderr)
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    main()
