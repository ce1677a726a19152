"""What proves, without encoding, that a document has changed: never a false proof."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from bson import DBRef, encode
from bson.son import SON
from hypothesis import given
from hypothesis import strategies as st

from goaime_migrate.transform import changes
from goaime_migrate.transform.changes import Depth, DepthChooser

VALUES = st.recursive(
    st.none() | st.integers(0, 3) | st.sampled_from(["", "a", "bb"]) | st.just(float("nan")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)
DOCUMENTS = st.dictionaries(st.sampled_from(["_id", "a", "b", "c"]), VALUES, max_size=4)


def proven(before: dict[str, Any], after: dict[str, Any]) -> bool:
    if changes.names(before) != changes.names(after):
        return True
    return changes.grown(changes.sizes(before), after)


@given(DOCUMENTS, DOCUMENTS)
def test_what_is_proven_to_have_changed_has_other_bytes(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    if proven(before, after):
        assert encode(before) != encode(after)


@given(DOCUMENTS)
def test_a_copy_has_not_changed(document: dict[str, Any]) -> None:
    assert not proven(document, deepcopy(document))


def test_fields_that_a_nested_document_gains_are_seen() -> None:
    assert proven({"a": [{"x": 1}, {}]}, {"a": [{"x": 1}, {"y": 1}]})
    assert proven({"a": {}}, {"a": {"y": 1}})
    assert proven({"a": [1]}, {"a": [1, 2]})
    assert proven({"a": 1, "b": 1}, {"b": 1, "a": 1})


def test_other_types_that_are_encoded_alike_prove_nothing() -> None:
    reference = {"$ref": "users", "$id": 1}
    for before, after in (
        ({"a": [DBRef("users", 1)]}, {"a": [reference]}),
        ({"a": DBRef("users", 1)}, {"a": reference}),
        ({"a": [1, 2]}, {"a": (1, 2)}),
        ({"a": {"x": 1}}, {"a": SON([("x", 1)])}),
        ({"_id": 1, "a": 2}, {"a": 2, "_id": 1}),
        ({"_id": {"x": 1}, "a": {}}, {"a": {}, "_id": {"x": 1}}),
    ):
        assert encode(before) == encode(after)
        assert not proven(before, after)


def depths(chooser: DepthChooser, told_by: Depth, documents: int) -> list[Depth]:
    """How closely documents are looked at one after the other, where nothing less than that tells of any."""
    looked = []
    for _ in range(documents):
        looked.append(chooser.depth)
        if chooser.depth < told_by:
            chooser.failed()
        chooser.learn(min(chooser.depth, told_by))
    return looked


def test_documents_are_looked_at_as_closely_as_was_needed_last() -> None:
    chooser = DepthChooser()
    assert depths(chooser, Depth.NAMES, 3) == [Depth.NAMES] * 3
    chooser.failed()
    assert depths(chooser, Depth.SIZES, 3) == [Depth.SIZES] * 3
    assert depths(chooser, Depth.NAMES, 2) == [Depth.SIZES, Depth.NAMES]


def test_less_is_tried_the_more_seldom_the_more_often_it_was_in_vain() -> None:
    chooser = DepthChooser()
    looked = depths(chooser, Depth.BYTES, 1_000)
    less = [i for i, depth in enumerate(looked) if depth < Depth.BYTES]
    assert less[:6] == [0, 1, 2, 4, 8, 16]
    assert less[-1] - less[-2] == 64
    depths(chooser, Depth.SIZES, 100)
    assert depths(chooser, Depth.BYTES, 3) == [Depth.SIZES, Depth.SIZES, Depth.BYTES]
