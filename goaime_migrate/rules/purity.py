"""Transforms that need not give the same twice."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from goaime_migrate.results import Severity
from goaime_migrate.rules.catalogue import FILES, Said
from goaime_migrate.rules.source import File
from goaime_migrate.rules.syntax import dotted_name

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
    "os.getenv": _ENVIRONMENT,
    "os.environ": _ENVIRONMENT,
    "uuid.uuid1": _RANDOM,
    "uuid.uuid4": _RANDOM,
    "uuid4": _RANDOM,
    "ObjectId": _NEW,
}
_AS_MODULES = ("random", "secrets")
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
    for function in (node for node in ast.walk(file.tree) if isinstance(node, ast.FunctionDef)):
        if function.name == "verify":
            continue
        for node in ast.walk(function):
            reason = _reason(node)
            if reason:
                yield Said(
                    f"{function.name} {reason}",
                    f"a transform must give the same result for the same document: {_REMEDIES[reason]}",
                    {"function": function.name, "code": ast.unparse(node)},
                    line=getattr(node, "lineno", None),
                )


def _reason(node: ast.AST) -> str | None:
    if isinstance(node, ast.Call):
        name = dotted_name(node.func)
        if name == "ObjectId" and node.args:
            return None
        if name.split(".")[0] in _AS_MODULES:
            return _RANDOM
        return next((why for what, why in _IMPURE.items() if name == what or name.endswith(f".{what}")), None)
    if isinstance(node, ast.Subscript) and dotted_name(node.value) == "os.environ":
        return _ENVIRONMENT
    return None
