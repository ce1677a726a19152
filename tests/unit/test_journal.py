"""How the journal is stored: bound to its head, and bounded before it is unpacked."""

from __future__ import annotations

import tracemalloc
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import zstandard
from bson import Int64, decode, encode
from hypothesis import given
from hypothesis import strategies as st

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import Delete, Put
from goaime_migrate.errors import DamagedRecord
from goaime_migrate.journal import compression, erasing, seal, segments
from goaime_migrate.journal.digest import digest
from goaime_migrate.journal.entry import Entry
from goaime_migrate.journal.kinds import Kind
from goaime_migrate.journal.payload import decode_payload, encode_payload
from goaime_migrate.journal.segments import Segment
from tests.unit.values import FIELDS

BEFORE = [encode({"_id": i, "n": i}) for i in range(3)]
SEGMENT = Segment(
    "p",
    Kind.SCAN,
    2,
    7,
    after=encode({"_id": -1}),
    upto=encode({"_id": 5}),
    entries=tuple(Entry.of(raw, encode({**decode(raw), "n": 9})) for raw in BEFORE),
    unchanged=(encode({"_id": 5}),),
    level=1,
    written=4,
)


@pytest.fixture
def in_small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Records hold sixteen bytes each."""
    monkeypatch.setattr(compression, "PART", 16)


def zeros(length: int) -> bytes:
    """So many zero bytes, compressed to next to nothing."""
    chunk, compressor = bytes(1 << 20), zstandard.ZstdCompressor(level=1).compressobj(size=length)
    pieces = [
        compressor.compress(chunk[: min(len(chunk), length - at)]) for at in range(0, length, len(chunk))
    ]
    return b"".join([*pieces, compressor.flush()])


def stored(segment: Segment) -> list[dict[str, Any]]:
    """The records as a database gives them."""
    return [decode(encode(record)) for record in segment.records()]


def test_a_segment_comes_back_as_it_was() -> None:
    assert segments.assemble(stored(SEGMENT)) == SEGMENT


def _raw_id(number: int) -> bytes:
    return encode({"_id": number})


ENTRIES = st.one_of(
    st.builds(
        Entry.of,
        FIELDS.map(lambda fields: encode({"_id": 1, **fields})),
        FIELDS.map(lambda fields: encode({"_id": 1, **fields})),
    ),
    st.builds(Entry.deletion, FIELDS.map(lambda fields: encode({"_id": 2, **fields}))),
    st.builds(
        Entry.insertion,
        st.integers(0, 9).map(_raw_id),
        st.none() | FIELDS.map(lambda fields: encode({"_id": 3, **fields})),
        st.none() | st.integers(0, 9).map(_raw_id),
    ),
)


@given(st.lists(ENTRIES, max_size=6), st.lists(st.integers(0, 9).map(_raw_id), max_size=3))
def test_whatever_its_documents_do_a_payload_comes_back_as_it_was(
    entries: list[Entry], unchanged: list[bytes]
) -> None:
    found = decode_payload(encode_payload(entries, unchanged))
    assert found == (tuple(entries), tuple(unchanged))
    assert [entry.id for entry in found[0]] == [entry.id for entry in entries]


@given(st.lists(st.integers(0, 9).map(_raw_id) | st.just(raw_bson.NOTHING), min_size=1))
def test_deleted_documents_keep_their_places(places: list[bytes]) -> None:
    entries = [Entry.deletion(encode({"_id": number}), place) for number, place in enumerate(places)]
    assert decode_payload(encode_payload(entries, [])) == (tuple(entries), ())


def test_a_payload_of_changes_alone_is_stored_as_ever() -> None:
    body = decode(encode_payload(SEGMENT.entries, SEGMENT.unchanged))
    assert list(body) == ["before", "hashes", "partial", "unchanged", "shapes", "shape", "fields"]


def test_a_payload_that_holds_more_than_its_entries_is_refused() -> None:
    body = decode(encode_payload([Entry.deletion(BEFORE[0])], []))
    for name in ("before", "hashes"):
        with pytest.raises(ValueError, match="more than its entries"):
            decode_payload(encode({**body, name: body[name] + BEFORE[0]}))


def test_a_segment_of_the_scan_is_found_by_what_it_inserted_beside_its_range() -> None:
    made = Entry.insertion(_raw_id(7), encode({"_id": 7}), _raw_id(3))
    (record,) = stored(replace(SEGMENT, entries=(made,), written=1))
    assert record["ids"] == [digest(_raw_id(7))]
    assert segments.assemble([record]).entries == (made,)
    assert "ids" not in stored(replace(SEGMENT, entries=(Entry.deletion(BEFORE[1]),)))[0]


def test_what_was_derived_from_a_document_outside_of_its_range_is_damage() -> None:
    made = Entry.insertion(_raw_id(3), encode({"_id": 3}), _raw_id(6))
    with pytest.raises(DamagedRecord, match="outside of its range"):
        segments.assemble(stored(replace(SEGMENT, entries=(made,))))


@pytest.mark.usefixtures("in_small_parts")
def test_so_does_one_in_many_parts() -> None:
    records = stored(SEGMENT)
    assert len(records) > 3
    assert segments.assemble(records) == SEGMENT


@pytest.mark.usefixtures("in_small_parts")
def test_what_replaces_a_larger_segment_removes_its_last_parts() -> None:
    smaller = Segment("p", Kind.SCAN, 2, 7)
    puts = [c.document for c in smaller.replacement() if isinstance(c, Put)]
    (delete,) = [c for c in smaller.replacement() if isinstance(c, Delete)]
    larger = [record["_id"] for record in stored(SEGMENT)]
    between = delete.filter["_id"]
    left = [i for i in larger if not between["$gte"] <= i < between["$lt"]]
    assert left == [put["_id"] for put in puts][: len(larger)]


@pytest.mark.usefixtures("in_small_parts")
def test_parts_that_a_larger_one_has_left_do_no_harm() -> None:
    smaller = Segment("p", Kind.SCAN, 2, 7)
    few = stored(smaller)
    many = stored(SEGMENT)
    assert segments.assemble([*few, *many[len(few) :]]).entries == ()


@pytest.mark.usefixtures("in_small_parts")
@pytest.mark.parametrize("place", [1, 2])
def test_a_part_of_another_segment_is_none_of_this(place: int) -> None:
    records, others = stored(SEGMENT), stored(Segment(**{**vars(SEGMENT), "unchanged": BEFORE}))
    records[place] = {**records[place], "data": others[-1]["data"]}
    with pytest.raises(DamagedRecord, match="digest"):
        segments.assemble(records)


def test_a_copy_with_other_widths_of_numbers_and_order_of_fields_is_the_same() -> None:
    (record,) = stored(SEGMENT)
    widened = {k: Int64(v) if isinstance(v, int) else v for k, v in sorted(record.items(), reverse=True)}
    assert segments.assemble([decode(encode(widened))]) == SEGMENT


def test_ids_outside_of_the_range_are_no_part_of_a_segment() -> None:
    beyond = Segment(**{**vars(SEGMENT), "upto": encode({"_id": 1})})
    with pytest.raises(DamagedRecord, match="2 lies outside of its range"):
        segments.assemble(stored(beyond))
    with pytest.raises(DamagedRecord, match="0 lies outside of its range"):
        segments.assemble(stored(Segment(**{**vars(SEGMENT), "after": encode({"_id": 0.0})})))


@pytest.mark.parametrize(
    "head",
    [
        {},
        {"format": 1},
        {"raw": 512 << 20},
        {"format": 1, "documents": 2**31, "parts": 1},
    ],
    ids=str,
)
def test_what_unpacks_to_far_more_than_was_packed_is_not_unpacked(head: Mapping[str, Any]) -> None:
    bomb = zeros(512 << 20)
    assert len(bomb) < 100_000
    (record,) = stored(SEGMENT)
    record |= {**head, "data": bomb}
    if record["format"] == 2:
        record["digest"] = seal._digest(record, [bomb])
    tracemalloc.start()
    try:
        with pytest.raises(DamagedRecord, match="unpacks to"):
            segments.assemble([record])
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "piece",
    [b"", b"\0" * 40, zeros(4), zeros(40), zstandard.ZstdCompressor().compress(b"")],
    ids=["nothing", "no frame", "too short", "no document", "empty"],
)
def test_what_was_never_packed_is_refused(piece: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        compression.decompress([piece], 1000, single=True)


@given(st.sets(st.integers(-1, 6)))
def test_of_what_is_erased_a_segment_keeps_hashes_and_nothing_else(numbers: set[int]) -> None:
    ids = [encode({"_id": number}) for number in sorted(numbers)]
    left = erasing.without(SEGMENT, ids)
    records = stored(left)
    assert segments.assemble(records) == left
    assert records[0]["written"] == SEGMENT.written
    assert not any(entry.id in ids for entry in left.entries)
    assert not set(left.unchanged).intersection(ids)
    assert [*left.erased] == [digest(entry.id) for entry in SEGMENT.entries if entry.id in ids]
    assert left.knows(frozenset(ids)) == SEGMENT.knows(frozenset(ids))
    assert set(left.hashes) <= {bytes(each) for each in records[0].get("ids", ())}
    assert erasing.without(left, ids) == left


def test_a_hash_of_what_was_erased_cannot_be_taken_out() -> None:
    (record,) = stored(erasing.without(SEGMENT, [encode({"_id": 1})]))
    for changed in ({**record, "erased": []}, {k: v for k, v in record.items() if k != "erased"}):
        with pytest.raises(DamagedRecord, match="digest"):
            segments.assemble([changed])
    for wrong in (5, [5], "x"):
        with pytest.raises(DamagedRecord):
            segments.assemble([{**record, "erased": wrong}])
