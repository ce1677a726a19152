"""What is wrong with a declaration that Python itself refuses: a name that is no operation, an unknown argument."""

from __future__ import annotations

import ast
import difflib
import inspect
import re
from collections.abc import Iterable

from goaime_migrate import operations
from goaime_migrate.errors import InvalidMigration
from goaime_migrate.errors.hint import PROGRAM
from goaime_migrate.transform.lookups import Lookup, Now

_PACKAGE = PROGRAM.replace("-", "_")
_CALL = re.compile(r"(?:(?P<cls>\w+)\.__init__|(?P<function>\w+))\(\) (?P<why>.*)", re.DOTALL)
_KEYWORD = re.compile(r"got (?:an unexpected|some positional-only) keyword arguments? '(?P<name>\w+)'")


def declaration_error(error: BaseException, source: str) -> InvalidMigration | None:
    """The error in the words of who declares operations; None where it has another cause."""
    known = {name: getattr(operations, name) for name in operations.DECLARED}
    declared: dict[str, object] = {**known, "Lookup": Lookup, "Now": Now}
    if isinstance(error, TypeError):
        return _argument(str(error), declared)
    name = _unknown_name(error)
    if name is None:
        return None
    if name in declared:
        return InvalidMigration(
            f"{name} is not imported", hint=f"write above it: from {_PACKAGE} import {name}"
        )
    if isinstance(error, NameError) and name not in _called_names(source):
        return None
    return InvalidMigration(
        f"{name} is no operation",
        hint=f"{_nearest(name, known)}the operations are {', '.join(sorted(known))}",
    )


def _unknown_name(error: BaseException) -> str | None:
    """The name that is not there, where it was looked for in the file or in this package."""
    if isinstance(error, NameError):
        return error.name
    if isinstance(error, ImportError) and (error.name or "").partition(".")[0] == _PACKAGE:
        found = re.search(r"cannot import name '(\w+)'", str(error))
        return found[1] if found and found[1][:1].isupper() else None
    if isinstance(error, AttributeError) and getattr(error.obj, "__name__", None) == _PACKAGE:
        return error.name
    if isinstance(error, AttributeError):
        found = re.search(rf"module '{_PACKAGE}' has no attribute '(\w+)'", str(error))
        return found[1] if found else None
    return None


def _called_names(source: str) -> set[str]:
    """The names that the list of operations calls."""
    found: set[str] = set()
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if node.value is not None and any(getattr(t, "id", None) == "operations" for t in targets):
                calls = (n.func for n in ast.walk(node.value) if isinstance(n, ast.Call))
                found |= {f.id for f in calls if isinstance(f, ast.Name)}
    return found


def _argument(text: str, known: dict[str, object]) -> InvalidMigration | None:
    """For a call with arguments that its operation does not take."""
    call = _CALL.match(text)
    name = call and (call["cls"] or call["function"])
    if not call or name not in known:
        return None
    taken = _parameters(known[name])
    keyword = _KEYWORD.match(call["why"])
    if keyword is None:
        return InvalidMigration(f"{name} {call['why']}", hint=f"{name} takes {', '.join(taken) or 'nothing'}")
    return InvalidMigration(
        f"{name} has no argument {keyword['name']!r}",
        hint=f"{_nearest(keyword['name'], taken)}{name} takes {', '.join(taken)}",
    )


def _parameters(operation: object) -> list[str]:
    """The names of its arguments."""
    assert callable(operation)
    kinds = inspect.signature(operation).parameters.values()
    return [p.name if p.kind is not p.VAR_POSITIONAL else f"*{p.name}" for p in kinds]


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"did you mean {near[0]}? " if near else ""
