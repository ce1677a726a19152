"""Two raw documents are told apart without taking out what is the same in both."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.raw_difference import differing, unlike
from tests.unit.values import VALUES, document, element

PADDING = element("padding", "x" * 300)
"""More than has to be the same before anybody looks how much is."""
NAMES = st.sampled_from(["a", "b", "c", "padding", "x", "é"])
ELEMENTS = st.lists(st.builds(element, NAMES, VALUES), max_size=5)


def told(old: dict[bytes, bytes], new: dict[bytes, bytes]) -> Any:
    return differing(old, new), [name for name in old if name not in new]


def taken_apart(before: bytes, after: bytes) -> Any:
    return told(raw_bson.fields(before), raw_bson.fields(after))


@given(ELEMENTS, ELEMENTS, ELEMENTS, ELEMENTS, st.booleans(), st.booleans())
def test_it_tells_what_taking_both_apart_tells(
    head: list[bytes], old: list[bytes], new: list[bytes], tail: list[bytes], long: bool, behind: bool
) -> None:
    """Also where a name stands twice: of these the last counts."""
    front, back = [PADDING] * long, [PADDING] * behind
    before = document(element("_id", 1), *front, *head, *old, *tail, *back)
    after = document(element("_id", 1), *front, *head, *new, *tail, *back)
    assert told(*unlike(before, after)) == taken_apart(before, after)


LARGE = {f"f{i}": f"text {i}" for i in range(100)}


@pytest.mark.parametrize(
    "change",
    [
        {"f50": "another"},
        {"f0": 1},
        {"f99": None},
        {"f99": "text 9"},
        {"g": True},
        {},
    ],
    ids=str,
)
def test_of_a_large_document_little_is_taken_out(change: dict[str, Any]) -> None:
    before, after = raw_bson.encode({"_id": 1, **LARGE}), raw_bson.encode({"_id": 1, **LARGE, **change})
    old, new = unlike(before, after)
    assert told(old, new) == taken_apart(before, after)
    assert len(new) == len(change)


@pytest.mark.parametrize("gone", ["f0", "f50", "f99"])
def test_nor_where_a_field_is_removed(gone: str) -> None:
    left = {name: value for name, value in LARGE.items() if name != gone}
    before, after = raw_bson.encode({"_id": 1, **LARGE}), raw_bson.encode({"_id": 1, **left})
    old, new = unlike(before, after)
    assert told(old, new) == ([], [gone.encode()])
    assert len(old) + len(new) <= 3


@given(st.binary(max_size=6), st.integers(0, 400))
def test_the_element_that_holds_a_byte_begins_where_it_does(value: bytes, there: int) -> None:
    elements = [element("_id", 1), PADDING, element("b", value), element("n", None)]
    raw, starts, position = document(*elements), [], 4
    for each in elements:
        starts.append(position)
        position += len(each)
    starts.append(position)
    expected = max(start for start in starts if start <= max(there, 4))
    assert raw_bson.start_of_element(raw, there) == expected
