"""What can be declared of indexes, and how these operations describe themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pymongo.collation import Collation

from goaime_migrate import CreateIndex, DropIndex
from goaime_migrate.errors import InvalidMigration


@pytest.mark.parametrize(
    ("declare", "message", "hint"),
    [
        (lambda: CreateIndex("c", "a", replaces=5), "replaces= must be a name, not 5", ""),  # type: ignore[arg-type]
        (lambda: CreateIndex("c", "a", replaces=""), "replaces= must be a name, not ''", ""),
        (
            lambda: CreateIndex("c", "a", replaces="_id_"),
            "replaces= names one index that goes, not '_id_'",
            "the index on _id stays",
        ),
        (
            lambda: CreateIndex("c", "a", replaces="*"),
            "replaces= names one index that goes, not '*'",
            "DropIndex(collection, '*')",
        ),
        (
            lambda: CreateIndex("c", "a", replaces="a_1"),
            "the index 'a_1' would replace itself",
            "name='a_1_2', replaces='a_1'",
        ),
        (
            lambda: CreateIndex("c", "a", name="x", sparse=True, replaces="x"),
            "the index 'x' would replace itself",
            "name='x_2', replaces='x'",
        ),
        (lambda: CreateIndex("c", "a", name="*"), "no index can be called '*'", ""),
        (
            lambda: CreateIndex("c", "a", partialFilterExpression={"a": {1}}),
            "the index 'a_1' cannot be encoded as BSON",
            "values that BSON knows",
        ),
    ],
)
def test_a_wrong_declaration_is_refused_at_once(
    declare: Callable[[], object], message: str, hint: str
) -> None:
    with pytest.raises(InvalidMigration) as caught:
        declare()
    assert message in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("operation", "text"),
    [
        (CreateIndex("c", "a", unique=True, replaces="b_1"), "create unique index a_1 on c in place of b_1"),
        (DropIndex("c", "*"), "drop all indexes on c but that on _id"),
    ],
)
def test_an_operation_describes_itself(operation: Any, text: str) -> None:
    assert operation.describe() == text


def test_what_it_takes_to_be_allowed_is_more_where_an_index_goes() -> None:
    assert CreateIndex("c", "a").actions == ("createIndex",)
    assert CreateIndex("c", "a", replaces="b_1").actions == ("createIndex", "dropIndex")


def test_a_collation_may_be_one_of_the_drivers() -> None:
    index = CreateIndex("c", "a", collation=Collation(locale="de")).index
    assert index["collation"] == {"locale": "de"}
