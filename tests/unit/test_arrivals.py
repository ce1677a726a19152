"""Documents that were made, held against what the target has."""

from __future__ import annotations

from typing import Any

import pytest
from bson import decode, encode

from goaime_migrate import DeriveDocuments, InsertDocuments
from goaime_migrate.errors import DuplicateKey
from goaime_migrate.journal.digest import digest
from goaime_migrate.journal.entry import Entry
from goaime_migrate.journal.kinds import Kind
from goaime_migrate.journal.segments import Segment
from goaime_migrate.transform.derivation import Made
from goaime_migrate.transform.insertion import key_of
from goaime_migrate.up.arrivals import Arrivals, Found, Resumed, settle, settle_listed
from goaime_migrate.up.presence import Present

NONE = Resumed({})


def raw(identity: Any) -> bytes:
    return encode({"_id": identity})


def made(source: Any, identity: Any, value: Any = "x") -> Made:
    return Made(raw(source), raw(identity), encode({"_id": identity, "v": value}))


def entry(made: Made) -> Entry:
    return Entry.insertion(made.id, made.document, made.source)


def items(_: dict[str, Any]) -> None: ...


STEP = DeriveDocuments("orders", "items", items).step("0001", "0001_x.py")


def settled(
    *documents: Made,
    there: tuple[Made, ...] = (),
    ours: tuple[Made, ...] = (),
    resumed: Resumed = NONE,
    differ: bool = True,
) -> Arrivals:
    return settle(
        STEP,
        documents,
        Present(each.document for each in there),
        {each.id: entry(each) for each in ours},
        resumed,
        lambda _: differ,
    )


def test_what_is_not_there_is_written() -> None:
    found = settled(made(1, "a"), made(1, "b"))
    assert [(w.before, w.after) for w in found.writes] == [
        (None, made(1, "a").document),
        (None, made(1, "b").document),
    ]
    assert found.entries == [entry(made(1, "a")), entry(made(1, "b"))]
    assert (found.fresh, found.there, found.kept) == ({raw(1)}, 0, 0)


def test_what_two_sources_make_alike_is_written_once_and_noted_twice() -> None:
    found = settled(made(1, "a"), made(2, "a"), made(2, "a"))
    assert len(found.writes) == 1
    assert [e.source for e in found.entries] == [raw(1), raw(2)]


def test_what_somebody_else_has_put_there_alike_is_not_ours() -> None:
    found = settled(made(1, "a"), there=(made(0, "a"),))
    assert (found.writes, found.entries, found.there) == ([], [], 1)


def test_what_the_pass_has_put_there_alike_is_noted() -> None:
    found = settled(made(2, "a"), there=(made(1, "a"),), ours=(made(1, "a"),))
    assert (found.writes, found.entries) == ([], [entry(made(2, "a"))])
    touched = settled(made(2, "a"), there=(made(1, "a", "mine"),), ours=(made(1, "a"),))
    assert (touched.writes, touched.entries) == ([], [entry(made(2, "a"))])


@pytest.mark.parametrize(
    ("documents", "there", "ours", "text"),
    [
        ([made(1, "a")], made(0, "a", "other"), None, "and one is there already"),
        ([made(2, "a")], made(1, "a", "other"), made(1, "a", "other"), "it has made of 1 too"),
        ([made(1, "a"), made(2, "a", "other")], None, None, "it has made of 1 too"),
        ([made(1, "a"), made(1, "a", "other")], None, None, "it has made of the same one already"),
        ([made(1, 2)], made(0, 2.0), None, "and one is there already"),
        ([made(1, 2), made(2, 2.0)], None, None, "it has made of 1 too"),
    ],
)
def test_what_is_there_with_other_values_stops(
    documents: list[Made], there: Made | None, ours: Made | None, text: str
) -> None:
    with pytest.raises(DuplicateKey) as caught:
        settled(*documents, there=(there,) if there else (), ours=(ours,) if ours else ())
    assert text in caught.value.message
    assert (caught.value.version, caught.value.id) == ("0001", decode(documents[-1].id)["_id"])


def test_what_others_do_not_make_so_any_more_is_left_to_the_tail() -> None:
    found = settled(
        made(2, "a", "new"), there=(made(1, "a", "old"),), ours=(made(1, "a", "old"),), differ=False
    )
    assert found.writes == []
    (noted,) = found.entries
    assert (noted.source, noted.after_hash) == (raw(2), digest(made(1, "a", "old").document))


def resumed(*documents: Made, missed: frozenset[bytes] = frozenset()) -> Resumed:
    entries = tuple(map(entry, documents))
    return Resumed.of(Segment("p", Kind.SCAN, 0, 1, entries=entries), missed)


def test_a_batch_that_was_cut_off_goes_on_where_it_was() -> None:
    written, left = made(1, "a"), made(1, "b")
    found = settled(written, left, there=(written,), resumed=resumed(written, left))
    assert [w.id for w in found.writes] == [raw("b")]
    assert (found.entries, found.kept) == ([entry(written), entry(left)], 1)


def test_what_it_had_made_of_a_source_that_has_changed_since_is_kept_for_later() -> None:
    found = settled(made(1, "a"), resumed=resumed(made(2, "b")))
    assert found.entries == [entry(made(1, "a")), entry(made(2, "b"))]


def test_what_it_has_not_written_since_another_was_there_is_somebody_elses() -> None:
    mine = made(1, "a")
    with pytest.raises(DuplicateKey):
        settled(mine, there=(made(0, "a", "other"),), resumed=resumed(mine, missed=frozenset([raw("a")])))


ROLES = InsertDocuments("roles", [{"_id": 1, "name": "a"}, {"_id": 2, "name": "b"}], key="name").step(
    "0001", "x"
)
LISTED = list(ROLES.with_ids("ours"))


def found(*documents: dict[str, Any], keys: dict[Any, Any] | None = None) -> Found:
    known = {key_of({"name": name}, ["name"]): raw(identity) for name, identity in (keys or {}).items()}
    return Found(Present(map(encode, documents)), known)


def test_a_list_is_inserted_but_for_what_is_there() -> None:
    all_of_it = settle_listed(ROLES, LISTED, found(), NONE)
    assert [w.after for w in all_of_it.writes] == LISTED
    assert [e.source for e in all_of_it.entries] == [None, None]
    by_key = settle_listed(ROLES, LISTED, found(keys={"a": "other"}), NONE)
    assert [w.after for w in by_key.writes] == LISTED[1:]


def test_a_free_key_whose_id_is_taken_stops() -> None:
    with pytest.raises(DuplicateKey) as caught:
        settle_listed(ROLES, LISTED, found({"_id": 2, "name": "c"}), NONE)
    assert "with name 'b' has the _id 2, and so has another one, with name 'c'" in caught.value.message


def test_a_list_that_was_cut_off_goes_on() -> None:
    entries = tuple(Entry.insertion(raw(i), d) for i, d in zip((1, 2), LISTED, strict=True))
    earlier = Resumed.of(Segment("p", Kind.SCAN, 0, 1, entries=entries), frozenset())
    half = settle_listed(ROLES, LISTED, found({"_id": 1, "name": "a"}, keys={"a": 1}), earlier)
    assert ([w.id for w in half.writes], half.kept, len(half.entries)) == ([raw(2)], 1, 2)
