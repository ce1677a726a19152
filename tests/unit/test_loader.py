"""Migration files that load, and those that do not: each with its place and what to do."""

from __future__ import annotations

import sys
from pathlib import Path
from textwrap import dedent

import pytest

from goaime_migrate.errors import (
    DuplicateVersion,
    FolderMissing,
    HistoryError,
    InvalidMigration,
    LoadFailed,
    VersionGap,
)
from goaime_migrate.loader import MigrationFiles, load
from goaime_migrate.operations import AddField, CreateIndex, RunFunctions

GOOD = 'from goaime_migrate import *\noperations = [AddField("c", "n", 1)]\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "migrations"
    path.mkdir()
    return path


def write(folder: Path, **files: str) -> None:
    for name, source in files.items():
        (folder / f"{name.removeprefix('m')}.py").write_text(dedent(source))


def problem(folder: Path) -> HistoryError:
    """The only problem of the folder."""
    (found,) = load(folder).problems
    return found


def one(folder: Path, source: str) -> MigrationFiles:
    write(folder, m0001_one=source)
    return load(folder)


def test_files_load_in_the_order_of_their_numbers(folder: Path) -> None:
    write(folder, m10_ten=GOOD, m0009_nine=GOOD, m2_two=GOOD)
    assert [m.version for m in load(folder).migrations] == ["0002", "0009", "0010"]


def test_number_name_and_description_come_from_the_file(folder: Path) -> None:
    source = '"""Add n\nto all.\n\nMore of it."""\n' + GOOD
    (migration,) = one(folder, source).migrations
    assert (migration.version, migration.name, migration.label) == ("0001", "one", "0001_one")
    assert migration.description == "Add n to all."
    assert isinstance(migration.operations[0], AddField)


def test_other_files_of_the_folder_are_left_alone(folder: Path) -> None:
    write(folder, m0001_one=GOOD, __init__="raise Exception", helpers="raise Exception")
    (folder / "README.md").write_text("notes")
    (folder / "0002_folder.py").mkdir()
    files = load(folder)
    assert [m.version for m in files.migrations] == ["0001"]
    assert files.problems == ()


def test_an_empty_folder_has_no_migrations(folder: Path) -> None:
    assert load(folder) == MigrationFiles((), ())


def test_a_missing_folder_is_refused_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(FolderMissing, match="there is no migrations folder") as caught:
        load(tmp_path / "nowhere")
    assert "goaime-migrate init" in caught.value.hint
    assert not (tmp_path / "nowhere").exists()


def test_loading_leaves_no_bytecode_behind(folder: Path) -> None:
    write(folder, m0001_one=GOOD)
    before = sys.dont_write_bytecode
    load(folder)
    assert [path.name for path in folder.iterdir()] == ["0001_one.py"]
    assert sys.dont_write_bytecode == before


def test_a_syntax_error_is_named_by_file_and_line(folder: Path) -> None:
    write(folder, m0001_one="x = 1\nif x\n    pass\n")
    error = problem(folder)
    assert isinstance(error, LoadFailed)
    assert error.message == "0001_one.py, line 2: expected ':'"
    assert error.version == "0001"
    assert error.detail == "if x"
    assert error.hint == f"correct {folder / '0001_one.py'}, line 2"


def test_an_import_that_fails_is_named_by_file_and_line(folder: Path) -> None:
    write(folder, m0001_one="\n\nimport no_such_module\n")
    error = problem(folder)
    assert isinstance(error, LoadFailed)
    assert error.message == "0001_one.py, line 3: ModuleNotFoundError: No module named 'no_such_module'"


def test_the_traceback_shows_the_lines_of_the_file_alone(folder: Path) -> None:
    source = """
        import json

        def read():
            return json.loads("{")

        read()
        """
    write(folder, m0001_one=source)
    error = problem(folder)
    assert "return json.loads" in error.detail
    assert "decoder.py" not in error.detail
    assert "goaime_migrate/loader.py" not in error.detail


def test_the_place_is_named_where_the_folder_is_relative(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder, m0001_one="\n1 / 0\n")
    monkeypatch.chdir(folder.parent)
    error = problem(Path("migrations"))
    assert error.message == "0001_one.py, line 2: ZeroDivisionError: division by zero"


def test_a_file_that_exits_does_not_end_the_tool(folder: Path) -> None:
    write(folder, m0001_one="import sys\nsys.exit(0)\n")
    assert "SystemExit" in problem(folder).message
    write(folder, m0001_one="import asyncio\nraise asyncio.CancelledError\n")
    assert "line 2: CancelledError" in problem(folder).message


def test_a_null_byte_is_named_by_its_line(folder: Path) -> None:
    (folder / "0001_one.py").write_bytes(GOOD.encode() + b"x = '\0'\n")
    error = problem(folder)
    assert isinstance(error, LoadFailed)
    assert error.message == "0001_one.py, line 3: a null byte"
    assert error.hint == f"correct {folder / '0001_one.py'}, line 3"


