"""Removing what is kept of passes, in portions that a transaction can hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from goaime_migrate.backends.ports import JOURNAL, Changes, Delete, Reader, RecordChange, Writer
from goaime_migrate.journal.segments import within

_PORTION = 500


def passes(reader: Reader) -> Iterator[str]:
    """The passes of which anything is kept; one short query each."""
    last = ""
    while found := reader.find(JOURNAL, {"_id": {"$gt": last}}, sort=[("_id", 1)], limit=1, fields=["_id"]):
        pass_id = str(found[0]["_id"]).partition("/")[0]
        yield pass_id
        last = pass_id + "0"  # what sorts next after a slash


def clear(backend: Writer, pass_id: str) -> None:
    """Remove everything that was kept for a pass, lookups included."""
    clear_with(backend, pass_id, lambda removal: backend.transact(partial(_only, removal)))


def clear_with(reader: Reader, pass_id: str, change: Callable[[RecordChange], object]) -> None:
    """The same by whoever makes the changes."""
    while records := reader.find(JOURNAL, within(f"{pass_id}/"), limit=_PORTION, fields=["_id"]):
        change(Delete(JOURNAL, {"_id": {"$in": [record["_id"] for record in records]}}))


def _only(change: RecordChange, _: Reader) -> Changes:
    return Changes(last=[change])
