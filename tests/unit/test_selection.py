"""A short run tries some of everything."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.selection import EVERY, needs_server, short

WAYS = ("embedded", "standalone", "replica-set-1", "replica-set-2")


def item(path: str, name: str, *fixtures: str) -> Any:
    return SimpleNamespace(nodeid=f"{path}::{name}", path=Path(path), fixturenames=list(fixtures))


ITEMS: list[Any] = [
    *[
        item(f"test_{file}.py", f"test_{test}[{way}]", "world", "start_server")
        for file in "abcd"
        for test in range(10)
        for way in WAYS
    ],
    item("test_e.py", "test_its_only_one", "forker"),
    *[item("test_f.py", f"test_pure[{n}]") for n in range(20)],
]


def test_what_needs_no_server_all_runs() -> None:
    assert [each for each in short(ITEMS) if not needs_server(each)] == [
        each for each in ITEMS if not needs_server(each)
    ]


def test_of_each_file_some_tests_run_and_in_one_way() -> None:
    served = [each for each in short(ITEMS) if needs_server(each)]
    functions = [each.nodeid.partition("[")[0] for each in served]
    assert len(functions) == len(set(functions))
    counts = {path: sum(str(each.path) == path for each in served) for path in {str(i.path) for i in ITEMS}}
    assert counts == {
        **{f"test_{file}.py": -(-10 // EVERY) for file in "abcd"},
        "test_e.py": 1,
        "test_f.py": 0,
    }


def test_all_ways_have_their_share_and_it_is_always_the_same() -> None:
    served = [each.nodeid for each in short(ITEMS) if needs_server(each)]
    assert {name.partition("[")[2].rstrip("]") for name in served if "[" in name} == set(WAYS) - {"embedded"}
    assert [each.nodeid for each in short(ITEMS[::-1]) if needs_server(each)] == served[::-1]
