"""Migrations that import the project's own code, by the installed command, also in worker processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.project import Project
from tests.servers import Kind

USES = """
from goaime_migrate import TransformDocuments
from shop_of_this_project.prices import in_cents
from migrations.scales import factor


def price(person):
    import scales

    assert scales.factor == factor
    person["cents"] = in_cents(person["_id"]) * factor


operations = [TransformDocuments("people", price)]
"""


@pytest.fixture
def using(project: Project) -> Project:
    package = project.folder / "shop_of_this_project"
    package.mkdir()
    (package / "prices.py").write_text("def in_cents(n):\n    return n * 100\n")
    (project.world.folder / "scales.py").write_text("factor = 3\n")
    project.write(USES)
    (project.folder / "alembic-style.ini").write_text("[goaime-migrate]\n")
    return project


def installed(project: Project, *words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The program as it is installed: Python does not look into the working directory by itself."""
    environment = project.environment()
    del environment["PYTHONPATH"]
    return subprocess.run(
        [Path(sys.executable).with_name("goaime-migrate"), *words],
        cwd=cwd or project.folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_projects_code_is_found_from_anywhere(
    using: Project, tmp_path_factory: pytest.TempPathFactory
) -> None:
    ini = str(using.folder / "alembic-style.ini")
    done = installed(
        using, "up", "-c", ini, "--migrations", str(using.world.folder), cwd=tmp_path_factory.mktemp("away")
    )
    assert done.returncode == 0, done.stderr
    assert {d["_id"]: d["cents"] for d in using.world.documents("people")} == {n: n * 300 for n in range(5)}


def test_without_a_file_the_working_directory_counts(using: Project) -> None:
    (using.folder / "alembic-style.ini").unlink()
    done = installed(using, "up")
    assert done.returncode == 0, done.stderr


def test_a_changed_helper_and_a_file_that_is_not_taken_are_told_and_stop_nothing(using: Project) -> None:
    assert installed(using, "up").returncode == 0
    (using.world.folder / "scales.py").write_text("factor = 4\n")
    (using.world.folder / "0002_more.PY").write_text("operations = []\n")
    told = using.json("status", "--check")
    assert [(w["code"], w["message"]) for w in told["warnings"]] == [
        ("GM213", "0002_more.PY is not taken for a migration: its name does not end with .py"),
        ("GM212", "scales.py is not what it was when 0001 ran, which imports it"),
    ]
    shown = using.ok("status").out
    assert "GM212" in shown
    assert "0002_more.PY is not taken" in shown
    assert using.ok("up").code == 0
    lint = using.run("lint", "--json")
    assert lint.code == 4
    assert "GM213" in [p["code"] for p in lint.json["problems"]]


@pytest.mark.parametrize("project", [Kind.REPLICA_SET], indirect=True)
def test_worker_processes_find_it_too(using: Project) -> None:
    using.world.insert("people", [{"_id": n, "name": "x"} for n in range(5, 30_000)])
    done = installed(using, "up", "--workers", "2")
    assert done.returncode == 0, done.stderr
    assert all(d["cents"] == d["_id"] * 300 for d in using.world.documents("people"))
