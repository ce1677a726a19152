"""The driver's exceptions in this tool's words."""

from __future__ import annotations

import pytest
from pymongo.errors import BulkWriteError, OperationFailure, ServerSelectionTimeoutError

from goaime_migrate.backends.server.driver_errors import translate, without_operations
from goaime_migrate.errors import AuthenticationFailed, MissingPrivilege, ServerUnreachable


def test_the_text_of_many_writes_that_failed_holds_no_document() -> None:
    failed = {
        "code": 388,
        "errmsg": "-31800: transaction is too large and will not fit",
        "op": {"u": "a document"},
    }
    error = BulkWriteError({"writeErrors": [failed], "writeConcernErrors": []})
    for each in (translate(error), translate(without_operations(error))):
        assert "a document" not in f"{each.message}{each.detail}"
        assert "transaction is too large" in each.message
    assert "cache is too small" in translate(without_operations(error)).message
    assert "a document" not in str(without_operations(error))


@pytest.mark.parametrize(
    "error",
    [
        OperationFailure("transaction is too large and will not fit in the storage engine cache", 388),
        OperationFailure("-31800: oldest pinned transaction ID rolled back for eviction", 112),
        OperationFailure("WT_CACHE_FULL: operation would overflow cache", 1),
    ],
)
def test_a_cache_that_is_too_small_is_said_in_one_way(error: OperationFailure) -> None:
    found = translate(error)
    assert found.message.startswith("the server's cache is too small for a batch of these documents: ")
    assert "cacheSizeGB" in found.hint


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
