"""What the engine needs of a database, by role: whoever needs one of them names that one.

Every method may raise a `MigrateError` that names what the server said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

from goaime_migrate.backends.ports.changes import Changes, Committed, Filter
from goaime_migrate.backends.ports.leasing import Database, LeaseStore
from goaime_migrate.backends.ports.survey import Survey
from goaime_migrate.backends.ports.values import CollectionInfo, Origin
from goaime_migrate.results import Document

if TYPE_CHECKING:
    from bson import Timestamp

    from goaime_migrate.backends.ports.change_stream import ChangeStream
    from goaime_migrate.backends.ports.checkup import Checkup

Sort = Sequence[tuple[str, int]]


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
        self,
        collection: str,
        key: str,
        values: Sequence[Any],
        fields: Sequence[str] | None,
        *,
        where: Filter | None = None,
        after: bytes | None = None,
        limit: int = 0,
    ) -> list[Document]:
        """Documents whose `key` is present and may equal one of `values`, ascending by `_id`: `_id`, `key`, `fields`.

        Only those that match `where`, with after < _id (raw, if given), and the first `limit` of them if that is not 0.
        """

    def aggregate(self, collection: str, stages: Sequence[Document]) -> Iterator[bytes]:
        """The raw documents that an aggregation gives, which writes nothing; it is run while they are taken."""

    def pipeline(self, collection: str, ids: Sequence[bytes], stages: Sequence[Document]) -> list[bytes]:
        """What these update stages would make of the documents with these ids, in any order. Nothing is written."""

    def places(self, collection: str, ids: Sequence[bytes]) -> Sequence[bytes | None]:
        """Where these documents stand, each once those named before it are gone: the raw `_id` of the one before it.

        `raw_bson.NOTHING` for the first of all, None for one that is not there. Nothing where documents have no order
        of their own.
        """

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


class CollectionReader(Database, Reader, Protocol):
    """Reads outside of a unit of work, also of collections as wholes."""

    def count(self, collection: str, where: Filter | None = None, *, limit: int = 0) -> int:
        """Documents that match; from the collection's metadata where there is no filter."""

    def last_id(self, collection: str) -> bytes | None:
        """The greatest `_id`, raw, or None for an empty collection."""

    def sample(self, collection: str, size: int, where: Filter | None = None) -> list[bytes]:
        """Up to `size` raw documents spread over the collection; all of them where there are no more."""

    def if_stored(
        self, collection: str, document: bytes, where: Filter | None, stages: Sequence[Document]
    ) -> bytes | None:
        """What these update stages would make of a document, were it stored as it is; None if it did not match `where`.

        Raises MissingCapability where that cannot be found out.
        """

    def ids_apart(self, collection: str, distances: Sequence[int]) -> Iterator[bytes]:
        """The raw `_id`s so many documents apart, ascending, until the collection ends; one short query each."""


class Writer(Reader, Protocol):
    """Changes documents and records, one unit of work at a time."""

    def transact(self, work: Callable[[Reader], Changes]) -> Committed:
        """Read, decide, change. `work` may be called several times: it must not have effects of its own.

        Raises GuardFailed, Collision, and MigrationFailed naming the `_id` where a write is refused.
        """

    def load(self, collection: str, documents: Sequence[bytes]) -> None:
        """Insert documents by no unit of work, also those that a validator would not let in.

        For a copy that this tool has made: a server writes capped collections and measurements outside of transactions
        alone. Raises MigrationFailed naming the `_id`.
        """


class Catalogue(Protocol):
    """Collections and views, their indexes and validators."""

    def collections(self) -> dict[str, CollectionInfo]:
        """All by their names, the tool's own records left out."""

    def origin(self) -> Origin:
        """What tells the database from a copy of it. Needs no more than reading does."""

    def indexes(self, collection: str) -> list[Document]:
        """The collection's indexes as the server lists them: `key` (a dict in order), `name` and options."""

    def create_index(self, collection: str, keys: Sequence[tuple[str, Any]], options: Document) -> None:
        """Create an index, unless the very same one is there. Raises IndexInTheWay, DuplicateKey, OperationFailed."""

    def drop_index(self, collection: str, name: str) -> None:
        """Drop an index. Raises OperationFailed where the collection has none of this name."""

    def set_options(self, collection: str, options: Document) -> None:
        """collMod: `validator`, `validationLevel`, `validationAction`."""

    def create_collection(self, name: str, options: Document) -> None:
        """Create a collection, or with `viewOn` a view. Raises OperationFailed if the name is taken."""

    def rename_collection(self, old: str, new: str) -> None:
        """Rename a collection, with its indexes. Raises OperationFailed if either name does not allow it."""

    def drop_collection(self, name: str) -> None:
        """Drop a collection with its documents, or a view; nothing happens if there is none."""

    def drop_database(self) -> None:
        """Drop all that there is, our own records too: for a copy that this tool has made."""


class ChangeFeed(Protocol):
    """Tells what others write. A database without change streams answers None."""

    def operation_time(self) -> Timestamp | None:
        """The cluster's logical time after the last write that is known here."""

    def watch(
        self, collection: str, since: Timestamp, token: Document | None, sessions: Sequence[Document]
    ) -> ChangeStream | None:
        """What is written to the collection from that time (or token) on, the given sessions left out."""


class Diagnostics(Protocol):
    """What stands in the way, for people; nothing where it cannot be seen."""

    def transaction_lifetime(self) -> float:
        """How many seconds the server lets a transaction be open."""

    def checkup(self) -> Checkup | None:
        """A closer look at the server; None where there is none."""

    def open_transactions(self) -> list[str]:
        """The transactions of others that are open, the oldest first: whose they are, from where, for how long."""


class UserDatabase(Database, Protocol):
    """Runs users' own code."""

    def functions(self, *, write: bool) -> AbstractContextManager[Any]:
        """A `Database` as pymongo has it, for `up(db)` and `verify(db)`."""


class Sessions(Protocol):
    """Lets several threads and processes write side by side."""

    def beside(self, notify: Callable[[str], None]) -> Backend:
        """The same database for another thread, in a session of its own; let go of together with this one.

        Only where `capabilities.workers`. `notify` is told in one line when something is waited for.
        """

    def session_id(self) -> Document | None:
        """What ends the transaction left open in it if this process dies. None where there are no sessions."""

    def end_transactions(self, sessions: Sequence[Document]) -> None:
        """End what dead processes have left open in these sessions; without the privilege nothing happens."""


class Backend(
    CollectionReader,
    Writer,
    LeaseStore,
    Catalogue,
    ChangeFeed,
    Diagnostics,
    Survey,
    UserDatabase,
    Sessions,
    Protocol,
):
    """One open database, in all its roles."""

    def require_own_records(self) -> None:
        """Look whether the collections that records live in are ours, if they are there. Raises InvalidConfiguration."""

    def prepare(self) -> None:
        """Make the collections that records live in. Only commands that write call this."""

    def close(self) -> None:
        """Let go of the database; the embedded one saves what was committed."""
