"""Which of several documents go: held against what the words say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from bson import encode
from hypothesis import given
from hypothesis import strategies as st

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.bson_order import id_key
from goaime_migrate.transform.duplicates import Likeness, doomed, find

VALUES = st.one_of(st.none(), st.integers(0, 3), st.floats(0, 3), st.lists(st.integers(0, 4), max_size=3))
DOCUMENTS = st.lists(
    st.fixed_dictionaries({}, optional={"a": VALUES, "b": st.integers(0, 1), "s": VALUES}), max_size=12
).map(lambda listed: [encode({"_id": number, **fields}) for number, fields in enumerate(listed)])
LIKES = st.builds(
    Likeness,
    st.sampled_from([("a",), ("b",), ("a", "b")]),
    st.sampled_from([(), (("s", 1),), (("s", -1),), (("b", -1), ("s", 1))]),
)


def going(like: Likeness, *documents: dict[str, Any]) -> list[Any]:
    return sorted(raw_bson.id_value(i) for i in doomed(like, map(encode, documents)))


@given(LIKES, DOCUMENTS)
def test_what_goes_is_like_one_before_it_that_stays_and_what_stays_is_like_none(
    like: Likeness, documents: list[bytes]
) -> None:
    pairs = doomed(like, documents)
    by_id = {raw_bson.id_of(document): document for document in documents}
    for goes, stays in pairs.items():
        assert stays not in pairs
        assert like.gives_way(by_id[goes], by_id[stays])
    staying = [document for identity, document in by_id.items() if identity not in pairs]
    assert doomed(like, staying) == {}
    assert not documents or staying


@given(LIKES, DOCUMENTS, st.integers(1, 5))
def test_found_in_a_collection_it_is_the_same(like: Likeness, documents: list[bytes], size: int) -> None:
    def read(fields: Sequence[str]) -> Iterator[Sequence[bytes]]:
        assert set(like.paths) <= set(fields)
        yield from (documents[start : start + size] for start in range(0, len(documents), size))

    assert find(like, read, len(documents)) == doomed(like, documents)


@given(DOCUMENTS, st.randoms())
def test_the_order_in_which_they_are_met_does_not_matter(documents: list[bytes], chance: Any) -> None:
    like, shuffled = Likeness(("a",), (("s", -1),)), list(documents)
    chance.shuffle(shuffled)
    assert doomed(like, shuffled).keys() == doomed(like, documents).keys()


def test_a_document_goes_for_any_key_that_one_which_stays_has() -> None:
    like = Likeness(("a",))
    assert going(like, {"_id": 1, "a": [1]}, {"_id": 2, "a": [1, 2]}, {"_id": 3, "a": 2}) == [2]


def test_the_first_stays_and_an_array_stands_where_its_least_or_its_greatest_does() -> None:
    one, two, three = ({"_id": i, "a": 1, "s": s} for i, s in ((1, 5), (2, [1, 9]), (3, 7)))
    assert going(Likeness(("a",)), one, two, three) == [2, 3]
    assert going(Likeness(("a",), (("s", 1),)), one, two, three) == [1, 3]
    assert going(Likeness(("a",), (("s", -1),)), one, two, three) == [1, 3]
    assert going(Likeness(("a",), (("s", -1),)), one, three) == [1]


@pytest.mark.parametrize("direction", [1, -1])
def test_of_equals_the_one_with_the_least_id_stays(direction: int) -> None:
    assert going(Likeness(("a",), (("s", direction),)), *({"_id": i} for i in (3, 1, 2))) == [2, 3]


def test_only_the_fields_that_tell_are_asked_for() -> None:
    assert Likeness(("a.b", "c"), (("a.d", 1), ("e", -1))).fields == ("a", "c", "e")


def test_ids_of_all_kinds_have_their_order() -> None:
    documents = [encode({"_id": i}) for i in ("x", 2, None, {"a": 1})]
    first = min(documents, key=lambda document: id_key(raw_bson.id_of(document)))
    assert raw_bson.id_of(first) not in doomed(Likeness(("k",)), documents)
