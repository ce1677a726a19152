"""The files of one generation of a dump, held open: what a reader sees while a writer may be switching.

No file of a dump is ever written in place; a new one is renamed over it. So files that were opened while
nothing changed are one generation, and stay so however long they are read afterwards.
"""

from __future__ import annotations

import io
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from goaime_migrate.backends.dump import filenames, generation
from goaime_migrate.backends.dump.generation import Switch
from goaime_migrate.errors import DumpUnreadable, UsageError

_SMALL = 64 * 1024
_DESCRIPTORS = 200
"""Larger files are held open up to this many, further ones are read at once."""
_TRIES, _PAUSE_S = 200, 0.01

Listing = tuple[tuple[str, int, int, int], ...]
Signature = tuple[Switch | None, Listing]


class Source:
    """A file's content: bytes, or an open descriptor that they will be read from."""

    def __init__(self, path: Path, label: str, *, hold: bool) -> None:
        self.label = label
        self._fd: int | None = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
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

    def read(self) -> bytes:
        """The whole content."""
        with self.open() as file:
            return file.read()

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


@dataclass(frozen=True)
class Snapshot:
    """The files of a database by name. `signature` tells it from any other generation."""

    signature: Signature
    files: dict[str, Source] = field(default_factory=dict)

    def close(self) -> None:
        """Let go of all descriptors."""
        for source in self.files.values():
            source.close()


def take(root: Path, database: str) -> Snapshot:
    """Open all files of one generation, again and again until nothing has changed meanwhile.

    Raises DumpUnreadable for a folder that cannot be read, or that never stands still.
    """
    for _ in range(_TRIES):
        try:
            before = signature(root, database)
            snapshot = _open_all(root, database, before)
            if signature(root, database) == before:
                return snapshot
            snapshot.close()
        except FileNotFoundError:
            pass
        except OSError as error:
            raise DumpUnreadable(f"the dump cannot be read: {error}", hint="check the permissions") from error
        time.sleep(_PAUSE_S)
    raise DumpUnreadable(
        f"{root / database} changes all the time", hint="try again when nothing writes there"
    )


def signature(root: Path, database: str) -> Signature:
    """What differs between any two generations: the marker, and which files are in the database's folder."""
    switch = generation.read_marker(root)
    if switch is not None and switch.database != database:
        switch = None
    try:
        with os.scandir(root / database) as entries:
            return switch, tuple(sorted(_identity(entry) for entry in entries if entry.is_file()))
    except FileNotFoundError:
        return switch, ()


def _identity(entry: os.DirEntry[str]) -> tuple[str, int, int, int]:
    status = entry.stat()
    return entry.name, status.st_ino, status.st_mtime_ns, status.st_size


def _open_all(root: Path, database: str, before: Signature) -> Snapshot:
    switch, listing = before
    filenames = [name for name, *_ in listing]
    if switch is not None:
        filenames = [name for name in {*filenames, *switch.put} if name not in switch.remove]
    snapshot = Snapshot(before)
    held = 0
    try:
        for filename in sorted(filenames):
            if not _belongs(root, database, filename):
                continue
            source = _open(root, database, switch, filename, hold=held < _DESCRIPTORS)
            held += source.held
            snapshot.files[filename] = source
    except BaseException:
        snapshot.close()
        raise
    return snapshot


def _belongs(root: Path, database: str, filename: str) -> bool:
    if filename.endswith(filenames.COMPRESSED):
        raise UsageError(
            f"{root / database / filename} is compressed",
            hint=f"decompress the dump first: gunzip '{root / database}'/*.gz",
        )
    return filenames.split(filename) is not None


def _open(root: Path, database: str, switch: Switch | None, filename: str, *, hold: bool) -> Source:
    label = f"{database}/{filename}"
    if switch is not None and filename in switch.put:
        staged, place = generation.overlay(root, switch, filename)
        try:
            return Source(staged, label, hold=hold)
        except FileNotFoundError:
            return Source(place, label, hold=hold)
    return Source(root / database / filename, label, hold=hold)
