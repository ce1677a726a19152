"""What taking back has found, counted; conflicts are named up to a number."""

from __future__ import annotations

import pytest

from goaime_migrate.down import decisions
from goaime_migrate.down.decisions import Outcome
from goaime_migrate.results import Conflict, Counts


def conflict(identity: int) -> Conflict:
    return Conflict("0001", "c", identity, ("n",))


def test_all_conflicts_are_counted_and_the_first_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decisions, "_LISTED", 5)
    total = Outcome()
    for start in (0, 3, 6):
        total.add(Outcome(exact=2, merged=1, conflicts=[conflict(start + i) for i in range(3)]))
    assert [each.id for each in total.conflicts] == [0, 1, 2, 3, 4]
    assert (total.more_conflicts, total.in_conflict) == (4, 9)
    assert total.counts() == Counts(18, 9, 0, 9)
    whole = Outcome(already=1)
    whole.add(total)
    assert (len(whole.conflicts), whole.more_conflicts) == (5, 4)
