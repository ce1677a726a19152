"""The directory of a dump: whether it can be read, locked and saved to."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from goaime_migrate.backends.dump.generation import STAGING
from goaime_migrate.config import DUMP
from goaime_migrate.doctor.patient import Patient, Said, fault, warn


def folder(patient: Patient) -> Said | None:
    """The directory, and whether a run that was killed has left something in it."""
    root = _root(patient)
    if root is None:
        return None
    if (root / STAGING).exists():
        return warn(
            f"{root} holds what a run that was killed while it saved has left",
            "up finishes it, or takes it away",
        )
    count = len(patient.backend.collections())
    return Said(f"{root}: {count} {'collection' if count == 1 else 'collections'}")


def permissions(patient: Patient) -> Said | None:
    """Whether a run may save into the directory: it writes beside the files, then puts them in place."""
    root = _root(patient)
    if root is None:
        return None
    for path in (root, root / patient.backend.database_name):
        if path.exists() and not os.access(path, os.W_OK | os.X_OK):
            return warn(
                f"{path} cannot be written to by this user: enough for commands that read",
                f"chmod u+rwx {path}, or run `up` as its owner",
            )
    return Said("this user can read and save")


def locks(patient: Patient) -> Said | None:
    """Whether the file system has locks, and who has this directory's."""
    root = _root(patient)
    if root is None:
        return None
    held = patient.backend.read_lease()
    if held is not None:
        return warn(
            f"the directory is locked by process {held.owner.pid or 'that cannot be seen'}", "wait for it"
        )
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return warn("the directory is locked by another process", "wait for it")
    except OSError as error:
        return fault(f"the directory cannot be locked: {error.strerror}", "copy the dump to a local disk")
    finally:
        os.close(descriptor)
    return Said("free")


def _root(patient: Patient) -> Path | None:
    """The directory; None for a server."""
    return None if patient.server is not None else Path(patient.settings.uri.removeprefix(DUMP))
