"""The history of a database as a whole: how it stands, what was done, and a few documents of each pass. Reads only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

from bson.errors import BSONError

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import JOURNAL, Backend
from goaime_migrate.errors import MigrateError
from goaime_migrate.journal import segments
from goaime_migrate.journal.digest import digest
from goaime_migrate.journal.entry import Entry, name_text
from goaime_migrate.journal.index import Locator
from goaime_migrate.journal.kinds import Kind
from goaime_migrate.ledger import Ledger, PassRecord, VersionRecord, history
from goaime_migrate.planner import Facts
from goaime_migrate.results import (
    Document,
    Effect,
    JournaledChange,
    PassReport,
    ReportResult,
    VersionReport,
)
from goaime_migrate.status import standing

SAMPLES = 3
"""Documents of one pass."""
_SAMPLED = 50
"""Passes, the newest, of which documents are looked at: a segment of the journal is read for each."""
_WALKS = (Kind.SCAN, Kind.CANARY, Kind.TAIL, Kind.SWEEP)


def report(backend: Backend, facts: Facts, ledger: Ledger) -> ReportResult:
    """What the page of `history --html` is made of. Raises DamagedRecord, NewerFormat of records, not of journals."""
    passes = sorted(ledger.passes.values(), key=lambda record: (int(record.versions[0]), record.id))
    sampled = {record.id for record in passes[-_SAMPLED:]} & {record.id for record in ledger.journaled}
    return ReportResult(
        backend.now(),
        standing(backend, facts, ledger),
        history(backend),
        tuple(map(_version, ledger.versions.values())),
        tuple(_pass(backend, passes, at, record.id in sampled) for at, record in enumerate(passes)),
    )


def _version(record: VersionRecord) -> VersionReport:
    def said(key: str) -> str:
        return str(record.actor.get(key) or "")

    return VersionReport(
        record.version,
        tuple(operation.text for operation in record.operations),
        record.warnings,
        record.started_at,
        said("user"),
        said("host"),
        said("ci_url"),
        said("git_commit"),
        record.rollback is not None,
    )


def _pass(backend: Backend, passes: Sequence[PassRecord], at: int, sampled: bool) -> PassReport:
    record = passes[at]
    samples: tuple[JournaledChange, ...] = ()
    unread = ""
    if sampled:
        later = [each for each in passes[at + 1 :] if each.writes == record.writes]
        try:
            samples = tuple(_Samples(backend, record, later).changes())
        except (MigrateError, BSONError) as error:
            unread = str(error)
    documents = sum(each.documents or 0 for each in record.written or ())
    return PassReport(record.versions, record.writes, documents, record.journal_bytes, samples, unread)


class _Samples:
    """A few documents that one pass has written."""

    def __init__(self, backend: Backend, record: PassRecord, later: Sequence[PassRecord]) -> None:
        self._backend = backend
        self._record = record
        self._later = later
        """Passes that have written the same collection since, in order."""

    def changes(self) -> Iterator[JournaledChange]:
        """Before, and after where that is certain. Raises DamagedRecord, NewerFormat."""
        for entry in self._entries:
            if entry.before is None or entry.after_hash is None:
                yield self._come_or_gone(entry)
            else:
                yield self._changed(entry, entry.before)

    @cached_property
    def _entries(self) -> Sequence[Entry]:
        """The first entries of the first segment that has any. What a pass has removed again is none."""
        for kind in _WALKS:
            of_kind = {**segments.of_kind(self._record.id, kind), "documents": {"$gt": 0}}
            heads = self._backend.find(JOURNAL, of_kind, sort=[("_id", 1)], limit=1, fields=["_id"])
            segment = segments.read(self._backend, heads[0]["_id"][:-3]) if heads else None
            if segment is not None:
                kept = (e for e in segment.entries if e.before is not None or e.after_hash is not None)
                return [entry for entry, _ in zip(kept, range(SAMPLES), strict=False)]
        return []

    def _come_or_gone(self, entry: Entry) -> JournaledChange:
        identity = raw_bson.decode_any(entry.id)["_id"]
        if entry.before is not None:
            return JournaledChange(identity, Effect.DELETED, raw_bson.decode_any(entry.before), None)
        written = next((raw for raw in self._versions_of(entry.id) if digest(raw) == entry.after_hash), None)
        after = None if written is None else raw_bson.decode_any(written)
        return JournaledChange(identity, Effect.INSERTED, None, after, known=after is not None)

    def _changed(self, entry: Entry, before: bytes) -> JournaledChange:
        identity = raw_bson.decode_any(entry.id)["_id"]
        found = list(self._versions_of(entry.id))
        for raw in found:
            if digest(raw) == entry.after_hash:
                return JournaledChange(
                    identity, Effect.CHANGED, raw_bson.decode_any(before), raw_bson.decode_any(raw)
                )
        old, changed = _only(before, entry), [raw for raw in found if _as_written(entry, raw)]
        new = _only(changed[0], entry) if changed else None
        return JournaledChange(identity, Effect.CHANGED, old, new, known=bool(changed), whole=False)

    def _versions_of(self, identity: bytes) -> Iterator[bytes]:
        """The document as it is now, then as later passes have found it: one of these may be what the pass wrote."""
        if identity in self._now:
            yield self._now[identity]
        for record in self._later:
            known = Locator(self._backend, record.id).scanned([identity]).entries
            known |= segments.entries_of(self._backend, record.id, [identity])
            entry = known.get(identity)
            if entry is not None and entry.before is not None and not entry.partial:
                yield entry.before

    @cached_property
    def _now(self) -> Mapping[bytes, bytes]:
        ids = [entry.id for entry in self._entries]
        found = self._backend.by_ids(self._record.writes, ids) if ids else []
        return {raw_bson.id_of(raw): raw for raw in found}


def _as_written(entry: Entry, raw: bytes) -> bool:
    """Whether every field that was changed is as the pass has left it."""
    found = {name_text(name): element for name, element in raw_bson.fields(raw).items()}
    return all(
        name not in found if made is None else name in found and digest(found[name]) == made
        for name, made in entry.fields.items()
    )


def _only(raw: bytes, entry: Entry) -> Document:
    """The fields that were changed, in the order in which they stand."""
    return {name: value for name, value in raw_bson.decode_any(raw).items() if name in entry.fields}
