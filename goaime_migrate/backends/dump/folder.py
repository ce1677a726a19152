"""A folder of a dump by its descriptor: a name leads to a plain file or a folder in it, and never out of it.

A dump may come from anybody. No link is followed, nothing is waited for (a pipe would be, for ever), and what is
neither a file nor a folder is said by its name.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from goaime_migrate.errors import DumpUnreadable

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_SHARED = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_KINDS = {
    stat.S_IFLNK: "a link",
    stat.S_IFDIR: "a folder",
    stat.S_IFREG: "a file",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
}


class Folder:
    """An open folder. `path` is for people."""

    def __init__(self, fd: int, path: Path) -> None:
        self.fd = fd
        self.path = path

    @classmethod
    def at(cls, path: Path) -> Folder:
        """The folder that a person has named: only there links count. Raises OSError."""
        return cls(os.open(path, _FOLDER), path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self.fd)

    def folder(self, name: str) -> Folder:
        """A folder within. Raises DumpUnreadable where something else has the name, or OSError."""
        self._require(name, stat.S_IFDIR)
        return Folder(os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=self.fd), self.path / name)

    def file(self, name: str) -> int:
        """A descriptor of a file within. Raises DumpUnreadable where something else has the name, or OSError."""
        self._require(name, stat.S_IFREG)
        fd = os.open(name, _FILE, dir_fd=self.fd)
        if not stat.S_ISREG(os.fstat(fd).st_mode):  # it has just been replaced
            os.close(fd)
            raise _foreign(self.path / name, stat.S_IFREG, 0)
        return fd

    def create(self, name: str) -> int:
        """A descriptor of a new file within, which nobody else may read yet."""
        return os.open(name, _NEW, 0o600, dir_fd=self.fd)

    def open_shared(self, name: str) -> int:
        """A descriptor of a file within that is made where there is none. Raises as `file` does."""
        with suppress(FileNotFoundError):  # nor does it matter if it goes in between
            self._require(name, stat.S_IFREG)
        return os.open(name, _SHARED, 0o644, dir_fd=self.fd)

    def status(self, name: str) -> os.stat_result | None:
        """What has the name, a link as itself; None where nothing has."""
        try:
            return os.stat(name, dir_fd=self.fd, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def names(self) -> Iterator[tuple[str, os.stat_result]]:
        """All that is within, links as themselves."""
        with os.scandir(self.fd) as entries:
            for entry in entries:
                yield entry.name, entry.stat(follow_symlinks=False)

    def move(self, name: str, to: Folder, new: str) -> None:
        """Give a file of this folder a name in another, in place of what has it there."""
        os.rename(name, new, src_dir_fd=self.fd, dst_dir_fd=to.fd)

    def remove(self, name: str) -> None:
        """Remove a file, or the link of that name; nothing happens if there is none."""
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self.fd)

    def sync(self) -> None:
        """Wait until the names in it are on the disk."""
        os.fsync(self.fd)

    def _require(self, name: str, kind: int) -> None:
        found = stat.S_IFMT(os.stat(name, dir_fd=self.fd, follow_symlinks=False).st_mode)
        if found != kind:
            raise _foreign(self.path / name, kind, found)


def _foreign(path: Path, wanted: int, found: int) -> DumpUnreadable:
    return DumpUnreadable(
        f"{path} is {_KINDS.get(found, 'a device')}, where a dump has {_KINDS[wanted]}",
        hint="nothing is read or written through it; copy the dump again, with cp -rL if its links are wanted",
    )
