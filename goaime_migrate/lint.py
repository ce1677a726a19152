"""What can be said against migration files without a database."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Sequence

from goaime_migrate.errors import Problem
from goaime_migrate.migration import PLACEHOLDER, Migration

CODE = "GM209"
_IMPURE = {
    "datetime.now": "reads the clock",
    "datetime.utcnow": "reads the clock",
    "datetime.today": "reads the clock",
    "date.today": "reads the clock",
    "time.time": "reads the clock",
    "time.time_ns": "reads the clock",
    "time.monotonic": "reads the clock",
    "os.getenv": "reads the environment",
    "os.environ": "reads the environment",
    "random": "draws at random",
    "secrets": "draws at random",
    "uuid.uuid1": "draws at random",
    "uuid.uuid4": "draws at random",
    "uuid4": "draws at random",
    "ObjectId": "makes a new id",
}


def lint(migrations: Sequence[Migration], unloaded: Collection[str] = ()) -> Iterator[Problem]:
    """Problems of files that load, beside the versions of those that do not.

    No way back, a promise of nobody that is replaced, a template's collection, a transform that need not repeat itself.
    """
    versions = {m.version for m in migrations} | set(unloaded)
    for m in migrations:
        yield from _superseding(m, versions)
        if not m.reversible:
            yield Problem(CODE, m.version, f"{m.label} has no way back", "define down(db)")
        tree = ast.parse(m.path.read_bytes())
        yield from _placeholders(m, tree)
        if not any(isinstance(node, ast.FunctionDef) and node.name == "up" for node in tree.body):
            yield from _impurities(m, tree)


def _superseding(migration: Migration, versions: Collection[str]) -> Iterator[Problem]:
    for version in migration.supersedes:
        if version not in versions:
            yield Problem(
                CODE,
                migration.version,
                f"{migration.path.name}: supersedes names {version}, and there is no such file",
                f"leave {version} out, or correct the number",
            )


def _placeholders(migration: Migration, tree: ast.Module) -> Iterator[Problem]:
    """The first place where the file still has the collection of the template."""
    for node in ast.walk(tree):
        named = isinstance(node, ast.Attribute) and node.attr == PLACEHOLDER
        if named or (isinstance(node, ast.Constant) and str(node.value).startswith(PLACEHOLDER)):
            yield Problem(
                CODE,
                migration.version,
                f"{migration.path.name}, line {getattr(node, 'lineno', '?')}: {PLACEHOLDER} is only a placeholder",
                "put the name of your collection there",
            )
            return


def _impurities(migration: Migration, tree: ast.Module) -> Iterator[Problem]:
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        if function.name == "verify":
            continue
        for node in ast.walk(function):
            reason = _reason(node)
            if reason:
                yield Problem(
                    CODE,
                    migration.version,
                    f"{migration.path.name}, line {getattr(node, 'lineno', '?')}: {function.name} {reason}",
                    "a transform must give the same result for the same document: put the value into the file",
                )


def _reason(node: ast.AST) -> str | None:
    if isinstance(node, ast.Call):
        name = _dotted_name(node.func)
        if name == "ObjectId" and node.args:
            return None
        if name.split(".")[0] in ("random", "secrets"):
            return _IMPURE["random"]
        return next((why for what, why in _IMPURE.items() if name == what or name.endswith(f".{what}")), None)
    if isinstance(node, ast.Subscript) and _dotted_name(node.value) == "os.environ":
        return _IMPURE["os.environ"]
    return None


def _dotted_name(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted_name(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""
