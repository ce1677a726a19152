"""Documents in an old shape, brought forward in one unit of work: what is journaled, and what is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from goaime_migrate.backends.ports import Changes, Reader, RecordChange, Write
from goaime_migrate.journal import segments
from goaime_migrate.journal.entry import Entry
from goaime_migrate.journal.kinds import Kind
from goaime_migrate.journal.segments import Segment
from goaime_migrate.ledger import PassRecord
from goaime_migrate.run.checkpoint import Result, Try, Unit
from goaime_migrate.run.effects import AppliedChain, Effect
from goaime_migrate.run.partitions import Partition, Range
from goaime_migrate.sweep.deciding import Decided, Decider


@dataclass(frozen=True)
class Swept:
    """What a portion has come to, and where the partitions of the passes below the last are then."""

    decided: Decided
    partitions: Mapping[str, Partition]


@dataclass(frozen=True)
class Portion:
    """The next documents of a collection. Each pass of its chain journals in a partition of its own.

    A document goes forward through all of them in one write. Each pass keeps of it what it was before that pass: so its
    `down` gives that back, and those below it find what they have made.
    """

    chain: AppliedChain
    decider: Decider
    below: Mapping[str, Partition]
    """The partitions of all passes but the last, whose own guards the unit of work."""

    def plan(self, reader: Reader, at: Partition, ids: Sequence[bytes], _: Try) -> Unit[Range, Swept]:
        """Read the documents, transform them, and say what to change."""
        self.chain.rollback()
        found = self.decider.decide(reader, reader.by_ids(self.chain.applied.collection, ids))
        records: list[RecordChange] = self.chain.frozen() if found.due else []
        moved: dict[str, Partition] = {}
        for record, numbers in _passes(self.chain):
            before = at if record.id == at.pass_id else self.below[record.id]
            moved[record.id] = _journal(reader, before, record, _said(found.due, numbers), records)
        following = moved.pop(at.pass_id)
        if following is at:
            following = at.next(at.position)
        changes = Changes(
            first=records,
            collection=self.chain.applied.collection,
            writes=[Write(effect.id, effect.before, effect.after) for effect in found.due],
            last=[self.below[name].move(to) for name, to in moved.items() if to is not self.below[name]],
        )
        return Unit(changes, Result(following, Swept(found, moved), len(ids), ids[0]))


@dataclass
class _Said:
    """What a pass has to say of documents: those that it changes, and those below it have."""

    entries: dict[bytes, Entry]
    marks: list[bytes]


def _passes(chain: AppliedChain) -> list[tuple[PassRecord, list[int]]]:
    """The passes of a chain, each with the numbers of its links."""
    found: dict[str, tuple[PassRecord, list[int]]] = {}
    for number, link in enumerate(chain.links):
        assert link.record is not None
        found.setdefault(link.record.id, (link.record, []))[1].append(number)
    return list(found.values())


def _said(effects: Sequence[Effect], numbers: Sequence[int]) -> _Said:
    """For a pass, of documents that change. What it leaves alone, and a pass below it does not, it marks.

    Else it would take back, from what it had done with such a document before, what the sweep has not found.
    """
    said = _Said({}, [])
    for effect in effects:
        mine = [effect.changed[n] for n in numbers if n in effect.changed]
        if mine:
            before, after = mine[0].before, mine[-1].after
            assert before is not None
            assert after is not None
            said.entries[effect.id] = Entry.of(before, after)
        elif min(effect.changed) < numbers[0]:
            said.marks.append(effect.id)
    return said


def _journal(
    reader: Reader, at: Partition, record: PassRecord, said: _Said, records: list[RecordChange]
) -> Partition:
    """Add what stores it to the records; where the partition of the pass is then.

    What a unit of work that was cut off has journaled under the same number stays: its documents may be written.
    """
    segment = Segment(record.id, Kind.SWEEP, 0, at.seq + 1, level=record.level)
    earlier = segments.read(reader, segment.key)
    again = {*said.entries, *said.marks}
    kept = [] if earlier is None else [entry for entry in earlier.entries if entry.id not in again]
    marked = [] if earlier is None else [identity for identity in earlier.unchanged if identity not in again]
    whole = replace(segment, entries=(*kept, *said.entries.values()), unchanged=(*marked, *said.marks))
    if not (whole.entries or whole.unchanged):
        return at
    puts = whole.puts()
    records += puts
    return at.next(at.position.with_segment(len(whole.entries), puts))
