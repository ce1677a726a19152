"""An exhaustive model of the protocol: every interleaving of two runners, an application and everything that breaks.

A run is a sequence of atomic steps on one shared database. Between any two of them the other runner may act, so a
runner that is frozen is one that is not chosen for a while, and a killed one is never chosen again, or starts anew.
The lease may be taken over at any moment: no clock is trusted. A transaction reads a snapshot and fails at its commit
if anything that it writes was written since; what it has only read does not matter to it.

Two documents, one batch each. The transform adds one to `migrated`, so that doing it twice shows. The application
adds to `own`, and replaces a whole document by one that it had read before. It must hold at every moment

  - that `own` is what it would be if the application were alone;
  - that `migrated` is 1 everywhere while the version is applied, and 0 everywhere while it is pending.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple, TypeVar

DOCUMENTS = 2
NOBODY = -1

_T = TypeVar("_T")


class Fence(Enum):
    """What keeps a runner out that has lost its lease."""

    WRITTEN = auto()
    """The partition's record carries it, and every batch writes that record on condition that it is its own."""
    READ = auto()
    """A batch reads it in its transaction, and writes something else."""
    NONE = auto()


class Batch(Enum):
    """How a batch is written."""

    TRANSACTION = auto()
    CURSOR_FIRST = auto()
    """The cursor is moved, then documents and journal are written."""
    JOURNAL_APART = auto()
    """Documents and cursor are one transaction, the journal follows."""
    GUARD = auto()
    """Each document is replaced only where it is what was read; journal and cursor follow."""
    GUARD_AND_JOURNAL = auto()
    """The same, with a look at the journal first: what has an entry is skipped."""


@dataclass(frozen=True)
class Protocol:
    """A way to do it; the defaults are the real one."""

    fence: Fence = Fence.WRITTEN
    batch: Batch = Batch.TRANSACTION


class Document(NamedTuple):
    own: int
    migrated: int


class Runner(NamedTuple):
    """What one process knows. `doomed`: something that its open transaction will write has been written since."""

    at: str = "start"
    fence: int = 0
    cursor: int = 0
    seen: Document | None = None
    entry: int | None = None
    doomed: bool = False
    todo: frozenset[int] = frozenset()
    """Documents that the tail has to look at."""


class World(NamedTuple):
    """The database, and all who work on it."""

    documents: tuple[Document, ...] = (Document(0, 0),) * DOCUMENTS
    alone: tuple[int, ...] = (0,) * DOCUMENTS
    """What `own` would be without any migration."""
    journal: tuple[int | None, ...] = (None,) * DOCUMENTS
    """`migrated` as it was before; None where there is no entry."""
    phase: str = "pending"
    lease: int = 0
    fence: int = NOBODY
    """Of the partition, NOBODY where there is none."""
    cursor: int = 0
    fed: frozenset[int] = frozenset()
    """What the change stream has told since the pass was opened."""
    runners: tuple[Runner, ...] = (Runner(), Runner())
    held: tuple[int, Document] | None = None
    """What the application has read and will write back."""
    increments: int = 1
    replacements: int = 1
    crashes: int = 1
    lost_replies: int = 1
    downs: int = 1


class Unsafe(NamedTuple):
    """How it went wrong."""

    why: str
    steps: tuple[str, ...]


class Explored(NamedTuple):
    """All that can happen, or the shortest way to harm."""

    worlds: int
    phases: frozenset[str]
    unsafe: Unsafe | None


def explore(protocol: Protocol, first: World) -> Explored:
    """Go through every world that can be reached from the first, nearest first."""
    came_from: dict[World, tuple[World, str] | None] = {first: None}
    queue = deque([first])
    phases: set[str] = set()
    while queue:
        world = queue.popleft()
        phases.add(world.phase)
        if why := broken(world):
            return Explored(len(came_from), frozenset(phases), Unsafe(why, _steps(came_from, world)))
        for step, following in _Moves(protocol, world).all():
            if following not in came_from:
                came_from[following] = (world, step)
                queue.append(following)
    return Explored(len(came_from), frozenset(phases), None)


