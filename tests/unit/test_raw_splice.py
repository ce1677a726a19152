"""A changed document keeps the bytes of what has not changed in it."""

from __future__ import annotations

from typing import Any

import pytest
from bson import encode
from hypothesis import given
from hypothesis import strategies as st

from goaime_migrate.backends import raw_bson, raw_splice
from tests.unit.values import FIELDS, SURVIVORS, TWICE, document, element


def spliced(data: bytes, change: Any) -> bytes:
    before, after = raw_bson.decode(data), raw_bson.decode(data)
    change(after)
    return raw_splice.splice(data, before, after)


@given(FIELDS)
def test_nothing_changed_gives_the_same_bytes(fields: dict[str, Any]) -> None:
    data = raw_bson.encode({"_id": 1, **fields})
    assert spliced(data, lambda d: None) == data


@given(FIELDS, st.data())
def test_a_changed_field_changes_alone(fields: dict[str, Any], data: st.DataObject) -> None:
    before = raw_bson.encode({"_id": 1, **fields})
    name = data.draw(st.sampled_from(["_id2", *fields]))
    after = spliced(before, lambda d: d.update({name: "new"}))
    assert after == raw_bson.encode({"_id": 1, **fields, name: "new"})


@pytest.mark.parametrize("odd", SURVIVORS.values(), ids=SURVIVORS)
def test_what_decoding_would_change_keeps_its_bytes(odd: bytes) -> None:
    data = document(element("_id", 1), odd, element("n", 1))
    assert spliced(data, lambda d: d.update(n=2)) == document(element("_id", 1), odd, element("n", 2))


@pytest.mark.parametrize("odd", SURVIVORS.values(), ids=SURVIVORS)
def test_it_does_so_inside_documents_and_arrays(odd: bytes) -> None:
    def build(n: int) -> bytes:
        inner = document(odd, element("n", n))
        array = document(b"\x030\0" + inner, b"\x031\0" + document(odd))
        return document(element("_id", 1), b"\x03in\0" + inner, b"\x04list\0" + array)

    def change(d: dict[str, Any]) -> None:
        d["in"]["n"] = 2
        d["list"][0]["n"] = 2

    assert spliced(build(1), change) == build(2)


def test_arrays_may_grow_and_shrink() -> None:
    data = document(element("_id", 1), b"\x04l\0" + document(b"\x060\0", element("1", 1)))
    assert spliced(data, lambda d: d["l"].append(2)) == document(
        element("_id", 1), b"\x04l\0" + document(b"\x060\0", element("1", 1), element("2", 2))
    )
    assert spliced(data, lambda d: d["l"].pop()) == document(
        element("_id", 1), b"\x04l\0" + document(b"\x060\0")
    )


def test_fields_are_removed_reordered_and_renamed() -> None:
    data = encode({"_id": 1, "a": 1, "b": 2})
    before = raw_bson.decode(data)
    assert raw_splice.splice(data, before, {"_id": 1, "c": 3, "a": 1}) == encode({"_id": 1, "c": 3, "a": 1})


def test_a_type_that_changes_is_a_change() -> None:
    data = encode({"_id": 1, "n": 1})
    assert spliced(data, lambda d: d.update(n=1.0)) == encode({"_id": 1, "n": 1.0})


@pytest.mark.parametrize("nested", [False, True])
def test_a_key_that_stands_twice_cannot_change(nested: bool) -> None:
    inner = document(element("_id", 1), TWICE)
    data = document(element("_id", 1), b"\x03in\0" + inner) if nested else inner

    def change(d: dict[str, Any]) -> None:
        (d["in"] if nested else d)["k"] = 3

    with pytest.raises(raw_splice.Lossy, match="it has the same key twice"):
        spliced(data, change)


def test_a_nested_key_that_stands_twice_is_kept_where_others_change() -> None:
    inner = b"\x03in\0" + document(TWICE)
    data = document(element("_id", 1), inner, element("n", 1))
    assert spliced(data, lambda d: d.update(n=2)) == document(element("_id", 1), inner, element("n", 2))
