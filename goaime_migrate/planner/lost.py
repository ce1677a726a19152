"""Records that others still name, and that are gone: removed by hand, or not brought back by a restore with the others.

Nothing is guessed of what they said. A version whose record is gone is not pending, or it would be done a second time;
one whose pass is gone cannot be taken back, nor gone on with.
"""

from __future__ import annotations

from collections.abc import Iterable

from goaime_migrate.errors import DamagedRecord, JournalIncomplete
from goaime_migrate.errors.hint import DOWN, FROM_BACKUP, STATUS, Command, Hint
from goaime_migrate.planner.facts import Facts

_WITHOUT_BACKUP = Hint(
    "without one, where what they did is to stay for good: drop all of these collections, and say what is applied: {}",
    Command(("stamp", "VERSION")),
)


def lost_records(facts: Facts) -> Iterable[DamagedRecord]:
    """Versions that have run here, and have no record any more."""
    for version, left in facts.lost.items():
        yield DamagedRecord(
            f"{version} has run here, and its record is gone: {left}",
            version=version,
            hint=Hint("{}, then look again: {}; {}", FROM_BACKUP, STATUS, _WITHOUT_BACKUP),
        )


def lost_passes(facts: Facts) -> Iterable[JournalIncomplete]:
    """Recorded versions whose pass has no record any more; what was pruned needs none."""
    for version, record in facts.versions.items():
        named = dict.fromkeys(o.pass_id for o in record.operations if o.started and o.pass_id is not None)
        for pass_id in named if record.rollback is None else ():
            if pass_id not in facts.passes:
                yield lost_pass(version, pass_id)


def lost_pass(version: str, pass_id: str) -> JournalIncomplete:
    """A version cannot do without the record of a pass."""
    return JournalIncomplete(
        f"the record of the pass {pass_id} is gone, in which {version} was applied: nothing tells any more which "
        "documents it has changed",
        version=version,
        hint=Hint(
            "{}, then look again: {}; without one, go back no further than: {}",
            FROM_BACKUP,
            STATUS,
            DOWN.to(version),
        ),
    )
