"""The lock of a dump's directory as a lease: it needs no expiry, since the kernel ends it with its process."""

from __future__ import annotations

import socket

from goaime_migrate.backends.dump.lock import user_of
from goaime_migrate.backends.ports import LeaseRecord, Owner

FENCE = 1
"""No writer can outlive its lock, so nothing has to be fenced off."""


def held_by(pid: int) -> LeaseRecord:
    """A lease of a process of this host, whose run is not known; a pid of 0 cannot be seen from here.

    Neither boot nor start time are given: nobody has to find out whether the process is gone, as its lock
    would be.
    """
    owner = Owner(run="", who=user_of(pid), host=socket.gethostname(), pid=pid, boot="", started="")
    return LeaseRecord(owner, FENCE, acquired_at=None, expires_at=None, live=True)
