"""What a command ends with, before anything is printed."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from goaime_migrate.errors import MigrateError
from goaime_migrate.render.style import Style


class Outcome(NamedTuple):
    """A result, how it reads, and the error that decides the exit status."""

    result: object
    """A dataclass of `results`, or a tuple of them, which --json prints."""
    text: Callable[[Style], str]
    error: MigrateError | None = None
    raw: bool = False
    """The text is for a program, and is printed as it is; its secrets are left out, nothing else is."""
    brief: str = ""
    """One line that stands for the text where there is one of each of several databases; by default its last line."""
    evidence: str = ""
    """What the error stands for, where there is one of each of several databases: the text is not shown then."""
    read: bool = False
    """The result is what was asked for, so that --quiet does not hide it."""


class Ended(Exception):
    """The command was stopped, and this is what has come of it by then."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__()
        self.outcome = outcome
