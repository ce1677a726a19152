"""Whose the standard descriptors are: 1 and 2 are those of users' code and of what it starts, the command's are others.

A migration may run a program, or write to a descriptor. What comes out of there is neither the result nor free of
secrets: it goes through a pipe, line by line, to where messages go. Also what is written while the process ends.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TextIO, cast

from goaime_migrate.cli.console import Masked

_CHUNK, _LONGEST_LINE = 64 * 1024, 1024 * 1024
_own: list[TextIO] = []
"""The command's own stdout and stderr, once they are separate."""
_users: list[Masked] = []
"""What users' code writes goes through this."""
_LAST_WORDS_S = 0.5
"""How long a program that a migration has left behind may keep the end of the process waiting."""


def separate() -> None:
    """Once, where the process is the command's own: `sys.stdout` and `sys.stderr` get descriptors of their own."""
    if sys.stdout is not sys.__stdout__ or sys.stderr is not sys.__stderr__:
        return  # somebody else has taken care of them
    _occupy()
    result, messages = _move(sys.stdout, 1), _move(sys.stderr, 2)
    reading, writing = os.pipe()
    for descriptor in (1, 2):
        os.dup2(writing, descriptor)
    os.close(writing)
    sys.stdout, sys.stderr = result, messages
    _own.extend((result, messages))
    _users.append(Masked(messages))
    reader = threading.Thread(target=_pass_on, args=(reading, _users[0]), daemon=True)
    reader.start()
    atexit.register(_end, reader)


def shape(lines: Callable[[str], str]) -> None:
    """What becomes of lines that users' code writes, instead of being masked."""
    for stream in _users:
        stream.shape = lines


def leave() -> None:
    """The command has said all: what is printed from now on is not its own."""
    if _own:
        sys.stdout = sys.stderr = cast("TextIO", Masked(_own[1], _users[0].shape))


def _occupy() -> None:
    """A descriptor that was closed before the program began is not to become something else's."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free


def _move(stream: TextIO | None, descriptor: int) -> TextIO:
    """The same stream on a descriptor of its own; nowhere, if it was closed before the program began."""
    if stream is not None:
        stream.flush()
    encoding, errors = (stream.encoding, stream.errors) if stream is not None else ("utf-8", "replace")
    return open(os.dup(descriptor), "w", encoding=encoding, errors=errors, buffering=1)  # noqa: PTH123


def _pass_on(reading: int, masked: Masked) -> None:
    with suppress(OSError, ValueError), open(reading, "rb", buffering=0) as pipe:
        begun = b""
        while piece := pipe.read(_CHUNK):
            begun += piece
            whole = len(begun) if len(begun) > _LONGEST_LINE else begun.rfind(b"\n") + 1
            masked.write(begun[:whole].decode("utf-8", "replace"))
            begun = begun[whole:]
        masked.write(begun.decode("utf-8", "replace"))
        masked.flush()


def _end(reader: threading.Thread) -> None:
    """Close the pipe, wait for what is in it, and give the descriptors back to who had them before the command.

    What was registered during the command has been called by now, what was registered before it comes later.
    """
    for users in (sys.__stdout__, sys.__stderr__):
        with suppress(OSError, ValueError):
            if users is not None:
                users.flush()
    for descriptor, stream in zip((1, 2), _own, strict=True):
        os.dup2(stream.fileno(), descriptor)
    reader.join(_LAST_WORDS_S)
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
