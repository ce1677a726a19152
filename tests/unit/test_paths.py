"""Paths: their forms, and the places that they lead to."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

from goaime_migrate.errors import InvalidMigration
from goaime_migrate.transform.paths import Walker, parse


@pytest.mark.parametrize(
    "path", ["a", "a.b", "items.$[].x", "tags.$[]", "m.$[].$[].x", "a b.c-d", "ü.a$b", "x*"]
)
def test_a_path_is_what_it_was_written_as(path: str) -> None:
    assert str(parse(path, "It")) == path


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("items[].x", "items.$[].x"),
        ("items[0].x", "items.$[].x"),
        ("items[*].x", "items.$[].x"),
        ("m[][].x", "m.$[].$[].x"),
        ("items.[].x", "items.$[].x"),
        ("items.$.x", "items.$[].x"),
        ("items.$[it].x", "items.$[].x"),
        ("items.*.x", "items.$[].x"),
        ("items.0.x", "items.$[].x"),
        ("items.0", "items.$[]"),
        ("tags[]", "tags.$[]"),
        ("a..b", "a.b"),
        (".a", "a"),
        ("a.", "a"),
    ],
)
def test_another_form_is_refused_with_the_right_one(wrong: str, right: str) -> None:
    with pytest.raises(InvalidMigration) as caught:
        parse(wrong, "It")
    assert caught.value.message == f"It: {wrong!r} is no path"
    assert caught.value.hint.startswith(f"write {right!r}: ")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("", "must be a name or a path, not ''"),
        (5, "must be a name or a path, not 5"),
        ("a\0", "must be a name or a path"),
        (".", "is no path"),
        ("_id", "_id stays as it is"),
        ("_id.x", "_id stays as it is"),
        ("0", "a part that is no name"),
        ("0.a", "a part that is no name"),
        ("$a", "a part that is no name"),
        ("a.$b", "a part that is no name"),
        ("$[].a", "a part that is no name"),
        ("a\ud800", "is no text"),
    ],
)
def test_what_is_no_path_is_refused(wrong: Any, message: str) -> None:
    with pytest.raises(InvalidMigration) as caught:
        parse(wrong, "It")
    assert caught.value.message.startswith("It: ")
    assert message in caught.value.message
    assert caught.value.hint


def led(document: Any, path: str, *, makes: bool = False) -> tuple[list[Any], list[str]]:
    """The places that a path leads to, and what is told."""
    walker = Walker(makes=makes)
    places = list(walker.places(document, parse(path, "It")))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        walker.warn()
    return places, [str(each.message) for each in told]


@pytest.mark.parametrize(
    ("document", "path", "places"),
    [
        ({"a": 1}, "a", [({"a": 1}, "a")]),
        ({}, "a", [({}, "a")]),
        ({"a": {"b": 1}}, "a.b", [({"b": 1}, "b")]),
        ({"a": {}}, "a.b", [({}, "b")]),
        ({}, "a.b", []),
        ({"a": [{"b": 1}, {}]}, "a.$[].b", [({"b": 1}, "b"), ({}, "b")]),
        ({"a": [1, 2]}, "a.$[]", [([1, 2], 0), ([1, 2], 1)]),
        ({"a": []}, "a.$[].b", []),
        ({}, "a.$[].b", []),
        ({"a": None}, "a.$[].b", []),
        ({"a": None}, "a.b", []),
        ({"a": 5}, "a.b", []),
        ({"a": [[{"b": 1}], []]}, "a.$[].$[].b", [({"b": 1}, "b")]),
    ],
)
def test_a_path_leads_to_places(document: Any, path: str, places: list[Any]) -> None:
    assert led(document, path) == (places, [])


def test_parents_are_made_where_they_are_absent_and_no_array_is() -> None:
    document: dict[str, Any] = {}
    assert led(document, "a.b.c", makes=True) == ([({}, "c")], [])
    assert document == {"a": {"b": {}}}
    assert led(document, "a.x.$[].c", makes=True) == ([], [])
    assert document == {"a": {"b": {}}}


@pytest.mark.parametrize(
    ("document", "path", "makes", "text"),
    [
        (
            {"a": [{"b": 1}]},
            "a.b",
            False,
            "a is an array, nothing in it is changed: for each of its elements write a.$[].b",
        ),
        (
            {"a": [{"t": []}, {"t": []}]},
            "a.$[].t.x",
            True,
            "a.$[].t is an array, nothing in it is changed: for each of its elements write a.$[].t.$[].x",
        ),
        ({"a": 5}, "a.$[].b", False, "a is no array everywhere: what is none stays as it is"),
        ({"a": None}, "a.$[].b", True, "a is no array everywhere: what is none stays as it is"),
        ({"a": None}, "a.b", True, "a is null or no document everywhere: nothing is added where it is none"),
        (
            {"a": [1, {}]},
            "a.$[].b",
            True,
            "a.$[] is null or no document everywhere: nothing is added where it is none",
        ),
    ],
)
def test_what_a_path_does_not_lead_into_is_told_once(
    document: Any, path: str, makes: bool, text: str
) -> None:
    _, told = led(document, path, makes=makes)
    assert told == [text]
