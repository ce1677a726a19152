"""From `migrations/*.py` to Migration values. Reads the disk, never a database."""

from __future__ import annotations

import inspect
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from goaime_migrate import migration as model
from goaime_migrate.errors import (
    DuplicateVersion,
    FolderMissing,
    HistoryError,
    InvalidMigration,
    LoadFailed,
    VersionGap,
)
from goaime_migrate.migration import EMPTY, FILE_NAME, Migration, Operation, version_of
from goaime_migrate.operations import DocumentOperation, RunFunctions, StateOperation
from goaime_migrate.operations.base import require_plain
from goaime_migrate.redaction import redact


@dataclass(frozen=True)
class MigrationFiles:
    """The files that load, in order, and what is wrong with the others."""

    migrations: tuple[Migration, ...]
    problems: tuple[HistoryError, ...]
    files: int = 0
    """How many files were looked at, whether they load or not."""
    unloaded: Mapping[str, str] = field(default_factory=dict)
    """The versions whose file does not load, with the name that it has."""

    def get(self, version: str) -> Migration | None:
        """The migration with this version."""
        return next((m for m in self.migrations if m.version == version), None)


def load(folder: Path) -> MigrationFiles:
    """Load every migration of a folder. Raises FolderMissing; everything else is a problem of one file."""
    if not folder.is_dir():
        raise FolderMissing(
            f"there is no migrations folder {folder}", hint="goaime-migrate init, or set migrations = FOLDER"
        )
    migrations: list[Migration] = []
    problems: list[HistoryError] = []
    unloaded: dict[str, str] = {}
    files = _numbered_files(folder.absolute())
    strange = _strange_names(folder)
    problems += [*strange, *_duplicates(files), *_gaps(files)]
    for number, path in files:
        try:
            migrations.append(load_file(path))
        except HistoryError as error:
            problems.append(error)
            unloaded[version_of(number)] = path.stem.partition("_")[2]
    return MigrationFiles(tuple(migrations), tuple(problems), len(files) + len(strange), unloaded)


def _numbered_files(folder: Path) -> list[tuple[int, Path]]:
    found = [(FILE_NAME.fullmatch(path.name), path) for path in folder.iterdir() if path.is_file()]
    return sorted((int(match["number"]), path) for match, path in found if match and int(match["number"]))


def _strange_names(folder: Path) -> list[HistoryError]:
    """Python files that begin with a digit, or look like a number, but are not named as a migration is."""
    digits = [p for p in sorted(folder.glob("*.py")) if p.name[:1].isdigit() and p.is_file()]
    strange = [p for p in digits if not FILE_NAME.fullmatch(p.name)]
    zero = [p for p in digits if (match := FILE_NAME.fullmatch(p.name)) and not int(match["number"])]
    return [
        *(
            InvalidMigration(
                f"{path.name} is not named like a migration",
                hint="a name is a number, _ and a word: 0001_add_user_id.py",
            )
            for path in strange
        ),
        *(
            InvalidMigration(f"{path.name} has the number 0: numbers begin at 0001", hint=f"rename {path}")
            for path in zero
        ),
    ]


def _duplicates(files: Iterable[tuple[int, Path]]) -> list[HistoryError]:
    by_number: dict[int, list[str]] = {}
    for number, path in files:
        by_number.setdefault(number, []).append(path.name)
    return [
        DuplicateVersion(
            f"{len(names)} files have the number {version_of(number)}: {', '.join(names)}",
            version=version_of(number),
            hint="give the newer one the next free number",
        )
        for number, names in by_number.items()
        if len(names) > 1
    ]


def _gaps(files: Iterable[tuple[int, Path]]) -> list[HistoryError]:
    numbers = sorted({number for number, _ in files})
    return [
        VersionGap(
            f"there is no file for {version_of(missing)}, "
            + (
                f"between {version_of(before)} and {version_of(after)}"
                if before
                else f"before {version_of(after)}"
            ),
            version=version_of(missing),
            hint=f"restore the file; or put one that does nothing in its place, {version_of(missing)}_{EMPTY}; "
            "or renumber the later ones, if none of them is applied anywhere",
        )
        for before, after in zip([0, *numbers], numbers, strict=False)
        for missing in range(before + 1, min(after, before + 11))
    ]


