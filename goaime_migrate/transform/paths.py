"""Paths of fields: `a.b` leads into documents, `items.$[].x` into each element of an array, `tags.$[]` to the elements.

A path leads to places: a document and a name in it, or an array and an index. What it cannot go into is left as it is
and noted, so that nobody takes a path that leads nowhere for one that has nothing to do.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from goaime_migrate.errors import InvalidMigration

EACH = "$[]"
"""The part of a path that stands for every element of an array."""
_EACH_MEANT = re.compile(r"\$|\$?\[[^\]]*\]|\*|\d+", re.ASCII)
"""Parts with which other languages, and MongoDB's queries, lead into an array,"""
_EACH_BEHIND = re.compile(r"(?P<name>[^$\[\]]+)(?:\[[\d*]*\])+", re.ASCII)
"""and such that stand behind a name."""

Place = tuple[Any, Any]
"""What holds a value, and its key there: a document and a name that it may lack, or an array and an index."""


class CannotChange(ValueError):
    """A document that an operation cannot change as it should: in which field, and why."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field


class Path(NamedTuple):
    """A path, taken apart."""

    parts: tuple[str, ...]

    def __str__(self) -> str:
        return ".".join(self.parts)

    @property
    def top(self) -> str:
        """The top-level field."""
        return self.parts[0]

    @property
    def last(self) -> str:
        """The part that names the field itself."""
        return self.parts[-1]

    def split(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """What leads to the last array's elements, and what leads on from there."""
        arrays = [i for i, part in enumerate(self.parts) if part == EACH]
        start = arrays[-1] + 1 if arrays else 0
        return self.parts[:start], self.parts[start:]


def parse(path: object, what: str) -> Path:
    """Take a path apart. Raises InvalidMigration with the right form; `what` says whose path it is."""
    if not isinstance(path, str) or not path or "\0" in path:
        raise InvalidMigration(f"{what}: the field must be a name or a path, not {path!r}", hint=_FORMS)
    parts = path.split(".")
    right = _right_form(parts)
    if right != path:
        raise InvalidMigration(
            f"{what}: {path!r} is no path", hint=f"write {right!r}: {_FORMS}" if right else _FORMS
        )
    if parts[0] == "_id":
        raise InvalidMigration(f"{what}: _id stays as it is, and so does what is in it", hint=_IDS)
    if any(map(_is_no_name, (part for part in parts if part != EACH))) or parts[0] == EACH:
        raise InvalidMigration(f"{what}: {path!r} has a part that is no name of a field", hint=_FORMS)
    try:
        path.encode()
    except UnicodeEncodeError as error:
        raise InvalidMigration(f"{what}: {path!r} is no text: {error}", hint=_FORMS) from error
    return Path(tuple(parts))


_FORMS = "a.b leads into a document, items.$[].x into every element of an array, tags.$[] to the elements"
_IDS = "to give documents other ids, derive new ones from them"


def _is_no_name(part: str) -> bool:
    return part.startswith("$") or (part.isascii() and part.isdigit())


def _right_form(parts: Sequence[str]) -> str:
    """The path as it is meant: no empty parts, and one form for the elements of an array."""
    right: list[str] = []
    for place, part in enumerate(parts):
        behind = _EACH_BEHIND.fullmatch(part)
        if behind:
            right += [behind["name"], *[EACH] * part.count("[")]
        elif part:
            right.append(EACH if place and _EACH_MEANT.fullmatch(part) else part)
    return ".".join(right)


@dataclass
class Walker:
    """Finds the places of one path after the other in a document, and notes where they do not lead on.

    With `makes`, documents that are absent on the way are made, as `$set` does.
    """

    makes: bool = False
    notes: dict[str, None] = field(default_factory=dict)
    """What is to be told of this document, each text once."""

    def places(self, value: Any, path: Path, start: int = 0) -> Iterator[Place]:
        """The places that a path leads to, in order; `start` of its parts have led to the value already."""
        return self._below(value, path.parts, start)

    def warn(self) -> None:
        """Tell what was noted."""
        for text in self.notes:
            warnings.warn(text, stacklevel=2)

    def no_document(self, name: str) -> None:
        """Something is to be made in what is null or no document."""
        self._note(f"{name} is null or no document everywhere: nothing is added where it is none")

    def _below(self, value: Any, parts: Sequence[str], at: int) -> Iterator[Place]:
        if parts[at] == EACH:
            yield from self._elements(value, parts, at)
        elif not isinstance(value, dict):
            self._no_way(value, parts, at)
        elif at == len(parts) - 1:
            yield value, parts[at]
        else:
            if parts[at] not in value:
                if not self.makes or EACH in parts[at:]:
                    return
                value[parts[at]] = {}
            yield from self._below(value[parts[at]], parts, at + 1)

    def _elements(self, value: Any, parts: Sequence[str], at: int) -> Iterator[Place]:
        if not isinstance(value, list):
            if value is not None or self.makes:
                self._note(f"{_name(parts[:at])} is no array everywhere: what is none stays as it is")
        elif at == len(parts) - 1:
            yield from ((value, index) for index in range(len(value)))
        else:
            last = parts[-1] if at == len(parts) - 2 and parts[-1] != EACH else None
            for item in value:
                if last is not None and type(item) is dict:  # without a generator for each
                    yield item, last
                else:
                    yield from self._below(item, parts, at + 1)

    def _no_way(self, value: Any, parts: Sequence[str], at: int) -> None:
        name = _name(parts[:at])
        if isinstance(value, list):
            right = _name([*parts[:at], EACH, *parts[at:]])
            self._note(
                f"{name} is an array, nothing in it is changed: for each of its elements write {right}"
            )
        elif self.makes:
            self.no_document(name)

    def _note(self, text: str) -> None:
        self.notes[text] = None


def _name(parts: Sequence[str]) -> str:
    return ".".join(parts)
