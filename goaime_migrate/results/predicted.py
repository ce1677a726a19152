"""What is predicted of a run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Predicted:
    """From a timed sample. Bytes are those of the documents, before the server compresses them."""

    seconds: float
    journal_bytes: int
    oplog_bytes: int
    room_bytes: int = 0
    """By how much the database grows: its documents, and the journal, which may be pruned later."""
    basis: str = ""
    """How that was estimated: from how many documents, and what is not in it."""
