"""docs/library.md is executed: its blocks, one after the other, as one program; and its web applications as processes."""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from bson import encode

from goaime_migrate import Migrator
from goaime_migrate.errors import Interrupted
from tests.acceptance.project import GREETING, PATIENCE_S, Project
from tests.world import REPOSITORY

PAGE = (REPOSITORY / "docs" / "library.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
WORKERS = 3
DJANGO = """
import sys
from types import ModuleType

from django.conf import settings
import django

sys.modules["shop"] = shop = ModuleType("shop")
shop.__path__, shop.__file__ = ["."], "shop.py"
settings.configure(INSTALLED_APPS=["apps.ShopConfig"], GOAIME_MIGRATE={given!r})
print("begins", flush=True)
django.setup()
print("serves", flush=True)
"""
FASTAPI = """
import asyncio

import app


async def serve():
    async with app.app.router.lifespan_context(app.app):
        print("serves", flush=True)


print("begins", flush=True)
asyncio.run(serve())
"""


def block(name: str) -> str:
    """The block of the page that is this file."""
    (found,) = [each for each in BLOCKS if each.startswith(f"# {name}\n")]
    return str(found)


def test_the_page_is_true(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("migrations", "dump/shop"):
        (tmp_path / folder).mkdir(parents=True)
    source = "from goaime_migrate import AddField\noperations = [AddField('c', 'n', 1)]\n"
    (tmp_path / "migrations" / "0001_add.py").write_text(source)
    (tmp_path / "dump" / "shop" / "c.bson").write_bytes(encode({"_id": 1}) + encode({"_id": 2}))
    assert len(BLOCKS) == 9
    exec(compile("\n".join(BLOCKS), "library.md", "exec", dont_inherit=True), {})


# --- web applications ------------------------------------------------------------------------------------------


@pytest.fixture
def shop(project: Project) -> Project:
    """A project whose application is that of the page, with a version that is not applied yet."""
    project.write(GREETING)
    given = {
        "uri": project.world.uri,
        "database": project.world.database,
        "migrations": str(project.world.folder),
    }
    imports = "from goaime_migrate import Migrator, Settings\n"
    here = f"settings = Settings(**{given!r})\n"
    (project.folder / "app.py").write_text(imports + here + block("app.py"))
    (project.folder / "apps.py").write_text(imports + block("apps.py"))
    (project.folder / "serve_fastapi.py").write_text(FASTAPI)
    (project.folder / "serve_django.py").write_text(DJANGO.format(given=given))
    return project


@pytest.mark.parametrize("framework", ["fastapi", "django"])
def test_workers_that_start_at_once_wait_for_the_one_that_migrates(shop: Project, framework: str) -> None:
    started = [
        subprocess.Popen(
            [sys.executable, f"serve_{framework}.py"],
            cwd=shop.folder,
            env=shop.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(WORKERS)
    ]
    try:
        for worker in started:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "begins\n"
        assert shop.state() == {"0001": "pending"}
        shop.ok("up")
        for worker in started:
            out, err = worker.communicate(timeout=PATIENCE_S)
            assert (worker.returncode, out) == (0, "serves\n"), err
    finally:
        for worker in started:
            worker.kill()
            worker.wait()
    assert [(entry["action"], entry["result"]) for entry in shop.json("history")] == [("up", "applied")]


def application(shop: Project) -> Any:
    names: dict[str, Any] = {}
    exec(compile((shop.folder / "app.py").read_text(), "app.py", "exec", dont_inherit=True), names)
    return names


def test_a_database_that_is_not_migrated_in_time_is_an_error(shop: Project) -> None:
    at_head = application(shop)["at_head"]
    with pytest.raises(RuntimeError, match="at None, not at 0001"):
        asyncio.run(at_head(0.0))
    assert shop.state() == {"0001": "pending"}


def test_a_server_that_is_stopped_while_it_waits_does_not_wait_to_the_end(shop: Project) -> None:
    at_head = application(shop)["at_head"]

    async def cancelled() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(at_head(PATIENCE_S), 0.2)

    began = time.monotonic()
    asyncio.run(cancelled())  # waits for the thread
    assert time.monotonic() - began < PATIENCE_S / 2


def test_a_wait_that_is_interrupted_has_the_status_of_the_signal(shop: Project) -> None:
    with shop.world.migrator() as migrator:
        assert isinstance(migrator, Migrator)
        migrator.interrupt(signal.SIGTERM)
        with pytest.raises(Interrupted, match="stopped by SIGTERM while waiting") as caught:
            migrator.wait(PATIENCE_S)
    assert caught.value.exit_code == 143
    assert str(caught.value.hint) == "goaime-migrate wait"
