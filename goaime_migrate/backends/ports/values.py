"""What a database says of itself: what it can do, who holds its lease, which collections it has."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from goaime_migrate.results import Document, Mode

if TYPE_CHECKING:
    from goaime_migrate.results import Throttle, Waiting


class Capabilities(NamedTuple):
    """What the database can do, probed once when it is opened. No other code asks which backend it is."""

    mode: Mode
    product: str
    """For people: "replica set rs0", "standalone", "mongos" or "dump directory"."""
    transactions: bool
    """A batch is one transaction: documents, journal and cursor change together or not at all."""
    change_streams: bool
    deltas: bool
    """A `Write` may hold some fields of a document only, many may be a `Sweep`, and that is cheaper.

    So is a part of a document to read.
    """
    leases: bool
    """The lock is a record with an expiry that must be renewed; else it lives and dies with the process."""
    server_code: bool
    """Users' plain functions talk to a real server: what they have written before they raise stays written."""
    workers: bool = False
    """Several processes may change the same database side by side."""
    validators: bool = True
    """Validators are held against what is written; else they are kept for a server that will do so."""


class Owner(NamedTuple):
    """Who asks for the lease."""

    run: str
    who: str
    host: str
    pid: int
    boot: str
    """Identifies the boot of the host, so that a pid is not mistaken for an older one."""
    started: str
    """When the process started, in the kernel's own unit."""


PAUSED = "paused from another terminal"
"""What a run waits for that `throttle` has paused."""


class Pause(NamedTuple):
    """A time for which a run was paused."""

    since: datetime
    until: datetime


class LeaseRecord(NamedTuple):
    """The lease as the database knows it. `live`: not expired, by the server's clock."""

    owner: Owner
    fence: int
    acquired_at: datetime | None
    expires_at: datetime | None
    live: bool
    waiting: Waiting | None = None
    """What its owner says that it waits for."""
    throttle: Throttle | None = None
    """What its owner was told by others: to go slower, or to wait."""
    pauses: tuple[Pause, ...] = ()
    """For how long it was paused, as often as that was: none of that is time in which it has worked."""


_UNWALKABLE = {
    "view": "a view has no documents of its own",
    "timeseries": "time-series documents cannot be replaced",
}


class CollectionInfo(NamedTuple):
    """A collection as the catalogue has it: `kind` is collection, view or timeseries."""

    name: str
    kind: str
    options: Document
    uuid: bytes | None = None
    """What the server tells it by from another of the same name."""

    @property
    def unwalkable(self) -> str:
        """Why its documents cannot be replaced one by one; empty where they can."""
        if self.kind in _UNWALKABLE:
            return _UNWALKABLE[self.kind]
        if self.options.get("capped"):
            return "documents of a capped collection cannot grow, and its oldest ones go"
        if (self.options.get("collation") or {}).get("locale", "simple") != "simple":
            return "its collation orders _ids in a way of its own"
        return ""


class Origin(NamedTuple):
    """What tells a database from a copy of it; nothing where it has nothing of the kind."""

    deployment: str | None = None
    """The replica set: its name, and behind a slash its own id where the user may read that."""
    uuids: Mapping[str, bytes] = MappingProxyType({})
    """By the names of all collections, those of the tool's own records included."""
