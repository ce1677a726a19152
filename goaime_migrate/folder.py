"""What lies in a migrations folder: the files that are migrations, and those that only look like it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from goaime_migrate.errors import DuplicateVersion, FileNotTaken, HistoryError, InvalidMigration, VersionGap
from goaime_migrate.migration import EMPTY, FILE_NAME, version_of

_LIKE_ONE = re.compile(r"[0-9]+_.*", re.DOTALL)
_MOST_DIGITS = 9


class Folder(NamedTuple):
    """What was found in a folder."""

    files: Sequence[tuple[int, Path]]
    """The migrations with their numbers, ascending."""
    problems: Sequence[HistoryError]
    warnings: Sequence[FileNotTaken]
    """What looks like a migration and is not taken for one."""


def look(folder: Path) -> Folder:
    """List a folder. Nothing of it is read."""
    files: list[tuple[int, Path]] = []
    problems: list[HistoryError] = []
    warnings: list[FileNotTaken] = []
    for path in sorted(folder.iterdir()):
        name = compose(path.name)
        match = FILE_NAME.fullmatch(name)
        reason = _why_not(path, name)
        if reason is not None:
            warnings.append(
                FileNotTaken(f"{path.name} is not taken for a migration: {reason[0]}", hint=reason[1])
            )
        elif match and int(match["number"]) and path.is_file():
            files.append((int(match["number"]), path))
        elif name.endswith(".py") and name[:1].isdigit() and path.is_file():
            problems.append(_misnamed_error(path, zero=match is not None))
    files.sort()
    return Folder(files, [*problems, *_duplicates(files), *_gaps(files)], warnings)


def compose(name: str) -> str:
    """A name as it is compared: some systems take a letter apart from its accent."""
    return unicodedata.normalize("NFC", name)


def _why_not(path: Path, name: str) -> tuple[str, str] | None:
    """Why something that looks like a migration is not taken, and what mends it; None where it is, or looks like none."""
    stem, dot, suffix = name.strip().rpartition(".")
    python = dot + suffix.casefold() == ".py"
    if not _LIKE_ONE.fullmatch(stem if python else name):
        return None
    if path.is_dir():
        return "it is a folder", "a migration is one file; other folders are better named without a number"
    if path.is_symlink() and not path.exists():
        return (
            f"it is a link to {path.readlink()}, which is not there",
            "restore that file, or remove the link",
        )
    if python and path.exists() and not path.is_file():
        return "it is no ordinary file", "a migration is a file that can be read again and again"
    return _why_not_by_name(name) if python else None


def _why_not_by_name(name: str) -> tuple[str, str] | None:
    digits = len(name.partition("_")[0])
    if digits > _MOST_DIGITS:
        return (
            f"its number has {digits} digits, and a number has at most {_MOST_DIGITS}",
            "number it 0001, 0002, …",
        )
    if not name.endswith(".py"):
        return "its name does not end with .py", f"rename it to {name.strip()[:-3]}.py"
    return None


def _misnamed_error(path: Path, *, zero: bool) -> InvalidMigration:
    """The error for a file of Python that begins with a digit, but is not named as a migration is."""
    if zero:
        return InvalidMigration(f"{path.name} has the number 0: numbers begin at 0001", hint=f"rename {path}")
    return InvalidMigration(
        f"{path.name} is not named like a migration",
        hint="a name is a number, _ and a word: 0001_add_user_id.py",
    )


def _duplicates(files: Iterable[tuple[int, Path]]) -> list[HistoryError]:
    by_number: dict[int, list[str]] = {}
    for number, path in files:
        by_number.setdefault(number, []).append(path.name)
    return [
        DuplicateVersion(
            f"{len(names)} files have the number {version_of(number)}: {', '.join(names)}",
            version=version_of(number),
            hint="give the newer one the next free number",
        )
        for number, names in by_number.items()
        if len(names) > 1
    ]


def _gaps(files: Iterable[tuple[int, Path]]) -> list[HistoryError]:
    numbers = sorted({number for number, _ in files})
    return [
        VersionGap(
            f"there is no file for {version_of(missing)}, "
            + (
                f"between {version_of(before)} and {version_of(after)}"
                if before
                else f"before {version_of(after)}"
            ),
            version=version_of(missing),
            hint=f"restore the file; or put one that does nothing in its place, {version_of(missing)}_{EMPTY}; "
            "or renumber the later ones, if none of them is applied anywhere",
        )
        for before, after in zip([0, *numbers], numbers, strict=False)
        for missing in range(before + 1, min(after, before + 11))
    ]
