"""What becomes of memory within a batch and between two: neither cycles are looked for, nor is it handed back."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""The numbers of two options of glibc's mallopt(3)."""
_KEPT = 64 * 1024 * 1024
"""Bytes that are kept at most: as many as a batch of ordinary documents needs,"""
_PIECE = 16 * 1024 * 1024
"""and the largest piece among them."""


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


def keep_freed() -> bool:
    """Have this process keep what a batch has freed for the next one; False where its C library is not glibc.

    Else megabytes go back to the system after every batch, to be had again page by page.
    """
    import ctypes

    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # no such function, or no such library
        return False
    return bool(mallopt(_MMAP_THRESHOLD, _PIECE)) and bool(mallopt(_TRIM_THRESHOLD, _KEPT))
