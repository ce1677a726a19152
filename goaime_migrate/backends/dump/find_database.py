"""Finds the folder of the database within a dump, and says what to do where there is none."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from goaime_migrate.backends.dump import generation
from goaime_migrate.backends.dump.folder import Folder
from goaime_migrate.backends.dump.marker import is_plain
from goaime_migrate.config import SERVERS_OWN
from goaime_migrate.errors import DumpUnreadable, FolderMissing, SaveFailed, UsageError


def database_in(root: Path, database: str | None) -> str:
    """The name of the database: the one asked for, or the only one there is.

    A database may be named that an empty dump does not have yet; it has no documents. Raises FolderMissing,
    UsageError naming the choices, or DumpUnreadable.
    """
    folders = databases(root)
    asked = database is not None
    database = database or _only(root, [name for name in folders if name not in SERVERS_OWN])
    if not is_plain(database):
        hint = "choose another" if asked else f"rename the folder {root / database}"
        raise UsageError(f"{database!r} cannot be the name of a database", hint=hint)
    if database not in folders and folders:
        raise FolderMissing(
            f"{root} has no database {database!r}", hint=f"it has {', '.join(folders)}: use --database"
        )
    return database


def check_writable(root: Path, database: str) -> None:
    """Raises SaveFailed before any work is done in vain."""
    folder = root / database
    for path in (root, folder):
        if path.exists() and not os.access(path, os.W_OK | os.X_OK):
            raise SaveFailed(
                f"{path} cannot be written to", hint="check the permissions, or work on a copy of the dump"
            )
    if folder.exists() and folder.stat().st_dev != root.stat().st_dev:
        raise SaveFailed(
            f"{folder} is on another file system than {root}, so its files cannot be replaced all at once",
            hint="copy the dump into one place",
        )


def _how_to_make(root: Path) -> str:
    """A folder that comes with a generator of sample data is made by it."""
    generator = root.parent / "sample.py"
    with suppress(OSError, ValueError):
        if generator.is_file():
            return f"make the sample database: python3 '{generator}' '{root}'"
    return f"make a dump first: mongodump --db NAME --out '{root}'"


def databases(root: Path) -> list[str]:
    """The names of all folders, and of one that is to be made; of links to folders too, which are not opened."""
    try:
        with Folder.at(root) as top:
            switch = generation.read_marker(top)
        found = {entry.name for entry in root.iterdir() if entry.is_dir() and entry.name[:1] != "."}
        return sorted(found | {switch.database} if switch else found)
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: no path can be called so
        raise FolderMissing(f"there is no folder {root}", hint=_how_to_make(root)) from None
    except OSError as error:
        raise DumpUnreadable(
            f"{root} cannot be read: {error.strerror}", hint="check the permissions"
        ) from error


def _only(root: Path, folders: list[str]) -> str:
    if len(folders) == 1:
        return folders[0]
    if folders:
        raise UsageError(
            f"{root} has several databases: {', '.join(folders)}", hint=f"choose one: --database {folders[0]}"
        )
    if any(root.glob("*.bson")):
        raise FolderMissing(
            f"{root} is the folder of a database, not that of a dump",
            hint=f"use dump:{root.parent} with --database {root.name}",
        )
    raise FolderMissing(
        f"{root} has no folder of a database",
        hint="name the one to make with --database, or make a dump with mongodump",
    )
