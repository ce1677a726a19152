"""What a connection string says, and how much of it counts: what this tool's guarantees rest on is its own affair."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from pymongo import common
from pymongo.errors import PyMongoError
from pymongo.uri_parser import parse_uri

from goaime_migrate.errors import InvalidUri
from goaime_migrate.redaction import redact

_OURS = frozenset(
    {
        *("readpreference", "readpreferencetags", "maxstalenessseconds", "readconcernlevel"),
        *(
            "w",
            "journal",
            "j",
            "fsync",
            "retrywrites",
            "retryreads",
            "timeoutms",
            "sockettimeoutms",
            "appname",
        ),
        *("maxpoolsize", "minpoolsize", "maxconnecting", "waitqueuetimeoutms", "waitqueuemultiple"),
    }
)
"""Options that are not followed: a stale read or an unconfirmed write would apply a version twice, and with one
connection, or a limit on how long a command may take, a pass and the stream beside it would wait for each other."""
_COMPRESSORS = "compressors"
_FILES = ("tlscafile", "tlscertificatekeyfile", "tlscrlfile")
_FORM = "the form is mongodb://user:password@host:port/database"
_NOT_ENCODED = "a special character of the user name or the password is not percent-encoded"
_ENCODE = f"write user and password percent-encoded (%40 for @, %2F for /, %3A for :, %25 for %); {_FORM}"


class Followed(NamedTuple):
    """A connection string as the driver gets it, and the compressors in it that are not installed here."""

    text: str
    missing: tuple[str, ...]


def follow(uri: str) -> Followed:
    """The connection string without what is not followed. Raises InvalidUri."""
    _refuse_ambiguous(uri)
    kept, missing = [], []
    for name, text in _written_options(uri):
        if name == _COMPRESSORS:
            listed = [c for c in unquote(text.partition("=")[2]).split(",") if c]
            there = [c for c in listed if _installed(c)]
            missing += [c for c in listed if c not in there]
            kept += [f"{_COMPRESSORS}={','.join(there)}"] if there else []
        elif name not in _OURS:
            kept.append(text)
    address, mark, _ = uri.partition("?")
    return Followed(f"{address}{mark}{'&'.join(kept)}" if kept else address, tuple(missing))


def options(uri: str) -> dict[str, str]:
    """The options by their names in lower case, the last of each."""
    return {name: unquote(text.partition("=")[2]) for name, text in _written_options(uri)}


def overridden(uri: str) -> list[str]:
    """The options in it that are not followed, as they are written."""
    return [text for name, text in _written_options(uri) if name in _OURS and name != "appname"]


def refusal(error: Exception, uri: str) -> InvalidUri:
    """The error for a connection string that the driver does not take; of options that nobody knows, their names."""
    unknown = [
        text.partition("=")[0] for name, text in _written_options(uri) if name not in common.VALIDATORS
    ]
    unreadable = next(_unreadable(uri), None)
    if unknown:
        said = f"{', '.join(map(repr, unknown))} {'is no option' if len(unknown) == 1 else 'are no options'} of one"
    elif isinstance(error, OSError) and unreadable:
        said = unreadable
    else:
        said = _reason(str(error), uri)
    return InvalidUri(
        f"the connection string is not valid: {said}",
        hint=f"correct uri; {_ENCODE if said is _NOT_ENCODED else _FORM}",
    )


def _written_options(uri: str) -> Iterator[tuple[str, str]]:
    """The options in their order: the name in lower case, and all that is written of it."""
    for text in re.split("[&;]", uri.partition("?")[2]):
        if text:
            yield unquote(text.partition("=")[0]).lower(), text


def _refuse_ambiguous(uri: str) -> None:
    """What follows an unescaped character of a password would be taken for a host or a database, and be shown as one."""
    before = uri.partition("?")[0].partition("://")[2]
    if before.count("@") > 1:
        raise InvalidUri(f"the connection string has more than one @: {_NOT_ENCODED}", hint=_ENCODE)
    if "@" in before.partition("/")[2] or ("@" not in before and _looks_cut(uri)):
        raise InvalidUri(f"the connection string is not valid: {_NOT_ENCODED}", hint=_ENCODE)


def _looks_cut(uri: str) -> bool:
    """Whether a question mark stands in what was meant as a password: what follows it is no option."""
    return any("@" in text and "=" not in text.partition("@")[0] for _, text in _written_options(uri))


def _installed(compressor: str) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        try:
            parse_uri(f"mongodb://localhost/?{_COMPRESSORS}={compressor}", warn=True)
        except (PyMongoError, ValueError, UserWarning):
            return False
    return True


def _unreadable(uri: str) -> Iterator[str]:
    """The files named in it that cannot be used, each with the reason."""
    for name, text in _written_options(uri):
        if name in _FILES:
            path = unquote(text.partition("=")[2])
            try:
                Path(path).read_bytes()
            except OSError as error:
                yield f"the file of {text.partition('=')[0]} cannot be read: {path}: {error.strerror}"
            else:
                yield f"the file of {text.partition('=')[0]} is not what it should be: {path}"


def _reason(text: str, uri: str) -> str:
    """What the driver says of a connection string, unless it quotes what may belong to a password."""
    userinfo = uri.partition("://")[2].rpartition("@")[0]
    secrets = re.split(r"[:/@?&=]+", userinfo.partition(":")[2])
    values = [value for _, value in re.findall(r"([^?&=]+)=([^&]*)", uri)]
    hidden = "|".join(re.escape(secret) for secret in (*secrets, *values) if secret)
    if hidden and re.search(rf"(?<!\w)({hidden})(?!\w)", text):
        return "a special character in the user name, the password or an option is not percent-encoded"
    return redact(text)
