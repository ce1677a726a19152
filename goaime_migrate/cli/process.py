"""What the interpreter does on its own account, kept short where the process is the command's own."""

from __future__ import annotations

import atexit
import gc
import sys

from goaime_migrate.cli import streams

GARBAGE_AFTER = 100_000
"""How many new containers there are before the collector looks: more than are imported, which an `up` on a server does
most of. With the 700 of the interpreter it looks through all that, again and again, before a command has begun."""


def begin() -> None:
    """At the beginning of the process."""
    gc.set_threshold(GARBAGE_AFTER)
    streams.separate()


def end() -> None:
    """At its end: everything is written and closed, and the interpreter ends as it always does, only sooner.

    pymongo would wait at exit, for up to half a second, for the threads of clients that have been closed: they sleep,
    and look only when they wake whether they should stop. They are daemon threads, hold nothing, and end with the
    process. Should another release of the driver not have that function, then it is waited for.

    The collector would look once more through every module that was imported.
    """
    streams.leave()
    monitor = sys.modules.get("pymongo.synchronous.monitor")
    waits = getattr(monitor, "_shutdown_resources", None)
    if waits is not None:
        atexit.unregister(waits)
    gc.freeze()
