"""How a document is written so that the server stores these very bytes."""

from __future__ import annotations

import pytest
from bson import Timestamp, decode

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import Write
from goaime_migrate.backends.server.updates import deletions, goes_together, replacement

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


@pytest.mark.parametrize(("identity", "together"), [(1, True), ("$a", True), (None, True), ({"a": 1}, False)])
def test_documents_go_together_whose_ids_cannot_be_taken_for_queries(
    identity: object, together: bool
) -> None:
    raw = raw_bson.encode({"_id": identity})
    assert goes_together(Write(raw, raw, None), guard=False) == together
    assert not goes_together(Write(raw, raw, None), guard=True)
    assert not goes_together(Write(raw, raw, raw), guard=False)


def test_one_statement_deletes_them() -> None:
    raws = [raw_bson.encode({"_id": each}) for each in (1, "a", None)]
    statement = deletions([Write(raw, raw, None) for raw in raws])
    assert decode(raw_bson.encode(statement)) == {"q": {"_id": {"$in": [1, "a", None]}}, "limit": 0}
