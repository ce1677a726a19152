"""What the engine needs of a database, whatever is behind it: reads, one atomic change at a time, a lease.

Documents travel as raw BSON (`bytes`), an `_id` as the raw one-element document ``{_id: x}``: both keep types, key
order and everything that decoding would lose. Ranges of `_id`s are in BSON's total order, over all types.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from goaime_migrate.results import Document

Filter = Mapping[str, Any]
Sort = Sequence[tuple[str, int]]
Elements = Sequence[tuple[bytes, bytes]]
"""BSON elements, each behind its name."""

VERSIONS = "schema_versions"
LOCK = "schema_versions_lock"
PROGRESS = "schema_versions_progress"
JOURNAL = "schema_versions_journal"
TAIL = "schema_versions_tail"
LOG = "schema_versions_log"
RECORDS = (VERSIONS, LOCK, PROGRESS, JOURNAL, TAIL, LOG)


class Mode(StrEnum):
    """How a batch is made safe."""

    TRANSACTIONAL = "transactional"
    SINGLE_DOCUMENT = "single-document"
    EMBEDDED = "embedded"


@dataclass(frozen=True)
class Capabilities:
    """What the database can do, probed once when it is opened. No other code asks which backend it is."""

    mode: Mode
    product: str
    """For people: "replica set rs0", "standalone", "mongos" or "dump directory"."""
    transactions: bool
    """A batch is one transaction: documents, journal and cursor change together or not at all."""
    change_streams: bool
    deltas: bool
    """A `Write` may hold some fields of a document only, many may be a `Sweep`, and that is cheaper."""
    leases: bool
    """The lock is a record with an expiry that must be renewed; else it lives and dies with the process."""
    schemas: bool
    """A filter may hold a `$jsonSchema`, and matching it costs less than fetching the document."""
    server_code: bool
    """Users' plain functions talk to a real server: what they have written before they raise stays written."""
    workers: bool = False
    """Several processes may change the same database side by side."""


class Collision(Exception):
    """A batch met concurrent writes on the same documents in every one of its tries."""


class SweepRefused(Exception):
    """The server refuses one of the documents of a `Sweep`, and does not say which."""


class GuardFailed(Exception):
    """A `Move` found its record changed: somebody else has it, or it had been moved already."""


@dataclass(frozen=True)
class Put:
    """Insert a record, or replace the one with the same `_id`."""

    collection: str
    document: Document


@dataclass(frozen=True)
class Move:
    """Update exactly one record, conditional on `filter`; if none matches, nothing is changed (GuardFailed)."""

    collection: str
    filter: Filter
    set: Document


@dataclass(frozen=True)
class Delete:
    """Remove every record that matches."""

    collection: str
    filter: Filter


RecordChange = Put | Move | Delete


@dataclass(frozen=True)
class Write:
    """Replace one document; `before` is what was read. Other documents than `before` are never overwritten.

    With `partial`, `before` and `after` hold some fields only, and the others stay as they are; `sets` says what differs
    between the two, where that has been found out and nothing is removed.
    """

    id: bytes
    before: bytes
    after: bytes
    partial: bool = False
    sets: Elements | None = None


@dataclass(frozen=True)
class Sweep:
    """One update of all documents with after < _id <= upto that match `where`, which are so many `documents`."""

    after: bytes | None
    upto: bytes | None
    where: Filter | None
    stages: Sequence[Document]
    documents: int


@dataclass(frozen=True)
class Changes:
    """One unit of work. With transactions it is atomic; without, its three parts happen in this order."""

    first: Sequence[RecordChange] = ()
    collection: str = ""
    writes: Sequence[Write] = ()
    sweep: Sweep | None = None
    """In place of `writes`; only with the capability `deltas`."""
    last: Sequence[RecordChange] = ()
    bypass_validation: bool = False
    """Whether the collection's validator is passed over: what is restored was there before."""


@dataclass(frozen=True)
class Committed:
    """`missed`: the ids whose documents had changed meanwhile and were left alone (never with transactions)."""

    missed: Sequence[bytes] = ()
    retries: int = 0


@dataclass(frozen=True)
class Owner:
    """Who asks for the lease."""

    run: str
    who: str
    host: str
    pid: int
    boot: str
    """Identifies the boot of the host, so that a pid is not mistaken for an older one."""
    started: str
    """When the process started, in the kernel's own unit."""


@dataclass(frozen=True)
class LeaseRecord:
    """The lease as the database knows it. `live`: not expired, by the server's clock."""

    owner: Owner
    fence: int
    acquired_at: datetime | None
    expires_at: datetime | None
    live: bool


@dataclass(frozen=True)
class CollectionInfo:
    """A collection as the catalogue has it: `kind` is collection, view or timeseries."""

    name: str
    kind: str
    options: Document = field(default_factory=dict)
    uuid: bytes | None = None
    """What the server tells it by from another of the same name."""


