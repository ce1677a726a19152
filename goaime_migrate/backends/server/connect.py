"""Opening a server by its connection string."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from pymongo.errors import InvalidName, PyMongoError, ServerSelectionTimeoutError
from pymongo.uri_parser import parse_uri

from goaime_migrate.backends.ports import Backend, Capabilities, Mode
from goaime_migrate.backends.server.client import SharedClient
from goaime_migrate.backends.server.diagnosis import hello_of_primary, why_unreachable
from goaime_migrate.backends.server.driver_errors import translate
from goaime_migrate.backends.server.mongo import MongoBackend
from goaime_migrate.backends.server.single_document import SingleDocumentBackend
from goaime_migrate.backends.server.transactional import TransactionalBackend
from goaime_migrate.backends.server.uri import follow, refusal
from goaime_migrate.config import Settings
from goaime_migrate.errors import InvalidConfiguration, MissingCapability
from goaime_migrate.errors.hint import PROGRAM
from goaime_migrate.redaction import redact_uri
from goaime_migrate.results import Document

SELECTION_TIMEOUT_MS = 10_000
MAJORITY_TIMEOUT_MS = 30_000
"""How long a write waits for a majority of the members; without a bound it would wait for ever."""
_BSON_TRANSACTIONS = 8
"""The wire version of MongoDB 4.2, the first whose transactions may be of any size."""
_MONGOS = "mongos"


class Server:
    """A server, and one pool of connections for all databases on it that are opened."""

    def __init__(self, client: SharedClient, settings: Settings, notify: Callable[[str], None]) -> None:
        self._client = client
        self._settings = settings
        self._notify = notify

    @classmethod
    def connect(cls, settings: Settings, notify: Callable[[str], None]) -> Server:
        """By the connection string. Raises InvalidUri; whether the server answers is seen when it is asked.

        Read preference, read concern, write concern and the like are ours, whatever the connection string says of them.
        """
        uri = follow(settings.uri)
        for name in uri.missing:
            notify(f"the compressor {name} of uri is not installed here: going on without it")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", UserWarning)  # an option that the driver does not know
                client = SharedClient(
                    uri.text, tell=notify, appname=PROGRAM, w="majority", **_defaults(uri.text)
                )
        except (PyMongoError, ValueError, UserWarning, OSError) as error:
            raise refusal(error, settings.uri) from None  # the driver may quote a part of the password
        return cls(client, settings, notify)

    def names(self) -> list[str]:
        """The databases that there are, as far as this user may see them."""
        with self._asking():
            return self._client.list_database_names()

    def database(self, name: str | None, *, write: bool) -> Backend:
        """One of them, by default the one in the connection string.

        Raises UsageError, ServerUnreachable, MissingCapability.
        """
        try:
            with self._asking():
                backend = self._open(name or self._default_name(), write=write)
        except InvalidName as error:
            raise InvalidConfiguration(f"{name!r} cannot be the name of a database: {error}") from error
        backend.notify = self._notify
        return backend

    def _default_name(self) -> str:
        """The database in the connection string. Raises InvalidConfiguration."""
        if name := parse_uri(self._settings.uri, validate=False, warn=False)["database"]:
            return str(name)
        raise InvalidConfiguration(
            "no database is named: there is no database key, and the uri ends without one",
            hint="set database = NAME, or --database NAME, or name it in the uri: mongodb://host/NAME",
        )

    def _open(self, name: str, *, write: bool) -> MongoBackend:
        capabilities, settings = self._capabilities, self._settings
        if capabilities.product == _MONGOS and write and not settings.allow_untested_topology:
            raise MissingCapability(
                "the server is a mongos, and nobody has run the fault tests on a sharded cluster",
                hint="connect to a replica set, or take the risk: --allow-untested-topology",
            )
        kind: type[MongoBackend] = (
            TransactionalBackend if capabilities.transactions else SingleDocumentBackend
        )
        opened = kind(self._client, name, redact_uri(settings.uri), capabilities, settings.records)
        self._client.share()  # only now: a name may be refused
        return opened

    @cached_property
    def _capabilities(self) -> Capabilities:
        """What the server says of itself, asked once."""
        return _capabilities(hello_of_primary(self._client))

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Says what is wrong with a server that does not answer, or not as it should."""
        try:
            yield
        except ServerSelectionTimeoutError as error:
            raise why_unreachable(error, self._settings.uri) from error
        except InvalidName:
            raise
        except PyMongoError as error:
            raise translate(error) from error

    def close(self) -> None:
        """Let go of it; the databases that are open stay so."""
        self._client.let_go()


def _defaults(uri: str) -> dict[str, Any]:
    """Timeouts that bound a wait for a server that is not there, unless the connection string has its own."""
    plain = uri.lower()
    wanted = {
        "serverSelectionTimeoutMS": SELECTION_TIMEOUT_MS,
        "connectTimeoutMS": SELECTION_TIMEOUT_MS,
        "wTimeoutMS": MAJORITY_TIMEOUT_MS,
    }
    return {name: value for name, value in wanted.items() if f"{name.lower()}=" not in plain}


def _capabilities(hello: Document) -> Capabilities:
    """What a server can do, by its own answer."""
    sharded = _product(hello) == _MONGOS
    replicated = (sharded or "setName" in hello) and hello["maxWireVersion"] >= _BSON_TRANSACTIONS
    return Capabilities(
        mode=Mode.TRANSACTIONAL if replicated else Mode.SINGLE_DOCUMENT,
        product=_product(hello),
        transactions=replicated,
        change_streams=replicated,
        deltas=replicated,
        leases=True,
        server_code=True,
        workers=replicated,
    )


def _product(hello: Document) -> str:
    """What a server is, by its own answer."""
    if hello.get("msg") == "isdbgrid":
        return _MONGOS
    return f"replica set {hello['setName']}" if "setName" in hello else "standalone"
