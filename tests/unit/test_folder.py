"""What looks like a migration and is not taken, each with its reason; and what Python would run is run."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest

from goaime_migrate.errors import DuplicateVersion, FileNotTaken
from goaime_migrate.folder import look
from goaime_migrate.loader import load

GOOD = "operations = []\n"


def warning(folder: Path) -> FileNotTaken:
    found = look(folder)
    assert [path.name for _, path in found.files] == ["0001_one.py"]
    assert list(found.problems) == []
    (only,) = found.warnings
    return only


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "0001_one.py").write_text(GOOD)
    return tmp_path


def test_a_link_to_nothing_is_named(folder: Path) -> None:
    (folder / "0002_two.py").symlink_to("gone.py")
    assert warning(folder).message == (
        "0002_two.py is not taken for a migration: it is a link to gone.py, which is not there"
    )


def test_a_link_to_a_file_is_a_migration(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    target = tmp_path_factory.mktemp("elsewhere") / "text"
    target.write_text(GOOD)
    (folder / "0002_two.py").symlink_to(target)
    assert [m.version for m in load(folder).migrations] == ["0001", "0002"]


@pytest.mark.parametrize("name", ["0002_two.PY", "0002_two.Py", "0002_two.py "])
def test_another_spelling_of_py_is_named(folder: Path, name: str) -> None:
    (folder / name).write_text(GOOD)
    assert "does not end with .py" in warning(folder).message
    assert warning(folder).hint == "rename it to 0002_two.py"


@pytest.mark.parametrize("name", ["0002_two.py", "0002_two"])
def test_a_folder_is_named(folder: Path, name: str) -> None:
    (folder / name).mkdir()
    assert "it is a folder" in warning(folder).message


def test_a_pipe_is_named(folder: Path) -> None:
    os.mkfifo(folder / "0002_two.py")
    assert warning(folder).message == "0002_two.py is not taken for a migration: it is no ordinary file"


@pytest.mark.parametrize("digits", [10, 14])
def test_a_number_that_is_too_long_is_told_so(folder: Path, digits: int) -> None:
    (folder / f"{'2' * digits}_two.py").write_text(GOOD)
    assert f"its number has {digits} digits, and a number has at most 9" in warning(folder).message


@pytest.mark.parametrize("name", ["README.md", "scales.py", "0002_two.pyc", "0002_two.sql", "__pycache__x"])
def test_what_does_not_look_like_one_is_left_alone(folder: Path, name: str) -> None:
    (folder / name).write_text("x")
    assert list(look(folder).warnings) == []


def test_names_are_compared_in_one_form(folder: Path) -> None:
    decomposed = unicodedata.normalize("NFD", "0002_größe.py")
    (folder / decomposed).write_text(GOOD)
    (_, second) = load(folder).migrations
    assert (second.version, second.name) == ("0002", "größe")
    (folder / unicodedata.normalize("NFC", decomposed)).write_text(GOOD)
    assert [type(p) for p in load(folder).problems] == [DuplicateVersion]


@pytest.mark.parametrize(
    ("head", "encoding"),
    [
        (b"\xef\xbb\xbf", "utf-8"),
        (b"# -*- coding: latin-1 -*-\n", "latin-1"),
        (b"#!/usr/bin/python\n# vim: set fileencoding=cp1252 :\n", "cp1252"),
    ],
)
def test_what_python_would_run_is_run(folder: Path, head: bytes, encoding: str) -> None:
    text = "name = 'größe'\nassert len(name) == 5\noperations = []\n"
    (folder / "0002_two.py").write_bytes(head + text.encode(encoding))
    files = load(folder)
    assert files.problems == ()
    plain = folder / "0003_three.py"
    plain.write_text(text)
    _, second, third = load(folder).migrations
    assert second.checksum == third.checksum


def test_an_encoding_that_there_is_not_is_a_problem_of_the_file(folder: Path) -> None:
    (folder / "0002_two.py").write_bytes(b"# coding: klingon\n" + GOOD.encode())
    (problem,) = load(folder).problems
    assert "klingon" in problem.message
