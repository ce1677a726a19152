"""Which database it is, and who may write to it: the lease, as a database keeps it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from goaime_migrate.backends.ports.values import Capabilities, LeaseRecord, Owner


class Need(NamedTuple):
    """What it takes to be allowed, in the server's words."""

    collection: str
    """Where; the database as a whole where it is empty."""
    actions: Sequence[str]
    instead: tuple[Need, ...] = ()
    """What, all of it, will do as well."""


class Database(Protocol):
    """Which database this is, what it can do, and how it is doing."""

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""

    @property
    def database_name(self) -> str:
        """Its name on the server, or within the dump."""

    @property
    def records(self) -> str:
        """What the collections of this tool's own records are called."""

    @property
    def server(self) -> str:
        """Where the database is, without any secret."""

    def now(self) -> datetime:
        """The server's clock, UTC."""

    def replication_lag(self) -> float | None:
        """How many seconds the slowest replica is behind that takes part; None where there is none.

        Raises MissingPrivilege, MissingCapability where it cannot be seen.
        """

    def require_actions(self, needs: Sequence[Need]) -> None:
        """Refuse what this user may not do. Raises MissingPrivilege."""


class LeaseStore(Database, Protocol):
    """Keeps the lease: who may write."""

    def read_lease(self) -> LeaseRecord | None:
        """The lease as it is now, None if there never was one or it was released."""

    def try_lease(self, owner: Owner, ttl_s: float, *, dead: LeaseRecord | None = None) -> LeaseRecord:
        """Take the lease if it is free (or is still `dead`'s, whose process is known to be gone).

        Returns the lease as it then is: it is mine if it has my run. When taken, the fence is raised in it and in
        every unfinished partition before this returns.
        """

    def renew_lease(self, lease: LeaseRecord, ttl_s: float) -> LeaseRecord | None:
        """Put the end of the lease off, and hear what others have told its owner; None if it is no longer mine.

        Where its record is gone, as after a function has dropped the database, it is put back.
        """

    def note_waiting(self, lease: LeaseRecord, reason: str | None) -> None:
        """Let others see what the owner of the lease waits for; None when it goes on."""

    def throttle_lease(self, lease: LeaseRecord, words: Mapping[str, Any]) -> LeaseRecord | None:
        """Tell the owner of the lease how fast to go; the lease as it then is, None if it has ended meanwhile.

        `words` are fields of a `Throttle`: the others stay as they are. Without any all of it is taken back.

        The owner hears of it with its next renewal, and it ends with the lease.
        """

    def release_lease(self, lease: LeaseRecord) -> None:
        """Give the lease back; nothing happens if it is no longer mine."""

    def break_lease(self) -> None:
        """End whoever's lease it is and raise the fence, so that its owner can write nothing more."""
