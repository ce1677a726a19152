"""Why no server can be used: what its answer, or its silence, says of the connection string."""

from __future__ import annotations

import socket
import ssl
import time
from typing import Any

from pymongo import MongoClient
from pymongo.errors import PyMongoError
from pymongo.uri_parser import parse_uri

from goaime_migrate.backends.server import uri as uris
from goaime_migrate.backends.server.driver_errors import unreachable
from goaime_migrate.errors import InvalidUri, MigrateError
from goaime_migrate.redaction import redact
from goaime_migrate.results import Document

_PATIENCE_S = 2.0
_PAUSE_S = 0.1
"""Between two looks for a primary."""
_NODES = 3
"""How many of the addresses are asked."""
_TLS = ("tls", "ssl")
_CERTIFICATE = (
    "certificate verify failed",
    "certificate_verify_failed",
    "hostname mismatch",
    "doesn't match",
)


def why_unreachable(error: PyMongoError, uri: str) -> MigrateError:
    """The error for a server that could not be selected: the uri's fault (InvalidUri), or one that may pass."""
    text = redact(str(error))
    if any(words in text.lower() for words in _CERTIFICATE):
        return InvalidUri(
            f"the certificate of the server is not accepted: {text.partition('(configured')[0].strip()}",
            hint="name the authority that has signed it, tlsCAFile=FILE, and the host as the certificate has it",
        )
    for host, port in _nodes(uri):
        found = _ask(host, port, uri)
        if found is not None:
            return found
    return unreachable(text)


def hello_of_primary(client: MongoClient[Any]) -> Document:
    """What a standalone, a mongos or a primary says of itself.

    A node that was selected as primary may be stepping down or coming up: it is asked again for as long as
    the driver selects servers. Raises InvalidUri for a direct connection to a secondary, whose data may be old,
    and ServerUnreachable while there is no primary.
    """
    deadline = time.monotonic() + client.options.server_selection_timeout
    while True:
        hello: Document = client.admin.command("hello")
        if "setName" not in hello or hello.get("isWritablePrimary"):
            return hello
        named, directly = hello.get("primary"), client.topology_description.topology_type_name == "Single"
        if directly and named is not None and named != hello.get("me"):
            raise InvalidUri(
                f"uri connects directly to {hello.get('me')}, which is a secondary of the replica set "
                f"{hello['setName']}: its primary is {named}",
                hint=f"write replicaSet={hello['setName']} in uri in place of directConnection=true",
            )
        if time.monotonic() > deadline:
            raise unreachable(f"the replica set {hello['setName']} has no primary now")
        time.sleep(_PAUSE_S)


def _nodes(uri: str) -> list[tuple[str, Any]]:
    try:
        return list(parse_uri(uri, validate=False, warn=False)["nodelist"])[:_NODES]
    except PyMongoError:
        return []  # the name of a cluster that cannot be resolved


def _ask(host: str, port: Any, uri: str) -> MigrateError | None:
    """What one server says of itself, if that explains anything."""
    if not _listens(host, port):
        return None
    options = uris.options(uri)
    tls = uri.startswith("mongodb+srv") or any(options.get(name, "").lower() == "true" for name in _TLS)
    hello = _hello(
        host, port, {n: v for n, v in options.items() if n.startswith(_TLS)} | {"tls": str(tls).lower()}
    )
    if hello is not None:
        return _of_answer(f"{host}:{port}", hello, options.get("replicaset"))
    if tls and _hello(host, port, {}) is not None:
        return InvalidUri(
            f"uri asks for TLS, and the server {host}:{port} has none", hint="leave tls=true out of uri"
        )
    if not _speaks_tls(host, port):
        return None
    if not tls:
        return InvalidUri(
            f"the server {host}:{port} wants TLS, and uri does not ask for it",
            hint="add tls=true to uri, and tlsCAFile=FILE where its certificate is not a public one",
        )
    return InvalidUri(
        f"the server {host}:{port} does not accept this TLS connection: it may want a certificate of the client",
        hint="name it: tlsCertificateKeyFile=FILE",
    )


def _of_answer(node: str, hello: Document, wanted: str | None) -> MigrateError | None:
    name = hello.get("setName")
    if name is None and hello.get("isreplicaset"):
        return unreachable(f"the replica set of {node} is not initiated yet")
    if wanted is not None and name != wanted:
        if name is None:
            return InvalidUri(
                f"uri names the replica set {wanted!r}, and {node} is no member of one",
                hint="leave replicaSet out of uri",
            )
        return InvalidUri(
            f"uri names the replica set {wanted!r}, and {node} is a member of {name!r}",
            hint=f"write replicaSet={name} in uri",
        )
    if name is None:
        return None
    members = ", ".join(hello.get("hosts", ()))
    return unreachable(
        f"{node} answers, but no primary of the replica set {name} can be reached; its members are known as {members}"
    )


def _hello(host: str, port: Any, options: dict[str, Any]) -> Document | None:
    """The server's answer to whoever asks without a name; None if there is none."""
    try:
        with MongoClient[Document](
            host,
            port,
            directConnection=True,
            serverSelectionTimeoutMS=int(_PATIENCE_S * 1000),
            connectTimeoutMS=int(_PATIENCE_S * 1000),
            **options,
        ) as client:
            return dict(client.admin.command("hello"))
    except (PyMongoError, OSError, ValueError):
        return None


def _listens(host: str, port: Any) -> bool:
    try:
        with socket.create_connection((host, port), timeout=_PATIENCE_S):
            return True
    except OSError:
        return False


def _speaks_tls(host: str, port: Any) -> bool:
    """Whether a server answers the greeting of TLS, if only to say what it does not like."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with (
            socket.create_connection((host, port), timeout=_PATIENCE_S) as plain,
            context.wrap_socket(plain, server_hostname=host),
        ):
            return True
    except ssl.SSLError as error:
        return "ALERT" in (error.reason or "")
    except OSError:
        return False
