"""What migrations import from beside them: where Python looks for it, and what it was when they were loaded."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from goaime_migrate.migration import FILE_NAME, Helper, checksum

_SITES = ("site-packages", "dist-packages")
_added: list[str] = []
"""What the last call has put into `sys.path`; another project's is taken out again."""
_folders: set[str] = set()
"""The folders whose modules this process may have imported."""


def make_importable(folder: Path, prepend: Sequence[Path]) -> None:
    """Let migrations of a folder import the project's code, and modules beside them, as they are now.

    The folders of `prepend` come first. Those beside the migrations, as `import scales` and as
    `from migrations.scales import x`, come before what is installed and hide none of Python's own modules.
    """
    for entry in _added:
        with suppress(ValueError):
            sys.path.remove(entry)
    wanted = dict.fromkeys(str(path) for path in prepend)
    beside = dict.fromkeys(str(path) for path in (folder, folder.parent) if str(path) not in wanted)
    first = [entry for entry in wanted if entry not in sys.path]
    later = [entry for entry in beside if entry not in sys.path]
    sys.path[:0] = first
    place = next((n for n, entry in enumerate(sys.path) if entry.endswith(_SITES)), len(sys.path))
    sys.path[place:place] = later
    _added[:] = [*first, *later]
    _folders.add(str(folder))
    _forget_modules()


def _forget_modules() -> None:
    """Modules from beside migrations are imported anew: they may be another project's, or have been edited."""
    within = tuple(f"{folder}/" for folder in _folders)
    for name, module in list(sys.modules.items()):
        places = [getattr(module, "__file__", None), *_package_path(module)]
        if any(place and f"{place}/".startswith(within) for place in places):
            del sys.modules[name]


def _package_path(module: object) -> list[str]:
    try:
        return [str(entry) for entry in getattr(module, "__path__", ())]
    except Exception:  # noqa: BLE001 (other people's modules may be anything)
        return []


class Helpers:
    """The modules beside the migrations of a folder, each read once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[Path, tuple[str, frozenset[Path]]] = {}

    @cached_property
    def any(self) -> bool:
        """Whether there are modules that a migration could import."""
        return any(
            path.is_dir() or (path.suffix == ".py" and not FILE_NAME.fullmatch(path.name))
            for path in self._folder.iterdir()
            if path.name not in ("__pycache__", "__init__.py")
        )

    def of(self, tree: ast.AST) -> tuple[Helper, ...]:
        """Those that a migration imports, and that these import, by their paths within the folder."""
        if not self.any:
            return ()
        found: set[Path] = set()
        waiting = set(self._imported(tree, self._folder))
        while waiting:
            path = waiting.pop()
            found.add(path)
            waiting |= self._read(path)[1] - found
        named = sorted((str(path.relative_to(self._folder)), self._read(path)[0]) for path in found)
        return tuple(Helper(*each) for each in named)

    def _read(self, path: Path) -> tuple[str, frozenset[Path]]:
        if path not in self._known:
            try:
                source = path.read_bytes()
                imported = frozenset(self._imported(ast.parse(source), path.parent))
                self._known[path] = checksum(source), imported
            except (OSError, SyntaxError, ValueError):  # importing it says so
                self._known[path] = "", frozenset()
        return self._known[path]

    def _imported(self, tree: ast.AST, here: Path) -> Iterator[Path]:
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield from self._files(self._base(alias.name.split(".")))
            elif isinstance(node, ast.ImportFrom):
                parts = node.module.split(".") if node.module else []
                above = here
                for _ in range(node.level - 1):
                    above = above.parent
                base = (above, parts) if node.level else self._base(parts)
                for alias in node.names:
                    yield from self._files((base[0], [*base[1], alias.name]))

    def _base(self, parts: list[str]) -> tuple[Path, list[str]]:
        """Where an absolute name begins: beside the migrations, or with the name of their folder."""
        return self._folder, parts[1:] if parts[0] == self._folder.name else parts

    def _files(self, named: tuple[Path, list[str]]) -> Iterator[Path]:
        """The modules of a dotted name that lie in the folder; its last part may be something within the last."""
        at, parts = named
        if at != self._folder and self._folder not in at.parents:
            return
        for part in parts:
            at /= part
            for path in (at / "__init__.py", at.with_name(f"{part}.py")):
                if path.is_file():
                    yield path
