"""The driver's exceptions in this tool's words."""

from __future__ import annotations

from pymongo.errors import OperationFailure, ServerSelectionTimeoutError

from goaime_migrate.backends.server.driver_errors import translate
from goaime_migrate.errors import AuthenticationFailed, MissingPrivilege, ServerUnreachable


def test_a_server_that_is_down_is_told_without_the_drivers_own_state() -> None:
    refused = "{}: [Errno 111] Connection refused (configured timeouts: socketTimeoutMS: 10000.0ms)"
    said = f"{refused.format('a:1')},{refused.format('b:2')}, Timeout: 10.0s, Topology Description: <…>"
    error = translate(ServerSelectionTimeoutError(said))
    assert isinstance(error, ServerUnreachable)
    assert error.message == (
        "no server answers: a:1: [Errno 111] Connection refused,b:2: [Errno 111] Connection refused"
    )


def test_who_has_not_said_who_they_are_lacks_credentials_and_who_has_lacks_a_privilege() -> None:
    nobody = OperationFailure("", 13, {"errmsg": "command find requires authentication"})
    somebody = OperationFailure("", 13, {"errmsg": "not authorized on shop to execute command"})
    assert isinstance(translate(nobody), AuthenticationFailed)
    assert isinstance(translate(somebody), MissingPrivilege)