def broken(world: World) -> str:
    """Which promise does not hold, empty where all do."""
    if any(d.own != own for d, own in zip(world.documents, world.alone, strict=True)):
        return "a write of the application is lost"
    migrated = {d.migrated for d in world.documents}
    if max(migrated) > 1:
        return "a document was transformed twice"
    if world.phase == "applied" and migrated != {1}:
        return "a document was skipped"
    if world.phase == "pending" and migrated != {0}:
        return "a document is migrated and nothing says so"
    return ""


def _steps(came_from: dict[World, tuple[World, str] | None], world: World) -> tuple[str, ...]:
    steps = []
    while (link := came_from[world]) is not None:
        world, step = link
        steps.append(step)
    return tuple(reversed(steps))


Move = tuple[str, World]


class _Moves:
    """Everything that may happen next in one world."""

    def __init__(self, protocol: Protocol, world: World) -> None:
        self._protocol = protocol
        self._world = world

    def all(self) -> Iterator[Move]:
        """What happened, and the world afterwards."""
        yield from self._application()
        for number, runner in enumerate(self._world.runners):
            if runner.at != "gone":
                for step, following in getattr(self, f"_{runner.at}")(number, runner):
                    yield f"{'AB'[number]}: {step}", following
                if self._world.crashes and runner.at != "start":
                    following = self._known(number, Runner())._replace(crashes=self._world.crashes - 1)
                    yield f"{'AB'[number]}: killed, and starts anew", following

    # the application

    def _application(self) -> Iterator[Move]:
        world = self._world
        if world.increments:
            for i, document in enumerate(world.documents):
                fresh = document._replace(own=document.own + 1)
                yield (
                    f"application adds to {i}",
                    self._theirs(i, fresh)._replace(increments=world.increments - 1),
                )
        if world.replacements and world.phase in ("pending", "up"):
            document = world.documents[0]
            yield (
                "application reads 0",
                world._replace(held=(0, document), replacements=world.replacements - 1),
            )
        if world.held is not None and world.phase in ("pending", "up"):
            i, document = world.held
            fresh = document._replace(own=document.own + 10)
            yield f"application writes its old {i} back", self._theirs(i, fresh)._replace(held=None)

    def _theirs(self, i: int, document: Document) -> World:
        """Written by the application: open transactions that would write it fail, the change stream tells of it."""
        world = self._world
        runners = tuple(
            r._replace(todo=r.todo | {i}, doomed=r.doomed or self._will_write(r, i)) for r in world.runners
        )
        return world._replace(
            documents=_with(world.documents, i, document),
            alone=_with(world.alone, i, document.own),
            fed=world.fed | {i},
            runners=runners,
        )

    def _will_write(self, runner: Runner, i: int) -> bool:
        """Whether its open transaction is going to write this document."""
        if runner.at == "commit":
            return runner.cursor == i
        if runner.at == "settle":
            return min(runner.todo) == i and _to_transform(runner)
        return runner.at == "give_back" and runner.cursor - 1 == i

    # the lease

    def _start(self, number: int, runner: Runner) -> Iterator[Move]:
        fence = self._world.lease + 1
        mine = runner._replace(at="shut_out", fence=fence)
        yield "takes the lease", self._known(number, mine)._replace(lease=fence)

    def _shut_out(self, number: int, runner: Runner) -> Iterator[Move]:
        world = self._known(number, runner._replace(at="plan"))
        if world.fence != NOBODY:
            world = self._doomed(number, world._replace(fence=runner.fence))
        yield "raises the fence", world

    def _holds_lease(self, runner: Runner) -> bool:
        return self._protocol.fence is Fence.NONE or self._world.lease == runner.fence

    def _plan(self, number: int, runner: Runner) -> Iterator[Move]:
        world = self._world
        ready = runner._replace(todo=world.fed, cursor=world.cursor)
        if not self._holds_lease(runner):
            yield "has lost the lease", self._gone(number)
        elif world.phase == "pending":
            opened = self._known(number, ready._replace(at="read", cursor=0, todo=frozenset()))
            yield (
                "opens the pass",
                opened._replace(phase="up", fence=runner.fence, cursor=0, fed=frozenset()),
            )
        elif world.phase == "up":
            yield "goes on with the pass", self._known(number, ready._replace(at="read"))
            yield from self._turned_back(number, ready, world.cursor)
        elif world.phase == "down":
            yield "goes on with the way down", self._known(number, ready._replace(at="look"))
        else:
            yield "has nothing to do", self._gone(number)
            yield from self._turned_back(number, ready, DOCUMENTS)

    def _turned_back(self, number: int, runner: Runner, cursor: int) -> Iterator[Move]:
        if self._world.downs:
            begun = self._known(number, runner._replace(at="look", cursor=cursor))
            begun = self._doomed(number, begun)
            begun = begun._replace(phase="down", fence=runner.fence, cursor=cursor, held=None)
            yield "begins the way down", begun._replace(downs=self._world.downs - 1)

    # the scan

    def _read(self, number: int, runner: Runner) -> Iterator[Move]:
        if runner.cursor == DOCUMENTS:
            yield "has scanned everything", self._known(number, runner._replace(at="tail"))
            return
        if (instead := self._refused(number, runner)) is not None:
            yield instead
            return
        seen = self._world.documents[runner.cursor]
        following = {
            Batch.GUARD: "guarded",
            Batch.GUARD_AND_JOURNAL: "check",
            Batch.CURSOR_FIRST: "advance",
        }.get(self._protocol.batch, "commit")
        mine = runner._replace(at=following, seen=seen, doomed=False)
        yield f"reads {runner.cursor}", self._known(number, mine)

    def _refused(self, number: int, runner: Runner) -> Move | None:
        """What a condition on fence and cursor says in the snapshot of a transaction."""
        world = self._world
        match self._protocol.fence:
            case Fence.WRITTEN if world.fence != runner.fence:
                return "finds another's fence", self._gone(number)
            case Fence.READ if world.lease != runner.fence:
                return "finds another's lease", self._gone(number)
            case Fence.WRITTEN | Fence.READ if world.cursor != runner.cursor:
                return "finds that its batch is done", self._known(
                    number, runner._replace(cursor=world.cursor)
                )
        return None

    def _commit(self, number: int, runner: Runner) -> Iterator[Move]:
        if runner.doomed:
            yield "collides", self._known(number, runner._replace(at="read", doomed=False))
            return
        i, apart = runner.cursor, self._protocol.batch is Batch.JOURNAL_APART
        world = self._transformed(number, runner, i, journal=not apart)
        world = world._replace(cursor=i + 1)
        following = runner._replace(at="keep" if apart else "read", cursor=i if apart else i + 1)
        yield f"commits {i}", self._known(number, following, world)
        if world.lost_replies:
            forgot = self._known(number, runner._replace(at="read"), world)
            yield f"commits {i} and never hears of it", forgot._replace(lost_replies=world.lost_replies - 1)

    def _transformed(self, number: int, runner: Runner, i: int, *, journal: bool = True) -> World:
        assert runner.seen is not None
        after = runner.seen._replace(migrated=runner.seen.migrated + 1)
        world = self._world._replace(documents=_with(self._world.documents, i, after))
        if journal:
            world = world._replace(journal=_with(world.journal, i, runner.seen.migrated))
        return self._doomed(number, world, i)

    def _keep(self, number: int, runner: Runner) -> Iterator[Move]:
        assert runner.seen is not None
        i = runner.cursor
        world = self._world._replace(journal=_with(self._world.journal, i, runner.seen.migrated))
        yield f"journals {i}", self._known(number, runner._replace(at="read", cursor=i + 1), world)

    def _advance(self, number: int, runner: Runner) -> Iterator[Move]:
        world = self._doomed(number, self._world._replace(cursor=runner.cursor + 1))
        yield "moves the cursor", self._known(number, runner._replace(at="follow"), world)

    def _follow(self, number: int, runner: Runner) -> Iterator[Move]:
        i = runner.cursor
        world = self._transformed(number, runner, i)
        yield f"writes {i}", self._known(number, runner._replace(at="read", cursor=i + 1), world)

    def _check(self, number: int, runner: Runner) -> Iterator[Move]:
        i = runner.cursor
        if self._world.journal[i] is not None:
            yield f"skips {i}", self._known(number, runner._replace(at="read", cursor=i + 1))
            return
        assert runner.seen is not None
        world = self._world._replace(journal=_with(self._world.journal, i, runner.seen.migrated))
        yield f"journals {i}", self._known(number, runner._replace(at="guarded"), world)

    def _guarded(self, number: int, runner: Runner) -> Iterator[Move]:
        i = runner.cursor
        if self._world.documents[i] != runner.seen:
            yield f"finds {i} changed", self._known(number, runner._replace(at="read"))
            return
        world = self._transformed(number, runner, i)
        yield f"replaces {i}", self._known(number, runner._replace(at="pass_on"), world)

    def _pass_on(self, number: int, runner: Runner) -> Iterator[Move]:
        world = self._world._replace(cursor=runner.cursor + 1)
        yield (
            "moves the cursor",
            self._known(number, runner._replace(at="read", cursor=runner.cursor + 1), world),
        )

    # the tail

    def _tail(self, number: int, runner: Runner) -> Iterator[Move]:
        if not runner.todo:
            if not self._holds_lease(runner):
                yield "has lost the lease", self._gone(number)
            else:
                yield "finishes the pass", self._gone(number)._replace(phase="applied", fence=NOBODY)
            return
        if (instead := self._refused(number, runner)) is not None:
            yield instead
            return
        i = min(runner.todo)
        mine = runner._replace(
            at="settle", seen=self._world.documents[i], entry=self._world.journal[i], doomed=False
        )
        yield f"looks at {i} again", self._known(number, mine)

    def _settle(self, number: int, runner: Runner) -> Iterator[Move]:
        i = min(runner.todo)
        if runner.doomed:
            yield "collides", self._known(number, runner._replace(at="tail", doomed=False))
        elif _to_transform(runner):
            world = self._transformed(number, runner, i)
            done = runner._replace(at="tail", todo=runner.todo - {i})
            yield f"transforms {i} again", self._known(number, done, world)
        elif self._world.documents[i] == runner.seen:
            done = runner._replace(at="tail", todo=runner.todo - {i})
            yield f"leaves {i}", self._known(number, done)
        else:  # written since it was read, and not by this transaction: the change stream tells of it once more
            yield f"leaves {i} for later", self._known(number, runner._replace(at="tail"))

    # the way down

    def _look(self, number: int, runner: Runner) -> Iterator[Move]:
        if runner.cursor == 0:
            if not self._holds_lease(runner):
                yield "has lost the lease", self._gone(number)
                return
            world = self._gone(number)._replace(phase="pending", fence=NOBODY, cursor=0)
            yield "finishes the way down", world._replace(journal=(None,) * DOCUMENTS)
            return
        if (instead := self._refused(number, runner)) is not None:
            yield instead
            return
        i = runner.cursor - 1
        mine = runner._replace(
            at="give_back", seen=self._world.documents[i], entry=self._world.journal[i], doomed=False
        )
        yield f"looks up {i}", self._known(number, mine)

    def _give_back(self, number: int, runner: Runner) -> Iterator[Move]:
        if runner.doomed:
            yield "collides", self._known(number, runner._replace(at="look", doomed=False))
            return
        i = runner.cursor - 1
        assert runner.seen is not None
        world = self._world
        if runner.entry is not None and runner.seen.migrated == runner.entry + 1:
            before = runner.seen._replace(migrated=runner.entry)
            world = world._replace(documents=_with(world.documents, i, before))
        world = self._doomed(number, world._replace(cursor=i), i)
        yield f"gives {i} back", self._known(number, runner._replace(at="look", cursor=i), world)

    # what every step needs

    def _known(self, number: int, runner: Runner, world: World | None = None) -> World:
        world = world or self._world
        return world._replace(runners=_with(world.runners, number, runner))

    def _gone(self, number: int) -> World:
        return self._known(number, Runner(at="gone"))

    def _doomed(self, number: int, world: World, document: int | None = None) -> World:
        """The other's open transaction fails if it would write the partition's record or this document."""
        other = world.runners[1 - number]
        if other.at not in ("commit", "settle", "give_back"):
            return world
        same = document is not None and self._will_write(other, document)
        if same or self._protocol.fence is Fence.WRITTEN:
            return world._replace(runners=_with(world.runners, 1 - number, other._replace(doomed=True)))
        return world


def _to_transform(runner: Runner) -> bool:
    """Whether the tail finds the document in its old shape: never seen, or put back by the application."""
    assert runner.seen is not None
    return runner.entry is None or runner.seen.migrated == runner.entry


def _with(values: tuple[_T, ...], at: int, value: _T) -> tuple[_T, ...]:
    return (*values[:at], value, *values[at + 1 :])
