"""The driver's exceptions in the words of this tool."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bson.errors import BSONError, InvalidDocument
from pymongo import MongoClient
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    ConfigurationError,
    ConnectionFailure,
    InvalidURI,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WaitQueueTimeoutError,
    WTimeoutError,
)

from goaime_migrate import errors
from goaime_migrate.backends.server import privileges
from goaime_migrate.redaction import redact
from goaime_migrate.results import Document

UNAUTHORIZED, AUTHENTICATION, NO_SUCH_TRANSACTION, HISTORY_LOST = 13, 18, 251, 286
DUPLICATE_KEY, VALIDATION, TOO_LARGE = 11000, 121, 10334
TOO_LARGE_FOR_CACHE = 388
STEPPED_DOWN = frozenset({91, 189, 276, 10107, 11600, 11602, 13435})
"""A primary that is one no more, or shuts down, has ended what it was at."""
_ATLAS = 8000
_CACHE = re.compile(
    r"WT_CACHE_FULL|storage engine cache|oldest pinned transaction|cache (overflow|is full|pressure)"
)
_TRANSIENT = ("TransientTransactionError", "RetryableWriteError")
_LONGEST = 1_000
"""Characters of what a server says; no more are shown."""


@contextmanager
def translation(client: MongoClient[Any]) -> Iterator[None]:
    """Let a driver's exception leave as the MigrateError that it is; `client` says who was refused something."""
    try:
        yield
    except PyMongoError as error:
        raise translate(error, client) from error
    except InvalidDocument as error:
        raise errors.OperationFailed(f"this cannot be sent to the server: {error}") from error
    except BSONError as error:
        raise errors.OperationFailed(f"the server sent what cannot be decoded: {error}") from error


def translate(error: PyMongoError, client: MongoClient[Any] | None = None) -> errors.MigrateError:
    """The MigrateError for what the driver raised."""
    if isinstance(error, OperationFailure) and not isinstance(error, WTimeoutError):
        return _of_operation(error, client)
    text = redact(str(error))
    if isinstance(error, InvalidURI | ConfigurationError):
        return errors.InvalidUri(
            f"the connection string is not valid: {text}", hint="correct uri, then try again"
        )
    if isinstance(
        error, AutoReconnect | ConnectionFailure | ServerSelectionTimeoutError | WaitQueueTimeoutError
    ):
        return unreachable(text)
    if isinstance(error, WTimeoutError):
        return errors.ServerUnreachable(
            f"a majority of the replica set did not confirm the write: {text}",
            hint="bring the members back, then try again: nothing is lost",
        )
    return errors.OperationFailed(f"the database driver failed: {text}")


def without_operations(error: BulkWriteError) -> OperationFailure:
    """The first of many writes that failed, as an error of its own: the driver's text holds the documents as well."""
    found: Any = error.details or {}
    listed = [*found.get("writeErrors", ()), *found.get("writeConcernErrors", ())]
    first: Document = next((each for each in listed if each.get("errmsg")), {"errmsg": "a write failed"})
    labels = list(found.get("errorLabels", ()))
    told = {"errmsg": first["errmsg"], "code": first.get("code"), "errorLabels": labels}
    return OperationFailure(first["errmsg"], first.get("code"), told)


def is_cache_full(error: OperationFailure) -> bool:
    """Whether the server could not hold the batch in memory, in whichever words it says so."""
    return error.code == TOO_LARGE_FOR_CACHE or bool(_CACHE.search(message_of(error)))


def too_large_for_cache(message: str, **at: Any) -> errors.OperationFailed:
    """The error for a server that cannot hold a batch in memory."""
    return errors.OperationFailed(
        f"the server's cache is too small for a batch of these documents: {message}",
        hint="give it more memory (storage.wiredTiger.engineConfig.cacheSizeGB), then run the command again",
        **at,
    )


def unreachable(text: str) -> errors.ServerUnreachable:
    """The error for a server that does not answer."""
    return errors.ServerUnreachable(
        f"no server answers: {_short(text)}",
        hint="check that the server runs and that uri names it, then try again",
    )


def _of_operation(error: OperationFailure, client: MongoClient[Any] | None) -> errors.MigrateError:
    message = redact(message_of(error))
    if error.code in (UNAUTHORIZED, AUTHENTICATION, _ATLAS):
        return _not_allowed(error, message, client)
    if is_cache_full(error):
        return too_large_for_cache(message)
    if error.code in STEPPED_DOWN or any(map(error.has_error_label, _TRANSIENT)):
        return unreachable(message)
    return errors.OperationFailed(
        f"the server refused: {message}", hint="remove the cause, then run the command again"
    )


def _not_allowed(
    error: OperationFailure, message: str, client: MongoClient[Any] | None
) -> errors.MigrateError:
    refused = privileges.denial_of(message)
    if refused is not None:
        return privileges.missing(refused, client)
    if error.code != UNAUTHORIZED:
        return errors.AuthenticationFailed(
            f"the server refused the credentials: {message}",
            hint="check user, password and authSource of the uri, then try again",
        )
    if "requires authentication" in message:
        return errors.AuthenticationFailed(
            f"the server wants to know who asks: {message}",
            hint="put user and password into the uri, then try again",
        )
    return errors.MissingPrivilege(
        f"the user may not do this: {message}",
        hint="grant the role readWrite on the database (dbAdmin for validators), then try again",
    )


def message_of(error: OperationFailure) -> str:
    """What the server says. The text of a driver's error about many writes holds those, documents and all."""
    whole = without_operations(error) if isinstance(error, BulkWriteError) else error
    details: Any = whole.details or {}
    return " ".join(str(details.get("errmsg") or whole).split())[:_LONGEST]


def _short(text: str) -> str:
    """Without the driver's description of its own state and settings."""
    text = re.sub(r" \(configured timeouts: [^)]*\)", "", text)
    return re.sub(r",? ?(Timeout: [\d.]+s, )?Topology Description: .*", "", text, flags=re.DOTALL)[:300]
