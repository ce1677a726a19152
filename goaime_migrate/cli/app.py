"""From the words of a command line to an exit status: here errors are caught and results printed."""

from __future__ import annotations

import contextlib
import os
import traceback
from collections.abc import Sequence
from typing import TYPE_CHECKING

from goaime_migrate.cli import argv as words
from goaime_migrate.cli import plain
from goaime_migrate.cli.commands import COMMANDS
from goaime_migrate.cli.console import Console, masked, open_console
from goaime_migrate.cli.invocation import Invocation
from goaime_migrate.cli.outcome import Outcome
from goaime_migrate.cli.signals import immediate, interruption
from goaime_migrate.errors import MigrateError
from goaime_migrate.redaction import redact
from goaime_migrate.render.style import clean_lines

if TYPE_CHECKING:
    from goaime_migrate.cli.options import Request


def run(argv: Sequence[str]) -> int:
    """Do what the command line says and return the exit status. Raises nothing that a user can cause."""
    console = open_console(os.environ, verbose="--verbose" in argv or "-v" in argv)
    asked = words.wants_json(argv)
    command = ""
    try:
        with immediate():
            request = _parse(words.steps(argv))
            if isinstance(request, int):
                return request
            command, common = request.command, request.common
            asked = common.json
            console = open_console(os.environ, quiet=common.quiet, verbose=common.verbose)
            with masked(console):
                outcome = request.call(Invocation(command, common, console))
        return _finish(console, outcome, asked)
    except KeyboardInterrupt as error:
        return _fail(console, interruption(error, command), command, asked)
    except MigrateError as error:
        return _fail(console, error, command, asked)
    except Exception as error:  # noqa: BLE001 (the last resort: one line instead of a page)
        return _fail(console, _unexpected_error(error), command, asked)


def _parse(argv: Sequence[str]) -> Request | int:
    """The request; or an exit status, where help was printed."""
    command = words.check(argv, COMMANDS)
    if command and (request := plain.request(command, argv)):
        return request
    from goaime_migrate.cli.parser import parse

    return parse(command, argv)


def _finish(console: Console, outcome: Outcome, asked: bool) -> int:
    if asked:
        from goaime_migrate.render.json import dumps, printed

        console.result(dumps(printed(outcome.result, outcome.error), redact), redacted=True)
    elif outcome.read or not console.quiet:
        text = outcome.text(console.out)
        console.result(redact(text) if outcome.raw else text, redacted=outcome.raw)
    if outcome.error is None:
        return 0
    _report(console, outcome.error)
    return outcome.error.exit_code


def _fail(console: Console, error: MigrateError, command: str, asked: bool) -> int:
    """Report an error that came instead of a result."""
    if asked:
        from goaime_migrate.render.json import dumps, failed

        with contextlib.suppress(OSError):
            console.result(dumps(failed(command, error), redact), redacted=True)
    _report(console, error)
    return error.exit_code


def _report(console: Console, error: MigrateError) -> None:
    from goaime_migrate.render import errors

    console.urgent(errors.error(error, console.err))
    # Only what nobody foresaw needs one: every other error has said its cause, and its evidence.
    if console.err.verbose and error.code == MigrateError.code and error.__traceback__ is not None:
        console.urgent("\n".join(clean_lines("".join(traceback.format_exception(error)).rstrip())))


def _unexpected_error(error: Exception) -> MigrateError:
    """An exception that nobody foresaw, as an error."""
    if isinstance(error, OSError) and error.filename is None and error.strerror:
        found = MigrateError(f"the result cannot be written: {error.strerror}", hint="goaime-migrate status")
    else:
        first, *_ = str(error).splitlines() or [""]
        found = MigrateError(
            f"{type(error).__name__}: {first}".removesuffix(": ") + " (this is a bug)",
            hint="the same command with --verbose shows the traceback; please report it",
        )
    found.__cause__ = error
    found.__traceback__ = error.__traceback__
    return found
