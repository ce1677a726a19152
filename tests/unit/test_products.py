"""What becomes of a derived document when its sources have changed."""

from __future__ import annotations

from typing import Any

import pytest
from bson import encode

from goaime_migrate import DeriveDocuments
from goaime_migrate.errors import DuplicateKey
from goaime_migrate.journal.claims import Claims
from goaime_migrate.journal.entry import Entry
from goaime_migrate.transform.derivation import Made
from goaime_migrate.up.products import Comparison, Products


def raw(identity: Any) -> bytes:
    return encode({"_id": identity})


def document(value: Any) -> bytes:
    return encode({"_id": "a", "v": value})


def items(_: dict[str, Any]) -> None: ...


class Others:
    """The other sources, as far as a decision needs to know them."""

    def __init__(self, *documents: bytes) -> None:
        self.documents = documents

    def make(self, identity: bytes) -> Any:
        return iter(self.documents)

    def differ(self, made: Made) -> bool:
        return any(each != made.document for each in self.documents)


OLD, NEW, MINE = document("old"), document("new"), document("mine")
WRITTEN = Entry.insertion(raw("a"), OLD, raw(1))
GONE = Entry.insertion(raw("a"), None, raw(1))


def decided(made: list[bytes], current: bytes | None, entry: Entry | None, *others: bytes) -> Products:
    step = DeriveDocuments("orders", "items", items).step("0001", "x")
    beside: Any = Others(*others)
    comparison = Comparison(step, Claims(), beside)
    group = [Made(raw(n), raw("a"), each) for n, each in enumerate(made, 1)]
    comparison.decide(raw("a"), group, current, entry)
    return comparison.found


@pytest.mark.parametrize(
    ("made", "current", "entry", "others", "becomes"),
    [
        pytest.param([NEW], None, None, [], NEW, id="it is made for the first time"),
        pytest.param([NEW], None, GONE, [], NEW, id="it is made again"),
        pytest.param([NEW], NEW, None, [], NEW, id="somebody has put the very same there"),
        pytest.param([OLD], OLD, WRITTEN, [], OLD, id="its source makes the same"),
        pytest.param([OLD], MINE, WRITTEN, [], MINE, id="the same, and the application has touched it"),
        pytest.param([OLD], None, WRITTEN, [], None, id="the same, and the application has removed it"),
        pytest.param([NEW], OLD, WRITTEN, [], NEW, id="its source makes another"),
        pytest.param([NEW], OLD, WRITTEN, [NEW], NEW, id="and so does another source"),
        pytest.param([NEW], NEW, WRITTEN, [], NEW, id="the application has put right what was in conflict"),
        pytest.param([], OLD, WRITTEN, [], None, id="nobody makes it any more"),
        pytest.param([], OLD, WRITTEN, [OLD], OLD, id="another source still makes it"),
        pytest.param([], None, WRITTEN, [], None, id="it is gone already"),
        pytest.param([], MINE, GONE, [], MINE, id="it was removed, and the application has its own"),
    ],
)
def test_what_nobody_has_touched_follows_its_sources(
    made: list[bytes], current: bytes | None, entry: Entry | None, others: list[bytes], becomes: bytes | None
) -> None:
    products = decided(made, current, entry, *others)
    assert products.conflicts == []
    after = products.writes[0].after if products.writes else current
    assert after == becomes
    assert all(write.before == current for write in products.writes)


@pytest.mark.parametrize(
    ("made", "current", "others"),
    [
        pytest.param([NEW], MINE, [], id="both have changed it"),
        pytest.param([NEW], None, [], id="it was removed, and would be another one"),
        pytest.param([], MINE, [], id="touched, and not made any more"),
        pytest.param([NEW], OLD, [OLD], id="another source makes it as it was"),
        pytest.param([NEW, OLD], OLD, [], id="two sources make it, not alike"),
    ],
)
def test_what_was_touched_stays_and_is_a_conflict(
    made: list[bytes], current: bytes | None, others: list[bytes]
) -> None:
    products = decided(made, current, WRITTEN, *others)
    assert products.conflicts == [(raw("a"), ())]
    assert (products.writes, products.entries) == ([], [])


def test_what_the_pass_did_not_write_stops() -> None:
    with pytest.raises(DuplicateKey):
        decided([NEW], MINE, None)


def test_what_is_written_is_noted_for_each_source() -> None:
    products = decided([NEW, NEW], OLD, WRITTEN)
    assert products.entries == [Entry.insertion(raw("a"), NEW, raw(n)) for n in (1, 2)]
    (removed,) = decided([], OLD, WRITTEN).entries
    assert (removed.before, removed.after_hash, removed.id) == (None, None, raw("a"))
