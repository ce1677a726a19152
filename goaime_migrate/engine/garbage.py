"""When the garbage collector looks for cycles, and when it does not."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_collection() -> Iterator[None]:
    """No garbage collection for a batch: documents are many objects and no cycles, and all are needed to its end.

    Several threads may be in here: whoever has found the collector enabled enables it again.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
