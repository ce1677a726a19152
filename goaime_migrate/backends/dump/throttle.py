"""What the run on a dump was told from another terminal: a file beside the database's folder, for as long as it runs.

It counts only while the directory is locked. Who has the lock removes it at the beginning, should a killed run have
left one, and at the end.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from goaime_migrate.backends.dump.folder import Folder
from goaime_migrate.errors import DumpUnreadable, SaveFailed
from goaime_migrate.errors.hint import PROGRAM

if TYPE_CHECKING:
    from goaime_migrate.results import Throttle

NAME = f".{PROGRAM}.throttle"
_NEW = f"{NAME}.new"
_LARGEST = 1024


class Told(NamedTuple):
    """What a run was told, and when."""

    throttle: Throttle
    at: datetime


def read(root: Path) -> Told | None:
    """What is there; None also for what this tool has not written."""
    try:
        with Folder.at(root) as top, os.fdopen(top.file(NAME), "rb") as file:
            found = json.loads(file.read(_LARGEST))
            at = datetime.fromtimestamp(os.fstat(file.fileno()).st_mtime, UTC)
        paused, rate = found["paused"], found["max_rate"]
        if isinstance(paused, bool) and (rate is None or isinstance(rate, int | float)):
            from goaime_migrate.results import Throttle

            return Told(Throttle(paused, rate), at)
    except (OSError, DumpUnreadable, ValueError, KeyError, TypeError, RecursionError):
        pass
    return None


def write(root: Path, throttle: Throttle | None) -> None:
    """Put it there, whole; None removes it. Raises SaveFailed."""
    try:
        with Folder.at(root) as top:
            if throttle is None:
                top.remove(NAME)
                return
            top.remove(_NEW)
            with os.fdopen(top.create(_NEW), "w") as file:
                json.dump(asdict(throttle), file)
                os.fchmod(file.fileno(), 0o644)  # the run may be another user's
            top.move(_NEW, top, NAME)
    except OSError as error:
        raise SaveFailed(
            f"the run on {root} cannot be told: {error.strerror or error}",
            hint="whoever throttles it has to be allowed to write in that folder",
        ) from error


def is_there(root: Path) -> bool:
    """Whether somebody has left one."""
    with Folder.at(root) as top:
        return top.status(NAME) is not None
