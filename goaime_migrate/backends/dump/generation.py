"""Replaces files of a dump all together or not at all, whatever dies in between.

The new files are written into a staging folder beside the database's own, ``PATH/.<program>/files/``,
with a plan of what goes where, and everything is fsynced. Renaming the plan to the marker is the one commit
point. Then the files are renamed into place and the marker and the folder are removed: *rolling forward*,
which can be done again from any point. So whoever finds the folder knows what it means:

- no marker: the old generation is valid and the staging folder is rubbish;
- a marker: the new generation is valid; a file that is no longer staged is in its place already.

Only the holder of the lock calls anything here but `read_marker` and `open_file`.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path

from goaime_migrate.backends.dump import marker, permissions
from goaime_migrate.backends.dump.folder import Folder
from goaime_migrate.backends.dump.marker import Switch
from goaime_migrate.backends.dump.permissions import Rights
from goaime_migrate.errors import DumpUnreadable
from goaime_migrate.errors.hint import PROGRAM

STAGING = f".{PROGRAM}"
_FILES, _PLAN, _MARKER = "files", "plan.json", "committed.json"
_CHUNK = 8 * 1024 * 1024

Content = Iterable[bytes]


class NotInPlace(Exception):
    """The new generation is committed, but its files could not be moved: the next writer does it."""


def write(root: Path, database: str, put: Mapping[str, Content], remove: Iterable[str]) -> None:
    """Make the files in `put` and the absence of those in `remove` the new generation.

    An OSError says that nothing has changed; NotInPlace, that the change is made but not tidied up.
    """
    switch = Switch(uuid.uuid4().hex, database, tuple(put), tuple(remove))
    with Folder.at(root) as top:
        _tidy(top)
        try:
            _stage(top, switch, put)
        except OSError:
            _remove_staging(top, ignore_errors=True)
            raise
        try:
            with top.folder(STAGING) as staging:
                staging.sync()
            _roll_forward(top, switch)
        except OSError as error:
            raise NotInPlace(str(error)) from error


def is_tidy(root: Path) -> bool:
    """Whether no writer has left anything."""
    with Folder.at(root) as top:
        return top.status(STAGING) is None


def recover(root: Path) -> None:
    """Finish what a writer that died had committed, or throw away what it had not; of any database of the dump.

    Raises OSError, or DumpUnreadable where something else has the place of what this tool writes.
    """
    with Folder.at(root) as top:
        _recover(top)


def _recover(top: Folder) -> None:
    switch = read_marker(top)
    if switch is not None:
        _roll_forward(top, switch)
    elif top.status(STAGING) is not None:
        top.folder(STAGING).__exit__(None, None, None)
        _remove_staging(top)
        top.sync()


def read_marker(top: Folder) -> Switch | None:
    """The switch that is committed and not finished, if there is one. Raises DumpUnreadable, NewerFormat."""
    try:
        with top.folder(STAGING) as staging, os.fdopen(staging.file(_MARKER), "rb") as file:
            content = file.read(marker.LARGEST + 1)
    except FileNotFoundError:
        return None
    return marker.decode(content, top.path / STAGING / _MARKER)


def open_file(top: Folder, switch: Switch, filename: str) -> int:
    """A file of a committed generation: it is still staged, else in its place. Raises FileNotFoundError."""
    try:
        with top.folder(STAGING) as staging, staging.folder(_FILES) as files:
            return files.file(filename)
    except FileNotFoundError:
        with top.folder(switch.database) as place:
            return place.file(filename)


def _tidy(top: Folder) -> None:
    """What an unfinished switch has staged is the valid generation: nothing may be staged over it."""
    try:
        _recover(top)
    except OSError as error:
        if read_marker(top) is None:
            raise
        raise NotInPlace(str(error)) from error


def _stage(top: Folder, switch: Switch, put: Mapping[str, Content]) -> None:
    """Write all that is new; with the renaming of the plan it is committed."""
    rights = permissions.of_files(top, switch.database)
    os.mkdir(STAGING, 0o700, dir_fd=top.fd)
    with top.folder(STAGING) as staging:
        os.mkdir(_FILES, 0o700, dir_fd=staging.fd)
        with staging.folder(_FILES) as files:
            for filename, content in put.items():
                _write_file(files, filename, content, rights.of(filename))
            files.sync()
        _write_file(staging, _PLAN, [marker.encode(switch)])
        staging.sync()
        top.sync()
        staging.move(_PLAN, staging, _MARKER)


def _roll_forward(top: Folder, switch: Switch) -> None:
    if top.status(switch.database) is None:
        os.mkdir(switch.database, permissions.of_folder(top), dir_fd=top.fd)
        top.sync()
    with top.folder(STAGING) as staging, top.folder(switch.database) as target:
        if staging.status(_FILES) is not None:
            with staging.folder(_FILES) as files:
                _put(files, target, switch.put)
        _require(target, switch.put)
        for filename in switch.remove:
            target.remove(filename)
        target.sync()
        staging.remove(_MARKER)
        staging.sync()
    _remove_staging(top)
    top.sync()


def _put(files: Folder, target: Folder, names: Iterable[str]) -> None:
    for filename in names:
        if files.status(filename) is not None:
            os.close(files.file(filename))  # a plain file, or it is refused
            files.move(filename, target, filename)


def _require(target: Folder, names: Iterable[str]) -> None:
    """What is no longer staged must have been moved before. Raises DumpUnreadable where a file is in neither place."""
    for filename in names:
        if target.status(filename) is None:
            raise lost_file_error(target.path / filename)


def lost_file_error(path: Path) -> DumpUnreadable:
    """The error for a file of a committed generation that is nowhere."""
    return DumpUnreadable(
        f"{path} was committed by a run that was cut off, and is neither there nor staged in {STAGING}",
        hint="somebody has removed it since: bring it back, or restore the dump from where it came",
    )


def _write_file(folder: Folder, filename: str, content: Content, rights: Rights | None = None) -> None:
    with os.fdopen(folder.create(filename), "wb", buffering=_CHUNK) as file:
        for part in content:
            file.write(part)
        file.flush()
        if rights is not None:
            rights.give(file.fileno())
        os.fsync(file.fileno())


def _remove_staging(top: Folder, *, ignore_errors: bool = False) -> None:
    import shutil

    shutil.rmtree(STAGING, ignore_errors, dir_fd=top.fd)
