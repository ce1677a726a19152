"""Version numbers, and the checksum that recognises a file again."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from goaime_migrate.migration import FILE_NAME, Migration, checksum, version_of

SOURCE = '''
"""Count."""

from goaime_migrate import TransformDocuments


def count(session):
    """Count the attempts."""
    session["count"] = len(session["attempts"])


operations = [TransformDocuments("sessions", count)]
'''


@pytest.mark.parametrize(("number", "version"), [(1, "0001"), (42, "0042"), (12345, "12345")])
def test_a_version_has_at_least_four_digits(number: int, version: str) -> None:
    assert version_of(number) == version


@pytest.mark.parametrize(
    ("name", "number"),
    [("0001_add.py", "0001"), ("1_add.py", "1"), ("20260101_add_user_id.py", "20260101")],
)
def test_a_file_is_named_by_a_number_and_a_word(name: str, number: str) -> None:
    match = FILE_NAME.fullmatch(name)
    assert match
    assert match["number"] == number


@pytest.mark.parametrize(
    "name", ["add.py", "0001.py", "0001-add.py", "0001_add.txt", "_0001_add.py", "0001_a b.py"]
)
def test_other_names_are_no_migrations(name: str) -> None:
    assert FILE_NAME.fullmatch(name) is None


@pytest.mark.parametrize(
    "same",
    [
        pytest.param(SOURCE + "# a comment\n", id="comment"),
        pytest.param(SOURCE.replace('"sessions"', "'sessions'"), id="quotes"),
        pytest.param(SOURCE.replace("count)]", "count,\n)]"), id="line breaks"),
        pytest.param(SOURCE.replace("    ", "\t"), id="indentation"),
        pytest.param(SOURCE.replace('"""Count."""', '"""Count better."""'), id="docstring of the module"),
        pytest.param(SOURCE.replace('"""Count."""', ""), id="no docstring"),
        pytest.param(
            SOURCE.replace('"""Count the attempts."""', '"""Other."""'), id="docstring of a function"
        ),
        pytest.param(SOURCE.replace('    """Count the attempts."""\n', ""), id="no docstring of a function"),
        pytest.param("\n\n" + SOURCE.replace("\n", "\r\n"), id="line ends"),
        pytest.param(SOURCE.replace("len(", "(len)("), id="parentheses"),
    ],
)
def test_comments_formatting_and_docstrings_are_free_to_change(same: str) -> None:
    assert checksum(same) == checksum(SOURCE)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(SOURCE.replace('"count"]', '"number"]'), id="a name"),
        pytest.param(
            SOURCE.replace('len(session["attempts"])', 'len(session["attempts"]) + 1'), id="an operator"
        ),
        pytest.param(SOURCE.replace("sessions", "users"), id="a collection"),
        pytest.param(SOURCE + "\nsupersedes = ['0001']\n", id="a declaration"),
        pytest.param(SOURCE.replace("def count", "async def count"), id="async"),
    ],
)
def test_code_is_not(other: str) -> None:
    assert checksum(other) != checksum(SOURCE)


def test_values_that_are_equal_and_of_other_types_are_other_code() -> None:
    sources = ["x = 1", "x = 1.0", "x = True", "x = '1'", "x = b'1'", "x = 1j"]
    assert len({checksum(source) for source in sources}) == len(sources)


def test_a_text_that_is_no_docstring_is_code() -> None:
    one, other = ("def f():\n    return 1\n    'a'\n", "def f():\n    return 1\n    'b'\n")
    assert checksum(one) != checksum(other)


def test_a_function_that_is_only_a_docstring_has_a_checksum() -> None:
    assert checksum("def f():\n    'a'\n") == checksum("def f():\n    'b'\n")


def test_the_checksum_is_the_same_in_every_release_of_python() -> None:
    assert checksum(SOURCE) == "71c2f2bcfe0ac44a"


def test_a_syntax_error_is_raised_as_one() -> None:
    with pytest.raises(SyntaxError):
        checksum("def (")


def test_a_migration_is_called_as_its_file() -> None:
    migration = Migration("0003", "count", "", "", Path("0003_count.py"), ())
    assert migration.label == "0003_count"
    assert migration.reversible


def test_a_source_may_be_indented_in_its_strings_alone() -> None:
    assert checksum(dedent("x = '''\n  a'''")) != checksum(dedent("x = '''\n a'''"))
