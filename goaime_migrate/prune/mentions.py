"""Where records speak of one document: examples of warnings, the error that it has met, and the log."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Any

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import LOG, Put, Reader
from goaime_migrate.ledger import VersionRecord
from goaime_migrate.results import Document, Value, VersionError, WarningCount

ERASED = "(erased)"
"""What stands where a text has spoken of it."""
_SHORT = 4
"""A text as `_id` that is no longer than this is looked for only where it is said to be an `_id`."""


class Mentions:
    """Tells what speaks of a document, and how it reads when it does not any more."""

    def __init__(self, value: Value, ids: Collection[bytes]) -> None:
        self._ids = ids
        text = str(value)
        forms = dict.fromkeys([repr(value), *(repr(raw_bson.id_value(identity)) for identity in ids)])
        words = [rf"_id {re.escape(form)}(?!\w)" for form in forms]
        if len(text) > _SHORT and not isinstance(value, int | float | dict | list):
            words.append(rf"(?<!\w){re.escape(text)}(?!\w)")
        self._text = re.compile("|".join(words))

    def in_version(self, record: VersionRecord) -> VersionRecord:
        """The record of a version without it."""
        error = record.error
        if error is not None and (self._is(error.id) or self._text.search(error.message)):
            error = VersionError(error.code, ERASED, None, error.field)
        return replace(record, error=error, warnings=tuple(map(self._in_warning, record.warnings)))

    def _in_warning(self, warning: WarningCount) -> WarningCount:
        examples = tuple(each for each in warning.examples if not self._is(each))
        spoken = len(examples) < len(warning.examples) and warning.count == 1  # of this one alone
        message = ERASED if spoken or self._text.search(warning.message) else warning.message
        return replace(warning, message=message, examples=examples)

    def in_log(self, reader: Reader) -> Iterator[tuple[str | None, Put]]:
        """The changes that leave it out of the log, with the version of each event."""
        for event in reader.find(LOG, {"error": {"$ne": None}}, sort=[("at", 1)]):
            error: Document = event["error"]
            if self._is(event.get("about")) or self._text.search(str(error.get("message"))):
                rest = {name: value for name, value in event.items() if name != "about"}
                yield event.get("version"), Put(LOG, {**rest, "error": {**error, "message": ERASED}})

    def _is(self, value: Any) -> bool:
        return raw_bson.encode({"_id": value}) in self._ids
