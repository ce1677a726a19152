"""Raw documents on their way to a server are sent as they are, and can be read by whoever logs commands."""

from __future__ import annotations

from typing import Any

import pytest
from bson import decode, encode, json_util
from bson.raw_bson import RawBSONDocument
from hypothesis import given

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.server.sent import Sent
from tests.unit.values import FIELDS, FRAGILE, SURVIVORS, document, element


@given(FIELDS)
def test_it_is_sent_as_it_is(fields: dict[str, Any]) -> None:
    raw = encode(fields)
    assert encode({"a": [Sent(raw)], "b": Sent(raw)}) == encode({"a": [fields], "b": fields})


@pytest.mark.parametrize("odd", [*SURVIVORS.values(), *FRAGILE.values()])
def test_no_byte_of_it_is_changed(odd: bytes) -> None:
    raw = document(element("_id", 1), odd)
    assert raw in encode({"update": "c", "updates": [{"q": Sent(raw)}]})


def test_it_can_be_read() -> None:
    sent = Sent(encode({"_id": 1, "a": {"b": [2]}}))
    assert (sent["_id"], list(sent), len(sent), dict(sent.items())["_id"]) == (1, ["_id", "a"], 2, 1)
    assert sent == raw_bson.raw_document(sent.raw) == sent
    assert isinstance(sent, RawBSONDocument)
    assert decode(encode(json_util.loads(json_util.dumps(sent)))) == {"_id": 1, "a": {"b": [2]}}
