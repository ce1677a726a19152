"""By what segments are found: never too little, and few where `_id`s follow each other."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from bson import Binary, Decimal128, ObjectId
from hypothesis import given
from hypothesis import strategies as st

from goaime_migrate.backends.raw_bson import encode
from goaime_migrate.journal import traces
from goaime_migrate.journal.digest import digest

VALUES = (
    st.integers(-(2**63), 2**63 - 1)
    | st.integers(-600, 600)
    | st.text(max_size=4)
    | st.from_regex(r"note-[0-9]{4}", fullmatch=True)
    | st.binary(min_size=12, max_size=12).map(ObjectId)
    | st.binary(max_size=20)
    | st.sampled_from([None, True, 1.5, Decimal128("1"), [1], {"a": 1}, Binary.from_uuid(uuid.UUID(int=7))])
)


def _raw(value: Any) -> bytes:
    return encode({"_id": value})


@given(st.lists(VALUES, min_size=1))
def test_what_holds_a_document_is_found_by_it(values: list[Any]) -> None:
    ids = [_raw(value) for value in values]
    for kept in (traces.fewest(ids), traces.exact(ids)):
        assert len(kept) <= len(ids)
        assert all(set(kept).intersection(traces.of_any([identity])) for identity in ids)


@given(st.lists(VALUES), VALUES)
def test_what_has_a_hash_for_each_is_found_by_none_but_its_own(values: list[Any], other: Any) -> None:
    ids = [_raw(value) for value in values if _raw(value) != _raw(other)]
    assert not set(traces.exact(ids)).intersection(traces.of_any([_raw(other)]))


@pytest.mark.parametrize(
    "value",
    [
        lambda n: n,
        lambda n: 2**40 + n,
        lambda n: f"{n:06}",
        lambda n: f"/notes/{n // 7}/{n % 7}",
        lambda n: ObjectId(n.to_bytes(12, "big")),
    ],
)
def test_those_that_follow_each_other_have_few(value: Any) -> None:
    ids = [_raw(value(n)) for n in range(3_000, 3_500)]
    assert len(traces.fewest(ids)) <= len(ids) // 4


def test_those_that_do_not_lie_together_have_one_each() -> None:
    scattered = [_raw(n) for n in range(0, 2**20, 2**11)]
    assert traces.fewest(scattered) == [digest(identity) for identity in scattered]
    assert traces.fewest([]) == []
