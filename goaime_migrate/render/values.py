"""BSON values as short, typed text. The types are told by their names, so that bson need not be imported."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from goaime_migrate.render.style import Style, clean
from goaime_migrate.render.words import utc

_PLAIN = Style()


def value(item: Any, style: Style = _PLAIN, width: int = 60) -> str:
    """The value in about so many columns: ``ObjectId("…")``, ``Int64(5)``, ``{a: 1, b: [2 values]}``."""
    return mask(item) if style.masked else style.fit(_text(item, style, width, 0), width)


def mask(item: Any) -> str:
    """What kind of value it is, and how long.

    >>> mask("secret"), mask(5), mask([1, 2])
    ('<string of 6>', '<int>', '<array of 2>')
    """
    length = f" of {len(item)}" if isinstance(item, str | Mapping | list | tuple | bytes) else ""
    return "null" if item is None else f"<{kind(item)}{length}>"


def _text(item: Any, style: Style, width: int, depth: int) -> str:
    if isinstance(item, Mapping):
        return _mapping(item, style, width, depth)
    if isinstance(item, list | tuple):
        return _sequence(item, style, width, depth)
    if type(item) is str:
        return _string(item, style, width)
    if (form := _FORMS.get(type(item).__name__)) is not None:
        return form(item)
    return clean(repr(item))


def _mapping(item: Mapping[str, Any], style: Style, width: int, depth: int) -> str:
    if depth > 2 or len(item) > 40:
        return f"{{{len(item)} fields}}"
    inner = [f"{key(name)}: {_text(member, style, width, depth + 1)}" for name, member in item.items()]
    text = ", ".join(inner)
    return f"{{{text}}}" if len(text) <= width or not depth else f"{{{len(item)} fields}}"


def _sequence(item: list[Any] | tuple[Any, ...], style: Style, width: int, depth: int) -> str:
    shown = [_text(member, style, width, depth + 1) for member in item[:40]]
    text = ", ".join(shown)
    if len(item) > 40 or len(text) > width:
        return f"[{len(item)} values]" if depth or not shown else f"[{shown[0]}, {len(item) - 1} more]"
    return f"[{text}]"


def _string(item: str, style: Style, width: int) -> str:
    quoted = clean(json.dumps(item, ensure_ascii=not style.symbols))
    return quoted if len(quoted) <= width else quoted[: max(width - 4, 1)] + style.ellipsis + '"'


def key(name: str) -> str:
    """A field name, quoted where it could be read as something else."""
    return name if name and name.replace("_", "a").isalnum() else clean(json.dumps(name, ensure_ascii=False))


def kind(item: Any) -> str:
    """The BSON type of a value, by the name that MongoDB's shell uses."""
    return _KINDS.get(type(item).__name__, type(item).__name__)


def _float(item: float) -> str:
    return (
        repr(item) if math.isfinite(item) else {math.inf: "Infinity", -math.inf: "-Infinity"}.get(item, "NaN")
    )


def _date(item: datetime) -> str:
    return f"date({utc(item).isoformat(timespec='milliseconds').removesuffix('+00:00')}Z)"


_FORMS: dict[str, Callable[[Any], str]] = {
    "NoneType": lambda item: "null",
    "bool": lambda item: "true" if item else "false",
    "int": str,
    "float": _float,
    "datetime": _date,
    "Int64": lambda item: f"Int64({int(item)})",
    "ObjectId": lambda item: f'ObjectId("{item}")',
    "Decimal128": lambda item: f'Decimal128("{item}")',
    "DatetimeMS": lambda item: f"date({int(item)} ms)",
    "UUID": lambda item: f'UUID("{item}")',
    "Binary": lambda item: f"Binary({item.subtype}, {len(item)} bytes)",
    "bytes": lambda item: f"Binary(0, {len(item)} bytes)",
    "Timestamp": lambda item: f"Timestamp({item.time}, {item.inc})",
    "Regex": lambda item: clean(f"/{item.pattern}/"),
    "MinKey": lambda item: "MinKey",
    "MaxKey": lambda item: "MaxKey",
}
_KINDS = {
    "NoneType": "null",
    "int": "int",
    "float": "double",
    "str": "string",
    "datetime": "date",
    "DatetimeMS": "date",
    "Int64": "long",
    "list": "array",
    "dict": "object",
    "SON": "object",
    "bytes": "binData",
    "Binary": "binData",
}
