"""The names of a dump's files: what mongodump makes of a collection's name, and back."""

from __future__ import annotations

import base64
import hashlib
from urllib.parse import quote, unquote

DOCUMENTS = ".bson"
METADATA = ".metadata.json"
COMPRESSED = (".bson.gz", ".metadata.json.gz")

_UNESCAPED = "$&+=:@~"
"""Besides letters, digits and `-_.` the characters that mongodump leaves alone (Go's url.PathEscape)."""
_LONGEST, _KEPT, _CUT = 238, 208, "%24"
_LONGEST_NAME = 255
"""Bytes of a file's name, as file systems have them."""


def stem_of(collection: str) -> str:
    """The file name for a collection, without suffix. Very long names are cut and end in a hash."""
    escaped = quote(collection, safe=_UNESCAPED, errors="surrogateescape")
    if len(escaped) <= _LONGEST:
        return escaped
    name = collection.encode(errors="surrogateescape")
    digest = hashlib.sha1(name, usedforsecurity=False).digest()
    return escaped[:_KEPT] + _CUT + base64.urlsafe_b64encode(digest).decode().rstrip("=")


def collection_of(stem: str, named_in_metadata: str | None = None) -> str:
    """The collection of a file, which for a name that was cut only the metadata know."""
    if named_in_metadata is not None and _CUT in stem:
        return named_in_metadata
    return unquote(stem, errors="surrogateescape")


def is_bare(filename: str) -> bool:
    """Whether it is the name of a file of a dump, and nothing that leads into another folder."""
    try:
        length = len(filename.encode(errors="surrogateescape"))
    except UnicodeEncodeError:
        return False
    return split(filename) is not None and length <= _LONGEST_NAME and not {"/", "\0"} & set(filename)


def split(filename: str) -> tuple[str, str] | None:
    """Stem and suffix of a file that holds documents or metadata, None for any other file."""
    for suffix in (METADATA, DOCUMENTS):
        if filename.endswith(suffix) and len(filename) > len(suffix):
            return filename[: -len(suffix)], suffix
    return None
