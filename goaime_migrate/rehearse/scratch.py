"""Where a copy stands for the time of a rehearsal: a database beside the other one, or a folder that is thrown away.

What a killed rehearsal has left is found by its name and by the mark of its owner, and removed. A lease that is alive,
or a lock that is held, says that another rehearsal is still at work there.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from goaime_migrate.backends.connect import connect
from goaime_migrate.backends.ports import LOCK, VERSIONS, Backend, Changes, Need, Put
from goaime_migrate.config import DUMP, Settings
from goaime_migrate.config.copies import place_names
from goaime_migrate.errors import LockHeld, MissingPrivilege, Refused
from goaime_migrate.errors.hint import PROGRAM, Command, Hint
from goaime_migrate.events import Listener, Notice
from goaime_migrate.ledger.records import FORMAT, TOOL
from goaime_migrate.run.brake import Options
from goaime_migrate.run.lock import Lease, hold
from goaime_migrate.run.run import Run

MARK = "rehearsal"
_FOLDER = f"{PROGRAM}-rehearsal-"
_OWNER = "owner"
IN_MEMORY = Command(("rehearse", "--memory"))
NEEDED = (
    "find",
    "insert",
    "update",
    "remove",
    "createCollection",
    "dropCollection",
    "createIndex",
    "dropIndex",
    "listCollections",
    "listIndexes",
)
"""What a user has to be allowed on the whole of the copy,"""
NEEDED_FOR_VALIDATORS = ("collMod", "bypassDocumentValidation")
"""and where there are validators, this too."""


@dataclass(frozen=True)
class Scratch:
    """An empty database of our own, under the lease."""

    backend: Backend
    lease: Lease
    settings: Settings
    where: str

    def run(self, listener: Listener, interrupted: Callable[[], int | None]) -> Run:
        """What works in it."""
        s = self.settings
        options = Options(s.batch_size, s.max_rate, s.max_lag)
        return Run(self.backend, self.lease, listener, options, interrupted, "rehearse")


@contextmanager
def in_memory(source: Backend, settings: Settings, listener: Listener) -> Iterator[Scratch]:
    """A dump directory of its own, which the embedded engine works on; gone afterwards."""
    with _folder(listener) as folder:
        chosen = settings.at(uri=f"{DUMP}{folder}", database=source.database_name, executor=None)
        with (
            closing(connect(chosen, write=True)) as backend,
            hold(backend, settings.lock_timeout, listener) as lease,
        ):
            backend.prepare()
            yield Scratch(backend, lease, chosen, "in memory")


@contextmanager
def _folder(listener: Listener) -> Iterator[Path]:
    """An empty folder. As long as its owner lives, a lock is held on a file beside it."""
    for left in Path(tempfile.gettempdir()).glob(f"{_FOLDER}*"):
        with suppress(OSError):
            _remove_left(left, listener)
    home = Path(tempfile.mkdtemp(prefix=_FOLDER))
    try:
        with (home / _OWNER).open("w") as owner:
            fcntl.flock(owner, fcntl.LOCK_EX)
            (home / "dump").mkdir()
            yield home / "dump"
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _remove_left(home: Path, listener: Listener) -> None:
    """Remove what a dead rehearsal of this user has left; one that is alive holds its lock. Raises OSError."""
    if home.is_symlink() or home.stat().st_uid != os.getuid():
        return
    with (home / _OWNER).open() as owner:
        fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(home)
    listener(Notice(f"removed {home}, which a rehearsal had left that was killed"))


@contextmanager
def on_server(
    source: Backend, settings: Settings, listener: Listener, *, validators: bool
) -> Iterator[Scratch]:
    """A database beside the other one, on its server; dropped afterwards. Raises Refused, MissingPrivilege."""
    of = source.database_name
    with ExitStack() as stack:
        places = _places(of, settings, stack, validators)
        for backend in places:
            if _is_marked(backend, of):
                with suppress(LockHeld), hold(backend, 0, listener):
                    backend.drop_database()
                    listener(Notice(f"removed {backend.database_name}, which a rehearsal had left"))
        backend, lease = _take(places, of, stack, listener)
        stack.callback(backend.drop_database)
        lease.renew()
        backend.prepare()
        mark = {"_id": MARK, "format": FORMAT, "fence": 0, "of": of, "tool": TOOL}
        backend.transact(lambda _: Changes(last=[lease.guard(), Put(LOCK, mark)]))
        chosen = settings.at(database=backend.database_name)
        yield Scratch(backend, lease, chosen, f"in the database {backend.database_name}")


def _places(of: str, settings: Settings, stack: ExitStack, validators: bool) -> list[Backend]:
    """Those of them that are empty, or ours. Raises MissingPrivilege where not even the first may be used."""
    found: list[Backend] = []
    actions = NEEDED + (NEEDED_FOR_VALIDATORS if validators else ())
    for number, name in enumerate(place_names(of)):
        chosen = settings.at(database=name)
        backend = stack.enter_context(closing(connect(chosen, write=True)))
        try:
            backend.require_actions([Need("", actions)])
            if not _is_foreign(backend, of):
                found.append(backend)
        except MissingPrivilege as error:
            if number == 0:
                raise error.advise(
                    Hint("{}; or rehearse where it takes no more than reading: {}", error.hint, IN_MEMORY)
                ) from error
    return found


def _is_marked(backend: Backend, of: str) -> bool:
    """Whether it is the copy of a database."""
    return bool(backend.find(LOCK, {"_id": MARK, "of": of}, limit=1))


def _is_foreign(backend: Backend, of: str) -> bool:
    """Whether it holds anything that no rehearsal has put there."""
    if _is_marked(backend, of):
        return False
    return bool(backend.collections() or backend.find(VERSIONS, {}, limit=1))


def _take(places: Sequence[Backend], of: str, stack: ExitStack, listener: Listener) -> tuple[Backend, Lease]:
    """The first that no other rehearsal works in, under its lease."""
    for backend in places:
        with suppress(LockHeld):
            return backend, stack.enter_context(hold(backend, 0, listener))
    raise Refused(
        f"there is no room for a rehearsal: {', '.join(place_names(of))} are in use, or hold what is not ours",
        hint=Hint("wait for another rehearsal to end, or: {}", IN_MEMORY),
    )
