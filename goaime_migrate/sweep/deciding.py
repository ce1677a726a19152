"""What becomes of each document that the applied transforms would change: it is brought forward, or left. Reads only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import Reader
from goaime_migrate.errors import MigrateError, ResultBreaksPromise
from goaime_migrate.journal import reconcile, segments
from goaime_migrate.journal.entry import Entry
from goaime_migrate.journal.index import Locator, swept
from goaime_migrate.journal.reconcile import Forward
from goaime_migrate.ledger import PassRecord
from goaime_migrate.run.applied import Link
from goaime_migrate.run.effects import AppliedChain, Effect
from goaime_migrate.verify.promises import Auditor


@dataclass
class Decided:
    """What is to be done about some documents, and why the others are left."""

    due: list[Effect] = field(default_factory=list)
    conflicts: dict[bytes, str] = field(default_factory=dict)
    """Documents of which it cannot be told whether they are old, each with the version that would change them."""
    failures: dict[bytes, MigrateError] = field(default_factory=dict)
    """Documents that cannot be brought forward."""

    def changed(self, links: Sequence[Link]) -> Counter[str]:
        """How many documents each version changes."""
        return Counter(version for effect in self.due for version in effect.versions(links))


class Decider:
    """Decides for the documents of one collection."""

    def __init__(
        self, reader: Reader, chain: AppliedChain, superseded: frozenset[str], now: datetime
    ) -> None:
        self._chain = chain
        self._now = now
        self._promising = [
            [s for s in link.steps if (s.model or s.check) and s.version not in superseded]
            for link in chain.links
        ]
        self._journals = {
            number: Locator(reader, record.id)
            for number, record in enumerate(link.record for link in chain.links)
            if record is not None and record.settled is False
        }
        """Of the links that may change their own results: what they have done to a document has to be known."""

    def decide(self, reader: Reader, documents: Iterable[bytes]) -> Decided:
        """What becomes of these documents."""
        effects = self._chain.effects(reader, documents)
        found = Decided(failures={e.id: e.failure for e in effects if e.failure is not None})
        old = [effect for effect in effects if effect.is_old]
        lost = [effect for effect in old if effect.forgotten]
        for effect in (*lost, *self._chain.find_unsettled(reader, old)):
            found.conflicts[effect.id] = effect.versions(self._chain.links)[0]
        for number in self._journals:
            for effect in self._doubtful(reader, number, old):
                found.conflicts.setdefault(effect.id, self._chain.links[number].versions[-1])
        rest = [effect for effect in old if effect.id not in found.conflicts]
        found.failures |= self._find_broken(reader, rest)
        found.due = [effect for effect in rest if effect.id not in found.failures]
        return found

    def _doubtful(self, reader: Reader, number: int, effects: Sequence[Effect]) -> list[Effect]:
        """Those that a link, which may change its own results, would change and may have changed before."""
        mine = [e for e in effects if number in e.changed]
        asked = [e for e in mine if self._chain.repeats(reader, number, e.changed[number].after or e.after)]
        record = self._chain.links[number].record
        if not asked or record is None:
            return []
        entries = self._entries(reader, record, number, [effect.id for effect in asked])
        return [e for e in asked if _verdict(e, number, entries) is not Forward.TRANSFORM]

    def _entries(
        self, reader: Reader, record: PassRecord, number: int, ids: Sequence[bytes]
    ) -> Mapping[bytes, Entry]:
        """The newest of each of these documents in the journal of a link."""
        scanned = self._journals[number].scanned(ids).entries
        forward = swept(reader, record.id, ids)
        older = {identity: entry for identity, entry in scanned.items() if identity not in forward}
        return {**older, **segments.entries_of(reader, record.id, ids)}

    def _find_broken(self, reader: Reader, effects: Sequence[Effect]) -> dict[bytes, MigrateError]:
        """Those whose outcome would not keep what the versions promise that changed, or left, them."""
        found: dict[bytes, MigrateError] = {}
        for number, steps in enumerate(self._promising):
            mine = [effect for effect in effects if number in effect.matched] if steps else []
            if not mine:
                continue
            auditor = Auditor(steps, [self._chain.links[number].record] * len(steps), self._now)
            auditor.batch(reader, [effect.after for effect in mine])
            for failure in auditor.failures:
                identity = raw_bson.encode({"_id": failure.id})
                found.setdefault(
                    identity,
                    ResultBreaksPromise(
                        f"the result breaks its promise: {failure.reason}",
                        version=failure.version,
                        id=failure.id,
                        field=failure.field,
                    ),
                )
        return found


def _verdict(effect: Effect, number: int, entries: Mapping[bytes, Entry]) -> Forward:
    before = effect.changed[number].before
    return reconcile.forward(before or effect.before, entries.get(effect.id), settled=False)
