"""What a segment holds, as one BSON document: its entries, and the ids of the documents that were left alone."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Any

from goaime_migrate.backends import raw_bson
from goaime_migrate.journal.entry import HASH, Entry, name_text
from goaime_migrate.results import Document


def encode_payload(entries: Sequence[Entry], unchanged: Sequence[bytes]) -> bytes:
    """The bytes. Changed fields go by shape, since most documents of a batch have the same ones changed."""
    shapes: dict[tuple[tuple[str, bool], ...], int] = {}
    shape = [
        shapes.setdefault(tuple((name, made is not None) for name, made in e.fields.items()), len(shapes))
        for e in entries
    ]
    rest = raw_bson.encode(
        {
            "hashes": b"".join(entry.after_hash for entry in entries),
            "partial": bytes(entry.partial for entry in entries),
            "unchanged": b"".join(unchanged),
            "shapes": [[{"name": _stored(n), "written": w} for n, w in each] for each in shapes],
            "shape": struct.pack(f"<{len(shape)}I", *shape),
            "fields": b"".join(made for e in entries for made in e.fields.values() if made),
        }
    )
    return raw_bson.behind_binary("before", [entry.before for entry in entries], rest)


def decode_payload(raw: bytes) -> tuple[tuple[Entry, ...], tuple[bytes, ...]]:
    """What `payload` made the bytes of. Raises one of many errors where they are not."""
    body = raw_bson.decode(raw)
    before, after = raw_bson.split(body["before"]), _hashes(body["hashes"])
    parts = zip(before, after, _fields(body), map(bool, body["partial"]), strict=True)
    return tuple(Entry(*each) for each in parts), tuple(raw_bson.split(body["unchanged"]))


def _stored(name: str) -> str | bytes:
    """A field name as it is stored: as bytes where it is not UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return name.encode("utf-8", "surrogateescape")
    return name


def _fields(body: Document) -> Iterator[dict[str, bytes | None]]:
    """The changed fields of each entry."""
    shapes = [[(_name(field["name"]), field["written"]) for field in each] for each in body["shapes"]]
    hashes = iter(_hashes(body["fields"]))
    for (shape,) in struct.iter_unpack("<I", body["shape"]):
        yield {name: next(hashes) if written else None for name, written in shapes[shape]}


def _hashes(joined: bytes) -> list[bytes]:
    return [joined[i : i + HASH] for i in range(0, len(joined), HASH)]


def _name(name: Any) -> str:
    return name if isinstance(name, str) else name_text(bytes(name))
