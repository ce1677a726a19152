"""The marker of a generation that was committed: what it may say, and nothing else.

It decides which files are moved and removed, and a dump may come from anybody. So it counts only if it is to the
letter what `encode` writes: plain names, of files that a dump can have.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, NamedTuple, NoReturn

from goaime_migrate.backends.dump import filenames
from goaime_migrate.errors import DumpUnreadable, NewerFormat
from goaime_migrate.errors.hint import UPGRADE

FORMAT = 1
LARGEST = 16 * 1024 * 1024
"""Bytes: enough for the names of some ten thousand collections."""
_LONGEST_NAME = 255
_DATABASE = 63


class Switch(NamedTuple):
    """A generation that was committed: names of files that are put into the database's folder, or removed."""

    generation: str
    database: str
    put: tuple[str, ...]
    remove: tuple[str, ...]
    format: int = FORMAT


_KEYS = frozenset(Switch._fields)


def encode(switch: Switch) -> bytes:
    """The marker's content."""
    return json.dumps(switch._asdict()).encode()


def decode(content: bytes, path: object) -> Switch:
    """What the marker at `path` says. Raises DumpUnreadable, or NewerFormat for one of a newer release."""
    try:
        return _switch(_parse(content))
    except NewerFormat:
        raise NewerFormat(f"{path} was written by a newer release of this tool", hint=UPGRADE) from None
    except (ValueError, RecursionError) as error:
        reason = "it is nested" if isinstance(error, RecursionError) else str(error)
        raise DumpUnreadable(
            f"{path} is not what this tool writes there: {reason}; nothing was moved or removed",
            hint="copy the dump again from where it came; if there is no other copy, look first at what is in "
            "that folder: without it the files beside it are the dump",
        ) from None


def is_plain(database: str) -> bool:
    """Whether a database may be called so, and its folder is one within the dump."""
    try:
        return 0 < len(database.encode()) <= _DATABASE and not set('/\\. "$*<>:|?\0') & set(database)
    except UnicodeEncodeError:
        return False


def _parse(content: bytes) -> dict[str, Any]:
    if len(content) > LARGEST:
        raise ValueError(f"it has more than {LARGEST:,} bytes")
    if not content.strip():
        raise ValueError("it is empty")
    try:
        found = json.loads(content, object_pairs_hook=_once, parse_constant=_no_constant)
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"it is cut or damaged at character {error.pos}") from None
    if not isinstance(found, dict):
        raise ValueError("it is no object")  # noqa: TRY004 (of a text, not of an argument)
    return found


def _switch(found: dict[str, Any]) -> Switch:
    number = found.get("format")
    if type(number) is int and number > FORMAT:
        raise NewerFormat("")
    if type(number) is not int or number != FORMAT:
        raise ValueError(f"its format is {number!r:.40}")
    if strange := found.keys() ^ _KEYS:
        raise ValueError(f"it has other keys: {', '.join(map(repr, sorted(strange)))[:200]}")
    generation, database = found["generation"], found["database"]
    if not (isinstance(generation, str) and 0 < len(generation) <= _LONGEST_NAME and generation.isalnum()):
        raise ValueError(f"its generation is {generation!r:.100}")
    if not (isinstance(database, str) and is_plain(database)):
        raise ValueError(f"{database!r:.100} is no name of a database")
    put, remove = _files(found["put"]), _files(found["remove"])
    if len({*put, *remove}) < len(put) + len(remove):
        raise ValueError("it names a file twice")
    return Switch(generation, database, put, remove)


def _files(names: Any) -> tuple[str, ...]:
    if not isinstance(names, list):
        raise ValueError(f"{names!r:.100} is no list of files")  # noqa: TRY004
    for name in names:
        if not (isinstance(name, str) and filenames.is_bare(name)):
            raise ValueError(f"{name!r:.100} is no name of a file that a dump has")
    return tuple(names)


def _once(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"it has {key!r:.100} twice")
        found[key] = value
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"it has the number {name}")
