"""What no server takes is refused when the file is loaded."""

from __future__ import annotations

from typing import Any

import pytest

from goaime_migrate import CreateCollection, CreateIndex, RenameCollection, SetValidator
from goaime_migrate.errors import InvalidMigration
from tests.specifications import COLLECTIONS, FINE_INDEXES, FINE_VALIDATORS, INDEXES, VALIDATORS


@pytest.mark.parametrize(("keys", "options"), INDEXES.values(), ids=INDEXES)
def test_an_index_that_no_server_takes(keys: Any, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidMigration, match="the index 'i'"):
        CreateIndex("c", keys, name="i", **options)


@pytest.mark.parametrize(("keys", "options"), FINE_INDEXES.values(), ids=FINE_INDEXES)
def test_an_index_that_may_be_declared(keys: Any, options: dict[str, Any]) -> None:
    CreateIndex("c", keys, **options)


@pytest.mark.parametrize(("name", "options"), COLLECTIONS.values(), ids=COLLECTIONS)
def test_a_collection_that_no_server_takes(name: str, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidMigration):
        CreateCollection(name, **options)


@pytest.mark.parametrize("validator", VALIDATORS.values(), ids=VALIDATORS)
def test_a_validator_that_no_server_takes(validator: dict[str, Any]) -> None:
    with pytest.raises(InvalidMigration, match="no validator may have"):
        SetValidator("c", validator)


@pytest.mark.parametrize("validator", FINE_VALIDATORS.values(), ids=FINE_VALIDATORS)
def test_a_validator_that_may_be_declared(validator: dict[str, Any]) -> None:
    SetValidator("c", validator)


def test_what_was_meant_is_said() -> None:
    with pytest.raises(InvalidMigration) as caught:
        CreateIndex("c", "x", uniqe=True)
    assert caught.value.message == "the index 'x_1' has no option 'uniqe'"
    assert caught.value.hint == "did you mean unique=?"


def test_a_name_that_no_server_takes_is_not_renamed_to() -> None:
    with pytest.raises(InvalidMigration, match="no collection can be called"):
        RenameCollection("c", "a$b")
