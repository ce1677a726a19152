"""How far a partition of a walk has come, up or down, and the one guarded unit of work that moves it on.

The record of a checkpoint carries the fence, and every unit of work moves that record, on condition that it still has
this run's fence and is where the unit began: so a run that was fenced off writes nothing, and nothing is done twice. A
unit whose guard fails had either been committed before, and its reply was lost, or the run is no longer the owner: the
record says which.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, NamedTuple, Protocol, Self, TypeVar

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import PROGRESS, Changes, Collision, GuardFailed, Move, Put, Reader
from goaime_migrate.errors import Contended, hint
from goaime_migrate.ledger import FORMAT
from goaime_migrate.results import Document
from goaime_migrate.run import pacing
from goaime_migrate.run.holdup import Holdup
from goaime_migrate.run.pacing import Pacing
from goaime_migrate.run.run import Run

DOWN = "down"
"""The walk of a partition on its way back; on its way up it is a kind of segment."""


class Position(Protocol):
    """Where in its walk a partition is, and what has been counted on the way there."""

    def record(self) -> Document:
        """Its fields as they are stored, always the same ones in the same order."""

    def read(self, record: Document) -> Self:
        """The position of the same partition that a record tells."""


P = TypeVar("P", bound=Position)
F = TypeVar("F")


@dataclass(frozen=True)
class Checkpoint(Generic[P]):
    """How far a partition has come. `seq` grows by one with every unit of work."""

    id: str
    pass_id: str
    walk: str
    position: P
    seq: int = 0
    done: bool = False
    fence: int = 0
    """That of the run which has it; 0 where it was never stored."""
    sessions: tuple[Document, ...] = ()
    """Those in which it may be written: what dead processes have left open in them can be ended."""

    def record(self) -> Document:
        """The checkpoint as it is stored."""
        return {
            "_id": self.id,
            "kind": "partition",
            "format": FORMAT,
            "pass": self.pass_id,
            "walk": self.walk,
            "fence": self.fence,
            "lsids": list(self.sessions),
            **self.progress(),
        }

    def progress(self) -> Document:
        """What changes with a unit of work."""
        return {"seq": self.seq, "done": self.done, **self.position.record()}

    def read(self, record: Document) -> Self:
        """The same checkpoint as a record tells it."""
        return replace(
            self,
            position=self.position.read(record),
            seq=record["seq"],
            done=record["done"],
            fence=record["fence"],
            sessions=tuple(record["lsids"]),
        )

    def next(self, position: P, *, done: bool = False) -> Self:
        """The checkpoint after one more unit of work."""
        return replace(self, position=position, seq=self.seq + 1, done=done)

    def move(self, to: Checkpoint[P]) -> Move:
        """The guarded change from here to there."""
        return Move(PROGRESS, {"_id": self.id, "fence": self.fence, "seq": self.seq}, to.progress())


def adopt(run: Run, fresh: Iterable[Checkpoint[P]], sessions: Sequence[Document]) -> list[Checkpoint[P]]:
    """Take up partitions, new or as earlier runs have left them: with this run's fence, and written in these sessions.

    A session is in the record before it opens a transaction: so whoever takes the pass over can end what it leaves
    open, and the stream of others' writes leaves its own out. Raises LeaseLost.
    """
    listed = list(fresh)
    passes = {each.pass_id for each in listed}
    stored = {
        d["_id"]: d for p in passes for d in run.backend.find(PROGRESS, {"pass": p, "kind": "partition"})
    }
    known = [each.read(stored[each.id]) if each.id in stored else each for each in listed]
    fence = run.lease.fence
    taken = [replace(each, fence=fence, sessions=(*each.sessions, *sessions)) for each in known]
    changed = [new for new, old in zip(taken, known, strict=True) if sessions or old.fence != fence]
    if changed:
        run.record(*(Put(PROGRESS, each.record()) for each in changed))
    return taken


def reread(run: Run, checkpoint: Checkpoint[P]) -> Checkpoint[P]:
    """A checkpoint as it is recorded now. Raises LeaseLost if this run is fenced off, or the record is gone.

    It is read as a unit of work, so that a failover is waited out as everywhere else.
    """
    found: list[Document] = []

    def read(reader: Reader) -> Changes:
        found[:] = reader.find(PROGRESS, {"_id": checkpoint.id})
        return Changes()

    run.backend.transact(read)
    if not found or found[0]["fence"] != run.lease.fence:
        raise run.fenced_error()
    return checkpoint.read(found[0])


def close(run: Run, checkpoint: Checkpoint[P]) -> Checkpoint[P]:
    """Record that nothing is left to do in a partition. Raises LeaseLost."""
    closed = replace(checkpoint, done=True)
    try:
        run.transact(lambda _: Changes(last=(checkpoint.move(closed),)))
    except GuardFailed as error:
        raise run.fenced_error() from error
    return closed


@dataclass(frozen=True)
class Result(Generic[P, F]):
    """What a unit of work comes to: where its partition is then, and what it has found."""

    next: Checkpoint[P]
    found: F
    documents: int
    """How many it was about."""
    name: bytes | None = None
    """The raw `_id` of one of them, to be named where it cannot be written."""
    replied: bool = True
    """Whether the commit was confirmed; else it was found to have been done."""


@dataclass(frozen=True)
class Unit(Generic[P, F]):
    """One try of a unit of work: what it changes, but for the checkpoint, and what it comes to if that is committed."""

    changes: Changes
    result: Result[P, F]


class Try(NamedTuple):
    """What a try has to go by: documents at most, and what the one before could not write since others had."""

    size: int
    missed: frozenset[bytes] = frozenset()


Plan = Callable[[Reader, Try], Unit[P, F]]
"""Reads and decides. It may be called several times, and has no effects of its own."""


def commit(run: Run, at: Checkpoint[P], plan: Plan[P, F], pace: Pacing, version: str) -> Result[P, F]:
    """Do one unit of work, exactly once. Where it collides with others' writes it is tried with half the documents.

    Raises LeaseLost, Interrupted, Contended, and whatever the plan or the database refuses; then nothing was changed.
    """
    tries: list[Result[P, F]] = []
    missed: Sequence[bytes] = ()
    started, misses, most, collection, holdup = 0.0, 0, 0, "", Holdup(run)

    def work(reader: Reader) -> Changes:
        nonlocal started, collection, most
        started, most = time.monotonic(), run.batch_of(pace.size)
        unit = plan(reader, Try(most, frozenset(missed)))
        tries.append(unit.result)
        collection = unit.changes.collection
        return unit.changes._replace(last=(*unit.changes.last, at.move(unit.result.next)))

    run.before_batch()
    while True:
        run.check()
        try:
            missed = run.transact(work).missed
        except GuardFailed:
            return _already(run, at, tries)
        except Collision as error:
            tried = tries[-1] if tries else None  # none where even its reads collided
            name = tried.name if tried else None
            again = pace.collided(tried.documents if tried else 0)
            if again or (error.cause is None and holdup.goes_on(collection, name)):
                continue
            raise error.cause or _contention(at, version, name, error, holdup) from error
        if not missed:
            holdup.over()
            pace.took(time.monotonic() - started, tries[-1].documents, most)
            run.after_batch(tries[-1].documents)
            return tries[-1]
        misses += 1
        if misses >= pacing.PATIENCE:
            raise _contention(at, version, missed[0], "it had changed each time it was to be written", holdup)


def commit_all(
    run: Run,
    at: Checkpoint[P],
    ids: Sequence[bytes],
    plan: Callable[[Reader, Checkpoint[P], Sequence[bytes], Try], Unit[P, F]],
    pace: Pacing,
    version: str,
) -> Iterator[Result[P, F]]:
    """Units of work over these documents, one after the other, as `commit` does each."""
    while ids:
        done = commit(run, at, lambda reader, this: plan(reader, at, ids[: this.size], this), pace, version)  # noqa: B023
        yield done
        at, ids = done.next, ids[done.documents :]


def _already(run: Run, at: Checkpoint[P], tries: Sequence[Result[P, F]]) -> Result[P, F]:
    """What the try has come to that was committed although its reply was lost. Raises LeaseLost if there is none.

    It is told from the others by what it has recorded. Of those that would have recorded the same the last one knows
    best, since it has seen what came after.
    """
    stored = reread(run, at)
    if stored.seq == at.seq:
        raise run.fenced_error() from None
    recorded = raw_bson.encode(stored.progress())
    same = [each for each in tries if raw_bson.encode(each.next.progress()) == recorded]
    return replace((same or tries)[-1], next=stored, replied=False)


def _contention(
    at: Checkpoint[Any], version: str, identity: bytes | None, reason: Collision | str, holdup: Holdup
) -> Contended:
    """The error for a document that cannot be written for others' writes; the same command goes on later."""
    command = hint.DOWN if at.walk == DOWN else hint.UP
    if holdup.locked:
        return Contended(
            f"the document was locked all the time by an open transaction of the application{holdup.whose()}",
            version=version,
            id=None if identity is None else raw_bson.id_value(identity),
            hint=hint.Hint("end that transaction, or try later: {}", command),
        )
    return Contended(
        f"the application keeps writing the same document: {reason}",
        version=version,
        id=None if identity is None else raw_bson.id_value(identity),
        hint=hint.Hint("try again at a quieter moment: {}", command),
    )
