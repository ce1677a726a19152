"""Who may read a file that is written into a dump: nobody who could not read its documents before.

A file that is replaced keeps its rights. A new one, the journal say, holds what is in the others, and gets what is
allowed for all of them.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from typing import NamedTuple

from goaime_migrate.backends.dump import filenames
from goaime_migrate.backends.dump.folder import Folder

_OWNERS, _ANY_FILE, _ANY_FOLDER = 0o600, 0o666, 0o777


class Rights(NamedTuple):
    """A mode, and who is to own the file."""

    mode: int
    uid: int
    gid: int

    def give(self, fd: int) -> None:
        """To a file of this process. A group that it cannot be given is not to read it as another would have."""
        new, mode = os.fstat(fd), self.mode
        if (self.uid, self.gid) != (new.st_uid, new.st_gid):
            with suppress(PermissionError):
                os.fchown(fd, self.uid, self.gid)
            with suppress(PermissionError):
                os.fchown(fd, -1, self.gid)
            if os.fstat(fd).st_gid != self.gid:
                mode &= ~0o070 | (mode & 0o007) << 3
        os.fchmod(fd, mode)


class FileRights(NamedTuple):
    """The rights of every file of a database, by name, and those of a new one."""

    new: Rights
    known: dict[str, Rights]

    def of(self, filename: str) -> Rights:
        """The rights that a file is written with."""
        return self.known.get(filename, self.new)


def of_files(top: Folder, database: str) -> FileRights:
    """What is allowed for the files of a database now."""
    if top.status(database) is None:
        there = os.fstat(top.fd)
        return FileRights(Rights(_common_mode(_ANY_FILE, [there.st_mode]), there.st_uid, there.st_gid), {})
    with top.folder(database) as folder:
        here = os.fstat(folder.fd)
        files = {
            name: Rights(stat.S_IMODE(found.st_mode) & _ANY_FOLDER, found.st_uid, found.st_gid)
            for name, found in folder.names()
            if filenames.split(name) and stat.S_ISREG(found.st_mode)
        }
    modes = [here.st_mode, *(rights.mode for rights in files.values())]
    return FileRights(Rights(_common_mode(_ANY_FILE, modes), here.st_uid, here.st_gid), files)


def of_folder(top: Folder) -> int:
    """The mode of a folder for a new database."""
    return _common_mode(_ANY_FOLDER, [os.fstat(top.fd).st_mode]) | stat.S_IXUSR


def _common_mode(mode: int, others: list[int]) -> int:
    """What all of these modes allow, and the process's own mask; its owner can always write it."""
    mask = os.umask(0o077)
    os.umask(mask)
    for other in others:
        mode &= other
    return mode & ~mask | _OWNERS
