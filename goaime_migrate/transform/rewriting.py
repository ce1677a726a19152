"""What a document must stay while it is rewritten: what nobody changed to the byte, and known by the same `_id`."""

from __future__ import annotations

from bson.errors import BSONError

from goaime_migrate.backends import raw_bson, raw_splice
from goaime_migrate.errors import IdChanged, Unrepresentable
from goaime_migrate.results import Document


def splice(original: bytes, document: Document, version: str, identity: bytes) -> bytes:
    """The result for a document that does not survive decode and encode: what did not change keeps its bytes.

    Raises Unrepresentable.
    """
    try:
        return raw_splice.splice(original, raw_bson.decode(original), document)
    except (raw_splice.Lossy, BSONError, UnicodeDecodeError) as error:
        reason = error.args[0] if isinstance(error, raw_splice.Lossy) else "it holds text that is not UTF-8"
        raise Unrepresentable.because(
            f"{reason}: writing it would lose data", id=raw_bson.id_value(identity), version=version
        ) from error


def require_same_id(identity: bytes, current: bytes, version: str) -> None:
    """Refuse a result that is another document. Raises IdChanged."""
    if current.startswith(identity[4:-1], 4):
        return
    try:
        same = raw_bson.id_of(current) == identity
    except KeyError:
        same = False
    if not same:
        raise IdChanged(
            "the transform changed or removed _id",
            version=version,
            id=raw_bson.id_value(identity),
            field="_id",
            hint="keep _id as it is; new ids: DeriveDocuments into the same collection, then DeleteDocuments",
        )
