"""One writer a dump: `flock` on the directory's own descriptor, which the kernel lets go with the process.

Nothing is written for it, so it works without leaving a file behind, and who holds it is read from
/proc/locks.
"""

from __future__ import annotations

import fcntl
import os
import pwd
from pathlib import Path

from goaime_migrate.errors import MissingCapability

_EXCLUSIVE = ["FLOCK", "ADVISORY", "WRITE"]


class DirectoryLock:
    """The exclusive lock of a directory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None

    @property
    def held(self) -> bool:
        """Whether it is this process's."""
        return self._fd is not None

    def acquire(self) -> bool:
        """Whether the lock is ours now; never waits. Raises MissingCapability if there are no locks."""
        if self._fd is not None:
            return True
        fd = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            same = os.path.samestat(os.fstat(fd), self._path.stat())
        except BlockingIOError:
            os.close(fd)
            return False
        except OSError as error:
            os.close(fd)
            raise MissingCapability(
                f"{self._path} cannot be locked: {error.strerror}",
                hint="copy the dump to a local disk; some network file systems have no locks",
            ) from error
        if not same:
            os.close(fd)
            return False
        self._fd = fd
        return True

    def release(self) -> None:
        """Give the lock back, if it is held."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def holder_pid(self) -> int | None:
        """Whichever process holds the lock, as far as /proc tells; None also where there is no /proc."""
        return _holder_pid(self._path)


def _holder_pid(path: Path) -> int | None:
    """Lines are like ``1: FLOCK  ADVISORY  WRITE 4272 fe:00:2180332 0 EOF``; those who wait have an arrow."""
    try:
        lines = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
        status = path.stat()
    except OSError:
        return None
    device = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}"
    places = {fields[5]: int(fields[4]) for fields in lines if fields[1:4] == _EXCLUSIVE}
    exact = places.get(f"{device}:{status.st_ino}")
    if exact is not None:
        return max(exact, 0)
    # Some file systems, btrfs among them, show processes another device than the kernel's own.
    return next((max(pid, 0) for place, pid in places.items() if place.endswith(f":{status.st_ino}")), None)


def user_of(pid: int) -> str:
    """Whose process it is; empty where that cannot be seen."""
    try:
        return pwd.getpwuid(Path(f"/proc/{pid}").stat().st_uid).pw_name
    except (OSError, KeyError):
        return ""
