"""What becomes of a document that somebody else has written since: a table for either direction."""

from __future__ import annotations

from typing import Any

import pytest
from bson import Int64, encode
from hypothesis import given

from goaime_migrate.journal.entry import Entry, changed_fields
from goaime_migrate.journal.reconcile import (
    Forward,
    Found,
    Restored,
    backward,
    forward,
    reappeared,
    written,
)
from goaime_migrate.results import OnConflict
from tests.unit.values import FIELDS, NOT_UTF8, document, element

KEEP, RESTORE = OnConflict.KEEP, OnConflict.RESTORE

BEFORE = {"_id": 1, "n": 1, "old": "x", "same": True}
AFTER = {"_id": 1, "n": 1001, "same": True, "new": "y"}
ENTRY = Entry.of(encode(BEFORE), encode(AFTER))


def test_an_entry_names_what_was_changed_added_and_removed() -> None:
    assert set(ENTRY.fields) == {"n", "new", "old"}
    assert ENTRY.fields["old"] is None
    assert ENTRY.id == encode({"_id": 1})
    assert written(encode(AFTER), ENTRY)
    assert not written(encode(BEFORE), ENTRY)


def test_a_value_of_another_type_is_a_change() -> None:
    assert set(changed_fields(encode({"_id": 1, "n": 1}), encode({"_id": 1, "n": Int64(1)}))) == {"n"}


def test_a_name_that_is_not_utf8_can_be_a_changed_field() -> None:
    odd = element("_id", 1) + NOT_UTF8.replace(b"t\0", b"\xff\0", 1)
    assert list(changed_fields(document(odd), document(element("_id", 1)))) == ["\udcff"]


@pytest.mark.parametrize(
    ("now", "settled", "verdict"),
    [
        pytest.param(AFTER, False, Forward.LEAVE, id="as the migration left it"),
        pytest.param(AFTER, True, Forward.LEAVE, id="as the migration left it, settled"),
        pytest.param(BEFORE, False, Forward.TRANSFORM, id="a stale whole document"),
        pytest.param({**BEFORE, "more": 1}, False, Forward.TRANSFORM, id="stale, with a field more"),
        pytest.param({**AFTER, "more": 1}, False, Forward.LEAVE, id="another field was written"),
        pytest.param({**AFTER, "same": 0}, False, Forward.LEAVE, id="an unchanged field was written"),
        pytest.param({**AFTER, "more": 1}, True, Forward.TRANSFORM, id="another field was written, settled"),
        pytest.param({**AFTER, "n": 7}, False, Forward.CONFLICT, id="the same field was written"),
        pytest.param({**AFTER, "n": 7}, True, Forward.TRANSFORM, id="the same field was written, settled"),
        pytest.param({**AFTER, "n": 1}, False, Forward.CONFLICT, id="half of it is old"),
        pytest.param({**AFTER, "old": "z"}, False, Forward.CONFLICT, id="a removed field is there again"),
    ],
)
def test_up_comes_to_a_document_a_second_time(now: dict[str, Any], settled: bool, verdict: Forward) -> None:
    assert forward(encode(now), ENTRY, settled=settled) is verdict


@pytest.mark.parametrize("settled", [False, True])
def test_up_comes_to_a_document_for_the_first_time(settled: bool) -> None:
    assert forward(encode(AFTER), None, settled=settled) is Forward.TRANSFORM


