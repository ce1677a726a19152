"""The options of every command, and how a plain function becomes a command of the parser."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option

from goaime_migrate.cli.invocation import Common, Invocation
from goaime_migrate.cli.outcome import Outcome

Target = Annotated[
    str | None,
    Argument(
        metavar="TARGET",
        help="A version (3, 0003), a part of a name, head, base, or a number of steps (-1, +2).",
    ),
]
Where = Annotated[
    str | None,
    Option("--where", metavar="JSON", help="Only the documents that match this filter, in Extended JSON."),
]
Yes = Annotated[bool, Option("--yes", "-y", help="Do not ask.")]
DryRun = Annotated[bool, Option("--dry-run", help="Show what would be done, and do nothing.")]
LockTimeout = Annotated[
    str | None, Option(metavar="SECONDS", help="How long to wait for another run's lock [60].")
]
Workers = Annotated[
    str | None,
    Option(metavar="N", help="Processes that share a large collection on a replica set [one a core]."),
]
Executor = Annotated[
    str | None,
    Option(metavar="WHERE", help="Where workers run: processes [of this host], or dask:tcp://HOST:PORT."),
]
BatchSize = Annotated[str | None, Option(metavar="N", help="Most documents in one transaction.")]
MaxLag = Annotated[str | None, Option(metavar="SECONDS", help="Pause while a secondary is further behind.")]
MaxRate = Annotated[str | None, Option(metavar="N", help="Most documents a second.")]
Untested = Annotated[
    bool | None, Option("--allow-untested-topology", help="Go on where the fault tests never ran.")
]

_COMMON: dict[str, Any] = {
    "config": Annotated[
        Path | None, Option("--config", "-c", metavar="FILE", help="The configuration file.")
    ],
    "env": Annotated[
        str | None, Option(metavar="NAME", help="Use the section [env:NAME] of the configuration.")
    ],
    "uri": Annotated[
        str | None, Option(metavar="URI", help="mongodb://HOST, or dump:PATH for a mongodump directory.")
    ],
    "database": Annotated[str | None, Option(metavar="NAME", help="The database.")],
    "migrations": Annotated[str | None, Option(metavar="PATH", help="The folder of the migrations.")],
    "json": Annotated[bool, Option("--json", help="Print one JSON value.")],
    "quiet": Annotated[bool, Option("--quiet", "-q", help="Print errors only.")],
    "verbose": Annotated[bool, Option("--verbose", "-v", help="Print more, and tracebacks.")],
}


def root(_: Annotated[bool, Option("--version", "-V", help="Print the version.")] = False) -> None:
    """Versioned schema and data migrations for MongoDB."""


@dataclass(frozen=True)
class Request:
    """A command line that has been understood, not yet acted on."""

    command: str
    common: Common
    call: Callable[[Invocation], Outcome]


def parsed(name: str, function: Callable[..., Outcome]) -> Callable[..., Request]:
    """The function for the parser: the command's own options, then the common ones; it returns a Request.

    The command itself runs later, outside of the parser, which would turn its exceptions into its own.
    """

    def parse(**given: Any) -> Request:
        common = Common(**{field.name: given.pop(field.name) for field in fields(Common)})
        return Request(name, common, lambda invocation: function(invocation, **given))

    signature = inspect.signature(function, eval_str=True)
    own = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for parameter in list(signature.parameters.values())[1:]
    ]
    shared = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=False if name in ("json", "quiet", "verbose") else None,
            annotation=annotation,
        )
        for name, annotation in _COMMON.items()
    ]
    parse.__doc__ = inspect.getdoc(function)
    parse.__signature__ = inspect.Signature([*own, *shared])  # type: ignore[attr-defined]
    parse.__annotations__ = {parameter.name: parameter.annotation for parameter in [*own, *shared]}
    return parse