class Reader(Protocol):
    """Reads of one consistent moment where the backend can give one. None of them ever writes."""

    def documents(
        self,
        collection: str,
        *,
        after: bytes | None = None,
        upto: bytes | None = None,
        where: Filter | None = None,
        limit: int = 0,
        max_bytes: int = 0,
        fields: Sequence[str] | None = None,
    ) -> list[bytes]:
        """Raw documents with after < _id <= upto that match `where`, ascending by `_id`; `limit` 0 is no limit.

        Ends early, after the document with which `max_bytes` (if not 0) is reached. `fields` and `_id` only, if given.
        """

    def by_ids(
        self,
        collection: str,
        ids: Sequence[bytes],
        where: Filter | None = None,
        fields: Sequence[str] | None = None,
    ) -> list[bytes]:
        """Raw documents with these ids (raw ``{_id: x}``) that match `where`, in any order.

        `fields` and `_id` only, if given.
        """

    def lookup(
        self, collection: str, key: str, values: Sequence[Any], fields: Sequence[str] | None
    ) -> list[Document]:
        """Documents whose `key` is present and may equal one of `values`, ascending by `_id`: `_id`, `key`, `fields`."""

    def pipeline(self, collection: str, ids: Sequence[bytes], stages: Sequence[Document]) -> list[bytes]:
        """What these update stages would make of the documents with these ids, in any order. Nothing is written."""

    def find(
        self,
        collection: str,
        filter: Filter,
        *,
        sort: Sort = (),
        limit: int = 0,
        fields: Sequence[str] | None = None,
    ) -> list[Document]:
        """Decoded records, `_id` and `fields` only where they are given."""


class Backend(Reader, Protocol):
    """One open database. Every method may raise a `MigrateError` that names what the server said."""

    @property
    def capabilities(self) -> Capabilities: ...

    @property
    def database_name(self) -> str: ...

    @property
    def server(self) -> str:
        """Where the database is, without any secret."""

    def now(self) -> datetime:
        """The server's clock, UTC."""

    def beside(self, notify: Callable[[str], None]) -> Backend:
        """The same database for another thread, in a session of its own; let go of together with this one.

        Only where `capabilities.workers`. `notify` is told in one line when something is waited for.
        """

    def session_id(self) -> Document | None:
        """What ends the transaction left open in it if this process dies. None where there are no sessions."""

    def end_transactions(self, sessions: Sequence[Document]) -> None:
        """End what dead processes have left open in these sessions; without the privilege nothing happens."""

    def replication_lag(self) -> float | None:
        """How many seconds the slowest replica is behind; None where there is none, or it cannot be seen."""

    def operation_time(self) -> Any:
        """The cluster's logical time after the last write that is known here; None without change streams."""

    def feed(self, collection: str, since: Any, token: Document | None, sessions: Sequence[Document]) -> Any:
        """What others write from that time (or token) on, the given sessions left out; None without change streams."""

    def prepare(self) -> None:
        """Make the collections that records live in. Only commands that write call this."""

    def transact(self, work: Callable[[Reader], Changes]) -> Committed:
        """Read, decide, change. `work` may be called several times: it must not have effects of its own.

        Raises GuardFailed, Collision, and MigrationFailed naming the `_id` where a write is refused.
        """

    def count(self, collection: str, where: Filter | None = None, *, limit: int = 0) -> int:
        """Documents that match; from the collection's metadata where there is no filter."""

    def last_id(self, collection: str) -> bytes | None:
        """The greatest `_id`, raw, or None for an empty collection."""

    def sample(self, collection: str, size: int, where: Filter | None = None) -> list[bytes]:
        """Up to `size` raw documents spread over the collection; all of them where there are no more."""

    def ids_apart(self, collection: str, distances: Sequence[int]) -> Iterator[bytes]:
        """The raw `_id`s so many documents apart, ascending, until the collection ends; one short query each."""

    def read_lease(self) -> LeaseRecord | None:
        """The lease as it is now, None if there never was one or it was released."""

    def try_lease(self, owner: Owner, ttl_s: float, *, dead: LeaseRecord | None = None) -> LeaseRecord:
        """Take the lease if it is free (or is still `dead`'s, whose process is known to be gone).

        Returns the lease as it then is: it is mine if it has my run. When taken, the fence is raised in it and in
        every unfinished partition before this returns.
        """

    def renew_lease(self, lease: LeaseRecord, ttl_s: float) -> bool:
        """Put the end of the lease off; False if it is no longer mine."""

    def release_lease(self, lease: LeaseRecord) -> None:
        """Give the lease back; nothing happens if it is no longer mine."""

    def break_lease(self) -> None:
        """End whoever's lease it is and raise the fence, so that its owner can write nothing more."""

    def functions(self, *, write: bool) -> AbstractContextManager[Any]:
        """A `Database` for users' own code (`up(db)`, `verify(db)`)."""

    def collections(self) -> dict[str, CollectionInfo]:
        """The catalogue, the tool's own records left out."""

    def indexes(self, collection: str) -> list[Document]:
        """The collection's indexes as the catalogue has them: `key` (a dict in order), `name` and options."""

    def create_index(self, collection: str, keys: Sequence[tuple[str, Any]], options: Document) -> None: ...

    def drop_index(self, collection: str, name: str) -> None: ...

    def set_options(self, collection: str, options: Document) -> None:
        """collMod: `validator`, `validationLevel`, `validationAction`."""

    def create_collection(self, name: str, options: Document) -> None: ...

    def rename_collection(self, old: str, new: str) -> None: ...

    def drop_collection(self, name: str) -> None: ...

    def close(self) -> None:
        """Let go of the database; the embedded one saves what was committed."""