@pytest.mark.parametrize("choice", [KEEP, RESTORE])
@pytest.mark.parametrize(
    ("now", "found", "result"),
    [
        pytest.param(AFTER, Found.EXACT, BEFORE, id="as the migration left it"),
        pytest.param(BEFORE, Found.ALREADY, BEFORE, id="already as it was"),
        pytest.param(
            {**AFTER, "more": 1, "same": 0},
            Found.MERGED,
            {"_id": 1, "n": 1, "old": "x", "same": 0, "more": 1},
            id="other fields were written",
        ),
        pytest.param(
            {"_id": 1, "n": 1001, "new": "y"},
            Found.MERGED,
            {"_id": 1, "n": 1, "old": "x"},
            id="an unchanged field was removed",
        ),
        pytest.param(
            {"z": 1, "_id": 1, **AFTER, "a": 1},
            Found.MERGED,
            {"_id": 1, "n": 1, "old": "x", "same": True, "z": 1, "a": 1},
            id="the order of the before-image, then the present one",
        ),
        pytest.param(
            {**BEFORE, "more": 1}, Found.MERGED, {**BEFORE, "more": 1}, id="every field is already back"
        ),
        pytest.param(
            {**AFTER, "n": 1, "more": 1}, Found.MERGED, {**BEFORE, "more": 1}, id="one field is already back"
        ),
    ],
)
def test_down_keeps_both_sides(
    now: dict[str, Any], found: Found, result: dict[str, Any], choice: OnConflict
) -> None:
    restored = backward(encode(now), ENTRY, choice)
    assert (restored.found, restored.fields) == (found, ())
    assert restored.document == encode(result)


@pytest.mark.parametrize(
    ("now", "fields", "kept", "restored"),
    [
        pytest.param(
            {**AFTER, "n": 7},
            ("n",),
            {"_id": 1, "n": 7, "old": "x", "same": True},
            BEFORE,
            id="a changed field was written",
        ),
        pytest.param(
            {**AFTER, "new": "z"},
            ("new",),
            {**BEFORE, "new": "z"},
            BEFORE,
            id="an added field was written",
        ),
        pytest.param(
            {**AFTER, "old": "z"},
            ("old",),
            {**BEFORE, "old": "z"},
            BEFORE,
            id="a removed field was written",
        ),
        pytest.param(
            {"_id": 1, "same": True, "new": "y"},
            ("n",),
            {"_id": 1, "old": "x", "same": True},
            BEFORE,
            id="a changed field was removed",
        ),
        pytest.param(
            {**AFTER, "n": Int64(1001)},
            ("n",),
            {"_id": 1, "n": Int64(1001), "old": "x", "same": True},
            BEFORE,
            id="the same number of another type",
        ),
        pytest.param(
            {**AFTER, "n": 7, "new": "z", "more": 1},
            ("n", "new"),
            {"_id": 1, "n": 7, "old": "x", "same": True, "new": "z", "more": 1},
            {**BEFORE, "more": 1},
            id="two at once",
        ),
    ],
)
def test_down_meets_a_field_that_was_written_since(
    now: dict[str, Any], fields: tuple[str, ...], kept: dict[str, Any], restored: dict[str, Any]
) -> None:
    for choice, result in ((KEEP, kept), (RESTORE, restored), (OnConflict.STOP, kept)):
        found = backward(encode(now), ENTRY, choice)
        assert found.found is Found.CONFLICT
        assert found.fields == fields
        assert found.document == encode(result)


def test_an_added_field_that_the_application_removed_is_no_conflict() -> None:
    found = backward(encode({k: v for k, v in AFTER.items() if k != "new"}), ENTRY, KEEP)
    assert (found.found, found.document) == (Found.MERGED, encode(BEFORE))


def test_a_migration_that_only_reorders_is_taken_back_under_newer_fields() -> None:
    entry = Entry.of(encode({"_id": 1, "a": 1, "b": 2}), encode({"_id": 1, "b": 2, "a": 1}))
    found = backward(encode({"_id": 1, "b": 3, "a": 1}), entry, KEEP)
    assert (found.found, found.document) == (Found.MERGED, encode({"_id": 1, "a": 1, "b": 3}))


@given(FIELDS, FIELDS)
def test_down_is_exact_where_nobody_has_written(before: dict[str, Any], after: dict[str, Any]) -> None:
    old, new = encode({"_id": 1, **before}), encode({"_id": 1, **after})
    for choice in OnConflict:
        assert backward(new, Entry.of(old, new), choice).document == old


