"""What `init` and `new` return."""

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
