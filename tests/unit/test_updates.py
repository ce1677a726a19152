"""How a document is written so that the server stores these very bytes."""

from __future__ import annotations

import pytest
from bson import Timestamp

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.server.updates import replacement

LENGTHS = range(256)
"""The first byte of a document is that of its length: it may be any, `$` and the types of elements too."""


@pytest.mark.parametrize("name", ["$a", "$set", "$"])
def test_a_name_that_begins_with_a_dollar_is_seen_in_a_document_of_any_length(name: str) -> None:
    for length in LENGTHS:
        document = raw_bson.encode({"_id": 1, name: "x" * length})
        assert replacement(document) == [{"$replaceWith": {"$literal": raw_bson.raw_document(document)}}]


def test_a_zero_timestamp_is_seen_in_a_document_of_any_length() -> None:
    for length in LENGTHS:
        document = raw_bson.encode({"_id": 1, "at": Timestamp(0, 0), "x": "x" * length})
        assert replacement(document) == [{"$replaceWith": {"$literal": raw_bson.raw_document(document)}}]


def test_what_a_replacement_can_say_is_said_by_one() -> None:
    for length in LENGTHS:
        document = raw_bson.encode(
            {"_id": 1, "a": {"$b": "$c"}, "x$": "\x02$" * length, "at": Timestamp(0, 1)}
        )
        assert replacement(document) == raw_bson.raw_document(document)
