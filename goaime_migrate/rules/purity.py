"""Transforms that need not give the same twice."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping

from goaime_migrate.results import Severity
from goaime_migrate.rules.registry import FILES, Said
from goaime_migrate.rules.source import File
from goaime_migrate.rules.syntax import dotted_name, imports_of, names, own_nodes

_CLOCK, _RANDOM, _ENVIRONMENT, _NEW = (
    "reads the clock",
    "draws at random",
    "reads the environment",
    "makes a new id",
)
_IMPURE = {
    "datetime.now": _CLOCK,
    "datetime.utcnow": _CLOCK,
    "datetime.today": _CLOCK,
    "date.today": _CLOCK,
    "time.time": _CLOCK,
    "time.time_ns": _CLOCK,
    "time.monotonic": _CLOCK,
    "time.localtime": _CLOCK,
    "time.gmtime": _CLOCK,
    "os.getenv": _ENVIRONMENT,
    "os.urandom": _RANDOM,
    "uuid.uuid1": _RANDOM,
    "uuid.uuid4": _RANDOM,
    "uuid4": _RANDOM,
    "ObjectId": _NEW,
}
_VARIABLES = "os.environ"
_AS_MODULES = ("random", "secrets")
_PURE_WITH_ARGUMENTS = ("ObjectId", "time.localtime", "time.gmtime", "random.Random")
"""What gives the same for the same arguments."""
_REMEDIES = {
    _CLOCK: "declare the time of the pass, now=Now(), and let the transform take it as the parameter now",
    _RANDOM: "derive it from the document, from a hash of its _id for example",
    _ENVIRONMENT: "put the value into the file",
    _NEW: "derive it from the document, from a hash of its _id for example",
}


@FILES.rule("impure", Severity.WARNING)
def impure(file: File) -> Iterator[Said]:
    """A transform reads the clock or the environment, or draws at random.

    It has to give the same result for the same document: it is called again when a batch is tried again, when a run
    goes on after a crash, and on the way back.
    """
    if file.is_plain:
        return
    known = imports_of(file.tree)
    for name, node in _transforming(file.tree):
        reason = _reason(node, known)
        if reason:
            yield Said(
                f"{name} {reason}",
                f"a transform must give the same result for the same document: {_REMEDIES[reason]}",
                {"function": name, "code": ast.unparse(node)},
                line=getattr(node, "lineno", None),
            )


def _transforming(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    """What a transform may come to, with the name of the function: not `verify`, and what it alone calls."""
    spared = _for_verify(tree)
    for function in _functions(tree):
        if function.name not in spared:
            yield from ((function.name, node) for node in own_nodes(function))
    for node in own_nodes(tree):
        if isinstance(node, ast.Lambda):
            yield from (("a lambda", inner) for inner in ast.walk(node.body))


def _functions(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def _for_verify(tree: ast.Module) -> set[str]:
    """`verify`, and the functions that only it comes to."""
    uses = {function.name: names(own_nodes(function)) for function in _functions(tree)}
    of_verify = _reach(uses.get("verify", set()), uses)
    others = uses.keys() - of_verify - {"verify"}
    return (of_verify | {"verify"}) - _reach(others | names(own_nodes(tree)), uses)


def _reach(start: Collection[str], uses: Mapping[str, Collection[str]]) -> set[str]:
    """The functions among these names, and those that they use in turn."""
    found: set[str] = set()
    waiting = set(start) & uses.keys()
    while waiting:
        found |= waiting
        waiting = {name for each in waiting for name in uses[each]} & uses.keys() - found
    return found


def _reason(node: ast.AST, known: Mapping[str, str]) -> str | None:
    """What is impure about this node by itself, the names of imports being `known`."""
    if not isinstance(node, ast.Call):
        return _ENVIRONMENT if _full_name(node, known) == _VARIABLES else None
    name = _full_name(node.func, known)
    if node.args and any(_is(name, what) for what in _PURE_WITH_ARGUMENTS):
        return None
    if dotted_name(node.func).split(".")[0] in known and name.split(".")[0] in _AS_MODULES:
        return _RANDOM
    return next((why for what, why in _IMPURE.items() if _is(name, what)), None)


def _full_name(node: ast.AST, known: Mapping[str, str]) -> str:
    """A dotted name by what its first part was imported as."""
    first, *rest = dotted_name(node).split(".")
    return ".".join((known.get(first, first), *rest))


def _is(name: str, what: str) -> bool:
    return name == what or name.endswith(f".{what}")