def load_file(path: Path) -> Migration:
    """Load one migration. Raises LoadFailed, InvalidMigration."""
    match = FILE_NAME.fullmatch(path.name)
    assert match, "the folder listing chose it by its name"
    version = version_of(int(match["number"]))
    checksum = _checksum(path, version)
    module = _import(path, version)
    try:
        return Migration(
            version=version,
            name=match["name"],
            description=_description(module),
            checksum=checksum,
            path=path,
            operations=_operations(module, path, version),
            verify=_function(module, "verify"),
            supersedes=_supersedes(module, version),
        )
    except InvalidMigration as error:
        raise InvalidMigration(
            f"{path.name}: {error.message}",
            version=version,
            hint=error.hint or f"correct {path}",
        ) from error


def _checksum(path: Path, version: str) -> str:
    try:
        source = path.read_text(encoding="utf-8")
        _refuse_null_bytes(source, path, version)
        return model.checksum(source)
    except SyntaxError as error:
        raise LoadFailed(
            f"{path.name}, line {error.lineno}: {error.msg}",
            version=version,
            detail=(error.text or "").rstrip(),
            hint=f"correct {path}, line {error.lineno}",
        ) from error
    except (OSError, ValueError) as error:
        raise LoadFailed(
            f"{path.name} cannot be read: {error}", version=version, hint=f"check {path}"
        ) from error


def _refuse_null_bytes(source: str, path: Path, version: str) -> None:
    """Python does not say where it has found one."""
    before, found, _ = source.partition("\0")
    if found:
        line = before.count("\n") + 1
        raise LoadFailed(
            f"{path.name}, line {line}: a null byte", version=version, hint=f"correct {path}, line {line}"
        )


def _import(path: Path, version: str) -> ModuleType:
    spec = spec_from_file_location(f"_goaime_migration_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        spec.loader.exec_module(module)
    except InvalidMigration as error:
        line = _line(error, path)
        raise InvalidMigration(
            f"{path.name}, line {line}: {error.message}",
            version=version,
            hint=error.hint or f"correct {path}",
        ) from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        line = _line(error, path)
        raise LoadFailed(
            f"{path.name}, line {line}: {type(error).__name__}: {error}",
            version=version,
            detail=_own_lines(error, path),
            hint=f"correct {path}, line {line}",
        ) from error
    finally:
        sys.dont_write_bytecode = before
    return module


def _frames(error: BaseException, path: Path) -> list[traceback.FrameSummary]:
    return [f for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]


def _line(error: BaseException, path: Path) -> int | str:
    frames = _frames(error, path)
    return (frames[-1].lineno if frames else None) or "?"


def _own_lines(error: BaseException, path: Path) -> str:
    return "".join(traceback.format_list(_frames(error, path))).rstrip()


def _description(module: ModuleType) -> str:
    return redact(" ".join((inspect.getdoc(module) or "").partition("\n\n")[0].split()))


def _operations(module: ModuleType, path: Path, version: str) -> tuple[Operation, ...]:
    declared = getattr(module, "operations", None)
    up, down = _function(module, "up"), _function(module, "down")
    if declared is not None and (up or down):
        raise InvalidMigration("it has both operations and up(db)", hint="keep one of the two")
    if up is not None:
        return (RunFunctions(up, down, str(path), version),)
    if declared is None:
        raise InvalidMigration(
            "it has neither operations nor up(db)", hint="operations = [TransformDocuments(…)]"
        )
    if not isinstance(declared, list | tuple):
        raise InvalidMigration("operations must be a list of operations")
    for operation in declared:
        if not isinstance(operation, DocumentOperation | StateOperation):
            raise InvalidMigration(f"operations holds {operation!r}, which is no operation")
    return tuple(declared)


def _function(module: ModuleType, name: str) -> Callable[[Any], Any] | None:
    function = getattr(module, name, None)
    if function is None:
        return None
    if not inspect.isfunction(function) or len(inspect.signature(function).parameters) != 1:
        raise InvalidMigration(f"{name} must be a function of one argument, the database: def {name}(db)")
    require_plain(function, name, lists=name == "verify")
    return function


def _supersedes(module: ModuleType, version: str) -> tuple[str, ...]:
    """The earlier versions whose promises this one replaces; that each has a file is for `lint` to say."""
    declared = getattr(module, "supersedes", [])
    if not isinstance(declared, list | tuple) or not all(
        isinstance(v, str) and re.fullmatch("[0-9]{1,9}", v) for v in declared
    ):
        raise InvalidMigration('supersedes must be a list of versions, such as ["0001"]')
    for v in declared:
        if int(v) >= int(version):
            raise InvalidMigration(
                f"supersedes names {version_of(int(v))}, which is not an earlier version",
                hint="a promise can only be replaced by a later one",
            )
    return tuple(version_of(int(v)) for v in declared)
