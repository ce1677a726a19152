"""What was derived before, held against what is derived now: which documents are replaced, and which are removed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from goaime_migrate.backends.ports import Reader, Write
from goaime_migrate.journal import claims
from goaime_migrate.journal.claims import Claims
from goaime_migrate.journal.digest import digest
from goaime_migrate.journal.entry import Entry
from goaime_migrate.journal.segments import Segment
from goaime_migrate.transform.derivation import DeriveStep, Made
from goaime_migrate.up.arrivals import taken_error
from goaime_migrate.up.others import Others
from goaime_migrate.up.presence import present


@dataclass
class Products:
    """What becomes of the documents that some sources make, or made."""

    writes: list[Write] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    conflicts: list[tuple[bytes, tuple[str, ...]]] = field(default_factory=list)


@dataclass
class Comparison:
    """Decides for one document after the other."""

    step: DeriveStep
    known: Claims
    others: Others
    found: Products = field(default_factory=Products)

    def decide(
        self, identity: bytes, group: Sequence[Made], current: bytes | None, entry: Entry | None
    ) -> None:
        """What becomes of a document that these sources make; `entry` is the newest that the pass has of it."""
        if not group:
            self._gone(identity, current, entry)
        elif any(each.document != group[0].document for each in group):
            self._disagree(group)
        elif entry is None or entry.after_hash is None:
            self._fresh(group, current)
        else:
            self._again(group, current, entry)

    def _gone(self, identity: bytes, current: bytes | None, entry: Entry | None) -> None:
        """None of the sources at hand makes it any more."""
        if entry is None or entry.after_hash is None or current is None or any(self.others.make(identity)):
            return
        if digest(current) != entry.after_hash:
            self._conflict(identity)
            return
        self.found.writes.append(Write(identity, current, None))
        self.found.entries.append(Entry.insertion(identity, None, entry.source))

    def _disagree(self, group: Sequence[Made]) -> None:
        """Two sources make it, and not alike: perhaps the application has only come to one of them yet."""
        other = next(each for each in group if each.document != group[0].document)
        if other.source == group[0].source:
            raise taken_error(self.step, other, Entry.insertion(other.id, None, other.source))
        self._conflict(other.id)

    def _fresh(self, group: Sequence[Made], current: bytes | None) -> None:
        """The pass has not written it, or has removed it again."""
        if current is None:
            self._put(group, None)
        elif current != group[0].document:
            raise taken_error(self.step, group[0], None)

    def _again(self, group: Sequence[Made], current: bytes | None, entry: Entry) -> None:
        """The pass has written it."""
        identity, document = group[0].id, group[0].document
        if entry.after_hash == digest(document):
            self._note(each for each in group if identity not in self.known.of(each.source))
        elif current == document:
            self._note(group)
        elif current is None or digest(current) != entry.after_hash or self.others.differ(group[0]):
            self._conflict(identity)
        else:
            self._put(group, current)

    def _put(self, group: Sequence[Made], current: bytes | None) -> None:
        self.found.writes.append(Write(group[0].id, current, group[0].document))
        self._note(group)

    def _note(self, group: Iterable[Made]) -> None:
        """Let the journal know who makes it."""
        sources = {each.source: each for each in group}
        self.found.entries += [Entry.insertion(m.id, m.document, source) for source, m in sources.items()]

    def _conflict(self, identity: bytes) -> None:
        self.found.conflicts.append((identity, ()))


def compare(
    comparison: Comparison, reader: Reader, segment: Segment, sources: Sequence[bytes], made: Iterable[Made]
) -> Products:
    """What becomes of all documents that these sources make, or have made. `segment`: where that will be journaled."""
    groups: defaultdict[bytes, list[Made]] = defaultdict(list)
    for each in made:
        groups[each.id].append(each)
    before = (identity for source in sources for identity in comparison.known.of(source))
    ids = list(dict.fromkeys((*groups, *before)))
    there = present(reader, comparison.step.writes, ids)
    ours = claims.latest(reader, segment.pass_id, ids, until=segment.key)
    for identity in ids:
        comparison.decide(identity, groups.get(identity, ()), there.get(identity), ours.get(identity))
    return comparison.found
