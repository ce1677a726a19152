"""Files and settings that are refused: before anything else is looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pymongo.errors import InvalidOperation

from goaime_migrate import config, errors
from goaime_migrate.backends.server import connect
from goaime_migrate.backends.server.client import SharedClient
from tests.integration.engines import dump, two
from tests.integration.refused import file_problem, grow, opened, said
from tests.world import World, succeeded


@dump
def test_a_syntax_error_is_refused_with_file_and_line(numbers: World) -> None:
    numbers.write("0001_grow.py", "def grow(d)\n    pass\n")
    error = file_problem(numbers, errors.LoadFailed, "GM206")
    assert error.message == "0001_grow.py, line 1: expected ':'"


@dump
def test_an_import_that_fails_is_refused_with_file_and_line(numbers: World) -> None:
    numbers.write("0001_grow.py", "import os\nimport nowhere\n")
    error = file_problem(numbers, errors.LoadFailed, "GM206")
    assert error.message.startswith("0001_grow.py, line 2: ModuleNotFoundError")


@dump
def test_two_files_with_one_number_are_refused(numbers: World) -> None:
    numbers.write("0001_grow.py", grow())
    numbers.write("0001_other.py", grow())
    error = file_problem(numbers, errors.DuplicateVersion, "GM203")
    assert "0001_grow.py, 0001_other.py" in error.message


@dump
def test_a_gap_is_refused(numbers: World) -> None:
    numbers.write("0001_grow.py", grow())
    numbers.write("0003_more.py", grow())
    assert file_problem(numbers, errors.VersionGap, "GM204").version == "0002"


@two
def test_an_edited_file_is_refused(numbers: World) -> None:
    numbers.write("0001_grow.py", grow())
    numbers.up()
    numbers.write("0001_grow.py", grow('d["n"] += 1'))
    error = file_problem(numbers, errors.EditedMigration, "GM201")
    assert "goaime-migrate repair" in error.hint


@dump
def test_a_comment_is_no_edit(numbers: World) -> None:
    numbers.write("0001_grow.py", grow())
    numbers.up()
    numbers.write("0001_grow.py", grow() + "\n    # said more clearly\n")
    assert succeeded(numbers.up()).message == "already at 0001"


@dump
def test_a_removed_file_is_refused(numbers: World) -> None:
    numbers.write("0001_grow.py", grow())
    numbers.write("0002_more.py", grow('d["m"] = 1'))
    numbers.up()
    (numbers.folder / "0002_more.py").unlink()
    assert file_problem(numbers, errors.MissingMigration, "GM202").version == "0002"


@dump
def test_a_file_added_below_the_current_version_is_refused(numbers: World) -> None:
    numbers.write("0001_grow.py", grow())
    numbers.write("0002_more.py", grow('d["m"] = 1'))
    with numbers.migrator() as migrator:
        migrator.stamp("2")
    numbers.remove("schema_versions", "0001")
    for event in numbers.documents("schema_versions_log"):  # with it the record would count as lost
        numbers.remove("schema_versions_log", event["_id"])
    error = file_problem(numbers, errors.OutOfOrder, "GM205")
    assert error.version == "0001"


@dump
def test_a_keyword_that_is_no_lookup_is_refused_at_load(numbers: World) -> None:
    numbers.write("0001_grow.py", grow(options="batch=5"))
    error = file_problem(numbers, errors.InvalidMigration, "GM207")
    assert error.message.startswith("0001_grow.py, line 7: batch= is neither an option nor a Lookup")


# --- configuration and servers ---------------------------------------------------------------------------------


def test_an_unknown_key_is_refused_with_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "alembic-style.ini").write_text("[goaime-migrate]\nuri = dump:x\nmigratons = here\n")
    with pytest.raises(errors.InvalidConfiguration, match="unknown key migratons") as caught:
        config.load(config=None, env=None, overrides={}, cwd=tmp_path, environ={})
    assert caught.value.exit_code == 2
    assert caught.value.hint == "did you mean migrations?"


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("mongodb://user:secret@hidden@host/x", "has more than one @"),
        ("mongodb://user:sec%ret@host/x", "Username and password must be escaped"),
        ("mongodb://user:secret/hidden@host/x", "is not percent-encoded"),
        ("mongodb://user:1234/hidden@host/x", "of the user name or the password is not percent-encoded"),
        ("mongodb://user:secret?hidden@host/x", "of the user name or the password is not percent-encoded"),
        ("mongodb://host/x?replicaset=rs&bogus=secret", "'bogus' is no option of one"),
        ("mongodb://host/x?tlsCAFile=/nowhere/secure.pem", "tlsCAFile cannot be read: /nowhere/secure.pem"),
        ("mongodb://user:secret@host:port/x", "Port contains non-digit characters"),
        ("mongodb://host:99999/x", "Port must be an integer between 0 and 65535"),
        ("mongodb:///x", "Empty host"),
        ("mongodb://user:secret@host/x?replicaset=rs&replicSet=rs", "'replicSet' is no option of one"),
    ],
)
def test_a_malformed_uri_is_refused_without_its_password(uri: str, reason: str, tmp_path: Path) -> None:
    error = opened(uri, tmp_path)
    assert isinstance(error, errors.InvalidUri)
    assert error.exit_code == 2
    assert reason in error.message
    assert "mongodb://user:password@host:port/database" in error.hint
    assert "secret" not in said(error)
    assert "hidden" not in said(error)


def test_a_uri_without_a_database_says_what_is_missing(tmp_path: Path) -> None:
    error = opened("mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=50", tmp_path, database=None)
    assert isinstance(error, errors.InvalidConfiguration)
    assert "no database is named" in error.message


@pytest.mark.parametrize("database", [None, "c"])
def test_what_cannot_be_opened_is_closed_again(
    database: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[SharedClient] = []

    def noted(*arguments: Any, **options: Any) -> SharedClient:
        made.append(SharedClient(*arguments, **options))
        return made[-1]

    monkeypatch.setattr(connect, "SharedClient", noted)
    error = opened("mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=50", tmp_path, database=database)
    assert error.exit_code in (2, 8)
    assert made
    for client in made:
        with pytest.raises(InvalidOperation, match="after close"):
            client.admin.command("ping")


@dump
def test_a_file_that_does_not_load_is_pending_under_its_name(numbers: World) -> None:
    numbers.write("0001_grow.py", grow())
    succeeded(numbers.up())
    numbers.write("0002_broken.py", "import nowhere\n")
    numbers.write("0003_more_of_it.py", "operations = 1")
    status = numbers.status()
    assert [(v.version, v.name, str(v.state)) for v in status.versions] == [
        ("0001", "grow", "applied"),
        ("0002", "broken", "pending"),
        ("0003", "more_of_it", "pending"),
    ]
    assert status.pending == ("0002", "0003")
    assert (status.current, status.head) == ("0001", "0003")
    assert [p.version for p in status.problems] == ["0002", "0003"]
    with pytest.raises(errors.LoadFailed):
        numbers.up()
    succeeded(numbers.down())
    numbers.write("0001_grow.py", "if")
    assert numbers.status().pending == ("0001", "0002", "0003")


@dump
def test_an_applied_file_that_does_not_load_any_more_is_still_applied(numbers: World) -> None:
    numbers.write("0001_grow.py", grow())
    succeeded(numbers.up())
    numbers.write("0001_grow.py", "if")
    status = numbers.status()
    assert (status.pending, status.current, status.head) == ((), "0001", "0001")


@dump
def test_lint_names_a_superseded_version_that_does_not_exist(world: World) -> None:
    world.write("0001_one.py", "if")
    world.write("0002_two.py", "operations = []")
    world.write("0005_five.py", "supersedes = ['0001', '0002', '0004']\noperations = []")
    with world.migrator() as migrator:
        found = [p.message for p in migrator.lint().problems if "supersedes" in p.message]
    assert found == ["0005_five.py: supersedes names 0004, and there is no such file"]
