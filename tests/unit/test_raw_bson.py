"""Raw BSON, split and put together without losing a byte."""

from __future__ import annotations

from typing import Any

import pytest
from bson import Int64, ObjectId, decode, encode
from bson.errors import InvalidBSON
from hypothesis import given
from hypothesis import strategies as st

from goaime_migrate.backends import raw_bson
from tests.unit.values import FIELDS, FRAGILE, IDS, NOT_UTF8, SURVIVORS, document, element

DOCUMENTS = st.builds(lambda identity, fields: {"_id": identity, **fields}, IDS, FIELDS)


@given(st.lists(DOCUMENTS, max_size=4))
def test_documents_one_behind_another_are_split(documents: list[dict[str, Any]]) -> None:
    encoded = [raw_bson.encode(d) for d in documents]
    assert list(raw_bson.split(b"".join(encoded))) == encoded


@given(DOCUMENTS)
def test_elements_make_the_document_again(fields: dict[str, Any]) -> None:
    data = raw_bson.encode(fields)
    parts = list(raw_bson.elements(data))
    assert [name.decode() for name, _ in parts] == list(fields)
    assert raw_bson.join(part for _, part in parts) == data


@given(DOCUMENTS, st.sampled_from(["a", "b", "n", "é", "k"]))
def test_every_place_of_a_name_is_found(fields: dict[str, Any], name: str) -> None:
    inside = {"in": [{name: 1, "x": name}, {name: {name: name}}], name + name: f"\x10{name}\0"}
    data = document(
        *(part for _, part in raw_bson.elements(encode({**inside, **fields}))), element(name, fields)
    )
    expected, position = [], 4
    for found, part in raw_bson.elements(data):
        if found == name.encode():
            expected.append((position, position + len(part)))
        position += len(part)
    assert raw_bson.spans(data, name.encode()) == expected
    others = raw_bson.join(part for found, part in raw_bson.elements(data) if found != name.encode())
    assert raw_bson.without(data, name.encode()) == (others if len(expected) < 2 else None)


@pytest.mark.parametrize("odd", [*SURVIVORS.values(), *FRAGILE.values()], ids=[*SURVIVORS, *FRAGILE])
def test_elements_of_every_type_are_found(odd: bytes) -> None:
    data = document(element("_id", 1), odd, element("n", 1))
    parts = list(raw_bson.elements(data))
    assert raw_bson.join(part for _, part in parts) == data
    assert parts[-1][0] == b"n"


@given(
    st.lists(st.binary(max_size=9), max_size=3), st.dictionaries(st.sampled_from("ab"), st.binary(max_size=9))
)
def test_a_binary_goes_in_front_as_if_it_had_been_encoded(pieces: list[bytes], rest: dict[str, Any]) -> None:
    whole = raw_bson.behind_binary("data", pieces, raw_bson.encode(rest))
    assert whole == raw_bson.encode({"data": b"".join(pieces), **rest})


@given(DOCUMENTS)
def test_an_id_is_taken_out_with_its_bytes(fields: dict[str, Any]) -> None:
    found = raw_bson.id_of(raw_bson.encode(fields))
    assert found == raw_bson.encode({"_id": fields["_id"]})


def test_an_id_is_found_wherever_it_stands() -> None:
    assert raw_bson.id_of(document(element("n", 1), element("_id", "x"))) == encode({"_id": "x"})


def test_a_document_without_an_id_has_none() -> None:
    with pytest.raises(KeyError):
        raw_bson.id_of(encode({"n": 1}))


def test_the_value_of_an_id_keeps_its_type() -> None:
    assert type(raw_bson.id_value(encode({"_id": Int64(1)}))) is Int64
    assert raw_bson.id_value(document(b"\x02_id\0\x02\0\0\0\xff\0")) == "�"


@pytest.mark.parametrize("data", [b"\x04\0\0\0", b"\xff\0\0\0\0", encode({"a": 1})[:-1] + b"\0\x05"])
def test_a_length_that_is_wrong_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidBSON, match="are there"):
        list(raw_bson.split(data))


def test_an_unknown_type_is_refused() -> None:
    with pytest.raises(InvalidBSON, match="unknown element type 0x20"):
        list(raw_bson.elements(document(b"\x20a\0")))


def test_an_id_is_renamed_with_its_type() -> None:
    assert raw_bson.rename(encode({"_id": Int64(3)}), "$literal").raw == encode({"$literal": Int64(3)})


def test_text_that_is_not_utf8_is_decoded_leniently_alone() -> None:
    data = document(element("_id", 1), NOT_UTF8)
    with pytest.raises(InvalidBSON):
        raw_bson.decode(data)
    assert raw_bson.decode_leniently(data) == {"_id": 1, "t": "��"}


def test_decoding_keeps_what_python_cannot_hold() -> None:
    identity = ObjectId()
    assert decode(raw_bson.encode(raw_bson.decode(encode({"_id": identity})))) == {"_id": identity}


def test_the_documents_of_an_array_are_taken_out_as_they_are() -> None:
    documents = [raw_bson.encode({"_id": n, "in": [{"a": n}]}) for n in range(120)]
    (array,) = raw_bson.fields(raw_bson.encode({"": [raw_bson.raw_document(d) for d in documents]})).values()
    assert list(raw_bson.documents_in(array[2:])) == documents
    assert list(raw_bson.documents_in(raw_bson.NOTHING)) == []
