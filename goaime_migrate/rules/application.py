"""Code of the application that a migration imports."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from goaime_migrate.results import Severity
from goaime_migrate.rules.registry import FILES, Said
from goaime_migrate.rules.source import File


@cache
def _install_folders() -> frozenset[Path]:
    """Where what is installed is."""
    import sysconfig

    return frozenset(Path(sysconfig.get_path(name)).resolve() for name in ("purelib", "platlib", "stdlib"))


@FILES.rule("application-import", Severity.WARNING)
def application_import(file: File) -> Iterator[Said]:
    """A migration imports the application's own code, its models for example.

    A migration is run for years, on databases that are as old as it is; the application changes underneath it. What
    was tested against today's model then runs with another.
    """
    for node in ast.walk(file.tree):
        for name in _imported(node):
            home = _home(name)
            if home is not None and not _is_beside(file, home):
                yield Said(
                    f"it imports {name}, which belongs to the application",
                    "copy what it needs into the file, or into a module beside the migrations, which is part of "
                    "their checksum",
                    {"module": name, "path": str(home)},
                    line=getattr(node, "lineno", None),
                )


def _imported(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        yield node.module


def _home(module: str) -> Path | None:
    """Where the code of a module is, unless it is the standard library's, an installed package's or this one's."""
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names or top == __name__.partition(".")[0]:
        return None
    try:
        spec = find_spec(top)
    except (ImportError, ValueError):
        return None
    places = [spec.origin] if spec and spec.origin else list((spec and spec.submodule_search_locations) or ())
    if not places or not Path(places[0]).exists():
        return None
    path = Path(places[0]).resolve()
    installed = any(path.is_relative_to(each) for each in _install_folders()) or "site-packages" in path.parts
    return None if installed else path


def _is_beside(file: File, home: Path) -> bool:
    """Whether it is a module of the migrations folder."""
    return home.is_relative_to(file.migration.path.parent.resolve())
