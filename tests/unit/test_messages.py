"""What a run and its workers say to each other."""

from __future__ import annotations

import io
from typing import Any

import pytest
from bson import Binary, Decimal128, Int64, MinKey, ObjectId

from goaime_migrate import errors
from goaime_migrate.workers.messages import Channel, pack, unpack


def test_messages_come_out_as_they_went_in_one_after_the_other() -> None:
    pipe = io.BytesIO()
    Channel(io.BytesIO(), pipe).tell(do="partition", number=3)
    Channel(io.BytesIO(), pipe).tell(do="stop")

    heard = list(Channel(io.BytesIO(pipe.getvalue()), io.BytesIO()).messages())

    assert heard == [{"do": "partition", "number": 3}, {"do": "stop"}]


@pytest.mark.parametrize("missing", [1, 5, 20])
def test_a_message_that_was_cut_off_is_not_heard(missing: int) -> None:
    pipe = io.BytesIO()
    Channel(io.BytesIO(), pipe).tell(do="stop")
    Channel(io.BytesIO(), pipe).tell(do="partition", number=3)

    heard = list(Channel(io.BytesIO(pipe.getvalue()[:-missing]), io.BytesIO()).messages())

    assert heard == [{"do": "stop"}]


IDS: list[Any] = [
    None,
    7,
    Int64(7),
    2.5,
    "x",
    {"a": [1]},
    ObjectId("0" * 24),
    Binary(b"x", 5),
    Decimal128("1.20"),
    MinKey(),
]


@pytest.mark.parametrize("kind", errors.by_code().values(), ids=lambda kind: kind.code)
def test_every_error_arrives_as_itself(kind: type[errors.MigrateError]) -> None:
    for identity in IDS:
        error = kind(
            "what \ud800", hint="next", version="0002", id=identity, field="a.b", detail="line 1\nline 2"
        )

        pipe = io.BytesIO()
        Channel(io.BytesIO(), pipe).tell(error=pack(error))
        (heard,) = Channel(io.BytesIO(pipe.getvalue()), io.BytesIO()).messages()
        arrived = unpack(heard["error"])

        assert type(arrived) is kind
        assert arrived.message == "what \\ud800"
        assert (arrived.hint, arrived.version, arrived.field, arrived.detail) == (
            error.hint,
            error.version,
            error.field,
            error.detail,
        )
        assert (type(arrived.id), arrived.id) == (type(identity), identity)


def test_what_nobody_foresaw_is_called_a_bug_and_shows_no_password() -> None:
    try:
        raise KeyError("mongodb://ann:secret@host/db")
    except KeyError as error:
        arrived = unpack(pack(error))

    assert arrived.message.endswith("(this is a bug)")
    assert "test_messages.py" in arrived.detail
    assert "secret" not in arrived.detail + arrived.message


def test_an_id_that_bson_cannot_hold_arrives_as_text() -> None:
    assert unpack(pack(errors.TransformFailed("x", id=object))).id == repr(object)
