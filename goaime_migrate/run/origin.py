"""Whether a database is still the one that a pass was walked in; a restore or a copy has other UUIDs."""

from __future__ import annotations

from dataclasses import replace

from goaime_migrate.backends.ports import PROGRESS, Origin
from goaime_migrate.ledger import Ledger, PassRecord


def pin(record: PassRecord, origin: Origin) -> PassRecord:
    """The pass, bound to the database as it is now."""
    return replace(
        record,
        deployment=origin.deployment,
        uuid=origin.uuids.get(record.collection),
        records=origin.uuids.get(PROGRESS),
    )


def why_moved(record: PassRecord, origin: Origin, today: str | None = None) -> str:
    """What has happened to the database, or to the collection, since the pass was opened; empty where nothing has.

    `today`: what its collection is called now. One that is gone, or was kept aside under another name, is the same.
    """
    if record.records is None:  # nothing was pinned
        return ""
    if origin.uuids.get(PROGRESS) != record.records or not _same_set(record.deployment, origin.deployment):
        return f"the database was restored from a dump or copied after {_versions(record)} had begun"
    name = today or record.collection
    if record.uuid is None or name not in origin.uuids or record.uuid in origin.uuids.values():
        return ""
    return f"{name} was dropped and restored, or replaced, after {_versions(record)} had begun"


def moved_passes(ledger: Ledger, origin: Origin) -> dict[str, str]:
    """Of the passes of a ledger those that are bound to another database or collection, with what has happened."""
    today: dict[str, str] = {}
    for version in ledger.versions.values():
        for undo in (o.undo for o in version.operations if o.undo is not None):
            if undo.get("kind") == "rename_collection":
                today[str(undo.get("new"))] = str(undo.get("old"))
    found: dict[str, str] = {}
    for record in ledger.passes.values():
        name = record.collection
        for _ in today:
            name = today.get(name, name)
        text = why_moved(record, origin, name)
        if text:
            found[record.id] = text
    return found


def _same_set(one: str | None, other: str | None) -> bool:
    """Whether two descriptions can be of one replica set; not every user may read its id."""
    if one is None or other is None:
        return one == other
    return all(a == b for a, b in zip(one.split("/"), other.split("/"), strict=False))


def _versions(record: PassRecord) -> str:
    return ", ".join(record.versions)
