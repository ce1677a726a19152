"""The parts that the JSON of several commands has in common, and their text."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from datetime import datetime
from typing import Any

from goaime_migrate.errors import MigrateError, Problem
from goaime_migrate.render.words import utc
from goaime_migrate.results import Counts, WarningCount

Json = dict[str, Any]


def dumps(value: Any, redact: Callable[[str], str] = str) -> str:
    """The text of a JSON value; `redact` sees every string of it, one by one."""
    return json.dumps(_strings(value, redact), indent=2, allow_nan=False)


def failure(error: MigrateError | None) -> Json | None:
    """An error as every command reports it."""
    if error is None:
        return None
    return {
        "code": error.code,
        "message": error.message,
        "hint": error.hint,
        "version": error.version,
        "id": extended(error.id),
        "field": error.field,
    }


def problem(found: Problem) -> Json:
    """A line of `status` or `lint`."""
    return {"code": found.code, "version": found.version, "message": found.message, "hint": found.hint}


def counts(found: Counts) -> Json:
    """Documents of a version or a run."""
    return {
        "matched": found.matched,
        "changed": found.changed,
        "unchanged": found.unchanged,
        "conflicts": found.conflicts,
    }


def time(at: datetime | None) -> str | None:
    """ISO-8601 in UTC, with milliseconds and Z."""
    return None if at is None else utc(at).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def seconds(found: float | None) -> float | None:
    """Rounded to milliseconds; what is no number is null."""
    return None if found is None or not math.isfinite(found) else round(found, 3)


def extended(value: Any) -> Any:
    """A BSON value as canonical Extended JSON: the types and the order of fields survive."""
    if value is None or type(value) in (str, bool):
        return value
    from bson.json_util import CANONICAL_JSON_OPTIONS
    from bson.json_util import dumps as encode

    try:
        return json.loads(encode(value, json_options=CANONICAL_JSON_OPTIONS))
    except (TypeError, ValueError):
        return repr(value)


def warning(found: WarningCount) -> Json:
    """What transforms of a version warned about."""
    return {
        "version": found.version,
        "message": found.message,
        "count": found.count,
        "examples": [extended(example) for example in found.examples],
    }


def _strings(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {change(name): _strings(member, change) for name, member in value.items()}
    return [_strings(member, change) for member in value] if isinstance(value, list) else value
