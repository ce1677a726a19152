"""The commands around the files: init, new, lint, explain."""

from __future__ import annotations

import ast
from typing import Any

import pytest

from goaime_migrate import config, errors
from goaime_migrate.scaffold import init
from tests.acceptance.project import GREETING, PLAIN, Project
from tests.world import succeeded

IMPURE = GREETING.replace('f"Hello {', 'f"{random.random()} {').replace(
    "from goaime", "import random\n\nfrom goaime"
)
ADDED: list[dict[str, Any]] = [
    {"_id": 1, "field": 5, "new_field": None},
    {"_id": 2, "new_field": 7, "field": 6},
]
MADE: list[dict[str, Any]] = [{"_id": 1, "field": 5}, {"_id": 2, "new_field": 7, "field": 6}]
TEMPLATES: dict[str, dict[str, list[dict[str, Any]]]] = {
    "transform": {"collection_name": ADDED},
    "pipeline": {"collection_name": ADDED},
    "python": {"collection_name": ADDED},
    "index": {"collection_name": MADE},
    "insert": {"collection_name": [*MADE, {"_id": "first", "name": "First"}]},
    "delete": {"collection_name": MADE},
    "derive": {"collection_name": MADE, "collection_name_items": []},
}
"""What each leaves of the documents that a test has made."""


def test_init_writes_a_project_and_leaves_an_existing_one_alone(embedded: Project) -> None:
    embedded.world.folder.rmdir()
    first = embedded.json("init")
    assert [name.rsplit("/", 1)[-1] for name in first["created"]] == ["alembic-style.ini", "migrations"]

    (embedded.folder / "alembic-style.ini").write_text("mine")
    second = embedded.json("init")
    assert second["created"] == []
    assert len(second["kept"]) == 2
    assert (embedded.folder / "alembic-style.ini").read_text() == "mine"


def test_init_names_a_database_after_the_folder(embedded: Project) -> None:
    folder = embedded.folder / "My shop. 2"
    folder.mkdir()
    init(folder)
    settings = config.load(config=None, env=None, overrides={}, cwd=folder, environ={})
    assert settings.database == "my_shop_2"


def test_init_does_not_put_a_pyproject_out_of_force(embedded: Project) -> None:
    (embedded.folder / "pyproject.toml").write_text("[tool.goaime-migrate]\ndatabase = 'shop'\n")
    refused = embedded.run("init", "--json")
    assert refused.code == 2
    assert "pyproject.toml" in refused.json["error"]["message"]
    assert refused.json["error"]["hint"] == "goaime-migrate new NAME"
    assert not (embedded.folder / "alembic-style.ini").exists()


@pytest.mark.parametrize("kind", TEMPLATES)
def test_every_template_loads_applies_and_goes_back(project: Project, kind: str) -> None:
    project.world.insert("collection_name", MADE)
    made = project.json("new", "Add the  Field!", "--kind", kind)
    assert made["version"] == "0001"
    assert made["path"].endswith("0001_add_the_field.py")
    before = project.world.raws("collection_name")

    project.applied()
    for collection, expected in TEMPLATES[kind].items():
        assert project.world.documents(collection) == expected
    succeeded(project.world.down())
    if kind != "python":
        assert project.world.raws("collection_name") == before


def test_what_templates_derive_and_delete(embedded: Project) -> None:
    embedded.world.insert(
        "collection_name", [{"_id": 1, "items": ["a", "b"]}, {"_id": 2, "field": "obsolete"}]
    )
    embedded.json("new", "derive", "--kind", "derive")
    embedded.json("new", "delete", "--kind", "delete")
    succeeded(embedded.world.up())
    assert embedded.world.documents("collection_name_items") == [
        {"_id": "1-0", "item": "a"},
        {"_id": "1-1", "item": "b"},
    ]
    assert embedded.world.documents("collection_name") == [{"_id": 1, "items": ["a", "b"]}]


