"""The next command to type, as a value: what an error advises says which command it is, not only how it reads."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Self

PROGRAM = "goaime-migrate"


class Command(NamedTuple):
    """A command line without the program's name."""

    words: tuple[str, ...]

    def __str__(self) -> str:
        return " ".join((PROGRAM, *self.words))

    def to(self, *more: str) -> Command:
        """The same command with a target or options behind it."""
        return Command((*self.words, *more))


UP, DOWN, PLAN = Command(("up",)), Command(("down",)), Command(("plan",))
STATUS, REPAIR, UNLOCK = Command(("status",)), Command(("repair",)), Command(("unlock",))
INIT, REHEARSE = Command(("init",)), Command(("rehearse",))


class Hint(str):
    """A sentence with the commands that it names: text for whoever prints it, values besides.

    Each ``{}`` of the template stands for one of the parts: a command, another hint, or plain text.
    """

    __slots__ = ("parts", "template")
    template: str
    parts: tuple[str | Command, ...]

    def __new__(cls, template: str, *parts: str | Command) -> Self:
        """The sentence; what the parts say is not looked at for braces."""
        made = super().__new__(cls, template.format(*parts))
        made.template, made.parts = template, parts
        return made

    @property
    def commands(self) -> tuple[Command, ...]:
        """The commands in it, in their order."""
        found: list[Command] = []
        for part in self.parts:
            if isinstance(part, Command):
                found.append(part)
            elif isinstance(part, Hint):
                found += part.commands
        return tuple(found)

    def instead(self, old: Command, new: Command) -> Hint:
        """The same advice where another command does what `old` would do."""
        changed = [
            new if part == old else part.instead(old, new) if isinstance(part, Hint) else part
            for part in self.parts
        ]
        return Hint(self.template, *changed)


COMMAND = re.compile(rf"{PROGRAM}(?: (?!(?:or|and|then)\b)(?:'[^'\n]*'|\"[^\"\n]*\"|[^\s,;()'\"])+)+")
"""A command inside a hint, with what stands behind it."""
_OF_NOTHING, _OF_FILES = ("init", "explain"), ("new", "lint")
"""Commands that need no option to be about the same thing, and those for which a database is none."""
_OF_A_DATABASE = ("--uri", "--database")


def carrying(hint: str, options: Iterable[tuple[str, str]]) -> str:
    """A hint whose commands are about the same project and database as the one that was typed with these options.

    Where a command ends is known of a `Hint`; in any other text they stand right behind its name.

    >>> carrying(Hint("mend it, then: {}", UP.to("3")), [("--env", "production")])
    'mend it, then: goaime-migrate up 3 --env production'
    >>> carrying("then goaime-migrate up goes on", [("--env", "production")])
    'then goaime-migrate up --env production goes on'
    """
    given = tuple(options)
    if not given:
        return hint
    if isinstance(hint, Hint):
        return hint.template.format(*(_part(part, given) for part in hint.parts))
    return COMMAND.sub(lambda found: _within(found[0], given), hint)


def _part(part: str | Command, options: tuple[tuple[str, str], ...]) -> str:
    if isinstance(part, Command):
        name, *rest = part.words
        return " ".join((str(part), *_missing_options(name, rest, options)))
    return carrying(part, options)


def _within(command: str, options: tuple[tuple[str, str], ...]) -> str:
    program, name, *rest = command.split(" ")
    return " ".join((program, name, *_missing_options(name, rest, options), *rest))


def _missing_options(name: str, rest: Sequence[str], options: Iterable[tuple[str, str]]) -> list[str]:
    """The options that a command lacks."""
    if name.startswith("-") or name in _OF_NOTHING or "--help" in rest:
        return []
    return [
        f"{option} {shlex.quote(value)}"
        for option, value in options
        if option not in rest and not (name in _OF_FILES and option in _OF_A_DATABASE)
    ]


FROM_BACKUP = (
    "restore all collections of the records together (schema_versions and schema_versions_*, or as records= names "
    "them) from one and the same backup"
)
"""The way on where a record is damaged or gone."""
UPGRADE = Hint("upgrade: pip install --upgrade {}", PROGRAM)
