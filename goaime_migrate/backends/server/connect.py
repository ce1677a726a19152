"""Opening a server by its connection string."""

from __future__ import annotations

import warnings
from collections.abc import Callable
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
from goaime_migrate.backends.server.uri import followed, refusal
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


def open_server(settings: Settings, *, write: bool, notify: Callable[[str], None]) -> Backend:
    """Connect, and probe what the server can do. Raises UsageError, ServerUnreachable, MissingCapability.

    Read preference, read concern, write concern and the like are ours, whatever the connection string says of them.
    """
    uri = followed(settings.uri)
    for name in uri.missing:
        notify(f"the compressor {name} of uri is not installed here: going on without it")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # an option that the driver does not know
            client = SharedClient(uri.text, tell=notify, appname=PROGRAM, w="majority", **_defaults(uri.text))
    except (PyMongoError, ValueError, UserWarning, OSError) as error:
        raise refusal(error, settings.uri) from None  # the driver may quote a part of the password
    try:
        return _open(client, settings, write=write, notify=notify)
    except BaseException:
        client.let_go()
        raise


def _open(client: SharedClient, settings: Settings, *, write: bool, notify: Callable[[str], None]) -> Backend:
    """The database that the settings or else the connection string names, once the server was asked what it can do."""
    name = settings.database
    try:
        name = name or parse_uri(settings.uri, validate=False, warn=False)["database"]
        if not name:
            raise InvalidConfiguration(
                "no database is named: there is no database key, and the uri ends without one",
                hint="set database = NAME, or --database NAME, or name it in the uri: mongodb://host/NAME",
            )
        allowed = settings.allow_untested_topology or not write
        backend = _probe(client, name, settings, untested_allowed=allowed)
    except InvalidName as error:
        raise InvalidConfiguration(f"{name!r} cannot be the name of a database: {error}") from error
    except ServerSelectionTimeoutError as error:
        raise why_unreachable(error, settings.uri) from error
    except PyMongoError as error:
        raise translate(error) from error
    backend.notify = notify
    return backend


def _defaults(uri: str) -> dict[str, Any]:
    """Timeouts that bound a wait for a server that is not there, unless the connection string has its own."""
    lowered = uri.lower()
    wanted = {
        "serverSelectionTimeoutMS": SELECTION_TIMEOUT_MS,
        "connectTimeoutMS": SELECTION_TIMEOUT_MS,
        "wTimeoutMS": MAJORITY_TIMEOUT_MS,
    }
    return {name: value for name, value in wanted.items() if f"{name.lower()}=" not in lowered}


def _probe(client: SharedClient, name: str, settings: Settings, *, untested_allowed: bool) -> MongoBackend:
    """Ask the server what it is. Raises MissingCapability for one that nobody has tried, InvalidUri."""
    hello = hello_of_primary(client)
    sharded = _product(hello) == _MONGOS
    if sharded and not untested_allowed:
        raise MissingCapability(
            "the server is a mongos, and nobody has run the fault tests on a sharded cluster",
            hint="connect to a replica set, or take the risk: --allow-untested-topology",
        )
    replicated = (sharded or "setName" in hello) and hello["maxWireVersion"] >= _BSON_TRANSACTIONS
    capabilities = Capabilities(
        mode=Mode.TRANSACTIONAL if replicated else Mode.SINGLE_DOCUMENT,
        product=_product(hello),
        transactions=replicated,
        change_streams=replicated,
        deltas=replicated,
        leases=True,
        server_code=True,
        workers=replicated,
    )
    kind: type[MongoBackend] = TransactionalBackend if replicated else SingleDocumentBackend
    return kind(client, name, redact_uri(settings.uri), capabilities, settings.records)


def _product(hello: Document) -> str:
    """What a server is, by its own answer."""
    if hello.get("msg") == "isdbgrid":
        return _MONGOS
    return f"replica set {hello['setName']}" if "setName" in hello else "standalone"
