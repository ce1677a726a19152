"""Extended JSON that others have written: a value, or one error that says why it is none."""

from __future__ import annotations

from typing import Any

from bson import json_util
from bson.errors import BSONError

from goaime_migrate.backends import raw_bson

DEEPEST = 100
"""How many documents and arrays may stand in one another: a server takes no filter that is nested deeper."""
OPTIONS = json_util.CANONICAL_JSON_OPTIONS.with_options(document_class=dict, tz_aware=False, tzinfo=None)


def loads(text: str) -> Any:
    """The value. Raises ValueError, saying what is wrong with the text."""
    try:
        value = json_util.loads(text, json_options=OPTIONS)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, BSONError) as error:
        raise ValueError(str(error) or type(error).__name__) from error
    if raw_bson.is_deeper(value, DEEPEST):
        raise ValueError(f"it is nested more than {DEEPEST} deep")
    return value
