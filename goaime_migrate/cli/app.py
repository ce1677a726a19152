"""From the words of a command line to an exit status: here errors are caught."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from goaime_migrate.cli import argv as words
from goaime_migrate.cli import plain, streams
from goaime_migrate.cli.commands import COMMANDS
from goaime_migrate.cli.console import mask_output, open_console, shape_of
from goaime_migrate.cli.ending import fail, finish
from goaime_migrate.cli.invocation import Invocation
from goaime_migrate.cli.outcome import Ended, Outcome
from goaime_migrate.cli.scope import names_several
from goaime_migrate.cli.signals import immediate, interruption
from goaime_migrate.errors import MigrateError

if TYPE_CHECKING:
    from goaime_migrate.cli.options import Request


def run(argv: Sequence[str]) -> int:
    """Do what the command line says and return the exit status. Raises nothing that a user can cause."""
    log, lines = words.wants("--log-json", argv), words.wants("--watch", argv)
    console = open_console(os.environ, verbose="--verbose" in argv or "-v" in argv, lines=lines, log=log)
    streams.shape(shape_of(console))
    asked = words.wants("--json", argv)
    command = ""
    try:
        with immediate():
            request = _parse(words.steps(argv))
            if isinstance(request, int):
                return request
            command, common = request.command, request.common
            asked = common.json
            console = open_console(
                os.environ,
                quiet=common.quiet,
                verbose=common.verbose,
                lines=lines,
                log=common.log_json,
                options=common.said,
            )
            with mask_output(console):
                outcome = _outcome(request, Invocation(command, common, console))
        return finish(console, outcome, json=asked)
    except KeyboardInterrupt as error:
        failure: MigrateError = interruption(error, command)
    except MigrateError as error:
        failure = error
    except Exception as error:  # noqa: BLE001 (the last resort: one line instead of a page)
        failure = _unexpected_error(error)
    return fail(console, failure, command, json=asked, several=asked and names_several(argv))


def _outcome(request: Request, invocation: Invocation) -> Outcome:
    try:
        return request.call(invocation)
    except Ended as stopped:
        return stopped.outcome


def _parse(argv: Sequence[str]) -> Request | int:
    """The request; or an exit status, where help was printed."""
    command = words.check(argv, COMMANDS)
    if command and (request := plain.request(command, argv)):
        return request
    from goaime_migrate.cli.parser import parse

    return parse(command, argv)


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
