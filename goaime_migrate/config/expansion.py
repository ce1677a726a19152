"""References in what a configuration file says: ``${VAR}``, ``${VAR:-default}`` and ``%(here)s``."""

from __future__ import annotations

import re
from collections.abc import Mapping

from goaime_migrate.config.files import Value
from goaime_migrate.errors import InvalidConfiguration

_REFERENCE = re.compile(r"%\(here\)s|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<end>:-|\})")
_DEEPEST = 20
"""How many defaults may stand in one another."""
_BRACE = re.compile(r"\$\{|\}")


def expand(text: str, key: str, value: Value, environ: Mapping[str, str], depth: int = 0) -> str:
    """Replace the references in what the file says. A default may hold some, the value of a variable not.

    Raises InvalidConfiguration for a variable that is not set, for a reference that is not closed, and for defaults
    that stand in one another without an end.
    """
    if depth > _DEEPEST:
        raise InvalidConfiguration(
            f"{key} has more than {_DEEPEST} defaults in one another ({value.source})",
            hint="set the variable, or write a plain default",
            field=key,
        )
    parts: list[str] = []
    start = 0
    while match := _REFERENCE.search(text, start):
        stop = match.end()
        parts.append(text[start : match.start()])
        if (name := match["name"]) is None:
            parts.append(str(value.here))
        elif match["end"] == "}":
            if name not in environ:
                raise InvalidConfiguration(
                    f"{key} needs the variable {name}, which is not set ({value.source})",
                    hint=f"set {name}, or write ${{{name}:-default}}",
                    field=key,
                )
            parts.append(environ[name])
        else:
            stop = _closing(text, match.end(), key, value)
            default = text[match.end() : stop - 1]
            parts.append(environ.get(name) or expand(default, key, value, environ, depth + 1))
        start = stop
    return "".join(parts) + text[start:]


def _closing(text: str, start: int, key: str, value: Value) -> int:
    """Where the default that begins at `start` has been closed."""
    depth = 1
    for brace in _BRACE.finditer(text, start):
        depth += 1 if brace[0] == "${" else -1
        if not depth:
            return brace.end()
    raise InvalidConfiguration(
        f"{key} has a ${{ that is never closed ({value.source})", hint="add a }", field=key
    )
