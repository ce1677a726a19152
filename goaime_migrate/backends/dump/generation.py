"""Replaces files of a dump all together or not at all, whatever dies in between.

The new files are written into a staging folder beside the database's own, ``PATH/.goaime-migrate/files/``,
with a plan of what goes where, and everything is fsynced. Renaming the plan to the marker is the one commit
point. Then the files are renamed into place and the marker and the folder are removed: *rolling forward*,
which can be done again from any point. So whoever finds the folder knows what it means:

- no marker: the old generation is valid and the staging folder is rubbish;
- a marker: the new generation is valid; a file that is no longer staged is in its place already.

Only the holder of the lock calls anything here but `read_marker` and `overlay`.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import uuid
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

STAGING = ".goaime-migrate"
_FILES, _PLAN, _MARKER = "files", "plan.json", "committed.json"
_FORMAT = 1
_CHUNK = 8 * 1024 * 1024

Content = Iterable[bytes]


@dataclass(frozen=True)
class Switch:
    """A generation that was committed: names of files that are put into the database's folder, or removed."""

    generation: str
    database: str
    put: tuple[str, ...]
    remove: tuple[str, ...]
    format: int = _FORMAT


class NotInPlace(Exception):
    """The new generation is committed, but its files could not be moved: the next writer does it."""


def write(root: Path, database: str, put: Mapping[str, Content], remove: Iterable[str]) -> None:
    """Make the files in `put` and the absence of those in `remove` the new generation.

    An OSError says that nothing has changed; NotInPlace, that the change is made but not tidied up.
    """
    switch = Switch(uuid.uuid4().hex, database, tuple(put), tuple(remove))
    _tidy(root)
    try:
        _stage(root, switch, put)
        (root / STAGING / _PLAN).rename(root / STAGING / _MARKER)
    except OSError:
        shutil.rmtree(root / STAGING, ignore_errors=True)
        raise
    try:
        _sync_folder(root / STAGING)
        _roll_forward(root, switch)
    except OSError as error:
        raise NotInPlace(str(error)) from error


def recover(root: Path) -> None:
    """Finish what a writer that died had committed, or throw away what it had not."""
    switch = read_marker(root)
    if switch is not None:
        _roll_forward(root, switch)
    elif (root / STAGING).exists():
        shutil.rmtree(root / STAGING)
        _sync_folder(root)


def read_marker(root: Path) -> Switch | None:
    """The switch that is committed and not finished, if there is one."""
    try:
        content = json.loads((root / STAGING / _MARKER).read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    return Switch(**content | {"put": tuple(content["put"]), "remove": tuple(content["remove"])})


def overlay(root: Path, switch: Switch, filename: str) -> tuple[Path, Path]:
    """Where a file of a committed generation may be: still staged, else in its place."""
    return root / STAGING / _FILES / filename, root / switch.database / filename


def _tidy(root: Path) -> None:
    """What an unfinished switch has staged is the valid generation: nothing may be staged over it."""
    try:
        recover(root)
    except OSError as error:
        if read_marker(root) is None:
            raise
        raise NotInPlace(str(error)) from error


def _stage(root: Path, switch: Switch, put: Mapping[str, Content]) -> None:
    staging = root / STAGING
    staging.mkdir()
    (staging / _FILES).mkdir()
    for filename, content in put.items():
        _write_file(staging / _FILES / filename, content, like=root / switch.database / filename)
    _write_file(staging / _PLAN, [json.dumps(asdict(switch)).encode()])
    for folder in (staging / _FILES, staging, root):
        _sync_folder(folder)


def _roll_forward(root: Path, switch: Switch) -> None:
    staging, target = root / STAGING, root / switch.database
    if not target.exists():
        target.mkdir()
        _sync_folder(root)
    for filename in switch.put:
        _move(*overlay(root, switch, filename))
    for filename in switch.remove:
        (target / filename).unlink(missing_ok=True)
    _sync_folder(target)
    (staging / _MARKER).unlink()
    _sync_folder(staging)
    shutil.rmtree(staging)
    _sync_folder(root)


def _move(staged: Path, place: Path) -> None:
    try:
        staged.rename(place)
    except FileNotFoundError:
        if not place.exists():
            raise


def _write_file(path: Path, content: Content, like: Path | None = None) -> None:
    with path.open("wb", buffering=_CHUNK) as file:
        for part in content:
            file.write(part)
        file.flush()
        _imitate(file.fileno(), like)
        os.fsync(file.fileno())


def _imitate(fd: int, like: Path | None) -> None:
    """Give a new file the mode and, where that is allowed, the owner of the one that it replaces."""
    if like is None or not like.exists():
        return
    old = like.stat()
    new = os.fstat(fd)
    if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
        with suppress(PermissionError):
            os.fchown(fd, old.st_uid, old.st_gid)
    os.fchmod(fd, stat.S_IMODE(old.st_mode))


def _sync_folder(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
