"""Which changes of a version's state there are; every other one is refused."""

from __future__ import annotations

from itertools import product

import pytest

from goaime_migrate.errors import DamagedRecord
from goaime_migrate.ledger import VersionRecord
from goaime_migrate.results import State
from goaime_migrate.run.states import ARROWS, require_arrow, with_state

BECOMES = {
    State.PENDING: {State.RUNNING},
    State.RUNNING: {
        State.RUNNING,
        State.APPLIED,
        State.PARTIAL,
        State.FAILED,
        State.PENDING,
        State.REVERTING,
    },
    State.PARTIAL: {State.RUNNING, State.REVERTING},
    State.FAILED: {State.RUNNING, State.REVERTING},
    State.APPLIED: {State.REVERTING},
    State.REVERTING: {State.REVERTING, State.PENDING},
}


@pytest.mark.parametrize(("before", "after"), list(product(State, State)))
def test_a_state_becomes_only_what_it_may(before: State, after: State) -> None:
    if after in BECOMES[before]:
        require_arrow("0001", before, after)
        return
    with pytest.raises(DamagedRecord) as caught:
        require_arrow("0001", before, after)
    assert caught.value.version == "0001"
    assert f"'0001' of the versions says {before}, and nothing that is {before} becomes {after}" in str(
        caught.value
    )


def test_every_change_says_when_it_happens() -> None:
    assert all(ARROWS.values())


def test_a_record_changes_its_state_and_nothing_else() -> None:
    record = VersionRecord("0001", "grow", "", State.APPLIED, "same", (), duration_s=1.5)
    reverting = with_state(record, State.REVERTING)
    assert reverting == VersionRecord("0001", "grow", "", State.REVERTING, "same", (), duration_s=1.5)
    with pytest.raises(DamagedRecord):
        with_state(record, State.PARTIAL)
