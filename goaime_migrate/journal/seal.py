"""How the journal is stored: a payload in one or several records, the first of which vouches for all of it.

The head carries the length of the payload and a digest over itself and the data. Whoever takes the records apart finds
a piece that is missing, changed or another's before a byte is unpacked; whoever wants to know whether all of a journal
is well need not unpack it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from bson import Binary

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.record_fields import COUNT, DATA, require_kinds
from goaime_migrate.errors import NewerFormat
from goaime_migrate.errors.hint import UPGRADE
from goaime_migrate.journal.compression import compress, decompress
from goaime_migrate.journal.digest import HASH
from goaime_migrate.ledger import FORMAT
from goaime_migrate.results import Document

PARTS = 999
"""Records of one payload: they sort by three digits."""
_SEALED = 2
"""The first format that has a digest."""
_OWN = ("data", "digest")
"""Fields that the digest of the head does not cover as such."""


def seal(head: Document, payload: bytes, part_id: str) -> list[Document]:
    """The records that hold a payload; `part_id`, with the number of a part put in, is the `_id` of all but the first."""
    cut = compress(payload)
    if len(cut) > PARTS:
        raise ValueError(f"{len(cut)} parts are more than can be told apart")
    first = {**head, "format": FORMAT, "raw": len(payload), "parts": len(cut)}
    first |= {"digest": Binary(_digest(first, cut)), "data": cut[0]}
    rest = enumerate(cut[1:], 1)
    return [first, *({"_id": part_id.format(i), "pass": head["pass"], "data": data} for i, data in rest)]


def is_sealed(head: Document) -> bool:
    """Whether a head has a digest; those of format 1 have none. Raises NewerFormat, KeyError, TypeError."""
    found = require_kinds(head, {"format": COUNT})["format"]
    if found > FORMAT:
        raise NewerFormat(
            f"the journal record {head['_id']!r} has format {found}; this release knows up to {FORMAT}",
            hint=UPGRADE,
        )
    return bool(found >= _SEALED)


def intact_parts(records: Sequence[Document]) -> list[bytes]:
    """The data of a payload's records, once it is certain that it is what was stored. Raises NewerFormat, ValueError.

    Records behind the last part are what a larger payload has left that this one has replaced.
    """
    head = records[0]
    sealed = is_sealed(head)
    parts = require_kinds({"parts": 1, **head}, {"parts": COUNT})["parts"]
    if not 1 <= parts <= PARTS or len(records) < parts:
        raise ValueError(f"{len(records)} parts of {parts} are there")
    data = [bytes(require_kinds(record, {"data": DATA})["data"]) for record in records[:parts]]
    if sealed:
        kinds = {"raw": COUNT, "digest": DATA}
        if bytes(require_kinds(head, kinds)["digest"]) != _digest(head, data):
            raise ValueError("its digest is not that of what it holds")
    return data


def unseal(records: Sequence[Document], most: int, *, single: bool = False) -> bytes:
    """The payload of these records: BSON documents, or a `single` one. Raises NewerFormat, ValueError and others."""
    data = intact_parts(records)
    return decompress(
        data, most, length=records[0].get("raw") if is_sealed(records[0]) else None, single=single
    )


def _digest(head: Document, data: Sequence[bytes]) -> bytes:
    """Over every field of the head, whatever order and width of numbers a copy of the record has, and the data."""
    fields = {name: _plain(head[name]) for name in sorted(head) if name not in _OWN}
    found = hashlib.sha256(raw_bson.encode(fields))
    for piece in data:
        found.update(piece)
    return found.digest()[:HASH]


def _plain(value: Any) -> Any:
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else value
