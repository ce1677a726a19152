"""What a segment holds, as one BSON document: its entries, and the ids of the documents that were left alone."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Any

from goaime_migrate.backends import raw_bson
from goaime_migrate.journal.digest import HASH
from goaime_migrate.journal.entry import Entry, name_text
from goaime_migrate.results import Document

_INSERTED, _GONE = 1, 2
"""An entry without a before-image, and one without an after-image."""


def encode_payload(entries: Sequence[Entry], unchanged: Sequence[bytes]) -> bytes:
    """The bytes. Changed fields go by shape, since most documents of a batch have the same ones changed."""
    shapes: dict[tuple[tuple[str, bool], ...], int] = {}
    shape = [shapes.setdefault(_shape(e), len(shapes)) for e in entries]
    rest = raw_bson.encode(
        {
            "hashes": b"".join(entry.after_hash for entry in entries if entry.after_hash is not None),
            "partial": bytes(entry.partial for entry in entries),
            "unchanged": b"".join(unchanged),
            "shapes": [[{"name": _stored(n), "written": w} for n, w in each] for each in shapes],
            "shape": struct.pack(f"<{len(shape)}I", *shape),
            "fields": b"".join(made for e in entries for made in e.fields.values() if made),
            **_comings(entries),
        }
    )
    return raw_bson.behind_binary("before", [e.before for e in entries if e.before is not None], rest)


def _shape(entry: Entry) -> tuple[tuple[str, bool], ...]:
    """The names of the changed fields, and whether each is there afterwards."""
    return tuple((name, made is not None) for name, made in entry.fields.items()) if entry.fields else ()


def _comings(entries: Sequence[Entry]) -> Document:
    """What is kept only where documents were inserted or deleted: which, and what is known of these alone."""
    if not any(entry.comes_or_goes for entry in entries):
        return {}
    inserted = [entry for entry in entries if entry.before is None]
    places = [entry.place for entry in entries if entry.is_deletion]
    found: Document = {
        "comings": bytes((e.before is None) * _INSERTED | (e.after_hash is None) * _GONE for e in entries)
    }
    if inserted:
        found["ids"] = b"".join(entry.id for entry in inserted)
    if any(entry.source for entry in inserted):
        found["sources"] = b"".join(entry.source or raw_bson.NOTHING for entry in inserted)
    if places and all(places):
        found["places"] = b"".join(place for place in places if place)
    return found


def decode_payload(raw: bytes) -> tuple[tuple[Entry, ...], tuple[bytes, ...]]:
    """What `payload` made the bytes of. Raises one of many errors where they are not."""
    body = raw_bson.decode(raw)
    unchanged = tuple(raw_bson.split(body["unchanged"]))
    if "comings" in body:
        return tuple(_with_comings(body)), unchanged
    before, after = raw_bson.split(body["before"]), _hashes(body["hashes"])
    parts = zip(before, after, _fields(body), map(bool, body["partial"]), strict=True)
    return tuple(Entry(*each) for each in parts), unchanged


def _with_comings(body: Document) -> Iterator[Entry]:
    """The entries of a payload some of whose documents were inserted or deleted."""
    flags: bytes = body["comings"]
    before, after = raw_bson.split(body["before"]), iter(_hashes(body["hashes"]))
    ids, sources = raw_bson.split(body.get("ids", b"")), raw_bson.split(body.get("sources", b""))
    places = raw_bson.split(body.get("places", b""))
    for flag, fields, partial in zip(flags, _fields(body), body["partial"], strict=True):
        inserted, gone = bool(flag & _INSERTED), bool(flag & _GONE)
        source = next(sources) if inserted and "sources" in body else None
        yield Entry(
            None if inserted else next(before),
            None if gone else next(after),
            fields,
            bool(partial),
            next(ids) if inserted else None,
            None if source == raw_bson.NOTHING else source,
            next(places) if gone and not inserted and "places" in body else None,
        )
    if any(True for rest in (before, after, ids, sources, places) for _ in rest):
        raise ValueError("it holds more than its entries")


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
