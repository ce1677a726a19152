"""Make a server fail on command: the `failCommand` fail point, always switched off again."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pymongo
from pymongo.errors import ConnectionFailure

from tests.servers.mongod import Mongod


@contextmanager
def fail_command(
    node: Mongod,
    *commands: str,
    times: int | None = None,
    error_code: int | None = None,
    error_labels: Sequence[str] = (),
    close_connection: bool = False,
    block_ms: int | None = None,
    app_name: str | None = None,
) -> Iterator[None]:
    """Let the next `times` of these commands on this node fail or wait; all of them when `times` is None.

    The commands fail before the server has done anything; for "done, but the reply was lost" see `Proxy`.
    `app_name` limits it to connections that were opened with that appName, so that a test can still look.
    """
    data: dict[str, Any] = {
        "failCommands": list(commands),
        "closeConnection": close_connection or None,
        "errorCode": error_code,
        "errorLabels": list(error_labels) or None,
        "blockConnection": block_ms is not None or None,
        "blockTimeMS": block_ms,
        "appName": app_name,
    }
    mode = "alwaysOn" if times is None else {"times": times}
    given = {key: value for key, value in data.items() if value is not None}
    node.client.admin.command("configureFailPoint", "failCommand", mode=mode, data=given)
    try:
        yield
    finally:
        _switch_off(node)


def _switch_off(node: Mongod) -> None:
    """Try twice: after an outage a pooled connection may fail at its first use, a fresh one may not."""
    if not node.running:
        return  # a fail point dies with its process
    with pymongo.timeout(10):
        try:
            node.client.admin.command("configureFailPoint", "failCommand", mode="off")
        except ConnectionFailure:
            node.client.admin.command("configureFailPoint", "failCommand", mode="off")
