"""What a command ends with, before anything is printed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from goaime_migrate.errors import MigrateError
from goaime_migrate.render.style import Style


@dataclass(frozen=True)
class Outcome:
    """A result in both of its forms, made only when asked for, and the error that decides the exit status."""

    text: Callable[[Style], str]
    json: Callable[[], Any]
    error: MigrateError | None = None
    read: bool = False
    """The result is what was asked for, so that --quiet does not hide it."""
