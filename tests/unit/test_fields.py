"""Operations on single fields: what they do to one document, and what they refuse at load."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from bson import decode, encode
from hypothesis import given
from hypothesis import strategies as st

from goaime_migrate.errors import InvalidMigration
from goaime_migrate.operations import AddField, ConvertField, RemoveField, RenameField, TransformDocuments
from goaime_migrate.results import Document
from goaime_migrate.transform.paths import CannotChange


def after(operation: TransformDocuments, document: Document) -> Document:
    """The document after the operation."""
    result = operation.step("0001", "").transform(document)
    return document if result is None else result


def back(operation: TransformDocuments, document: Document) -> Document:
    """The document after its reverse."""
    step = operation.step("0001", "")
    assert step.reverse is not None
    step.reverse(document)
    return document


@pytest.mark.parametrize(
    ("declare", "message", "hint"),
    [
        (lambda: AddField("c", "items[].x", 1), "AddField: 'items[].x' is no path", "write 'items.$[].x'"),
        (lambda: AddField("c", "tags.$[]", 1), "AddField: 'tags.$[]' are elements", "'tags.$[].name'"),
        (lambda: AddField("c", "a", {1}), "AddField: the value of 'a' cannot be encoded as BSON", ""),
        (lambda: RemoveField("c"), "RemoveField: no field is named", "RemoveField("),
        (lambda: RemoveField("c", "_id.x"), "RemoveField: _id stays as it is", ""),
        (lambda: RemoveField("c", "a", "a.b"), "RemoveField: 'a.b' goes with 'a'", "once"),
        (lambda: RemoveField("c", "a", "a"), "RemoveField: 'a' goes with 'a'", "once"),
        (lambda: RenameField("c", "a", "a"), "RenameField: 'a' is already called that", ""),
        (lambda: RenameField("c", "a", "a.b"), "RenameField: of 'a' and 'a.b' one is within the other", ""),
        (lambda: RenameField("c", "a.b", "a"), "RenameField: of 'a.b' and 'a' one is within the other", ""),
        (lambda: RenameField("c", "t.$[]", "u.$[]"), "RenameField: 't.$[]' are elements", ""),
        (lambda: RenameField("c", "a", "a", where={"n": {1}}), "is already called that", ""),
        (
            lambda: RenameField("c", "items.$[].a", "b"),
            "do not lead to the elements of the same array",
            "write 'items.$[].b'",
        ),
        (
            lambda: RenameField("c", "items.$[].a", "lines.$[].a"),
            "do not lead to the elements of the same array",
            "write 'items.$[].a'",
        ),
        (lambda: ConvertField("c", "a", "number"), "there is no type 'number'", "date, objectId, int"),
        (lambda: ConvertField("c", "a", ["int"]), "there is no type ['int']", "date, objectId, int"),  # type: ignore[arg-type]
        (lambda: ConvertField("c", "a", "int", on_error="skip"), "on_error must be stop, keep, null", ""),
        (lambda: ConvertField("c", "a.0", "int"), "ConvertField: 'a.0' is no path", "'a.$[]'"),
    ],
)
def test_a_wrong_declaration_is_refused_with_the_right_form(
    declare: Callable[[], object], message: str, hint: str
) -> None:
    with pytest.raises(InvalidMigration) as caught:
        declare()
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_a_value_that_is_added_is_each_documents_own() -> None:
    operation = AddField("c", "tags", [])
    one = after(operation, {"_id": 1})
    one["tags"].append("x")
    assert after(operation, {"_id": 2})["tags"] == []


@pytest.mark.parametrize(
    ("path", "before", "then"),
    [
        ("n", {"n": None}, {"n": None}),
        ("n", {}, {"n": 1}),
        ("a.b", {}, {"a": {"b": 1}}),
        ("a.b", {"a": {"b": None, "c": 2}}, {"a": {"b": None, "c": 2}}),
        ("a.b", {"a": {"c": 2}}, {"a": {"c": 2, "b": 1}}),
        (
            "items.$[].b",
            {"items": [{}, {"b": 2}, {"c": 3}]},
            {"items": [{"b": 1}, {"b": 2}, {"c": 3, "b": 1}]},
        ),
        ("items.$[].a.b", {"items": [{}]}, {"items": [{"a": {"b": 1}}]}),
        ("items.$[].b", {}, {}),
        ("a.items.$[].b", {}, {}),
    ],
)
def test_a_field_is_added_where_it_is_missing(path: str, before: Document, then: Document) -> None:
    assert after(AddField("c", path, 1), before) == then


def test_only_the_value_that_was_added_is_taken_away_again() -> None:
    operation = AddField("c", "items.$[].n", 1)
    assert back(operation, {"items": [{"n": 1}, {"n": 1.0}, {"n": 2}, {}]}) == {
        "items": [{}, {"n": 1.0}, {"n": 2}, {}]
    }


@pytest.mark.parametrize(
    ("paths", "before", "then"),
    [
        (["a"], {"a": 1, "b": 2}, {"b": 2}),
        (["a.b", "c"], {"a": {"b": 1, "d": 2}, "c": 3}, {"a": {"d": 2}}),
        (["a.b"], {"a": {"b": 1}}, {"a": {}}),
        (["items.$[].b"], {"items": [{"b": 1}, {"c": 2}, 3]}, {"items": [{}, {"c": 2}, 3]}),
        (["tags.$[]"], {"tags": [1, "x"]}, {"tags": [None, None]}),
        (["a.b"], {}, {}),
    ],
)
def test_fields_are_removed(paths: list[str], before: Document, then: Document) -> None:
    assert after(RemoveField("c", *paths), before) == then


@pytest.mark.parametrize(
    ("old", "new", "before", "then"),
    [
        ("b", "x", {"a": 1, "b": 2, "c": 3}, {"a": 1, "x": 2, "c": 3}),
        ("a.b", "a.x", {"a": {"b": 1, "c": 2}}, {"a": {"x": 1, "c": 2}}),
        ("a.b", "c.d", {"a": {"b": 1}, "z": 0}, {"a": {}, "z": 0, "c": {"d": 1}}),
        ("a.b", "b", {"a": {"b": 1}}, {"a": {}, "b": 1}),
        ("b", "a.b", {"a": {"c": 2}, "b": 1}, {"a": {"c": 2, "b": 1}}),
        ("items.$[].q", "items.$[].n", {"items": [{"q": 1}, {}, 3]}, {"items": [{"n": 1}, {}, 3]}),
        ("items.$[].q", "items.$[].a.n", {"items": [{"q": 1}]}, {"items": [{"a": {"n": 1}}]}),
        ("b", "x", {}, {}),
        ("a.b", "c.d", {"c": 5}, {"c": 5}),
    ],
)
def test_a_field_is_renamed_where_it_stands_or_moved(
    old: str, new: str, before: Document, then: Document
) -> None:
    operation = RenameField("c", old, new)
    result = after(operation, before)
    assert result == then
    assert list(result) == list(then)


def test_a_renamed_field_is_named_back() -> None:
    operation = RenameField("c", "items.$[].q", "items.$[].n")
    assert back(operation, {"items": [{"a": 1, "n": 2}]}) == {"items": [{"a": 1, "q": 2}]}


@pytest.mark.parametrize(
    ("old", "new", "document", "message"),
    [
        ("b", "x", {"b": 1, "x": 2}, "x: the document has both b and x"),
        ("i.$[].b", "i.$[].x", {"i": [{"b": 1}, {"b": 1, "x": 2}]}, "i.$[].x: the document has both"),
        ("b", "a.b", {"b": 1, "a": None}, "a: it is null or no document"),
        ("b", "a.b", {"b": 1, "a": 5}, "a: it is null or no document"),
    ],
)
def test_a_document_that_would_lose_a_field_is_refused(
    old: str, new: str, document: Any, message: str
) -> None:
    with pytest.raises(CannotChange) as caught:
        after(RenameField("c", old, new), document)
    assert str(caught.value).startswith(message)
    assert message.startswith(caught.value.field)


def test_a_field_is_not_moved_into_an_array(recwarn: pytest.WarningsRecorder) -> None:
    assert after(RenameField("c", "b", "a.b"), {"b": 1, "a": [{}]}) == {"b": 1, "a": [{}]}
    assert "for each of its elements write a.$[].b" in str(recwarn.pop().message)


@pytest.mark.parametrize(
    ("on_error", "then", "told"),
    [
        ("keep", {"p": ["x", 2, None]}, "stays as it is"),
        ("null", {"p": [None, 2, None]}, "becomes null"),
    ],
)
def test_what_does_not_convert_is_kept_or_made_null_and_told(
    on_error: str, then: Document, told: str, recwarn: pytest.WarningsRecorder
) -> None:
    assert after(ConvertField("c", "p.$[]", "int", on_error=on_error), {"p": ["x", "2", None]}) == then
    assert [str(each.message) for each in recwarn] == [f"p.$[]: what does not convert to int {told}"]


def test_the_elements_of_an_array_are_another_path() -> None:
    with pytest.raises(
        CannotChange, match=r"no array converts to int; to convert its elements, write p\.\$\[\]"
    ):
        after(ConvertField("c", "p", "int"), {"p": ["1"]})


def test_what_does_not_convert_stops_with_path_and_value() -> None:
    with pytest.raises(CannotChange) as caught:
        after(ConvertField("c", "items.$[].p", "int"), {"items": [{}, {"p": 1.5}]})
    assert caught.value.field == "items.$[].p"
    assert str(caught.value) == "items.$[].p: 1.5 does not convert to int: it has a fraction"


NAMES = st.sampled_from(["a", "b", "c", "d", ""])
BELOW = st.recursive(
    st.integers(-9, 9) | st.none(),
    lambda inner: st.dictionaries(NAMES, inner, max_size=4) | st.lists(inner, max_size=3),
    max_leaves=12,
)
PATHS = ["a", "a.b", "a.$[].b", "a.b.$[].c", "a.$[].$[].b"]


@pytest.mark.filterwarnings("ignore")
@given(document=st.dictionaries(NAMES, BELOW), path=st.sampled_from(PATHS))
def test_a_field_is_named_back_to_the_byte(document: Document, path: str) -> None:
    before = encode(document)
    operation = RenameField("c", path, f"{path}new")
    assert encode(back(operation, after(operation, document))) == before


@pytest.mark.filterwarnings("ignore")
@given(document=st.dictionaries(NAMES, BELOW), path=st.sampled_from(PATHS))
def test_what_was_added_goes_again_and_what_was_there_stays(document: Document, path: str) -> None:
    operation = AddField("c", path, "the very value")
    added = after(operation, decode(encode(document)))
    assert after(operation, decode(encode(added))) == added
    once = after(RemoveField("c", path), decode(encode(document)))
    assert after(RemoveField("c", path), decode(encode(once))) == once
    back(operation, added)
    for name, value in document.items():
        assert name == "a" or added[name] == value
    assert "the very value" not in str(added)
