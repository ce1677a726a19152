"""The parser: everything that a command line can be, its help, and its errors."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Sequence
from itertools import pairwise
from typing import Annotated, Any, get_args

import typer
import typer.main

from goaime_migrate.cli.argv import PROGRAM, TAKING_A_VALUE
from goaime_migrate.cli.commands import COMMANDS, function_of
from goaime_migrate.cli.options import Argument, Request, names_of, parameters
from goaime_migrate.cli.outcome import Outcome
from goaime_migrate.errors import UsageError


def parse(command: str | None, argv: Sequence[str]) -> Request | int:
    """The request; or an exit status, where help was printed. Raises UsageError."""
    if command:
        _require_values(command, argv)
    parser = typer.main.get_command(application([command] if command else COMMANDS))
    try:
        asked = list(argv) or ["--help"]
        request: Request | int | None = parser.main(asked, prog_name=PROGRAM, standalone_mode=False)
    except typer.TyperException as error:
        hint = f"{PROGRAM} {command} --help" if command else f"{PROGRAM} --help"
        raise UsageError(error.format_message().replace("Value error, ", ""), hint=hint) from None
    except typer.Abort:
        raise KeyboardInterrupt from None
    return 0 if request is None else request


def _require_values(command: str, argv: Sequence[str]) -> None:
    """Refuse an option where the value of another one should be: the parser would take it for a file's name, say.

    Whoever means such a value writes ``--html=--json``. Raises UsageError.
    """
    known = {n: p for p in parameters(function_of(command)) for n in names_of(p)}
    for option, word in pairwise(argv):
        if option == "--":
            return
        if option in TAKING_A_VALUE and (word.startswith("--") or word in known):
            said = get_args(known[option].annotation)[1] if option in known else None
            value = (said and said.metavar) or option.lstrip("-").upper()
            raise UsageError(
                f"{option} needs a value, and {word.partition('=')[0]} is none",
                hint=f"{PROGRAM} {command} {option} {value}",
            )


def application(names: Collection[str] = tuple(COMMANDS)) -> typer.Typer:
    """The parser. One that knows only the command which is meant is built in half the time."""
    app = typer.Typer(
        name=PROGRAM,
        add_completion=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    app.callback()(root)

    for name in names:
        app.command(name)(_requester(name, function_of(name)))
    return app


def root(
    _: Annotated[bool, typer.Option("--version", "-V", help="Print the version.")] = False,
) -> None:
    """Versioned schema and data migrations for MongoDB."""


def _requester(name: str, function: Callable[..., Outcome]) -> Callable[..., Request]:
    """The function for the parser, which returns a Request.

    The command itself runs later, outside of the parser, which would turn its exceptions into its own.
    """

    def parse(**given: Any) -> Request:
        return Request.of(name, function, given)

    taken = [p.replace(annotation=_parser_annotation(p.annotation)) for p in parameters(function)]
    parse.__doc__ = inspect.getdoc(function)
    vars(parse)["__signature__"] = inspect.Signature(taken)
    parse.__annotations__ = {parameter.name: parameter.annotation for parameter in taken}
    return parse


def _parser_annotation(annotation: Any) -> Any:
    """The annotation in the parser's own words."""
    kind, said = get_args(annotation)
    if isinstance(said, Argument):
        return Annotated[kind, typer.Argument(metavar=said.metavar, help=said.help)]
    return Annotated[kind, typer.Option(*said.names, metavar=said.metavar, min=said.min, help=said.help)]
