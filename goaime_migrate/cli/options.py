"""The options of every command, as they stand in the signatures of the commands. No parser is needed to read this."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NamedTuple, get_args

from goaime_migrate.cli.invocation import Common, Invocation
from goaime_migrate.cli.outcome import Outcome


class Argument:
    """A parameter that is given by its place."""

    def __init__(self, *, metavar: str, help: str) -> None:
        self.metavar = metavar
        self.help = help


class Option:
    """A parameter that is given by a name: its own with dashes, where no names are said."""

    def __init__(self, *names: str, help: str, metavar: str | None = None, min: float | None = None) -> None:
        self.names = names
        self.help = help
        self.metavar = metavar
        self.min = min


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


class Format(StrEnum):
    """How `plan` and `lint` print what they have found."""

    TEXT = "text"
    MARKDOWN = "markdown"
    GITHUB = "github"
    SARIF = "sarif"


As = Annotated[
    Format,
    Option(
        "--format",
        help="text, markdown for a pull request, github for annotations, or sarif for code scanners [text].",
    ),
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

First = Annotated[
    str | None,
    Option(
        metavar="NAME", help="Of several databases the one to begin with; if it fails, no other is begun."
    ),
]
FailFast = Annotated[
    bool, Option("--fail-fast", help="Of several databases begin no other once one has failed.")
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
    "database": Annotated[
        list[str] | None,
        Option(
            metavar="NAME", help="The database; for some commands several: a,b or tenant_*, or repeat it."
        ),
    ],
    "migrations": Annotated[str | None, Option(metavar="PATH", help="The folder of the migrations.")],
    "json": Annotated[bool, Option("--json", help="Print one JSON value.")],
    "log_json": Annotated[bool, Option("--log-json", help="Tell events as lines of JSON on stderr.")],
    "quiet": Annotated[bool, Option("--quiet", "-q", help="Print errors only.")],
    "verbose": Annotated[bool, Option("--verbose", "-v", help="Print more, and tracebacks.")],
}


class Request(NamedTuple):
    """A command line that has been understood, not yet acted on."""

    command: str
    common: Common
    function: Callable[..., Outcome]
    own: dict[str, Any]
    """The command's own options."""

    @classmethod
    def of(cls, command: str, function: Callable[..., Outcome], given: dict[str, Any]) -> Request:
        """The request for a command, from the values of all its parameters."""
        shared = set(Common._fields)
        return cls(
            command,
            Common(**{name: value for name, value in given.items() if name in shared}),
            function,
            {name: value for name, value in given.items() if name not in shared},
        )

    def call(self, invocation: Invocation) -> Outcome:
        """Do it."""
        return self.function(invocation, **self.own)


def parameters(function: Callable[..., Outcome]) -> list[inspect.Parameter]:
    """What a command takes: its own arguments and options, then the common ones. Annotations are evaluated."""
    own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
    return [
        *(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own),
        *(
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=False if name in ("json", "log_json", "quiet", "verbose") else None,
                annotation=annotation,
            )
            for name, annotation in _COMMON.items()
        ),
    ]


def names_of(parameter: inspect.Parameter) -> Sequence[str]:
    """What an option is called on the command line; an argument has no name there."""
    said: Argument | Option = get_args(parameter.annotation)[1]
    if isinstance(said, Argument):
        return ()
    return said.names or ("--" + parameter.name.replace("_", "-"),)
