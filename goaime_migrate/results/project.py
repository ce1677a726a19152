"""What `init`, `new` and `explain` return."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class NewResult:
    """The file that `new` wrote."""

    version: str
    path: str


@dataclass(frozen=True)
class InitResult:
    """The files that `init` wrote; those that were there already are left alone."""

    created: tuple[str, ...]
    kept: tuple[str, ...] = ()


@dataclass(frozen=True)
class ErrorText:
    """An error with its long form."""

    code: str
    name: str
    exit_code: int
    text: str


@dataclass(frozen=True)
class RuleText:
    """A rule of `plan` or `lint` with what it is about."""

    rule: str
    text: str


@dataclass(frozen=True)
class ExplainResult:
    """The errors, or the rule, that were asked for."""

    errors: tuple[ErrorText, ...] = ()
    rules: tuple[RuleText, ...] = ()
