"""The house rules that no linter knows: how long a file and a function may be, and who may spell the program's name."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from goaime_migrate.errors.hint import PROGRAM
from tests.world import REPOSITORY

LONGEST_FILE = 300
LONGEST_FUNCTION = 40
PACKAGE = REPOSITORY / "goaime_migrate"
MODULES = sorted(PACKAGE.rglob("*.py"))


def name(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


def functions(path: Path) -> Iterator[ast.FunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef):
            yield node


def test_a_module_is_one_noun() -> None:
    long = {name(path): len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    assert {found: lines for found, lines in long.items() if lines > LONGEST_FILE} == {}


def test_a_function_fits_on_a_screen() -> None:
    long = {
        f"{name(path)}: {f.name}": f.end_lineno - f.lineno + 1
        for path in MODULES
        for f in functions(path)
        if f.end_lineno is not None
    }
    assert {found: lines for found, lines in long.items() if lines > LONGEST_FUNCTION} == {}


def test_only_what_faces_people_spells_the_program_name() -> None:
    """Elsewhere a command that is advised is a value, and is spelt where it is shown."""
    outward = ("cli", "render", "errors", "scaffold.py")
    spelt = [
        name(path)
        for path in MODULES
        if path.relative_to(PACKAGE).parts[0] not in outward and PROGRAM in code(path)
    ]
    assert spelt == ["goaime_migrate/redaction.py"]  # it is a word that is no password


def code(path: Path) -> str:
    """The texts in a module, docstrings left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    return "\n".join(
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings
    )
