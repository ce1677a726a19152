"""One run of one command: its options, its streams, the way to the settings and to `Migrator`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from goaime_migrate.cli.argv import PROGRAM
from goaime_migrate.cli.console import Console
from goaime_migrate.cli.signals import no_answer
from goaime_migrate.errors import NotConfirmed, UsageError
from goaime_migrate.redaction import redact, redact_uri
from goaime_migrate.render.style import clean

if TYPE_CHECKING:
    from goaime_migrate.config import Settings
    from goaime_migrate.events import Event, Listener
    from goaime_migrate.migrator import Migrator


class Common(NamedTuple):
    """The options that every command takes."""

    config: Path | None = None
    env: str | None = None
    uri: str | None = None
    database: list[str] | None = None
    migrations: str | None = None
    json: bool = False
    log_json: bool = False
    quiet: bool = False
    verbose: bool = False

    @property
    def said(self) -> tuple[tuple[str, str], ...]:
        """The options that say which project and database are meant, for whoever is to type another command."""
        options = ("--config", self.config), ("--env", self.env), ("--uri", self.uri and redact_uri(self.uri))
        databases = tuple(("--database", name) for name in self.database or ())
        given = (*options, *databases, ("--migrations", self.migrations))
        return tuple((name, str(value)) for name, value in given if value is not None)


class Invocation(NamedTuple):
    """What a command has to work with."""

    command: str
    common: Common
    console: Console

    def settings(self, *, need_uri: bool = True, **overrides: Any) -> Settings:
        """The settings, with this command's own flags on top."""
        from goaime_migrate.config import load

        common = self.common
        flags = {
            "uri": common.uri,
            "database": common.database or None,
            "migrations": common.migrations,
            **overrides,
        }
        settings = load(
            config=common.config,
            env=common.env,
            overrides={key: value for key, value in flags.items() if value is not None},
            cwd=Path.cwd(),
            environ=os.environ,
            need_uri=need_uri,
        )
        if common.verbose:
            said = vars(settings) | (
                {"database": ", ".join(settings.databases)} if settings.databases else {}
            )
            for key, source in settings.sources.items():
                if said[key] not in (None, ""):
                    self.console.message(clean(f"{key} = {said[key]} ({source})"))
        return settings

    @contextmanager
    def migrator(self, settings: Settings, *, progress: bool = False) -> Iterator[Migrator]:
        """An open Migrator; with `progress`, its events are shown on stderr while it works."""
        from goaime_migrate.migrator import Migrator

        with self.listener(progress) as listener, Migrator(settings, listener) as migrator:
            yield migrator

    def listener(self, progress: bool) -> AbstractContextManager[Listener | None]:
        """Whatever shows events on stderr; None where nobody wants to see them."""
        if self.console.quiet:
            return nullcontext(None)
        if self.console.log:
            return nullcontext(self.console.listen)
        return self._listener() if progress else nullcontext(None)

    def confirm(self, shown: str, question: str, *, yes: bool) -> None:
        """Show what would be done and ask. NotConfirmed where the answer is not yes, or nobody is there."""
        if yes:
            return
        self.console.urgent(shown)
        if self.console.log or not _somebody_there():
            raise NotConfirmed(
                f"`{self.command}` asks before it acts, and stdin is no terminal; nothing was changed",
                hint=f"the same command with --yes, or {PROGRAM} {self.command} at a terminal",
            )
        try:
            self.console.stderr.write(f"{question} [y/N] ")
            self.console.stderr.flush()
            answer = sys.stdin.readline()
        except KeyboardInterrupt as error:
            self.console.urgent("")
            raise no_answer(error, self.command) from None
        if answer.strip().lower() not in ("y", "yes"):
            raise NotConfirmed("not confirmed; nothing was changed", hint=f"{PROGRAM} status")

    @contextmanager
    def _listener(self) -> Iterator[Listener]:
        """Whatever shows the events is made with the first of them: most runs find nothing to do."""
        from threading import Lock

        from goaime_migrate.events import CommandFinished, CommandStarted

        guard = Lock()
        made: list[Listener] = []
        with ExitStack() as stack:

            def listen(event: Event) -> None:
                if isinstance(event, CommandStarted | CommandFinished):
                    return
                with guard:
                    if not made:
                        made.append(self._bars(stack) if self.console.live else _lines(self.console))
                    made[0](event)

            yield listen

    def _bars(self, stack: ExitStack) -> Listener:
        from goaime_migrate.render.bars import Bars

        bars = Bars(self.console.stderr, redact, self.console.err.color)
        stack.callback(bars.close)
        return bars


def _lines(console: Console) -> Listener:
    """A listener that writes plain lines."""
    from goaime_migrate.render.progress import Lines

    lines = Lines(console.err.width)

    def listen(event: Event) -> None:
        if line := lines.line_for(event):
            console.message(line)

    return listen


def _somebody_there() -> bool:
    with suppress(AttributeError, ValueError):
        return sys.stdin.isatty()
    return False


_EXAMPLE = """--where '{"username": "goAmy"}'"""


def filter_of(text: str | None) -> dict[str, Any] | None:
    """The value of --where: Extended JSON, an object."""
    return None if text is None else object_of(text, "--where", _EXAMPLE)


def object_of(text: str, what: str, example: str) -> dict[str, Any]:
    """A text that is to be an object, in Extended JSON. Raises UsageError."""
    value = value_of(text, what, example)
    if not isinstance(value, dict):
        raise UsageError(f"{what} is no JSON object", hint=example)
    return value


def value_of(text: str, what: str, example: str) -> Any:
    """A text that is to be Extended JSON, and something that BSON can hold. Raises UsageError."""
    from bson.errors import BSONError

    from goaime_migrate.backends import extended_json, raw_bson

    try:
        value = extended_json.loads(text)
        raw_bson.encode({"": value})
    except (ValueError, TypeError, ArithmeticError, RecursionError, BSONError) as error:
        raise UsageError(f"{what} is no Extended JSON: {error}", hint=example) from None
    return value
