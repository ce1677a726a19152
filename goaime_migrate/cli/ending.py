"""How a command ends: its result and its error are printed, and the exit status follows from them."""

from __future__ import annotations

import contextlib
from typing import Any

from goaime_migrate.cli.console import Console
from goaime_migrate.cli.outcome import Outcome
from goaime_migrate.errors import MigrateError
from goaime_migrate.redaction import redact
from goaime_migrate.render.style import clean_lines


def finish(console: Console, outcome: Outcome, *, json: bool) -> int:
    """Print a result, and the error that came with it."""
    if json:
        show_value(console, outcome.result, outcome.error)
    elif outcome.read or not console.quiet:
        text = outcome.text(console.out)
        console.result(redact(text) if outcome.raw else text, redacted=outcome.raw)
    if outcome.error is None:
        return 0
    report(console, outcome.error)
    return outcome.error.exit_code


def fail(console: Console, error: MigrateError, command: str, *, json: bool, several: bool = False) -> int:
    """Report an error that came instead of a result, that of one database or of `several`."""
    if json:
        from goaime_migrate.render.json import failure_value

        with contextlib.suppress(OSError):
            _show(console, failure_value(command, error, several=several))
    report(console, error)
    return error.exit_code


def show_value(console: Console, result: object, error: MigrateError | None = None) -> None:
    """A result as --json prints it: one value, or a line of many where the command goes on."""
    from goaime_migrate.render.json import result_value

    _show(console, result_value(result, error))


def _show(console: Console, value: Any) -> None:
    from goaime_migrate.render.json import dumps

    text = dumps(value, redact, told=console.out.spell, indent=None if console.lines else 2)
    console.result(text, redacted=True)


def report(console: Console, error: MigrateError) -> None:
    """The error on stderr."""
    from goaime_migrate.render import errors

    if console.log:
        from goaime_migrate.render.json import failure

        console.event("error", **failure(error) | {"hint": console.err.spell(error.hint)})
    else:
        console.urgent(errors.error(error, console.err))
    # Only what nobody foresaw needs one: every other error has said its cause, and its evidence.
    if console.err.verbose and error.code == MigrateError.code and error.__traceback__ is not None:
        import traceback

        console.urgent("\n".join(clean_lines("".join(traceback.format_exception(error)).rstrip())))
