"""`blame`: which version changed one document, and what it was before. Reads only, and takes no lock."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import Backend
from goaime_migrate.blame.entries import Edit, Findings, findings
from goaime_migrate.blame.images import Difference, differences, images
from goaime_migrate.errors import UnknownDocument
from goaime_migrate.journal.same_id import SameId, same_id
from goaime_migrate.ledger import Ledger, history
from goaime_migrate.planner import Facts
from goaime_migrate.planner.lineage import Lineage, Visit, lineage
from goaime_migrate.results import (
    ABSENT,
    Absent,
    BlamedChange,
    BlameResult,
    ChangeKind,
    FieldChange,
    HistoryEntry,
    Value,
)

_IDS = """the _id is Extended JSON, and a bare word a string: 7, abc, '"7"', '{"$oid": "65f0c0ffee65f0c0ffee65f0"}'"""
_LAST = datetime.max.replace(tzinfo=UTC)
_GONE = "it was changed again before anybody kept it"
_DONE = {ChangeKind.CANARY: ("up", "canary"), ChangeKind.SWEEP: ("sweep", ""), ChangeKind.DOWN: ("down", "")}
"""What the log calls what was not done by the run that has applied a version: the action, and its result if it is one."""


@dataclass(frozen=True)
class Subject:
    """One document: where it is, what it is now, and what each pass over its collection has kept of it."""

    backend: Backend
    facts: Facts
    collection: str
    ids: SameId
    """What its `_id` may be, that which it is alone where it is there."""
    current: bytes | None
    line: Lineage
    found: tuple[tuple[Visit, Findings], ...]

    @property
    def edits(self) -> list[Edit]:
        """What was done to it, pass by pass, the oldest first."""
        return [edit for _, found in self.found for edit in found.edits]

    @property
    def id(self) -> Value:
        """Its `_id`."""
        known = [edit.entry.id for edit in self.edits]
        return raw_bson.id_value((known or self.ids.known)[0] if self.current is None else self.ids.known[0])


def subject(backend: Backend, facts: Facts, ledger: Ledger, collection: str, identity: Value) -> Subject:
    """A document by its collection and `_id`. Raises UnknownDocument, JournalIncomplete, DamagedRecord."""
    line = lineage(ledger, collection, backend.collections())
    ids = same_id(identity)
    current = next(iter(ids.documents(backend, line.today)), None)
    ids = ids if current is None else SameId((raw_bson.id_of(current),))
    found = tuple(
        (visit, Findings() if visit.pruned else findings(backend, visit.record, ids))
        for visit in line.visits
        if visit.wrote
    )
    this = Subject(backend, facts, collection, ids, current, line, found)
    if current is None and not any(each.examined for _, each in found):
        raise _unknown(this)
    return this


def _unknown(this: Subject) -> UnknownDocument:
    pruned = [visit.pruned.version for visit, _ in this.found if visit.pruned]
    rest = f" that is kept (those of {', '.join(pruned)} were pruned)" if pruned else ""
    shown = raw_bson.id_value(this.ids.known[0])
    if not this.found and this.line.today not in this.backend.collections():
        return UnknownDocument(
            f"there is no collection {this.collection}, and no version has written one of this name",
            hint="the name as it is today, or as it was before a migration renamed it",
            id=shown,
        )
    return UnknownDocument(
        f"neither the collection {this.collection} nor a journal{rest} knows a document with the _id {shown!r:.100}",
        hint=_IDS,
        id=shown,
    )


def blame(this: Subject) -> BlameResult:
    """What versions have done to it."""
    when = _Log(this.backend, this.facts)
    edits = sorted(this.edits, key=lambda edit: when.at(edit.versions[-1], edit.kind) or _LAST)
    changes = []
    for place, edit in enumerate(edits):
        later = [each.entry.before for each in edits[place + 1 :] if each.entry.before is not None]
        known = [*later, *([] if this.current is None else [this.current])]
        proved = images(this.backend, edit, this.facts.code)
        for each in differences(edit, proved, known):
            changes.append(when.change(edit, each))
    return BlameResult(this.collection, this.id, tuple(changes), tuple(_notes(this)))


def _notes(this: Subject) -> Iterator[str]:
    """What there may be besides, and is not known."""
    for visit, found in this.found:
        if visit.pruned:
            yield f"{', '.join(visit.record.versions)}: {visit.pruned.pruned_by}; what it was before is not kept"
        if found.erased:
            yield f"{', '.join(visit.record.versions)}: this document was erased from the journal"
    for version in this.line.functions:
        yield f"{version} is a plain function: what it has written is in no journal"
    if this.current is None:
        yield f"the document is not in {this.line.today} any more"


class _Log:
    """When a version did something, and who ran it."""

    def __init__(self, backend: Backend, facts: Facts) -> None:
        self._backend = backend
        self._facts = facts

    @cached_property
    def _entries(self) -> Sequence[HistoryEntry]:
        return history(self._backend)

    def change(self, edit: Edit, found: Difference) -> BlamedChange:
        """A difference as it is told. Several versions are told as one where they cannot be told apart."""
        version = found.versions[-1]
        record = self._facts.versions.get(version)
        logged = self._last_event(version, edit.kind)
        who = str(record.actor.get("user", "")) if record else ""
        return BlamedChange(
            version,
            self.at(version, edit.kind),
            logged.who if logged else who,
            edit.kind,
            tuple(_field(found, name) for name in found.names),
            _remark(edit, found),
        )

    def at(self, version: str, kind: ChangeKind) -> datetime | None:
        """When a version did this."""
        if (logged := self._last_event(version, kind)) is not None:
            return logged.at
        record = self._facts.versions.get(version)
        return record.applied_at or record.started_at if record else None

    def _last_event(self, version: str, kind: ChangeKind) -> HistoryEntry | None:
        """The last event of this kind, where it is not what the record of the version says."""
        if kind not in _DONE:
            return None
        action, result = _DONE[kind]
        same = [e for e in self._entries if e.version == version and e.action == action]
        return next((e for e in reversed(same) if not result or e.result == result), None)


def _field(found: Difference, name: bytes) -> FieldChange:
    text = name.decode("utf-8", "backslashreplace")
    note = _GONE if name in found.unknown else ABSENT
    return FieldChange(text, _value(found.before.get(name)), _value(found.after.get(name)), note)


def _value(element: bytes | None) -> Value | Absent:
    if element is None:
        return ABSENT
    (value,) = raw_bson.decode_any(raw_bson.join([element])).values()
    return value


def _remark(edit: Edit, found: Difference) -> str | Absent:
    entry = edit.entry
    if len(found.versions) > 1:
        listed = ", ".join(found.versions)
        return f"done by {listed} together; which did what is not known: their code is not here as it was applied"
    if entry.before is None and entry.after_hash is None:
        return "inserted, and taken away again"
    if entry.before is None:
        return "inserted" if found.after else f"inserted; what was written is not known: {_GONE}"
    if entry.after_hash is None:
        return "deleted"
    return ABSENT if found.names else "the order of its fields"
