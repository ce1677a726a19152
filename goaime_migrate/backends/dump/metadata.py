"""What a dump knows of a collection besides its documents: `<collection>.metadata.json`.

The file is canonical Extended JSON, ``{"options": {…}, "indexes": [{…}], "uuid": "…", "collectionName": "…",
"type": "collection"}``. Keys that are not known here are kept.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any

from bson import json_util

from goaime_migrate.backends import extended_json
from goaime_migrate.errors import DumpUnreadable
from goaime_migrate.results import Document

COLLECTION, VIEW, TIMESERIES = "collection", "view", "timeseries"
ID_INDEX = "_id_"

LARGEST = 64 * 1024 * 1024
"""Bytes: indexes and options of one collection are documents of a server."""


class Metadata:
    """The parsed file of one collection. `changed` says that it has to be written."""

    def __init__(self, content: Document, *, changed: bool = False) -> None:
        self.content = content
        self.changed = changed

    @classmethod
    def parse(cls, data: bytes, name: str) -> Metadata:
        """Raises DumpUnreadable, naming `name`."""
        try:
            if len(data) > LARGEST:
                raise ValueError(f"it has more than {LARGEST:,} bytes")
            content = _check_shape(extended_json.loads(data.decode()))
        except (ValueError, TypeError) as error:
            raise DumpUnreadable(
                f"{name}: the metadata cannot be read: {error}",
                hint="restore the file from its source, or dump the collection again with mongodump",
            ) from error
        return cls(content)

    @classmethod
    def absent(cls) -> Metadata:
        """For a file of documents that has no metadata beside it."""
        return cls({"indexes": [_id_index()]})

    @classmethod
    def new(cls, name: str, options: Document) -> Metadata:
        """For a collection, or a view, that does not exist yet."""
        kind = VIEW if "viewOn" in options else COLLECTION
        content: Document = {"options": options} if options else {}
        content["indexes"] = [] if kind == VIEW else [_id_index()]
        content["uuid"] = "" if kind == VIEW else uuid.uuid4().hex
        content |= {"collectionName": name, "type": kind}
        return cls(content, changed=True)

    def copy(self) -> Metadata:
        """An independent one: lists and options are never changed in place."""
        return Metadata(dict(self.content), changed=self.changed)

    def dump(self) -> bytes:
        """The file's content."""
        return json_util.dumps(
            self.content, json_options=extended_json.OPTIONS, separators=(",", ":")
        ).encode()

    @property
    def kind(self) -> str:
        """`collection`, `view` or `timeseries`; older dumps have no type and say it with the options."""
        if "viewOn" in self.options:
            return VIEW
        if "timeseries" in self.options:
            return TIMESERIES
        return str(self.content.get("type") or COLLECTION)

    @property
    def options(self) -> Document:
        """As `listCollections` gives them."""
        return self.content.get("options") or {}

    @options.setter
    def options(self, options: Document) -> None:
        self._set("options", options)

    @property
    def indexes(self) -> list[Document]:
        """As `listIndexes` gives them: `v`, `key` (a dict in order), `name` and options."""
        return self.content.get("indexes") or []

    @indexes.setter
    def indexes(self, indexes: list[Document]) -> None:
        self._set("indexes", indexes)

    def rename(self, name: str) -> None:
        """State another name of the collection."""
        self._set("collectionName", name)

    def _set(self, key: str, value: Any) -> None:
        self.content[key] = value
        self.changed = True


def _check_shape(content: Any) -> Document:
    """What decides something is of the kind that mongodump writes; the rest is kept. Raises TypeError."""
    found = _of_kind(content, _KINDS, "it")
    _of_kind(found.get("options") or {}, _OPTIONS, "the options")
    for spec in found.get("indexes") or []:
        _of_kind(spec, _INDEX, "an index")
        if not (spec.get("name") and spec.get("key")):
            raise TypeError(f"an index has no name or no keys: {spec!r:.100}")
    return found


_KINDS = {"options": dict, "indexes": list, "collectionName": str, "type": str, "uuid": str}
_OPTIONS = {"validator": dict, "timeseries": dict, "viewOn": str}
_INDEX = {"name": str, "key": dict, "partialFilterExpression": dict, "collation": dict}


def _of_kind(found: Any, kinds: Mapping[str, type], what: str) -> Document:
    if not isinstance(found, dict):
        raise TypeError(f"{what} is no document: {found!r:.100}")
    for key, kind in kinds.items():
        if not isinstance(found.get(key), kind | None):
            raise TypeError(f"{what} has a {key} that is none: {found[key]!r:.100}")
    return found


def name_within(data: bytes) -> str | None:
    """The collection's name that a metadata file states, for files whose own name was cut."""
    try:
        name = json.loads(data).get("collectionName")
    except (ValueError, AttributeError, RecursionError):
        return None  # `parse` says what is wrong
    return name if isinstance(name, str) else None


def _id_index() -> Document:
    return {"v": 2, "key": {"_id": 1}, "name": ID_INDEX}
