"""The records of partitions: how far each walk over a pass has come, up, down or in sweeps, and what it has counted."""

from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

from bson import Timestamp

from goaime_migrate.backends.record_codec import Key, record_of
from goaime_migrate.results import Counts, Document, WarningCount

SWEEP = "6-sweep"
"""The walk of the partition in which sweeps write after the pass; it stays with the pass, and counts no steps."""


class Written(NamedTuple):
    """What a partition of a pass has put into the journal; None where the release that did it has not counted.

    `kind` is that of its segments. `seq`: how many units of work it has done; None where that is not known any more.
    `size`: bytes of the segments, as documents of the journal.
    """

    kind: str
    partition: int
    segments: int | None = None
    documents: int | None = None
    seq: int | None = None
    size: int | None = None


class _LookupCount(NamedTuple):
    version: str
    message: str
    vain: int
    examples: tuple[Any, ...]
    found: bool


class _Counts(NamedTuple):
    examined: int
    written: int
    changed: tuple[int, ...]
    conflicts: tuple[int, ...]
    warnings: tuple[WarningCount, ...]
    lookups: tuple[_LookupCount, ...]


class Walked(NamedTuple):
    """The record of a partition on the way up, and of sweeps."""

    id: Annotated[str, Key("_id")]
    pass_id: Annotated[str, Key("pass")]
    number: int
    fence: int
    after: bytes | None
    upto: bytes | None
    lsids: tuple[Document, ...]
    cursor: bytes | None
    seq: int
    done: bool
    counts: Annotated[_Counts, Key("tally")]
    walk: str
    segments: int | None
    documents: int | None
    size: int | None

    @property
    def sweeps(self) -> bool:
        """Whether it is no part of the walk itself: sweeps write in it, once the walk is over."""
        return self.walk == SWEEP

    @property
    def written(self) -> Written:
        """What it has put into the journal."""
        return Written(self.walk, self.number, self.segments, self.documents, self.seq, self.size)


class TakenBack(NamedTuple):
    """The record of a partition on the way down."""

    id: Annotated[str, Key("_id")]
    pass_id: Annotated[str, Key("pass")]
    fence: int
    lsids: tuple[Document, ...]
    seq: int
    done: bool
    key: str | None
    offset: int
    since: Timestamp | None
    documents: int
    total: int | None
    counts: Counts | None


def partition(document: Document, steps: Mapping[str, int]) -> Walked | TakenBack:
    """A partition; `steps` says how many there are of each pass. Raises KeyError, TypeError, ValueError."""
    if document["walk"] == "down":
        return record_of(
            TakenBack, {"total": None, "counts": None, **document}
        )  # it is said once for all partitions
    counted = {"lookups": [], **document["tally"]}  # earlier releases counted none
    found = record_of(
        Walked, {"segments": None, "documents": None, "size": None, **document, "tally": counted}
    )
    for counts in (found.counts.changed, found.counts.conflicts):
        if not found.sweeps and len(counts) != steps.get(found.pass_id, len(counts)):
            raise ValueError(f"{len(counts)} counts, {steps[found.pass_id]} steps")
    return found
