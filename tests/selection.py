"""Which tests a short run makes do with: some of every kind, and always the same.

Tests without a server all run. Of those with one, a test that runs in several ways (kinds of server, parameters) runs
in one of them, and of each file every fourth test runs; which, is told by a hash, so that all kinds of server and all
parameters have their share. `python3 dev soak` runs the others.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING
from zlib import crc32

if TYPE_CHECKING:
    import pytest

EVERY = 4
"""One test of so many runs, of those of a file that need a server."""


def short(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """The tests of a short run, in the order in which they were collected."""
    ways: defaultdict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        if needs_server(item):
            ways[item.nodeid.partition("[")[0]].append(item)
    files: defaultdict[str, list[pytest.Item]] = defaultdict(list)
    for same in ways.values():
        one = min(same, key=_place)
        files[str(one.path)].append(one)
    chosen = {
        item.nodeid
        for tests in files.values()
        for item in sorted(tests, key=_place)[: -(-len(tests) // EVERY)]
    }
    return [item for item in items if not needs_server(item) or item.nodeid in chosen]


def needs_server(item: pytest.Item) -> bool:
    """Whether a test is given a server: one on a dump directory is not, though its fixture could give it one."""
    served = bool({"start_server", "forker"} & set(getattr(item, "fixturenames", ())))
    return served and "embedded" not in item.nodeid.partition("[")[2]


def _place(item: pytest.Item) -> int:
    return crc32(item.nodeid.encode())
