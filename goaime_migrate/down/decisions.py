"""What documents become when a pass is taken back, and which of several versions wrote a field. Reads only."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import Reader, Write
from goaime_migrate.down.overruled import TOLD, Older
from goaime_migrate.errors import Conflicts, MigrationFailed
from goaime_migrate.errors.hint import DOWN, UP, Hint
from goaime_migrate.journal.digest import digest
from goaime_migrate.journal.entry import Entry, changed_fields
from goaime_migrate.journal.index import superseded
from goaime_migrate.journal.reconcile import Found, Restored, backward, shown
from goaime_migrate.journal.segments import Segment
from goaime_migrate.ledger import PassRecord
from goaime_migrate.results import Conflict, Counts, Document, OnConflict
from goaime_migrate.transform.chain import Chain
from goaime_migrate.transform.chains import replay
from goaime_migrate.transform.counts import PassCounts

_LISTED = 10_000
"""Conflicts that are named; all of them are counted."""


@dataclass
class Outcome:
    """What taking back did, or would do, to the documents of the journal."""

    exact: int = 0
    merged: int = 0
    already: int = 0
    conflicts: list[Conflict] = field(default_factory=list)
    more_conflicts: int = 0
    """How many there were beside those that are listed."""
    erased: dict[str, None] = field(default_factory=dict)
    """The hashes of the `_id`s of documents that were erased from the journal: nobody can give them back."""
    before_sweep: int = 0
    """How many of those that came back whole came back to what they were before a sweep, and not before the pass."""
    told: PassCounts = field(default_factory=lambda: PassCounts(()))
    """What there is to warn of."""

    @classmethod
    def without(cls, erased: Iterable[bytes]) -> Outcome:
        """Of a segment from which these were erased."""
        return cls(erased=dict.fromkeys(each.hex() for each in erased))

    @property
    def in_conflict(self) -> int:
        """How many conflicts there were."""
        return len(self.conflicts) + self.more_conflicts

    def counts(self) -> Counts:
        """As the counts of a result."""
        changed = self.exact + self.merged
        conflicts = self.in_conflict
        return Counts(changed + self.already + conflicts, changed, self.already, conflicts)

    def record(self) -> Document:
        """The counts as they are stored."""
        conflicts = [
            {
                "version": c.version,
                "collection": c.collection,
                "id": c.id,
                "fields": [name.encode("utf-8", "surrogateescape") for name in c.fields],
            }
            for c in self.conflicts
        ]
        return {"exact": self.exact, "merged": self.merged, "already": self.already, "conflicts": conflicts}

    def add(self, other: Outcome) -> None:
        """Count what another outcome has counted."""
        self.exact += other.exact
        self.merged += other.merged
        self.already += other.already
        in_conflict = self.in_conflict + other.in_conflict
        self.conflicts += other.conflicts[: _LISTED - len(self.conflicts)]
        self.more_conflicts = in_conflict - len(self.conflicts)
        self.erased |= other.erased
        self.before_sweep += other.before_sweep
        self.told.add(other.told)


class Decisions:
    """Decides for each document of a segment what it becomes. Reads only.

    `replay` is None when the whole pass is taken back; else the chain of the steps that stay in effect and that of
    all steps that are: the first on a before-image gives what the document becomes, the second must give the very
    bytes that the journal has the hash of.
    """

    def __init__(
        self,
        record: PassRecord,
        attribution: Attribution,
        on_conflict: OnConflict,
        replay: tuple[Chain, Chain] | None,
    ) -> None:
        self._record = record
        self._attribution = attribution
        self.on_conflict = on_conflict
        self._replay = replay

    def documents(
        self,
        reader: Reader,
        entries: Sequence[Entry],
        targets: Sequence[Entry | None],
        refused: Mapping[bytes, tuple[str, ...]] = {},
        older: Mapping[bytes, Sequence[Entry]] = {},
    ) -> tuple[list[Write], Outcome]:
        """What to write to take these documents back, and how they were found.

        `refused`: ids that a unique index does not let go back, with its fields. `older`: what is not applied to them.
        """
        return self.decide(reader, self._current(reader, entries), entries, targets, refused, older)

    def decide(
        self,
        reader: Reader,
        current: Mapping[bytes, bytes],
        entries: Sequence[Entry],
        targets: Sequence[Entry | None],
        refused: Mapping[bytes, tuple[str, ...]] = {},
        older: Mapping[bytes, Sequence[Entry]] = {},
    ) -> tuple[list[Write], Outcome]:
        """The same for documents that have been read already, by id."""
        writes: list[Write] = []
        outcome = Outcome()
        for entry, target in zip(entries, targets, strict=True):
            found = current.get(entry.id)
            if found is None and not entry.comes_or_goes:
                continue  # deleted by the application: it stays so
            restored = self._restore(found, entry, target)
            if entry.id in refused:
                restored = Restored(Found.CONFLICT, found, refused[entry.id])
            self._note(reader, entry, restored, outcome)
            if entry.id in older and restored.document and restored.found is not Found.CONFLICT:
                outcome.before_sweep += restored.found is not Found.MERGED
                self._tell(reader, older[entry.id], restored.document, outcome)
            if restored.document != found:
                writes.append(Write(entry.id, found, restored.document, entry.partial, place=entry.place))
        return writes, outcome

    def left_alone(self, reader: Reader, current: Iterable[bytes], older: Older) -> Outcome:
        """How documents were found of which a sweep has noted that the pass leaves them alone."""
        outcome = Outcome()
        for document in current:
            self._tell(reader, older[raw_bson.id_of(document)], document, outcome)
        return outcome

    def _tell(self, reader: Reader, older: Sequence[Entry], document: bytes, outcome: Outcome) -> None:
        """Warn, once, of a document that comes back with something in it that an older entry would have taken back."""
        for entry in older:
            if fields := shown(document, entry):
                version = self._attribution.version(reader, entry, fields)
                outcome.told.warn([(version, TOLD)], entry.id)
                return

    def _current(self, reader: Reader, entries: Sequence[Entry]) -> dict[bytes, bytes]:
        """The documents as they are now, of each as much as its entry is about."""
        found: list[bytes] = []
        for partial in (False, True):
            these = [entry for entry in entries if entry.partial is partial]
            fields = sorted({name for entry in these for name in entry.fields}) if partial else None
            if these:
                found += reader.by_ids(self._record.writes, [e.id for e in these], fields=fields)
        return {raw_bson.id_of(document): document for document in found}

    def targets(self, reader: Reader, entries: Sequence[Entry]) -> list[Entry | None]:
        """For each entry the one that leads from where its document is to go; None where a replay does not come out."""
        if self._replay is None:
            return list(entries)
        staying, whole = self._replay
        images = [entry.before for entry in entries if entry.before is not None]
        before, after = replay(staying, reader, images), replay(whole, reader, images)
        return [_leading(entry, b, a) for entry, b, a in zip(entries, before, after, strict=True)]

    def _restore(self, current: bytes | None, entry: Entry, target: Entry | None) -> Restored:
        if target is None:
            return Restored(Found.CONFLICT, current, tuple(entry.fields))
        return backward(current, target, self.on_conflict)

    def _note(self, reader: Reader, entry: Entry, restored: Restored, outcome: Outcome) -> None:
        match restored.found:
            case Found.EXACT:
                outcome.exact += 1
            case Found.MERGED:
                outcome.merged += 1
            case Found.ALREADY:
                outcome.already += 1
            case Found.CONFLICT:
                identity = raw_bson.id_value(entry.id)
                version = self._attribution.version(reader, entry, restored.fields)
                outcome.conflicts.append(Conflict(version, self._record.writes, identity, restored.fields))
                if self.on_conflict is OnConflict.STOP:
                    raise Conflicts(
                        f"the application has changed {', '.join(restored.fields) or 'the document'} since `up`",
                        version=version,
                        id=identity,
                        field=restored.fields[0] if restored.fields else None,
                        hint=Hint(
                            "{} (or restore) goes on from there; {} would too, with keep, and then apply it again",
                            DOWN.to("--on-conflict", "keep"),
                            UP,
                        ),
                    )


def last_words(
    reader: Reader, key: str, entries: Sequence[Entry], targets: Sequence[Entry | None]
) -> tuple[Sequence[Entry], Sequence[Entry | None]]:
    """Those of the entries of a segment, with their targets, that no newer one of the pass has the place of."""
    old = superseded(reader, key, entries)
    last = {entry.id: place for place, entry in enumerate(entries)}  # several sources may make the same
    left = [
        pair
        for place, pair in enumerate(zip(entries, targets, strict=True))
        if pair[0].id not in old and (not pair[0].comes_or_goes or last[pair[0].id] == place)
    ]
    return [entry for entry, _ in left], [target for _, target in left]


def _leading(entry: Entry, before: bytes | None, after: bytes | None) -> Entry | None:
    """The entry between two replayed states, if the later one is what the journal has the hash of."""
    if entry.before is None or before is None or after is None or digest(after) != entry.after_hash:
        return None
    return Entry.of(before, after, partial=entry.partial)


def lower(segment: Segment, target: int, targets: Sequence[Entry | None]) -> Segment:
    """The segment once its documents are at the target level."""
    if target == 0:
        return replace(segment, level=0)
    kept: list[Entry] = []
    plain: list[bytes] = []
    for entry, leading in zip(segment.entries, targets, strict=True):
        if leading is None or leading.before is None or entry.before is None:
            kept.append(entry)
        elif leading.before != entry.before:
            kept.append(Entry.of(entry.before, leading.before, partial=entry.partial))
        else:
            plain.append(entry.id)
    return replace(segment, level=target, entries=tuple(kept), unchanged=(*segment.unchanged, *plain))


class Attribution:
    """Finds the version to name for a document in conflict.

    `chains`: one for each step of the pass, which are called again on the before-image; only the last `taken` of them
    are taken back. Where there are none, or they do not come out as they did, it is `highest`.
    """

    def __init__(self, highest: str, chains: Sequence[Chain] = (), taken: int = 0) -> None:
        self._highest = highest
        self._chains = tuple(chains)
        self._taken = taken

    def version(self, reader: Reader, entry: Entry, fields: Collection[str]) -> str:
        """The version of the last step that changed any of these fields."""
        if not self._chains or entry.before is None:
            return self._highest
        try:
            return self._last_to_change(reader, entry, frozenset(fields))
        except MigrationFailed:
            return self._highest

    def _last_to_change(self, reader: Reader, entry: Entry, fields: frozenset[str]) -> str:
        found, document = self._highest, entry.before or raw_bson.NOTHING
        for left, chain in zip(range(len(self._chains), 0, -1), self._chains, strict=True):
            changed = chain.run(reader, [document]).changed
            after = (changed[0].after if changed else None) or document
            if left <= self._taken and not fields.isdisjoint(changed_fields(document, after)):
                found = chain.steps[0].version
            document = after
        return found if digest(document) == entry.after_hash else self._highest
