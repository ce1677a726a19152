"""stdout for the result, stderr for everything else; whatever is written passes through `redact`."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from goaime_migrate.redaction import redact
from goaime_migrate.render.style import Style


@dataclass(frozen=True)
class Console:
    """The two streams and what each can show."""

    stdout: TextIO
    stderr: TextIO
    out: Style
    err: Style
    live: bool
    """Whether stderr is a terminal on which bars may move."""
    quiet: bool
    redraws: bool = False
    """Whether stdout is a terminal on which one screen may take the place of another."""

    def result(self, text: str, *, redacted: bool = False, end: str = "\n") -> None:
        """Print the result. A reader that has gone, as with ``| head``, is no failure of the command.

        JSON comes `redacted` string by string, since in one line nobody can tell where a password ends.
        """
        if not text:
            return
        try:
            self.stdout.write((text if redacted else redact(text)) + end)
            self.stdout.flush()
        except OSError as error:
            # What is still in the buffer must not fail once more when the interpreter ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.stdout.fileno())
            if not isinstance(error, BrokenPipeError):
                raise

    def message(self, text: str) -> None:
        """Tell people something that is not the result."""
        if text and not self.quiet:
            self.urgent(text)

    def urgent(self, text: str) -> None:
        """The same, also with --quiet: errors, and questions. A closed stderr is nobody's loss."""
        try:
            self.stderr.write(redact(text) + "\n")
            self.stderr.flush()
        except (OSError, ValueError):
            pass


def open_console(environ: Mapping[str, str], *, quiet: bool = False, verbose: bool = False) -> Console:
    """Find out what the streams can do: NO_COLOR, TERM=dumb and pipes are respected."""
    out, err = _open(sys.stdout), _open(sys.stderr)
    moving = _terminal(err) and environ.get("TERM") != "dumb" and not environ.get("CI")
    for stream in (out, err):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    styles = [_style(stream, environ, verbose) for stream in (out, err)]
    redraws = _terminal(out) and environ.get("TERM") != "dumb"
    return Console(out, err, styles[0], styles[1], live=moving and not quiet, quiet=quiet, redraws=redraws)


def _style(stream: TextIO, environ: Mapping[str, str], verbose: bool) -> Style:
    terminal = _terminal(stream)
    dumb = environ.get("TERM") == "dumb"
    unicode = (stream.encoding or "").lower().replace("-", "") == "utf8"
    return Style(
        color=terminal and not dumb and not environ.get("NO_COLOR"),
        symbols=terminal and not dumb and unicode,
        width=_columns() if terminal else None,
        verbose=verbose,
    )


def _columns() -> int:
    import shutil

    return max(shutil.get_terminal_size((80, 24)).columns, 60)


def _open(stream: TextIO | None) -> TextIO:
    """The stream, or nowhere if it was closed before the program began."""
    return stream if stream is not None else Path(os.devnull).open("w", encoding="utf-8")


def _terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except ValueError:
        return False
