"""What keeps short commands short: what they do not import, and what they do not wait for."""

from __future__ import annotations

import atexit
import gc
import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from bson import encode
from hypothesis import given, settings
from hypothesis import strategies as st

from goaime_migrate import Migrator, Settings
from goaime_migrate.cli import plain, process
from goaime_migrate.cli.commands import COMMANDS
from goaime_migrate.cli.options import Request
from goaime_migrate.cli.parser import parse
from goaime_migrate.errors import UsageError

LOADED = """
import json, sys
from goaime_migrate.cli import main
status = main(json.loads(sys.argv[1]))
print(json.dumps([status, sorted(sys.modules)]), file=sys.stderr)
"""
NOBODY = "mongodb://127.0.0.1:1/goaime?serverSelectionTimeoutMS=1"
HEAVY = (
    "dask",
    "jinja2",
    "mongomock",
    "multiprocessing",
    "opentelemetry",
    "pydantic",
    "rich",
    "typer",
    "zstandard",
)
MIGRATION = """
from goaime_migrate import AddField, CreateIndex

operations = [AddField("users", "active", True), CreateIndex("users", "email")]
"""
OWN = (
    "down.forecast",
    "down.reverter",
    "journal.segments",
    "misdeclared",
    "operations.collections",
    "operations.deletes",
    "operations.validators",
    "render.bars",
    "planner.groups",
    "planner.lineage",
    "results.history",
    "results.mending",
    "results.plan",
    "results.reading",
    "rules.files",
    "rules.review",
    "run.lock",
    "run.recorder",
    "scaffold",
    "transform.chain",
    "transform.deduplication",
    "transform.derivation",
    "transform.insertion",
    "transform.step",
    "up.executor",
    "up.forecast",
    "up.walk",
    "verify.verifier",
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    dump, files = tmp_path / "dump" / "app", tmp_path / "migrations"
    dump.mkdir(parents=True)
    files.mkdir()
    (dump / "users.bson").write_bytes(encode({"_id": 1}))
    (files / "0001_active.py").write_text(MIGRATION)
    (tmp_path / "alembic-style.ini").write_text("[goaime-migrate]\nuri = dump:dump\n")
    with Migrator(Settings(uri=f"dump:{dump.parent}", migrations=files)) as migrator:
        assert migrator.up().error is None
    return tmp_path


def loaded(project: Path, *words: str) -> tuple[int, set[str]]:
    """The exit status of a command in a process of its own, and the modules that it imported."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED, json.dumps(words)],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=True,
    )
    status, modules = json.loads(done.stderr.splitlines()[-1])
    return status, set(modules)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("status",), 0),
        (("status", "--json"), 0),
        (("status", "--check"), 0),
        (("wait", "--timeout", "1"), 0),
        (("up",), 0),
        (("up", "--json"), 0),
        (("status", "--uri", NOBODY), 8),
        (("up", "--uri", NOBODY), 8),
    ],
)
def test_a_command_with_nothing_to_do_imports_no_parser_no_bars_and_no_engine(
    project: Path, words: tuple[str, ...], expected: int
) -> None:
    status, modules = loaded(project, *words)
    assert status == expected
    assert modules & set(HEAVY) == set()
    assert modules & {f"goaime_migrate.{name}" for name in OWN} == set()


@pytest.mark.parametrize("name", OWN)
def test_what_is_not_to_be_imported_is_there(name: str) -> None:
    assert find_spec(f"goaime_migrate.{name}") is not None


@pytest.mark.parametrize("words", [("status",), ("status", "--check"), ("wait", "--timeout", "1")])
def test_what_nobody_hears_is_not_made(project: Path, words: tuple[str, ...]) -> None:
    _, modules = loaded(project, *words)
    assert "goaime_migrate.events" not in modules


@pytest.mark.parametrize("words", [("up",), ("status", "--uri", NOBODY)])
def test_a_result_that_is_not_shown_is_not_made(project: Path, words: tuple[str, ...]) -> None:
    _, modules = loaded(project, *words)
    assert "goaime_migrate.results.status" not in modules


def test_an_up_needs_no_models_where_no_migration_has_one(project: Path) -> None:
    (project / "migrations" / "0002_more.py").write_text(
        MIGRATION.replace("active", "more").replace("email", "n")
    )
    status, modules = loaded(project, "up")
    assert status == 0
    assert "goaime_migrate.up.executor" in modules
    assert modules & {"pydantic", "goaime_migrate.down.reverter", "goaime_migrate.results.plan"} == set()


def test_a_dump_needs_no_driver(project: Path) -> None:
    status, modules = loaded(project, "status")
    assert status == 0
    assert modules & {"asyncio", "pymongo", "subprocess"} == set()


def test_an_unknown_command_needs_no_parser_and_no_settings(project: Path) -> None:
    status, modules = loaded(project, "stauts")
    assert status == 2
    assert modules & {*HEAVY, "bson", "pydantic", "pymongo", "goaime_migrate.config"} == set()


def test_help_needs_no_settings_and_no_driver(project: Path) -> None:
    status, modules = loaded(project, "--help")
    assert status == 0
    assert modules & {"bson", "pymongo", "rich", "goaime_migrate.config"} == set()


# --- lines that need no parser ---------------------------------------------------------------------------------


def read(words: list[str]) -> Request | None:
    """The line as it is read without the parser, which must not understand it otherwise."""
    request = plain.request(words[0], words)
    if request is not None:
        assert request == parse(words[0], words)
    return request


@pytest.mark.parametrize(
    "line",
    [
        "status",
        "status --json -q",
        "up --log-json",
        "status --check --uri mongodb://h/x?a=b",
        "status --uri=mongodb://h/x?a=b --database app",
        "wait --timeout 30 --env production",
        "up",
        "up 3 --allow-untested-topology --workers 2",
        "up --lock-timeout=5 +2 -c other.ini",
        "down --yes --dry-run add_user",
        "unlock --force -y",
        "stamp head",
        "new add_user_id",
        "explain",
        "explain GM301 --json",
    ],
)
def test_a_plain_line_is_understood_as_the_parser_does(line: str) -> None:
    assert read(line.split()) is not None


@pytest.mark.parametrize(
    "line",
    [
        "status --help",
        "status -h",
        "status --frob",
        "status extra",
        "status --json=yes",
        "status --no-check",
        "status -qv",
        "status --uri",
        "status --uri --json",
        "status --uri=",
        "status -- ",
        "status --json --json",
        "wait --timeout -1",
        "wait --timeout 1e3",
        "wait --timeout soon",
        "up 1 2",
        "down --on-conflict keep",
        "verify --sample 5",
        "stamp",
        "new",
        "new x --kind index",
        "status --database \udcff",
        "up -",
    ],
)
def test_whatever_is_not_plain_is_left_to_the_parser(line: str) -> None:
    assert read(line.split(" ")) is None


WORDS = (
    "0003 x +1 - -- --json --check -q -v -qv --yes -y --uri --uri=u --uri= -c -cfile --config --env --timeout",
    "--timeout=3 7 1.5 -1 --where {} --sample --kind index --on-conflict keep --dry-run --force --help",
    "--lock-timeout --allow-untested-topology --allow-untested-topology=1 --no-json --database",
)


@settings(deadline=None)
@given(st.sampled_from(sorted(COMMANDS)), st.lists(st.sampled_from(" ".join(WORDS).split()), max_size=4))
def test_no_line_is_understood_otherwise_than_by_the_parser(command: str, words: list[str]) -> None:
    try:
        read([command, *words])
    except UsageError as error:
        pytest.fail(f"the parser refuses it: {error}")


# --- the end of the process ------------------------------------------------------------------------------------


def test_nobody_waits_for_the_threads_of_a_closed_client(monkeypatch: pytest.MonkeyPatch) -> None:
    from pymongo.synchronous import monitor

    forgotten: list[Callable[..., Any]] = []
    frozen: list[bool] = []
    monkeypatch.setattr(atexit, "unregister", forgotten.append)
    monkeypatch.setattr(gc, "freeze", lambda: frozen.append(True))
    process.end()
    assert forgotten == [monitor._shutdown_resources]
    assert frozen == [True]


def test_another_driver_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(atexit, "unregister", lambda _: pytest.fail("nothing to forget"))
    monkeypatch.setattr(gc, "freeze", lambda: None)
    monkeypatch.delitem(sys.modules, "pymongo.synchronous.monitor", raising=False)
    process.end()


def test_a_process_that_ends_soon_still_writes_everything_and_runs_what_is_registered(project: Path) -> None:
    script = """
import atexit, sys
from goaime_migrate.cli import main
atexit.register(print, "registered")
sys.argv = ["goaime-migrate", "explain"]
sys.exit(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("CODE ")
    assert done.stdout.endswith("registered\n")
