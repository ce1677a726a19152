"""A page that is written to a file: whole, or not at all."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from goaime_migrate.errors import UsageError


def require_place(path: Path) -> None:
    """Refuse, before anything is read, where no file can be written. Raises UsageError."""
    if path.is_dir() or not path.parent.is_dir():
        why = "is a folder" if path.is_dir() else "is in a folder that does not exist"
        raise UsageError(f"--html: {path} {why}", hint="--html report.html")


def write(path: Path, text: str) -> None:
    """Write it beside, then put it in its place: who reads it meanwhile sees the old one or the new one.

    It may hold documents, so that nobody else may read it until its owner says so. Raises UsageError.
    """
    beside = ""
    try:
        descriptor, beside = tempfile.mkstemp(prefix=f".{path.name[:100]}.", dir=path.parent)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        Path(beside).replace(path)
    except OSError as error:
        with suppress(OSError):
            Path(beside).unlink()
        raise UsageError(
            f"--html: {path} cannot be written: {error.strerror or error}", hint="--html /tmp/report.html"
        ) from error
