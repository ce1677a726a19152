"""The reference is made from the code, and what it says of JSON is what commands print."""

from __future__ import annotations

import runpy

import pytest
from jsonschema import ValidationError

from goaime_migrate.cli.commands import COMMANDS
from tests.acceptance import schema
from tests.acceptance.project import Project
from tests.world import REPOSITORY

BUILD = runpy.run_path(str(REPOSITORY / "docs" / "build.py"))
ANYWHERE = ("status", "plan", "up", "verify", "history", "lint", "wait", "unlock", "repair", "explain")


def test_no_page_of_the_reference_is_stale() -> None:
    folder = REPOSITORY / "docs" / "reference"
    stale = [n for n, text in BUILD["pages"]().items() if (folder / n).read_text(encoding="utf-8") != text]
    assert stale == [], "python3 dev docs writes them anew"


def test_every_command_has_a_shape() -> None:
    assert set(BUILD["shapes"]()) == set(COMMANDS)


def test_every_command_prints_what_the_schema_says_also_where_it_fails(embedded: Project) -> None:
    """`Project.run` holds each output against the schema."""
    for command in ANYWHERE:
        embedded.run(command, "--json")
        assert embedded.run(command, "--json", "--config", "nowhere.ini").code in (0, 2)
    embedded.run("new", "first", "--json")
    embedded.run("init", "--json")
    embedded.run("stamp", "head", "--yes", "--json")
    embedded.run("down", "--yes", "--json")
    embedded.run("up", "--dry-run", "--json")


def test_a_key_that_the_schema_does_not_name_would_be_found() -> None:
    with pytest.raises(ValidationError):
        schema.check("unlock", {"lock": None, "ended": False, "error": None, "more": 1})
    with pytest.raises(ValidationError):
        schema.check("unlock", {"lock": None, "error": None})
