"""What a migration imports from beside it, and what is recorded of that."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from goaime_migrate.loader import load
from goaime_migrate.migration import Helper
from goaime_migrate.planner import plan_up, problems, warnings
from tests.unit.histories import Record, facts

USES = "{}\nassert factor == {}\noperations = []\n"


@pytest.fixture(autouse=True)
def path_as_before() -> Iterator[None]:
    before = sys.path.copy()
    yield
    sys.path[:] = before


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "migrations"
    made.mkdir()
    (made / "scales.py").write_text("factor = 2\n")
    return made


def only(folder: Path, source: str, *prepend: Path) -> tuple[str, ...]:
    (folder / "0001_one.py").write_text(source)
    files = load(folder, prepend)
    assert [p.message for p in files.problems] == []
    return tuple(helper.path for helper in files.migrations[0].helpers)


@pytest.mark.parametrize(
    "line",
    [
        "from scales import factor",
        "from migrations.scales import factor",
        "import scales\nfactor = scales.factor",
        "import migrations.scales\nfactor = migrations.scales.factor",
        "from migrations import scales\nfactor = scales.factor",
        "import scales as s; factor = s.factor",
    ],
)
def test_modules_beside_the_migrations_are_imported_and_known(folder: Path, line: str) -> None:
    assert only(folder, USES.format(line, 2)) == ("scales.py",)


def test_what_helpers_import_is_known_too(folder: Path) -> None:
    (folder / "units").mkdir()
    (folder / "units" / "__init__.py").write_text("from .metric import factor\n")
    (folder / "units" / "metric.py").write_text("from scales import factor\n")
    assert only(folder, USES.format("from units import factor", 2)) == (
        "scales.py",
        "units/__init__.py",
        "units/metric.py",
    )


def test_an_import_within_a_function_is_known(folder: Path) -> None:
    assert only(folder, "def up(db):\n    import scales\n") == ("scales.py",)


def test_a_module_that_is_edited_or_another_projects_is_read_anew(folder: Path, tmp_path: Path) -> None:
    source = USES.format("from scales import factor", "{}")
    only(folder, source.format(2))
    (folder / "scales.py").write_text("factor = 30\n")
    only(folder, source.format(30))
    other = tmp_path / "other" / "migrations"
    other.mkdir(parents=True)
    (other / "scales.py").write_text("factor = 4\n")
    only(other, source.format(4))
    only(other, USES.format("from migrations.scales import factor", 4))


def test_the_projects_own_code_is_imported(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "shop_of_this_test.py").write_text("factor = 5\n")
    assert only(folder, USES.format("from shop_of_this_test import factor", 5), tmp_path / "src") == ()
    assert str(tmp_path / "src") == sys.path[0]


def test_a_module_beside_them_does_not_hide_one_of_pythons(folder: Path) -> None:
    (folder / "colorsys.py").write_text("raise AssertionError\n")
    only(folder, "import colorsys\ncolorsys.rgb_to_hsv\noperations = []\n")


def test_a_changed_helper_is_a_warning_and_stops_nothing(folder: Path) -> None:
    only(folder, "import scales\noperations = []\n")
    migration = load(folder).migrations[0]
    then = Record("0001", migration.name, checksum=migration.checksum, helpers=migration.helpers)
    assert warnings(facts([migration], records=[then])) == []
    (folder / "scales.py").write_text("factor = 3\n")
    given = facts(load(folder).migrations, records=[then])
    (warning,) = warnings(given)
    assert warning.code == "GM212"
    assert warning.message == "scales.py is not what it was when 0001 ran, which imports it"
    assert problems(given) == []
    assert plan_up(given).versions == ()
    (folder / "scales.py").write_text("# a comment\nfactor = 2\n")
    assert warnings(facts(load(folder).migrations, records=[then])) == []


def test_what_is_recorded_of_a_helper_is_its_path_and_its_code(folder: Path) -> None:
    only(folder, "import scales\noperations = []\n")
    ((helper),) = load(folder).migrations[0].helpers
    assert isinstance(helper, Helper)
    assert (helper.path, len(helper.checksum)) == ("scales.py", 16)
