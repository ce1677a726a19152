"""stdout for the result, stderr for everything else; whatever is written passes through `redact`, others' texts too."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple, TextIO, cast

from goaime_migrate.redaction import redact
from goaime_migrate.render.style import Style

if TYPE_CHECKING:
    from goaime_migrate.events import Event

_LINE_COMMAND = re.compile(r"^(\s*)::", re.MULTILINE)


class Console(NamedTuple):
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
    lines: bool = False
    """Whether the command prints several values, each a line of its own."""
    actions: bool = False
    """Whether a runner of GitHub Actions reads along, and takes some lines for commands to itself."""
    log: bool = False
    """Whether stderr is for a program: every line of it is an event, as JSON."""

    def result(self, text: str, *, redacted: bool = False, end: str = "\n") -> None:
        """Print the result. A reader that has gone, as with ``| head``, is no failure of the command.

        JSON comes `redacted` string by string, since in one line nobody can tell where a password ends.
        """
        if not text:
            return
        try:
            self.stdout.write((text if redacted else self._shown(text)) + end)
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
        """The same, also with --quiet: errors, and questions."""
        if self.log:
            self.event("message", text=text.strip())
        else:
            self._write(self._shown(text))

    def event(self, name: str, **fields: Any) -> None:
        """A line of the log."""
        from goaime_migrate.render import log

        self._write(log.line(name, **fields))

    def listen(self, event: Event) -> None:
        """The line of what a run has told."""
        from goaime_migrate.render import log

        self._write(log.event(event))

    def _write(self, line: str) -> None:
        """A closed stderr is nobody's loss."""
        try:
            self.stderr.write(line + "\n")
            self.stderr.flush()
        except (OSError, ValueError):
            pass

    def _shown(self, text: str) -> str:
        """The text as it may be shown: no secret in it, and no command to whoever reads along."""
        text = redact(text)
        return _LINE_COMMAND.sub(r"\1: :", text.replace("##[", "# #[")) if self.actions else text


class Masked:
    """A stream for what migrations, drivers and warnings write, which shows their lines without secrets.

    A line is masked as a whole, so it is kept until it ends, or until somebody wants to see it.
    """

    def __init__(self, stream: TextIO, shape: Callable[[str], str] = redact) -> None:
        self._stream = stream
        self._begun = ""
        self.shape = shape
        """What whole lines become."""

    def write(self, text: str) -> int:
        """Write the lines that are whole, and keep the rest."""
        lines, self._begun = _whole_lines(self._begun + text)
        if lines:
            self._stream.write(self.shape(lines))
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Write one after the other."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Show also what is no whole line."""
        begun, self._begun = self._begun, ""
        self._stream.write(self.shape(begun))
        self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _whole_lines(text: str) -> tuple[str, str]:
    """The lines that are whole, and the rest. A line may be written over another: it ends with a carriage return."""
    end = max(text.rfind("\n"), text.rfind("\r")) + 1
    return text[:end], text[end:]


@contextmanager
def mask_output(console: Console) -> Iterator[None]:
    """All that code prints which is not ours goes to stderr, without secrets: it must not spoil the result."""
    stream = cast("IO[str]", Masked(console.stderr, shape_of(console)))
    with redirect_stdout(stream), redirect_stderr(stream):
        try:
            yield
        finally:
            with suppress(OSError, ValueError):
                stream.flush()


def shape_of(console: Console) -> Callable[[str], str]:
    """What becomes of lines that are not the command's own."""
    if not console.log:
        return redact
    from goaime_migrate.render.log import output

    return output


def open_console(
    environ: Mapping[str, str],
    *,
    quiet: bool = False,
    verbose: bool = False,
    lines: bool = False,
    log: bool = False,
    options: tuple[tuple[str, str], ...] = (),
) -> Console:
    """Find out what the streams can do: NO_COLOR, TERM=dumb and pipes are respected."""
    out, err = _open(sys.stdout), _open(sys.stderr)
    moving = _terminal(err) and environ.get("TERM") != "dumb" and not environ.get("CI")
    for stream in (out, err):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    styles = [_style(stream, environ, verbose)._replace(options=options) for stream in (out, err)]
    redraws = _terminal(out) and environ.get("TERM") != "dumb"
    return Console(
        out,
        err,
        styles[0],
        styles[1],
        live=moving and not quiet and not log,
        quiet=quiet,
        redraws=redraws,
        lines=lines,
        actions=bool(environ.get("GITHUB_ACTIONS")),
        log=log,
    )


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
