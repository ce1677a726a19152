"""What the run on a dump was told from another terminal: a file beside the database's folder, for as long as it runs.

It counts only while the directory is locked. Who has the lock removes it at the beginning, should a killed run have
left one, and at the end.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from goaime_migrate.backends.dump.folder import Folder
from goaime_migrate.errors import DumpUnreadable, SaveFailed
from goaime_migrate.errors.hint import PROGRAM

if TYPE_CHECKING:
    from goaime_migrate.results import Throttle

NAME = f".{PROGRAM}.throttle"
_NEW = f"{NAME}.new"
_LARGEST = 1024


class Instruction(NamedTuple):
    """What a run was told, and when."""

    throttle: Throttle
    at: datetime


def read(root: Path) -> Instruction | None:
    """What is there; None also for what this tool has not written."""
    try:
        with Folder.at(root) as top:
            return _read(top)
    except OSError:
        return None


def _read(top: Folder) -> Instruction | None:
    try:
        with os.fdopen(top.file(NAME), "rb") as file:
            found = json.loads(file.read(_LARGEST))
            at = datetime.fromtimestamp(os.fstat(file.fileno()).st_mtime, UTC)
        paused, rate = found["paused"], found["max_rate"]
        if isinstance(paused, bool) and (rate is None or isinstance(rate, int | float)):
            from goaime_migrate.results import Throttle

            return Instruction(Throttle(paused, rate), at)
    except (OSError, DumpUnreadable, ValueError, KeyError, TypeError, RecursionError):
        pass
    return None


def tell(root: Path, words: Mapping[str, Any]) -> None:
    """Put these fields of a `Throttle` there, beside those that are there; without any remove it. Raises SaveFailed."""
    from goaime_migrate.results import Throttle

    with _writing(root) as top, _alone(top) as new:
        told = _read(top) if words else None
        said = replace(told.throttle if told else Throttle(), **words)
        if said == Throttle():
            top.remove(NAME)
            top.remove(_NEW)
            return
        new.truncate()
        json.dump(asdict(said), new)
        new.flush()
        os.fchmod(new.fileno(), 0o644)  # the run may be another user's
        top.move(_NEW, top, NAME)


def remove(root: Path) -> None:
    """Nothing is said any more. Raises SaveFailed."""
    with _writing(root) as top:
        top.remove(NAME)
        top.remove(_NEW)


@contextmanager
def _writing(root: Path) -> Iterator[Folder]:
    try:
        with Folder.at(root) as top:
            yield top
    except (OSError, DumpUnreadable) as error:
        why = error.strerror if isinstance(error, OSError) else None
        raise SaveFailed(
            f"the run on {root} cannot be told: {why or error}",
            hint="whoever throttles it has to be allowed to write in that folder",
        ) from error


@contextmanager
def _alone(top: Folder) -> Iterator[IO[str]]:
    """The new file, which one process at a time has: who has waited for it may find that it has become the old one."""
    while True:
        with os.fdopen(top.open_shared(_NEW), "w") as new:
            fcntl.flock(new, fcntl.LOCK_EX)
            there = top.status(_NEW)
            if there is not None and os.path.samestat(there, os.fstat(new.fileno())):
                yield new
                return


def is_there(root: Path) -> bool:
    """Whether somebody has left one."""
    with Folder.at(root) as top:
        return top.status(NAME) is not None
