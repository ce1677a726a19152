"""From `migrations/*.py` to Migration values. Reads the disk, never a database."""

from __future__ import annotations

import ast
import inspect
import io
import re
import sys
import tokenize
from collections.abc import Callable, Mapping, Sequence
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from goaime_migrate import migration as model
from goaime_migrate.backends.ports import RECORDS_NAME, is_ours
from goaime_migrate.errors import FolderMissing, HistoryError, InvalidMigration, LoadFailed
from goaime_migrate.errors.hint import INIT, Hint
from goaime_migrate.folder import compose, look
from goaime_migrate.imports import Helpers, make_importable
from goaime_migrate.migration import FILE_NAME, Migration, Operation, version_of
from goaime_migrate.operations import DocumentOperation, RunFunctions, StateOperation
from goaime_migrate.operations.base import require, require_plain
from goaime_migrate.redaction import redact

if TYPE_CHECKING:
    from traceback import FrameSummary


class MigrationFiles(NamedTuple):
    """The files that load, in order, and what is wrong with the others."""

    migrations: tuple[Migration, ...]
    problems: tuple[HistoryError, ...]
    files: int = 0
    """How many files were looked at, whether they load or not."""
    unloaded: Mapping[str, str] = MappingProxyType({})
    """The versions whose file does not load, with the name that it has."""
    warnings: tuple[HistoryError, ...] = ()
    """What looks like a migration and is not taken."""

    def get(self, version: str) -> Migration | None:
        """The migration with this version."""
        return next((m for m in self.migrations if m.version == version), None)


def load(folder: Path, prepend: Sequence[Path] = (), records: str = RECORDS_NAME) -> MigrationFiles:
    """Load every migration of a folder. Raises FolderMissing; everything else is a problem of one file.

    Modules are looked for in the folders of `prepend` first. `records` is the name of our own collections.
    """
    if not folder.is_dir():
        raise FolderMissing(
            f"there is no migrations folder {folder}", hint=Hint("{}, or set migrations = FOLDER", INIT)
        )
    found = look(folder.absolute())
    make_importable(folder.absolute(), prepend)
    migrations: list[Migration] = []
    problems = list(found.problems)
    unloaded: dict[str, str] = {}
    helpers = Helpers(folder.absolute())
    for number, path in found.files:
        try:
            migrations.append(load_file(path, records, helpers))
        except HistoryError as error:
            problems.append(error)
            unloaded[version_of(number)] = compose(path.stem).partition("_")[2]
    strange = sum(type(p) is InvalidMigration and p.version is None for p in found.problems)
    return MigrationFiles(
        tuple(migrations), tuple(problems), len(found.files) + strange, unloaded, tuple(found.warnings)
    )


def load_file(path: Path, records: str = RECORDS_NAME, helpers: Helpers | None = None) -> Migration:
    """Load one migration. Raises LoadFailed, InvalidMigration."""
    match = FILE_NAME.fullmatch(compose(path.name))
    assert match, "the folder listing chose it by its name"
    version = version_of(int(match["number"]))
    source, tree = _source(path, version)
    checksum = model.checksum(tree)
    module = _execute(tree, path, version, source)
    try:
        return Migration(
            version=version,
            name=match["name"],
            description=_description(module),
            checksum=checksum,
            path=path,
            operations=_operations(module, path, version, records),
            verify=_function(module, "verify"),
            supersedes=_supersedes(module, version),
            helpers=(helpers or Helpers(path.parent)).of(tree),
        )
    except InvalidMigration as error:
        raise InvalidMigration(
            f"{path.name}: {error.message}",
            version=version,
            hint=error.hint or f"correct {path}",
        ) from error


def _source(path: Path, version: str) -> tuple[str, ast.Module]:
    """The text of a file, in the encoding that Python takes it for, and the program that it is."""
    try:
        source = _decode(path.read_bytes())
        _refuse_null_bytes(source, path, version)
        return source, ast.parse(source)
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


def _decode(data: bytes) -> str:
    """By its byte order mark or its coding cookie, else as UTF-8. Raises SyntaxError, UnicodeDecodeError."""
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
    except SyntaxError:
        data.decode()
        raise
    return data.decode(encoding)


def _refuse_null_bytes(source: str, path: Path, version: str) -> None:
    """Python does not say where it has found one."""
    before, found, _ = source.partition("\0")
    if found:
        line = before.count("\n") + 1
        raise LoadFailed(
            f"{path.name}, line {line}: a null byte", version=version, hint=f"correct {path}, line {line}"
        )


def _execute(tree: ast.Module, path: Path, version: str, source: str) -> ModuleType:
    """The module that a program makes. It is the one whose checksum is known, whatever the file has become since."""
    spec = spec_from_file_location(f"_goaime_migration_{path.stem}", path)
    assert spec is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        exec(compile(tree, path, "exec", dont_inherit=True), module.__dict__)  # noqa: S102 (what this file is for)
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
        from goaime_migrate.misdeclared import declaration_error

        line = _line(error, path)
        found = declaration_error(error, source)
        if found is not None:
            raise InvalidMigration(
                f"{path.name}, line {line}: {found.message}",
                version=version,
                detail=_own_lines(error, path),
                hint=found.hint,
            ) from error
        raise LoadFailed(
            f"{path.name}, line {line}: {type(error).__name__}: {error}",
            version=version,
            detail=_own_lines(error, path),
            hint=f"correct {path}, line {line}",
        ) from error
    finally:
        sys.dont_write_bytecode = before
    return module


def _frames(error: BaseException, path: Path) -> list[FrameSummary]:
    import traceback

    return [f for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]


def _line(error: BaseException, path: Path) -> int | str:
    frames = _frames(error, path)
    return (frames[-1].lineno if frames else None) or "?"


def _own_lines(error: BaseException, path: Path) -> str:
    import traceback

    return "".join(traceback.format_list(_frames(error, path))).rstrip()


def _description(module: ModuleType) -> str:
    return redact(" ".join((inspect.getdoc(module) or "").partition("\n\n")[0].split()))


def _operations(module: ModuleType, path: Path, version: str, records: str) -> tuple[Operation, ...]:
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
        for name in operation.names:
            require(not is_ours(name, records), f"{name} is the tool's own collection")
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
