"""The next command to type, as a value: what an error advises says which command it is, not only how it reads."""

from __future__ import annotations

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


FROM_BACKUP = (
    "restore all collections of the records together (schema_versions and schema_versions_*, or as records= names "
    "them) from one and the same backup"
)
"""The way on where a record is damaged or gone."""
UPGRADE = Hint("upgrade: pip install --upgrade {}", PROGRAM)