@given(FIELDS, FIELDS, FIELDS)
def test_down_keeps_what_the_application_has_written(
    before: dict[str, Any], after: dict[str, Any], newer: dict[str, Any]
) -> None:
    fresh = {f"app {name}": value for name, value in newer.items()}
    old, new = encode({"_id": 1, **before}), encode({"_id": 1, **after})
    now = encode({"_id": 1, **after, **fresh})
    assert backward(now, Entry.of(old, new), KEEP).document == encode({"_id": 1, **before, **fresh})


@given(FIELDS, FIELDS, FIELDS)
def test_down_twice_changes_nothing_more(
    before: dict[str, Any], after: dict[str, Any], now: dict[str, Any]
) -> None:
    entry = Entry.of(encode({"_id": 1, **before}), encode({"_id": 1, **after}))
    once = backward(encode({"_id": 1, **now}), entry, RESTORE).document
    assert backward(once, entry, RESTORE).document == once


@pytest.mark.parametrize(("on_conflict", "restored"), [(KEEP, False), (RESTORE, True)])
def test_a_key_that_stands_twice_makes_the_whole_document_a_conflict(
    on_conflict: OnConflict, restored: bool
) -> None:
    before = document(element("_id", 1) + element("a", 1) + element("a", 2))
    entry = Entry.of(before, encode({"_id": 1, "a": 2, "new": 1}))
    now = encode({"_id": 1, "a": 2, "new": 1, "note": "the application's"})

    result = backward(now, entry, on_conflict)

    assert result.found is Found.CONFLICT
    assert result.document == (before if restored else now)


DOCUMENT, OTHER = encode({"_id": 1, "n": 1}), encode({"_id": 1, "n": 2})
GONE, MADE = Entry.deletion(DOCUMENT), Entry.insertion(encode({"_id": 1}), DOCUMENT)
REMOVED_AGAIN = Entry.insertion(encode({"_id": 1}), None)


@pytest.mark.parametrize(
    ("entry", "now", "found", "kept", "restored"),
    [
        (GONE, None, Found.EXACT, DOCUMENT, DOCUMENT),
        (GONE, DOCUMENT, Found.ALREADY, DOCUMENT, DOCUMENT),
        (GONE, OTHER, Found.CONFLICT, OTHER, DOCUMENT),
        (MADE, DOCUMENT, Found.EXACT, None, None),
        (MADE, None, Found.ALREADY, None, None),
        (MADE, OTHER, Found.CONFLICT, OTHER, None),
        (REMOVED_AGAIN, None, Found.ALREADY, None, None),
        (REMOVED_AGAIN, OTHER, Found.ALREADY, OTHER, OTHER),
    ],
)
def test_what_was_deleted_comes_back_and_what_was_inserted_goes(
    entry: Entry, now: bytes | None, found: Found, kept: bytes | None, restored: bytes | None
) -> None:
    assert backward(now, entry, KEEP) == Restored(found, kept)
    assert backward(now, entry, RESTORE) == Restored(found, restored)


@pytest.mark.parametrize(
    ("entry", "now", "verdict"),
    [
        (GONE, DOCUMENT, Forward.TRANSFORM),
        (GONE, OTHER, Forward.TRANSFORM),
        (MADE, DOCUMENT, Forward.LEAVE),
        (MADE, OTHER, Forward.CONFLICT),
        (REMOVED_AGAIN, OTHER, Forward.TRANSFORM),
    ],
)
def test_what_is_there_again_is_looked_at_anew_and_what_was_inserted_is_nobody_elses(
    entry: Entry, now: bytes, verdict: Forward
) -> None:
    assert forward(now, entry, settled=False) is verdict


def test_only_what_was_inserted_can_reappear_as_a_whole() -> None:
    assert [reappeared(now, MADE) for now in (DOCUMENT, OTHER)] == [True, False]
    assert not reappeared(DOCUMENT, GONE)
