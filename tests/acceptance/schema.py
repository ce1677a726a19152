"""What `--json` prints, held against the published schema: no key more, no key less, nothing of another kind."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from tests.world import REPOSITORY

SCHEMA = REPOSITORY / "docs" / "reference" / "schema.json"


def check(command: str, value: Any) -> None:
    """Raises jsonschema's ValidationError. What fails before the command is known prints an error alone."""
    if not (isinstance(value, dict) and set(value) == {"error"}):
        _validator(command).validate(value)


@cache
def _validator(command: str) -> Draft202012Validator:
    schema = _closed(json.loads(SCHEMA.read_text(encoding="utf-8")))
    return Draft202012Validator({**schema, "$ref": f"#/$defs/{command}"})


def _closed(schema: Any) -> Any:
    """The schema with no room for keys that it does not name."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: _closed(each) for name, each in schema.items()}
    return closed | {"additionalProperties": False} if schema.get("type") == "object" else closed
