"""Results as the JSON values that ``--json`` prints: their fields are the keys; some may come, none may go."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from datetime import datetime
from functools import cache
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from goaime_migrate import results
from goaime_migrate.errors import MigrateError
from goaime_migrate.errors.hint import Hint
from goaime_migrate.render.words import utc
from goaime_migrate.results import ABSENT, Direction, Key, Value
from goaime_migrate.results.databases import DatabasesResult

Json = dict[str, Any]

RESULTS = {
    "init": "InitResult",
    "new": "NewResult",
    "status": "StatusResult",
    "plan": "PlanResult",
    "up": "RunResult",
    "down": "RunResult",
    "verify": "VerifyResult",
    "sweep": "SweepResult",
    "lint": "LintResult",
    "wait": "StatusResult",
    "stamp": "StampResult",
    "repair": "RepairResult",
    "unlock": "UnlockResult",
    "throttle": "ThrottleResult",
    "try": "TryResult",
    "rehearse": "RehearsalResult",
    "doctor": "DoctorResult",
    "blame": "BlameResult",
    "prune": "PruneResult",
    "explain": "ExplainResult",
}
"""What each command prints. `history` is a list of HistoryEntry, ``--dry-run`` prints a PlanResult, ``--as-of`` an
AsOfResult."""


class Failure:
    """Why a command failed: `hint` is the next command to type, `id` the document, both where they are known."""

    code: str
    message: str
    hint: str
    version: str | None
    id: Value
    field: str | None


def result_value(result: object, error: MigrateError | None = None) -> Any:
    """What a command prints: the keys of its result, and why it failed."""
    if isinstance(result, DatabasesResult):
        return _of_each(result) | {"error": _value(MigrateError, error)}
    if isinstance(result, tuple):
        return [_object(entry) for entry in result]
    return _object(result) | {"error": _value(MigrateError, error)}


def _of_each(result: DatabasesResult[Any]) -> Json:
    """What each database would have printed by itself."""
    values = {
        each.database: failure_value(result.command, each.error)
        if each.result is None and each.error is not None
        else result_value(each.result, each.error)
        for each in result.databases
    }
    return {"databases": values, "not_begun": list(result.not_begun)}


def failure_value(command: str, error: MigrateError, *, several: bool = False) -> Any:
    """What a command prints that failed before there was a result: nothing of everything, and why."""
    if several:
        return result_value(DatabasesResult((), command=command), error)
    name = RESULTS.get(command)
    nothing = _nothing(getattr(results, name), command) if name else {}
    return nothing | {"error": _value(MigrateError, error)}


def failure(error: MigrateError) -> Json:
    """An error as it stands in what a command prints."""
    return _object(error)


def dumps(
    value: Any,
    redact: Callable[[str], str] = str,
    *,
    told: Callable[[str], str] = str,
    indent: int | None = 2,
) -> str:
    """The text of a JSON value; `redact` sees every string of it, one by one. Without `indent` it is one line.

    `told`: what becomes of a hint before.
    """
    return json.dumps(
        _strings(value, lambda text: redact(told(text) if isinstance(text, Hint) else text)),
        indent=indent,
        allow_nan=False,
    )


@cache
def keys(kind: type, direction: str) -> dict[str, tuple[str, Any]]:
    """Each key of a dataclass's object, in its order, with the field's name and annotation."""
    found = {}
    for name, hint in get_type_hints(kind, include_extras=True).items():
        said, _ = marked(hint)
        if not said.hidden:
            found[(said.up if direction == Direction.UP else said.down) or name] = name, hint
    return found


def marked(hint: Any) -> tuple[Key, Any]:
    """What an annotation says of printing, and the rest of it."""
    return (hint.__metadata__[0], hint.__origin__) if get_origin(hint) is Annotated else (_PLAIN, hint)


def zero(hint: Any, command: str) -> Any:
    """What stands for a value that a command did not come to: null, but no number, no entries."""
    if hint is Direction:
        return command if command == Direction.DOWN else Direction.UP.value
    _, kind = marked(hint)
    bare = get_origin(kind) or kind
    if isinstance(bare, type) and is_dataclass(bare):
        return _nothing(bare, command)
    return {int: 0, float: 0.0, bool: False, tuple: []}.get(bare)


def extended_json(value: Any, *, relaxed: bool = False) -> Any:
    """A BSON value as canonical Extended JSON: the types and the order of fields survive; `relaxed`, it reads well."""
    if value is None or type(value) in (str, bool):
        return value
    from bson.json_util import CANONICAL_JSON_OPTIONS, RELAXED_JSON_OPTIONS
    from bson.json_util import dumps as encode

    try:
        options = RELAXED_JSON_OPTIONS if relaxed else CANONICAL_JSON_OPTIONS
        return json.loads(encode(value, json_options=options), parse_constant=str)
    except (TypeError, ValueError):
        return repr(value)


_PLAIN = Key()


def _object(value: Any) -> Json:
    """A dataclass by its keys; of an error what `Failure` names."""
    kind: type = Failure if isinstance(value, MigrateError) else type(value)
    direction = str(getattr(value, "direction", ""))
    known = {key: (hint, getattr(value, name)) for key, (name, hint) in keys(kind, direction).items()}
    return {key: _value(hint, found) for key, (hint, found) in known.items() if found is not ABSENT}


def _value(hint: Any, value: Any) -> Any:
    """Times in UTC with milliseconds and Z; seconds are rounded to them; what is no number is null."""
    said, kind = marked(hint)
    if said.extended:
        return extended_json(value, relaxed=said.relaxed)
    if value is None:
        value = said.none
    if is_dataclass(value) or isinstance(value, MigrateError):
        return _object(value)
    if isinstance(value, tuple):
        return [_value(get_args(kind)[0], member) for member in value]
    if isinstance(value, datetime):
        return utc(value).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
    if isinstance(value, float):
        return round(value, 3) if math.isfinite(value) else None
    return value


def _nothing(kind: type, command: str) -> Json:
    """An object of which nothing is known but the defaults of its fields."""
    defaults = {field.name: field.default for field in fields(kind)}
    return {
        key: zero(hint, command) if defaults[name] is MISSING else _value(hint, defaults[name])
        for key, (name, hint) in keys(kind, command).items()
    }


def _strings(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {change(name): _strings(member, change) for name, member in value.items()}
    return [_strings(member, change) for member in value] if isinstance(value, list) else value
