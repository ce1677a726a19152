"""The order of documents in a dump, against a plain list."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from goaime_migrate.backends.bson_order import Key
from goaime_migrate.backends.embedded.places import START, Places

KEYS: list[Key] = [(number,) for number in range(12)]


@given(st.permutations(KEYS), st.lists(st.sampled_from(KEYS), unique=True))
def test_what_goes_comes_back_to_where_it_stood(order: list[Key], going: list[Key]) -> None:
    places = Places(order)
    before = places.predecessors(going)
    for key in going:
        places.remove(key)
    assert list(places) == [key for key in order if key not in going]
    for key, stood_behind in reversed(list(zip(going, before, strict=True))):
        places.add(key, stood_behind)
    assert list(places) == order


@given(st.permutations(KEYS), st.lists(st.sampled_from(KEYS), unique=True))
def test_predecessors_are_those_after_the_ones_named_before_are_gone(
    order: list[Key], going: list[Key]
) -> None:
    left, expected = list(order), list[Key | None]()
    for key in going:
        at = left.index(key)
        expected.append(left[at - 1] if at else START)
        left.remove(key)
    assert Places(order).predecessors(going) == expected


def test_what_is_not_there_has_no_place_and_what_has_lost_its_place_comes_last() -> None:
    places = Places(KEYS[:3])
    assert places.predecessors([(7,), KEYS[1]]) == [None, KEYS[0]]
    places.add((8,), (7,))
    places.add((9,))
    assert list(places) == [*KEYS[:3], (8,), (9,)]
