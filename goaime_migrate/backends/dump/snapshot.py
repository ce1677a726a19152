"""The files of one generation of a dump, held open: what a reader sees while a writer may be switching.

No file of a dump is ever written in place; a new one is renamed over it. So files that were opened while
nothing changed are one generation, and stay so however long they are read afterwards.
"""

from __future__ import annotations

import io
import os
import time
from pathlib import Path
from typing import BinaryIO, NamedTuple

from goaime_migrate.backends.dump import filenames, generation
from goaime_migrate.backends.dump.folder import Folder
from goaime_migrate.backends.dump.marker import Switch
from goaime_migrate.errors import DumpUnreadable, UsageError

_SMALL = 64 * 1024
_DESCRIPTORS = 200
"""Larger files are held open up to this many, further ones are read at once."""
_TRIES, _PAUSE_S = 200, 0.01

Listing = tuple[tuple[str, int, int, int], ...]
Signature = tuple[Switch | None, Listing]


class Source:
    """A file's content: bytes, or an open descriptor that they will be read from."""

    def __init__(self, fd: int, label: str, *, hold: bool) -> None:
        self.label = label
        self._fd: int | None = fd
        self._data = b""
        self.held = hold and os.fstat(self._fd).st_size > _SMALL
        if not self.held:
            self._data = self._read_all()

    def open(self) -> BinaryIO:
        """The content from its beginning."""
        if self._fd is None:
            return io.BytesIO(self._data)
        copy = os.dup(self._fd)
        os.lseek(copy, 0, os.SEEK_SET)
        return os.fdopen(copy, "rb", buffering=1024 * 1024)

    def read(self, most: int = -1) -> bytes:
        """The whole content, or so many bytes of it at most."""
        with self.open() as file:
            return file.read(most)

    def close(self) -> None:
        """Let go of the descriptor, if there is one."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _read_all(self) -> bytes:
        try:
            return self.read()
        finally:
            self.close()


class Snapshot(NamedTuple):
    """The files of a database by name. `signature` tells it from any other generation."""

    signature: Signature
    files: dict[str, Source]

    def close(self) -> None:
        """Let go of all descriptors."""
        for source in self.files.values():
            source.close()


def take(root: Path, database: str) -> Snapshot:
    """Open all files of one generation, again and again until nothing has changed meanwhile.

    Raises DumpUnreadable for a folder that cannot be read, or that never stands still, and for what is no file.
    """
    for _ in range(_TRIES):
        try:
            with Folder.at(root) as top:
                before = _signature(top, database)
                try:
                    snapshot = _open_all(top, database, before)
                except FileNotFoundError as error:
                    if _signature(top, database) == before:
                        raise generation.lost_file_error(root / database / str(error.filename)) from None
                    raise
                if _signature(top, database) == before:
                    return snapshot
                snapshot.close()
        except FileNotFoundError:
            pass
        except OSError as error:
            raise _unreadable(error) from error
        time.sleep(_PAUSE_S)
    raise DumpUnreadable(
        f"{root / database} changes all the time", hint="try again when nothing writes there"
    )


def signature(root: Path, database: str) -> Signature:
    """What differs between any two generations: the marker, and which files are in the database's folder.

    Raises DumpUnreadable.
    """
    try:
        with Folder.at(root) as top:
            return _signature(top, database)
    except FileNotFoundError:
        return None, ()
    except OSError as error:
        raise _unreadable(error) from error


def _unreadable(error: OSError) -> DumpUnreadable:
    return DumpUnreadable(f"the dump cannot be read: {error}", hint="check the permissions")


def _signature(top: Folder, database: str) -> Signature:
    """Raises FileNotFoundError where a file goes while it is looked at: then something is changing."""
    switch = generation.read_marker(top)
    if switch is not None and switch.database != database:
        switch = None
    if top.status(database) is None:
        return switch, ()
    with top.folder(database) as folder:
        return switch, tuple(sorted(_identity(*each) for each in folder.names() if _belongs(each[0])))


def _belongs(name: str) -> bool:
    return filenames.split(name) is not None or name.endswith(filenames.COMPRESSED)


def _identity(name: str, status: os.stat_result) -> tuple[str, int, int, int]:
    return name, status.st_ino, status.st_mtime_ns, status.st_size


def _open_all(top: Folder, database: str, before: Signature) -> Snapshot:
    switch, listing = before
    names = [name for name, *_ in listing]
    if switch is not None:
        names = [name for name in {*names, *switch.put} if name not in switch.remove]
    for name in names:
        _refuse_compressed(top.path / database, name)
    snapshot = Snapshot(before, {})
    held = 0
    try:
        for name in sorted(names):
            source = _open(top, database, switch, name, hold=held < _DESCRIPTORS)
            held += source.held
            snapshot.files[name] = source
    except BaseException:
        snapshot.close()
        raise
    return snapshot


def _refuse_compressed(folder: Path, filename: str) -> None:
    if filename.endswith(filenames.COMPRESSED):
        raise UsageError(
            f"{folder / filename} is compressed",
            hint=f"decompress the dump first: gunzip '{folder}'/*.gz",
        )


def _open(top: Folder, database: str, switch: Switch | None, filename: str, *, hold: bool) -> Source:
    label = f"{database}/{filename}"
    if switch is not None and filename in switch.put:
        return Source(generation.open_file(top, switch, filename), label, hold=hold)
    with top.folder(database) as folder:
        return Source(folder.file(filename), label, hold=hold)
