"""Chains that do without decoding: the same results, and the same entries of the journal, as by decoding."""

from __future__ import annotations

from typing import Any

import pytest
from bson import encode
from hypothesis import given
from hypothesis import strategies as st

from goaime_migrate.errors import Unrepresentable
from goaime_migrate.operations import RemoveField
from goaime_migrate.transform.chain import BatchResult, Chain
from goaime_migrate.transform.chains import chain
from goaime_migrate.transform.field_chains import Removal
from goaime_migrate.transform.frozen_lookups import FrozenLookups
from tests.unit.fakes import FakeReader
from tests.unit.values import FIELDS, NOT_UTF8, SURVIVORS, TWICE, document, element

NAMES = ("a", "n", "é")


STEP = RemoveField("c", *NAMES).step("0001", __file__)


def _quick() -> Chain:
    made = chain([STEP], FrozenLookups("p", []))
    assert type(made) is Removal
    return made


def _both(*documents: bytes) -> tuple[BatchResult, BatchResult]:
    """What is made of these by cutting fields out of the bytes, and by decoding them."""
    ordinary = Chain([STEP], FrozenLookups("p", []))
    return _quick().run(FakeReader(), documents), ordinary.run(FakeReader(), documents)


def _told(result: BatchResult) -> Any:
    changed = [(each.id, each.before, each.after, each.touched, each.entry()) for each in result.changed]
    return changed, result.unchanged, vars(result.counts)


@given(st.lists(FIELDS, max_size=5))
def test_fields_are_removed_as_if_documents_were_decoded(documents: list[dict[str, Any]]) -> None:
    quick, ordinary = _both(*(encode({"_id": n, **fields}) for n, fields in enumerate(documents)))
    assert _told(quick) == _told(ordinary)
    assert [*quick.stages] == [*ordinary.stages] or not ordinary.stages


def test_a_name_that_stands_twice_cannot_be_removed() -> None:
    twice = document(element("_id", 1), element("a", 1), element("b", 1), element("a", 2))
    with pytest.raises(Unrepresentable):
        _quick().run(FakeReader(), [encode({"_id": 2, "a": 1}), twice])


@pytest.mark.parametrize("odd", [*SURVIVORS.values(), NOT_UTF8, TWICE])
def test_what_does_not_survive_decoding_stays_to_the_byte(odd: bytes) -> None:
    quick = _quick().run(FakeReader(), [document(element("_id", 1), element("n", 1), odd, element("a", [2]))])
    assert [each.after for each in quick.changed] == [document(element("_id", 1), odd)]
    assert quick.stages