def test_a_statement_may_be_a_generator(folder: Path) -> None:
    (migration,) = one(folder, GOOD + "def verify(db):\n    yield 'no'").migrations
    assert migration.verify is not None


def test_a_file_that_is_not_utf8_is_refused(folder: Path) -> None:
    (folder / "0001_one.py").write_bytes(b"x = '\xff'\n")
    assert "cannot be read" in problem(folder).message


def test_the_others_load_where_one_does_not(folder: Path) -> None:
    write(folder, m0001_one=GOOD, m0002_two="if", m0003_three=GOOD)
    files = load(folder)
    assert [m.version for m in files.migrations] == ["0001", "0003"]
    assert [p.version for p in files.problems] == ["0002"]


def test_two_files_with_one_number_are_refused(folder: Path) -> None:
    write(folder, m0001_one=GOOD, m1_other=GOOD)
    error = problem(folder)
    assert isinstance(error, DuplicateVersion)
    assert error.message == "2 files have the number 0001: 0001_one.py, 1_other.py"
    assert error.version == "0001"


def test_a_gap_names_the_missing_number(folder: Path) -> None:
    write(folder, m0001_one=GOOD, m0003_three=GOOD)
    error = problem(folder)
    assert isinstance(error, VersionGap)
    assert error.version == "0002"
    assert error.message == "there is no file for 0002, between 0001 and 0003"
    assert "operations = []" in error.hint


def test_numbers_begin_at_one(folder: Path) -> None:
    write(folder, m0002_two=GOOD)
    assert problem(folder).message == "there is no file for 0001, before 0002"


def test_number_zero_is_refused(folder: Path) -> None:
    write(folder, m0000_zero=GOOD, m0001_one=GOOD)
    error = problem(folder)
    assert isinstance(error, InvalidMigration)
    assert "numbers begin at 0001" in error.message
    assert [m.version for m in load(folder).migrations] == ["0001"]


@pytest.mark.parametrize("name", ["0002-two.py", "0002.py", "0002 two.py"])
def test_a_name_that_is_nearly_one_is_refused(folder: Path, name: str) -> None:
    write(folder, m0001_one=GOOD)
    (folder / name).write_text(GOOD)
    error = problem(folder)
    assert isinstance(error, InvalidMigration)
    assert error.message == f"{name} is not named like a migration"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("x = 1", "it has neither operations nor up(db)"),
        (GOOD + "def up(db): ...", "it has both operations and up(db)"),
        ("operations = None\ndef down(db): ...", "it has neither operations nor up(db)"),
        ("operations = 1", "operations must be a list of operations"),
        ("operations = [1]", "operations holds 1, which is no operation"),
        ("def up(): ...", "up must be a function of one argument, the database: def up(db)"),
        ("def up(db, users): ...", "up must be a function of one argument, the database: def up(db)"),
        ("async def up(db): ...", "up must not be async"),
        ("def up(db):\n    yield", "up must not be a generator: it has a yield, and would do nothing"),
        ("async def up(db):\n    yield", "up must not be async"),
        ("def up(db): ...\nasync def down(db): ...", "down must not be async"),
        (
            "def up(db): ...\ndef down(db):\n    yield",
            "down must not be a generator: it has a yield, and would do nothing",
        ),
        (GOOD + "async def verify(db): ...", "verify must not be async"),
        (GOOD + "async def verify(db):\n    yield", "verify must not be async"),
        ("up = 1", "up must be a function of one argument, the database: def up(db)"),
        (
            "def up(db): ...\ndef down(): ...",
            "down must be a function of one argument, the database: def down(db)",
        ),
        (GOOD + "verify = 1", "verify must be a function of one argument, the database: def verify(db)"),
        (GOOD + "supersedes = '0001'", 'supersedes must be a list of versions, such as ["0001"]'),
        (GOOD + "supersedes = ['1']", "supersedes names 0001, which is not an earlier version"),
        (GOOD + "supersedes = ['0002']", "supersedes names 0002, which is not an earlier version"),
        (GOOD + "supersedes = [1]", 'supersedes must be a list of versions, such as ["0001"]'),
    ],
)
def test_what_a_file_declares_wrongly_is_said(folder: Path, source: str, message: str) -> None:
    write(folder, m0001_one=source)
    error = problem(folder)
    assert isinstance(error, InvalidMigration)
    assert error.message == f"0001_one.py: {message}"
    assert error.hint


def test_an_operation_that_is_declared_wrongly_is_named_by_its_line(folder: Path) -> None:
    source = 'from goaime_migrate import *\n\noperations = [\n    AddField("c", "a[].b", 1),\n]\n'
    write(folder, m0001_one=source)
    error = problem(folder)
    assert isinstance(error, InvalidMigration)
    assert error.message.startswith("0001_one.py, line 4: AddField: 'a[].b' is no path")
    assert error.hint.startswith("write 'a.$[].b'")


