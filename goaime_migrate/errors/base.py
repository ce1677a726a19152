"""What all errors have in common, and the list of them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from goaime_migrate.errors.hint import Hint
from goaime_migrate.redaction import redact


class MigrateError(Exception):
    """Something went wrong that the tool has no better name for.

    Mostly it is a mistake in the tool itself, which the message then says, or a result that could not be
    printed. What had been committed before is recorded, and a batch that was not committed has changed
    nothing.

    See where the database stands with `goaime-migrate status`; `goaime-migrate up` goes on from there. The
    same command with --verbose shows the traceback: please report it.
    """

    code: ClassVar[str] = "GM000"
    exit_code: int = 1

    def __init__(
        self,
        message: str,
        *,
        hint: str | Hint = "",
        version: str | None = None,
        id: Any = None,
        field: str | None = None,
        detail: str = "",
    ) -> None:
        self.message = _without_secrets(message)
        """Whoever catches it may log it as it is: what users' code says in it has lost its passwords."""
        super().__init__(self.message)
        self.hint = hint if isinstance(hint, Hint) else Hint("{}", hint) if hint else Hint("")
        self.version = version
        self.id = id
        self.field = field
        self.detail = _without_secrets(detail)
        """Evidence for people, several lines at most: the user's own traceback lines, a document."""

    def advise(self, hint: Hint) -> MigrateError:
        """Say what leads on, where whoever met the error knows it and the place that raised it could not."""
        self.hint = hint
        return self

    def at(self, version: str) -> MigrateError:
        """Name the version where this happened, unless something closer to the cause already did."""
        self.version = self.version or version
        return self


_LONGEST = 20_000
"""Characters of a message: more than a person reads, and what users' code raises may be of any length."""
_MARGIN = 4_000
"""Looked at beyond them, so that no secret is cut in two before it is found."""


def _without_secrets(text: str) -> str:
    if len(text) <= _LONGEST:
        return redact(text)
    return redact(text[: _LONGEST + _MARGIN])[:_LONGEST] + " …"


@dataclass(frozen=True)
class Problem:
    """A difference between the files and the history, as ``status`` lists it."""

    code: str
    version: str | None
    message: str
    hint: str


def by_code() -> dict[str, type[MigrateError]]:
    """Every error class by its code."""
    return {cls.code: cls for cls in _tree(MigrateError)}


def explanation(cls: type[MigrateError]) -> str:
    """The long form of an error: the paragraphs of its docstring, each on a line, with an empty one between."""
    paragraphs = (inspect.getdoc(cls) or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def _tree(cls: type[MigrateError]) -> Iterator[type[MigrateError]]:
    yield cls
    for sub in cls.__subclasses__():
        yield from _tree(sub)