def test_new_takes_the_next_number_and_a_name_that_python_can_import(embedded: Project) -> None:
    embedded.write(GREETING)
    made = embedded.json("new", "2nd: größer")
    assert made["version"] == "0002"
    source = (embedded.world.folder / "0002_2nd_größer.py").read_text(encoding="utf-8")
    ast.parse(source)
    made = embedded.json("new", "class")
    assert made["path"].endswith("0003_class.py")
    ast.parse((embedded.world.folder / "0003_class.py").read_text())
    assert embedded.json("new", "0007_foo")["path"].endswith("0004_foo.py")
    assert embedded.run("new", "???").code == 2
    assert embedded.run("new", "x", "--kind", "magic").code == 2


def test_new_without_a_folder_is_a_usage_error(embedded: Project) -> None:
    embedded.world.folder.rmdir()
    refused = embedded.run("new", "x", "--json")
    assert refused.code == 2
    assert refused.json["error"]["code"] == "GM104"
    assert not embedded.world.folder.exists()


def test_lint_needs_no_database(embedded: Project) -> None:
    embedded.write(GREETING)
    clean = embedded.run("lint", "--uri", "mongodb://nowhere.invalid")
    assert (clean.code, clean.out) == (0, "checked 1 file: no problems\n")


def test_lint_finds_what_would_hurt_later(embedded: Project) -> None:
    embedded.write(IMPURE, PLAIN)
    embedded.world.write("0004_broken.py", "operations = [")
    embedded.world.write("0001_twice.py", GREETING)

    found = embedded.run("lint", "--json")

    assert found.code == 4
    assert set(found.json) == {"checked", "problems", "findings", "error"}
    messages = "\n".join(problem["message"] for problem in found.json["problems"])
    for part in (
        "draws at random",
        "no way back",
        "0003",
        "0004_broken.py, line 1",
        "2 files have the number 0001",
    ):
        assert part in messages


def test_lint_counts_files_that_do_not_load_and_says_each_problem_once(embedded: Project) -> None:
    embedded.world.write("0001_broken.py", "operations = [")
    found = embedded.run("lint")
    assert found.out.endswith("checked 1 file: 1 problem\n")
    assert "error[GM209]: 1 problem in 1 file\n" in found.err
    assert found.text.count("0001_broken.py") == 2  # the problem, and where to correct it


@pytest.mark.parametrize("kind", TEMPLATES)
def test_lint_finds_a_template_that_nobody_has_filled_in(embedded: Project, kind: str) -> None:
    embedded.ok("new", "fresh", "--kind", kind)
    (problem,) = embedded.run("lint", "--json").json["problems"]
    assert problem["message"].endswith(": collection_name is only a placeholder")
    path = embedded.world.folder / "0001_fresh.py"
    path.write_text(path.read_text().replace("collection_name", "people"))
    embedded.ok("lint")


@pytest.mark.parametrize("code", ["GM301", "gm301", "301", "error[GM301]:", "TransformFailed"])
def test_explain_knows_a_code_however_it_is_written(embedded: Project, code: str) -> None:
    assert embedded.ok("explain", code).out.startswith("GM301 TransformFailed, exit 1")


def test_explain_knows_the_rules(embedded: Project) -> None:
    assert embedded.ok("explain", "unique-duplicates").out.startswith("unique-duplicates\n")
    (rule,) = embedded.json("explain", "unique-duplicates")["rules"]
    assert (rule["rule"], "unique index" in rule["text"]) == ("unique-duplicates", True)


def test_explain_lists_every_code(embedded: Project) -> None:
    listed = embedded.ok("explain").out
    assert [code for code in errors.by_code() if code not in listed] == []
    assert embedded.json("explain", "GM602")["errors"][0]["exit_code"] == 7
    assert embedded.run("explain", "GM999").code == 2


def test_help_and_version_need_nothing(embedded: Project) -> None:
    assert embedded.ok("--version").out.startswith("goaime-migrate ")
    for command in ("--help", "up --help", "down -h"):
        assert "Usage: goaime-migrate" in embedded.ok(*command.split()).out
