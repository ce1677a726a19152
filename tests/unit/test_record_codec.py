"""Records from dataclasses and back: what is stored, key by key, and what is refused."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, NamedTuple

import pytest
from bson import Int64, Timestamp, decode, encode
from hypothesis import given
from hypothesis import strategies as st

from goaime_migrate.backends.ports import Owner
from goaime_migrate.backends.record_codec import Key, Keys, NotStored, document_of, record_of
from goaime_migrate.ledger import (
    TOOL,
    OperationRecord,
    PassRecord,
    VersionRecord,
    Written,
    log,
    pass_record,
    put_pass,
    put_version,
)
from goaime_migrate.ledger.versions import version_record
from goaime_migrate.results import Counts, Document, State, VersionError, WarningCount

NOW = datetime(2026, 3, 1, 13, 0, 5, 250_000, tzinfo=UTC)


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True)
class Inner:
    count: int
    note: str | None = None


class Named(NamedTuple):
    place: Annotated[int, Key("at")]


@dataclass(frozen=True)
class Outer:
    id: Annotated[str, Key("_id")]
    flag: bool
    number: int
    seconds: float
    data: bytes
    moment: datetime | None
    at: Timestamp | None
    colour: Colour
    inner: Inner | None
    many: tuple[Inner, ...]
    pair: Annotated[tuple[str, int], Keys(("name", "place"))]
    anything: Any
    nested: Document
    named: Named
    known: Annotated[int, NotStored] = 7


OUTER = Outer(
    "x", True, 3, 0.5, b"\1", NOW, Timestamp(5, 6), Colour.RED, Inner(1), (Inner(2, "n"),), ("p", 4), [None],
    {"a": 1}, Named(2),
)  # fmt: skip
STORED: Document = {
    "_id": "x",
    "flag": True,
    "number": 3,
    "seconds": 0.5,
    "data": b"\1",
    "moment": NOW,
    "at": Timestamp(5, 6),
    "colour": "red",
    "inner": {"count": 1, "note": None},
    "many": [{"count": 2, "note": "n"}],
    "pair": {"name": "p", "place": 4},
    "anything": [None],
    "nested": {"a": 1},
    "named": {"at": 2},
}


def test_fields_are_stored_in_their_order_under_their_keys() -> None:
    document = document_of(OUTER)
    assert document == STORED
    assert list(document) == list(STORED)
    assert type(document["colour"]) is str


def test_what_is_stored_is_read_back_with_its_zone_and_without_what_is_not_stored() -> None:
    assert record_of(Outer, decode(encode(document_of(replace(OUTER, known=1))))) == replace(OUTER, known=7)


def test_what_may_be_absent_is_null_not_missing() -> None:
    nothing = STORED | {"moment": None, "at": None, "inner": None}
    assert record_of(Outer, nothing) == replace(OUTER, moment=None, at=None, inner=None)


def test_other_keys_are_passed_over() -> None:
    assert record_of(Inner, {"count": 1, "note": None, "more": 2}) == Inner(1)


@pytest.mark.parametrize("key", STORED)
def test_what_is_missing_is_named(key: str) -> None:
    with pytest.raises(KeyError, match=key):
        record_of(Outer, {k: v for k, v in STORED.items() if k != key})


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ({"_id": 5}, "_id is 5"),
        ({"_id": None}, "_id is None"),
        ({"flag": 1}, "flag is 1"),
        ({"number": True}, "number is True"),
        ({"number": 1.0}, "number is 1.0"),
        ({"number": -1}, "number is -1"),
        ({"number": 2**63}, "number is 9223372036854775808"),
        ({"seconds": float("nan")}, "seconds is nan"),
        ({"seconds": float("inf")}, "seconds is inf"),
        ({"seconds": False}, "seconds is False"),
        ({"data": "text"}, "data is 'text'"),
        ({"moment": 5}, "moment is 5"),
        ({"at": NOW}, "at is datetime"),
        ({"colour": 1}, "colour is 1"),
        ({"colour": "blue"}, "'blue' is not a valid Colour"),
        ({"inner": [1]}, r"\[1\] is no document"),
        ({"inner": {"count": "1", "note": None}}, "count is '1'"),
        ({"many": {}}, "many is {}"),
        ({"many": [1]}, "1 is no document"),
        ({"pair": ["p", 4]}, r"pair is \['p', 4\]"),
        ({"pair": {"name": "p", "place": "q"}}, "place is 'q'"),
        ({"nested": []}, r"nested is \[\]"),
        ({"named": {"at": None}}, "at is None"),
        ({"named": [2]}, r"\[2\] is no document"),
    ],
)
def test_what_is_not_of_its_kind_is_named(damage: Document, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=f"^{message}"):
        record_of(Outer, STORED | damage)


def test_a_long_value_is_cut_in_the_message() -> None:
    with pytest.raises(TypeError) as raised:
        record_of(Inner, {"count": "9" * 500, "note": None})
    assert len(str(raised.value)) < 120


@pytest.mark.parametrize("value", [0, 5, Int64(5), 2**63 - 1])
def test_numbers_of_any_width_are_numbers(value: int) -> None:
    assert record_of(Inner, {"count": value, "note": None}) == Inner(value)


# --- what a release has written, the next one reads --------------------------------------------------------------

VERSION = VersionRecord(
    version="0003",
    name="grow",
    description="Grow.",
    state=State.FAILED,
    checksum="c0ffee",
    operations=(
        OperationRecord("transform c", "0003-0003-ab", None, started=True),
        OperationRecord("create index n_1 on c", None, {"kind": "nothing"}, started=True, done=True),
    ),
    documents=Counts(4, 3, 1, 0),
    warnings=(WarningCount("0003", "odd", 2, (1, "two")),),
    started_at=NOW,
    applied_at=None,
    duration_s=1.5,
    error=VersionError("GM301", "no", 5),
    actor={"user": "amy", "host": "h", "pid": 1, "ci_url": None, "git_commit": None},
)
VERSION_STORED: Document = {
    "_id": "0003",
    "format": 2,
    "name": "grow",
    "description": "Grow.",
    "state": "failed",
    "checksum": "c0ffee",
    "operations": [
        {"text": "transform c", "pass": "0003-0003-ab", "undo": None, "started": True, "done": False},
        {
            "text": "create index n_1 on c",
            "pass": None,
            "undo": {"kind": "nothing"},
            "started": True,
            "done": True,
        },
    ],
    "documents": {"matched": 4, "changed": 3, "unchanged": 1, "conflicts": 0},
    "warnings": [{"version": "0003", "message": "odd", "count": 2, "examples": [1, "two"]}],
    "started_at": NOW,
    "applied_at": None,
    "duration_s": 1.5,
    "error": {"code": "GM301", "message": "no", "id": 5, "field": None},
    "rollback": None,
    "actor": {"user": "amy", "host": "h", "pid": 1, "ci_url": None, "git_commit": None},
    "tool": TOOL,
}
PASS = PassRecord(
    id="0003-0004-ab",
    collection="c",
    steps=(("0003", 0, "c0ffee"), ("0004", 1, "decaf")),
    level=2,
    finished=False,
    settled=None,
    total=9,
    upper=b"\1",
    canary=None,
    filtered=True,
    complete=True,
    reverses=(True, False),
    started_at=NOW,
    since=Timestamp(5, 6),
    run_at=NOW,
    run_from=4,
    target_level=None,
    committed=True,
    bounds=(b"\2", b"\3"),
    written=(Written("2-scan", 0, 2, 5, 2, 700), Written("3-tail", 0, None, None, 4)),
    deployment="rs0",
    uuid=b"\4" * 16,
    records=b"\5" * 16,
    restored=True,
)
PASS_STORED: Document = {
    "_id": "0003-0004-ab",
    "kind": "pass",
    "format": 2,
    "collection": "c",
    "steps": [
        {"version": "0003", "operation": 0, "checksum": "c0ffee"},
        {"version": "0004", "operation": 1, "checksum": "decaf"},
    ],
    "level": 2,
    "finished": False,
    "settled": None,
    "total": 9,
    "upper": b"\1",
    "canary": None,
    "filtered": True,
    "complete": True,
    "reverses": [True, False],
    "started_at": NOW,
    "since": Timestamp(5, 6),
    "run_at": NOW,
    "run_from": 4,
    "target_level": None,
    "committed": True,
    "bounds": [b"\2", b"\3"],
    "written": [
        {"kind": "2-scan", "partition": 0, "segments": 2, "documents": 5, "seq": 2, "size": 700},
        {"kind": "3-tail", "partition": 0, "segments": None, "documents": None, "seq": 4, "size": None},
    ],
    "deployment": "rs0",
    "uuid": b"\4" * 16,
    "records": b"\5" * 16,
    "restored": True,
    "target": None,
    "created": False,
}


def test_a_version_is_stored_byte_for_byte_as_ever() -> None:
    put: Any = put_version(VERSION)
    assert encode(put.document) == encode(VERSION_STORED)
    assert version_record(decode(encode(VERSION_STORED))) == VERSION


def test_a_pass_is_stored_byte_for_byte_as_ever_and_what_its_partitions_count_is_not() -> None:
    counted = replace(PASS, examined=5, taken_back=3, to_take_back=8)
    assert encode(put_pass(counted).document) == encode(PASS_STORED)
    assert pass_record(decode(encode(PASS_STORED))) == PASS


def test_a_pass_of_a_release_that_counted_no_bytes_is_read() -> None:
    old = [{k: v for k, v in each.items() if k != "size"} for each in PASS_STORED["written"]]
    record = pass_record(decode(encode({**PASS_STORED, "written": old})))
    assert (record.journal_bytes, len(record.written or ())) == (0, 2)
    assert PASS.journal_bytes == 700


def test_an_event_is_stored_with_its_keys_in_order() -> None:
    put: Any = log(NOW, Owner("r", "amy", "h", 1, "b", "s"), "up", "applied", "0003", 2.5)
    identity = put.document.pop("_id")
    expected = {
        "format": 2, "at": NOW, "version": "0003", "action": "up", "result": "applied", "error": None, "duration_s": 2.5,
        "who": "amy", "host": "h", "tool": TOOL, "work": None,
    }  # fmt: skip
    assert encode(put.document) == encode(expected)
    assert identity.generation_time.tzinfo is not None


@given(
    st.sampled_from([s for s in State if s is not State.PENDING]),
    st.integers(0, 2**63 - 1),
    st.floats(0, 1e18),
    st.none() | st.text(),
)
def test_whatever_a_version_holds_is_read_back(
    state: State, count: int, seconds: float, rollback: str | None
) -> None:
    record = replace(
        VERSION, state=state, documents=Counts(matched=count), duration_s=seconds, rollback=rollback
    )
    document: Any = put_version(record)
    assert version_record(decode(encode(document.document))) == record
