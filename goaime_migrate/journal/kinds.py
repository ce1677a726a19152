"""The kinds of segments, by the walk that has written them."""

from __future__ import annotations

from enum import StrEnum

from goaime_migrate import ledger


class Kind(StrEnum):
    """Which walk a segment belongs to; `down` goes through them in the reverse of the order they were written."""

    CANARY = "1-canary"
    SCAN = "2-scan"
    TAIL = "3-tail"
    INSERTED = "4-born"
    """Documents inserted since `up` that `down` took back with `reverse=`."""
    LEFT = "5-left"
    """Documents inserted since `up` that a `down` could not take back: the ids alone."""
    SWEEP = ledger.SWEEP
    """Documents that were written in an old shape after `up`, and brought forward by `sweep`. Each is its document's
    last word: whatever the pass has done with it before is not taken back any more."""


WRITTEN = (Kind.SWEEP, Kind.TAIL, Kind.SCAN, Kind.CANARY)
"""Those that hold what the pass has written, the newest first."""
