"""A worker of a cluster hears what the run says, and finds out that the run is gone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from goaime_migrate.backends import raw_bson
from goaime_migrate.config import Settings
from goaime_migrate.errors import ServerUnreachable
from goaime_migrate.workers import dask_worker

BEGIN = {"do": "begin", "settings": {"uri": "dump:nowhere"}}
STOP = {"do": "stop"}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(dask_worker, "_LOOK_S", 0.001)
    yield
    dask_worker._inboxes.clear()


def heard(*messages: dict[str, Any] | None) -> list[dict[str, Any]]:
    """What the task hears of these messages; None is the end."""
    for message in messages:
        dask_worker.deliver("t", dask_worker.END if message is None else raw_bson.encode(message))
    return list(dask_worker._Inbox("t", None).messages())


def holders(
    monkeypatch: pytest.MonkeyPatch, *found: str | Exception | None
) -> Iterator[str | Exception | None]:
    """Whose the lease is at each look."""
    left = iter(found)

    def look(_: Settings) -> str | None:
        holder = next(left)
        if isinstance(holder, Exception):
            raise holder
        return holder

    monkeypatch.setattr(dask_worker, "_holder", look)
    return left


def test_messages_come_in_their_order_until_the_end() -> None:
    assert heard(BEGIN, STOP, None, STOP) == [BEGIN, STOP]


def test_what_has_taken_the_place_of_a_lost_process_hears_nothing_and_ends() -> None:
    assert heard() == []


@pytest.mark.parametrize("after", [None, "another"])
def test_a_run_that_has_lost_its_lease_is_gone(monkeypatch: pytest.MonkeyPatch, after: str | None) -> None:
    left = holders(monkeypatch, "run", ServerUnreachable("for a moment"), "run", after, "run")
    assert heard(BEGIN) == [BEGIN]
    assert list(left) == ["run"]
