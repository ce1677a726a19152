"""What a setting may be: readers, each of which gets what was written, and gives the value that it means.

A reader raises ValueError in words for people: "it should be …". They are few and plain; a library that knows all kinds
of values takes longer to import than a `status` takes to be read.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

_Value = TypeVar("_Value")
_Choice = TypeVar("_Choice", bound=StrEnum)
_FLAGS = dict.fromkeys(("true", "yes", "on", "1", "t", "y"), True) | dict.fromkeys(
    ("false", "no", "off", "0", "f", "n"), False
)


def text(value: Any) -> str:
    """A text."""
    _require(isinstance(value, str), "it should be a valid string")
    return str(value)


def like(pattern: str, should: str) -> Callable[[Any], str]:
    """A text of this form; `should` says which that is."""

    def read(value: Any) -> str:
        _require(re.fullmatch(pattern, text(value)), should)
        return text(value)

    return read


def number(least: float) -> Callable[[Any], float]:
    """A number of at least so much."""

    def read(value: Any) -> float:
        found = _finite(value, "a number")
        _require(found >= least, f"it should be greater than or equal to {least:g}")
        return found

    return read


def whole(least: int) -> Callable[[Any], int]:
    """A whole number of at least so much."""

    def read(value: Any) -> int:
        _require(_finite(value, "a whole number").is_integer(), "it should be a whole number")
        return int(number(least)(value))

    return read


def positive(value: Any) -> float:
    """A number above nothing."""
    found = _finite(value, "a number")
    _require(found > 0, "it should be greater than 0")
    return found


def up_to(most: float, read: Callable[[Any], float]) -> Callable[[Any], float]:
    """Such a number, of at most so much."""

    def read_bounded(value: Any) -> float:
        found = read(value)
        _require(found <= most, f"it should be at most {most:,}")
        return found

    return read_bounded


def _finite(value: Any, kind: str) -> float:
    try:
        _require(not isinstance(value, bool), "yes and no are no numbers")
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"it should be {kind}") from None
    _require(math.isfinite(found), "it should be a finite number")
    return found


def flag(value: Any) -> bool:
    """Yes or no, in one of the usual words."""
    said = str(value).lower()
    _require(said in _FLAGS, "it should be true or false")
    return _FLAGS[said]


def one_of(kind: type[_Choice]) -> Callable[[Any], _Choice]:
    """One of the words of an enumeration."""

    def read(value: Any) -> _Choice:
        try:
            return kind(value)
        except ValueError:
            *others, last = (repr(each.value) for each in kind)
            raise ValueError(f"it should be {', '.join(others)} or {last}") from None

    return read


def path(value: Any) -> Path:
    """A path."""
    _require(isinstance(value, str | Path), "it should be a path")
    return Path(value)


def many(read: Callable[[Any], _Value]) -> Callable[[Any], tuple[_Value, ...]]:
    """A list of such values."""

    def read_all(value: Any) -> tuple[_Value, ...]:
        _require(isinstance(value, list | tuple), "it should be a list")
        return tuple(map(read, value))

    return read_all


def maybe(read: Callable[[Any], _Value]) -> Callable[[Any], _Value | None]:
    """Such a value, or None."""
    return lambda value: None if value is None else read(value)


def _require(condition: object, should: str) -> None:
    if not condition:
        raise ValueError(should)
