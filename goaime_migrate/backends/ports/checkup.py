"""A closer look at a server, for whoever asks whether a migration would come to its end there. Nothing is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from goaime_migrate.backends.ports.leasing import Need


@dataclass(frozen=True)
class Member:
    """A member of a replica set as the primary sees it."""

    name: str
    state: str
    """In the server's words: PRIMARY, SECONDARY, ARBITER, DOWN."""
    healthy: bool
    votes: bool
    hidden: bool
    delay_s: float
    """How far it stays behind on purpose."""
    lag_s: float | None
    """How far it is behind the primary; None where that is not known."""


@dataclass(frozen=True)
class Oplog:
    """How much of the past a replica set keeps."""

    max_bytes: int
    seconds: float
    """From its oldest entry to its newest."""


@dataclass(frozen=True)
class Lacking:
    """What a user may not do, and the grant to type."""

    actions: tuple[str, ...]
    """Each with what it would be done to: "update on shop.orders"."""
    grant: str


class Checkup(Protocol):
    """Every method may raise MissingPrivilege."""

    def version(self) -> str:
        """The server's own: 6.0.27."""

    def clock_ahead(self) -> float:
        """By how many seconds the server's clock is ahead of this machine's."""

    def members(self) -> Sequence[Member]:
        """All of the replica set."""

    def oplog(self) -> Oplog:
        """Of the replica set."""

    def cache_bytes(self) -> int | None:
        """How large the cache of the storage engine may become; None for one that has none."""

    def lacking(self, needs: Sequence[Need]) -> Lacking | None:
        """Of these actions those that this user may not do; None where there are none."""
