"""The driver's exceptions in the words of this tool."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bson.errors import BSONError, InvalidDocument
from pymongo.errors import (
    AutoReconnect,
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
from goaime_migrate.redaction import redact

UNAUTHORIZED, AUTHENTICATION, NO_SUCH_TRANSACTION, HISTORY_LOST = 13, 18, 251, 286
DUPLICATE_KEY, VALIDATION, TOO_LARGE = 11000, 121, 10334
_ATLAS_AUTHENTICATION = 8000


@contextmanager
def translation() -> Iterator[None]:
    """Let a driver's exception leave as the MigrateError that it is."""
    try:
        yield
    except PyMongoError as error:
        raise translate(error) from error
    except InvalidDocument as error:
        raise errors.OperationFailed(f"this cannot be sent to the server: {error}") from error
    except BSONError as error:
        raise errors.OperationFailed(f"the server sent what cannot be decoded: {error}") from error


def translate(error: PyMongoError) -> errors.MigrateError:
    """The MigrateError for what the driver raised."""
    text = redact(str(error))
    if isinstance(error, OperationFailure) and not isinstance(error, WTimeoutError):
        return _of_operation(error, text)
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


def unreachable(text: str) -> errors.ServerUnreachable:
    """The error for a server that does not answer."""
    return errors.ServerUnreachable(
        f"no server answers: {_short(text)}",
        hint="check that the server runs and that uri names it, then try again",
    )


def _of_operation(error: OperationFailure, text: str) -> errors.MigrateError:
    message = redact(_message(error))
    if error.code in (AUTHENTICATION, _ATLAS_AUTHENTICATION):
        return errors.AuthenticationFailed(
            f"the server refused the credentials: {message}",
            hint="check user, password and authSource of the uri, then try again",
        )
    if error.code == UNAUTHORIZED and "requires authentication" in message:
        return errors.AuthenticationFailed(
            f"the server wants to know who asks: {message}",
            hint="put user and password into the uri, then try again",
        )
    if error.code == UNAUTHORIZED:
        return errors.MissingPrivilege(
            f"the user may not do this: {message}",
            hint="grant the role readWrite on the database (dbAdmin for validators), then try again",
        )
    if error.has_error_label("TransientTransactionError") or error.has_error_label("RetryableWriteError"):
        return unreachable(message)
    return errors.OperationFailed(
        f"the server refused: {message or text}", hint="remove the cause, then run the command again"
    )


def _message(error: OperationFailure) -> str:
    details: Any = error.details or {}
    return str(details.get("errmsg") or error)


def _short(text: str) -> str:
    """Without the driver's description of its own state and settings."""
    text = re.sub(r" \(configured timeouts: [^)]*\)", "", text)
    return re.sub(r",? ?(Timeout: [\d.]+s, )?Topology Description: .*", "", text, flags=re.DOTALL)[:300]
