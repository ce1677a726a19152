"""Erasing one document from the lookups that were frozen with passes.

What is found by its keys is not known any more then, and not taken for nothing: whoever asks for it again is told.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import JOURNAL, Delete, Put, Reader, RecordChange
from goaime_migrate.backends.record_fields import reading
from goaime_migrate.journal.paging import payloads
from goaime_migrate.journal.seal import seal, unseal
from goaime_migrate.results import Document
from goaime_migrate.transform.lookup_names import ANY_KEY, key_hash, part_of
from goaime_migrate.transform.lookups import keys_of

_MOST = 4 * raw_bson.MAX_DOCUMENT
"""Bytes of one payload: no lookup keeps as many together."""
_WHOLE, _ROW, _DUPLICATES = "/all", "/row", "/lookup/duplicates"


@dataclass(frozen=True)
class Frozen:
    """The records of one payload, and what becomes of them without the document."""

    records: Sequence[Document]
    changes: Sequence[RecordChange]
    kept: Sequence[Document]
    """What is in their place then."""


def erased_lookups(
    reader: Reader, pass_id: str, names: Collection[str], ids: Collection[bytes]
) -> Iterator[Frozen]:
    """The records of a pass that have a document of a collection with these names. Raises DamagedRecord."""
    for records in payloads(reader, f"{pass_id}/lookup/"):
        with reading(JOURNAL, records[0]["_id"]):
            kept = _without(records, names, ids)
        if kept is not None:
            yield Frozen(records, list(_changes(records, kept)), kept)


def _changes(records: Sequence[Document], kept: Sequence[Document]) -> Iterator[RecordChange]:
    yield from (Put(JOURNAL, record) for record in kept)
    gone = [record["_id"] for record in records if record["_id"] not in {each["_id"] for each in kept}]
    if gone:
        yield Delete(JOURNAL, {"_id": {"$in": gone}})


def _without(
    records: Sequence[Document], names: Collection[str], ids: Collection[bytes]
) -> Sequence[Document] | None:
    """What is left of a payload; None where the document is not in it."""
    head = records[0]
    identity = str(head["_id"])
    documents = list(raw_bson.split(unseal(records, _MOST)))
    if _DUPLICATES in identity:  # pairs of ids, which nobody asks for once the pass is finished
        return [] if any(each in ids for each in documents) else None
    if head.get("stored") or not documents or not _is_into(head, names):
        return None
    found = [d for d in documents if raw_bson.has_id(d) and raw_bson.id_of(d) in ids]
    if identity.endswith(_WHOLE):
        return _shorten(head, documents, found) if found else None
    asked = _ROW not in identity and head.get("key") == "_id" and _asked_for(documents[0]) in ids
    return _seal({**_bare(head), "erased": [ANY_KEY]}, b"") if found or asked else None


def _asked_for(document: bytes) -> bytes:
    """The key that the first document of an answer says, as the raw ``{_id: x}``."""
    return raw_bson.encode({"_id": raw_bson.decode_any(document).get("key")})


def _is_into(head: Document, names: Collection[str]) -> bool:
    """Whether a lookup reads a collection of these names; older records have only a label that begins with it."""
    if "collection" in head:
        return head["collection"] in names
    return any(str(head.get("table")).startswith(f"{name}.") for name in names)


def _shorten(head: Document, documents: Sequence[bytes], found: Sequence[bytes]) -> Sequence[Document]:
    """All documents of a collection but these, and by the hashes of which keys they were found."""
    path = head.get("key")
    hashes = (
        {key_hash(key) for d in found for key in keys_of(raw_bson.decode_any(d), path)} if path else {ANY_KEY}
    )
    before = head.get("erased", [])
    rest = b"".join(d for d in documents if d not in found)
    return _seal({**_bare(head), "erased": [*before, *sorted(hashes - set(before))]}, rest)


def _bare(head: Document) -> Document:
    """A head without what sealing puts into it."""
    return {
        name: value
        for name, value in head.items()
        if name not in ("format", "raw", "parts", "digest", "data")
    }


def _seal(head: Document, payload: bytes) -> Sequence[Document]:
    return seal(head, payload, part_of(head["_id"]))