def test_an_argument_that_an_operation_does_not_have_is_named_by_its_line(folder: Path) -> None:
    write(folder, m0001_one='from goaime_migrate import *\noperations = [AddField("c", "a", 1, wher={})]\n')
    error = problem(folder)
    assert isinstance(error, InvalidMigration)
    assert error.message == "0001_one.py, line 2: AddField has no argument 'wher'"
    assert error.hint == "did you mean where? AddField takes collection, path, value, where"
    assert "operations = [AddField" in error.detail


@pytest.mark.parametrize(
    ("source", "message", "hint"),
    [
        (
            "from goaime_migrate import TransformDocument",
            "TransformDocument is no operation",
            "did you mean TransformDocuments? the operations are ",
        ),
        (
            "import goaime_migrate as gm\noperations = [gm.MergeDocuments('c')]",
            "MergeDocuments is no operation",
            "UpdateDocuments",
        ),
        ("operations = [MergeDocuments('c', [])]", "MergeDocuments is no operation", "the operations are "),
        (
            "operations = [AddField('c', 'a', 1)]",
            "AddField is not imported",
            "write above it: from goaime_migrate import AddField",
        ),
        (
            "from goaime_migrate import *\noperations = [RenameField('c', 'old')]",
            "RenameField missing 1 required positional argument: 'new'",
            "RenameField takes collection, old, new",
        ),
        (
            "from goaime_migrate import *\nusers = Lookup('users', kye='name')",
            "Lookup has no argument 'kye'",
            "did you mean key? Lookup takes collection, key, fields, where, sort, many, pipeline",
        ),
        (
            "from goaime_migrate import *\nnow = Now(5)",
            "Now takes no arguments",
            "Now takes nothing",
        ),
        (
            "from goaime_migrate import *\noperations = [TransformDocuments('c')]",
            "TransformDocuments missing 1 required positional argument: 'transform'",
            "TransformDocuments takes collection, transform, ",
        ),
        (
            "from goaime_migrate import *\noperations = [DropIndex('c', 'name', whree=1)]",
            "DropIndex has no argument 'whree'",
            "DropIndex takes collection, name",
        ),
        (
            "from goaime_migrate import *\noperations = [DropCollection('c', 'd', 'e')]",
            "DropCollection takes 2 positional arguments but 4 were given",
            "DropCollection takes name",
        ),
    ],
)
def test_a_declaration_that_no_operation_knows_is_told_in_its_words(
    folder: Path, source: str, message: str, hint: str
) -> None:
    write(folder, m0001_one=source)
    error = problem(folder)
    assert isinstance(error, InvalidMigration)
    assert error.message == f"0001_one.py, line {source.count(chr(10)) + 1}: {message}"
    assert hint in error.hint


@pytest.mark.parametrize(
    "source", ["x = Decimal(1)\noperations = []", "operations = [len(1, 2)]", "def f(): pass\nf(1)"]
)
def test_other_errors_of_python_are_told_in_its_own(folder: Path, source: str) -> None:
    write(folder, m0001_one=source)
    assert isinstance(problem(folder), LoadFailed)


def test_operations_may_be_a_tuple(folder: Path) -> None:
    source = 'from goaime_migrate import *\noperations = CreateIndex("c", "a"), AddField("c", "n", 1)\n'
    (migration,) = one(folder, source).migrations
    assert [type(o) for o in migration.operations] == [CreateIndex, AddField]


def test_a_migration_may_do_nothing(folder: Path) -> None:
    (migration,) = one(folder, "operations = []").migrations
    assert migration.operations == ()


def test_plain_functions_are_one_operation(folder: Path) -> None:
    (migration,) = one(folder, "def up(db): ...\ndef down(db): ...").migrations
    assert isinstance(migration.operations[0], RunFunctions)
    assert migration.reversible


def test_plain_functions_without_down_have_no_way_back(folder: Path) -> None:
    (migration,) = one(folder, "def up(db): ...").migrations
    assert not migration.reversible
    assert migration.operations[0].describe() == "run up(db), which has no down(db)"


def test_superseded_versions_are_written_as_people_like(folder: Path) -> None:
    write(folder, m0003_three=GOOD + "supersedes = ['1', '0002']")
    (migration,) = load(folder).migrations
    assert migration.supersedes == ("0001", "0002")


def test_a_file_that_does_not_load_is_still_a_version(folder: Path) -> None:
    write(folder, m0001_one=GOOD, m0002_two="if", m0003_three="operations = 1", m0004_four=GOOD)
    assert load(folder).unloaded == {"0002": "two", "0003": "three"}
