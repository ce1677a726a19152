"""Rules at the command line: what people, runners and scanners get, and with which exit status."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from bson import encode

from tests.acceptance.project import Project

UNIQUE = '''"""Emails are unique."""
from goaime_migrate import CreateIndex

operations = [
    CreateIndex("users", "email", unique=True),
]
'''
MENDED = '''"""Emails are unique: first those go that stand twice."""
from goaime_migrate import CreateIndex, DeleteDuplicates

operations = [
    DeleteDuplicates("users", "email"),
    CreateIndex("users", "email", unique=True),
]
'''


@pytest.fixture
def twins(embedded: Project) -> Project:
    """Users of whom two have one email, and a migration that makes emails unique."""
    users = [{"_id": n, "email": f"{n % 4}@x.example"} for n in range(6)]
    embedded.world.dump.mkdir(parents=True, exist_ok=True)
    (embedded.world.dump / "users.bson").write_bytes(b"".join(map(encode, users)))
    embedded.world.write("0001_unique.py", UNIQUE)
    return embedded


def test_a_unique_index_that_cannot_be_is_found_before_and_mended_by_its_remedy(twins: Project) -> None:
    before = {path.name: path.read_bytes() for path in twins.world.dump.iterdir()}
    plan = twins.run("plan", "--json")
    assert plan.code == 9
    assert plan.json["error"]["code"] == plan.json["refused"]["code"] == "GM807"
    (finding,) = (f for f in plan.json["findings"] if f["severity"] == "error")
    assert (finding["rule"], finding["version"], finding["collection"]) == (
        "unique-duplicates",
        "0001",
        "users",
    )
    assert finding["evidence"]["examples"][0] == {
        "key": {"email": "0@x.example"},
        "ids": [0, 4],
        "documents": 2,
    }
    assert (finding["line"], Path(finding["file"]).name) == (5, "0001_unique.py")
    assert 'DeleteDuplicates("users", "email")'.replace('"', "'") in finding["remedy"]
    up = twins.run("up", "--json")
    assert (up.code, up.json["error"]["code"], up.json["failed"]) == (9, "GM807", "0001")
    assert {path.name: path.read_bytes() for path in twins.world.dump.iterdir()} == before
    twins.world.write("0001_unique.py", MENDED)
    twins.ok("plan")
    twins.ok("up")
    twins.ok("down", "--yes")
    assert (twins.world.dump / "users.bson").read_bytes() == before["users.bson"]


def test_a_terminal_of_eighty_columns_is_wide_enough(twins: Project) -> None:
    shown = twins.run("plan").out
    assert "  error[unique-duplicates] 0001 users (" in shown
    assert "  do: " in shown


@pytest.mark.parametrize("command", ["plan", "lint"])
def test_two_forms_at_once_are_refused(twins: Project, command: str) -> None:
    assert twins.run(command, "--json", "--format", "sarif").code == 2
    assert twins.run(command, "--format", "xml").code == 2


def test_a_runner_gets_annotations_and_a_summary(twins: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    summary = twins.folder / "summary.md"
    summary.write_text("# before\n")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    shown = twins.run("plan", "--format", "github")
    assert shown.code == 9
    assert shown.out.startswith("::error title=unique-duplicates,file=")
    assert summary.read_text().startswith("# before\n## Migration plan: apply 1 version\n")
    assert "x.example" not in summary.read_text(), "values are masked"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(twins.folder / "nowhere" / "x"))
    assert twins.run("lint", "--format", "github").code == 2


def test_a_pull_request_gets_markdown_and_a_scanner_sarif(twins: Project) -> None:
    markdown = twins.run("plan", "--format", "markdown")
    assert markdown.out.startswith("## Migration plan: apply 1 version\n")
    assert "x.example" not in markdown.out
    sarif = json.loads(twins.run("plan", "--format=sarif").out)
    assert sarif["version"] == "2.1.0"
    assert sarif["runs"][0]["results"][0]["ruleId"] == "unique-duplicates"
    twins.world.write("0002_broken.py", "operations = [")
    shown = json.loads(twins.run("lint", "--format", "sarif").out)
    assert [result["ruleId"] for result in shown["runs"][0]["results"]] == ["GM206"]
    assert "0002" in twins.run("lint", "--format", "markdown").out


def test_files_that_are_applied_everywhere_are_spared(embedded: Project) -> None:
    source = 'from goaime_migrate import RemoveField\noperations = [RemoveField("c", "x")]\n'
    embedded.world.write("0001_one.py", source)
    embedded.world.write("0002_two.py", source)
    found = embedded.run("lint", "--json")
    assert (found.code, [f["version"] for f in found.json["findings"]]) == (4, ["0001", "0002"])
    later = embedded.run("lint", "--json", GOAIME_MIGRATE_LINT_AFTER="0001")
    assert [f["version"] for f in later.json["findings"]] == ["0002"]
    assert embedded.run("lint", GOAIME_MIGRATE_LINT_AFTER="0002").out == "checked 2 files: no problems\n"
