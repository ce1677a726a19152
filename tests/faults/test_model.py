"""The protocol is safe in every world that can be reached; each of its parts is needed."""

from __future__ import annotations

import pytest

from tests.faults.model import Batch, Fence, Protocol, World, explore

MUTANTS = {
    "no fence": Protocol(fence=Fence.NONE),
    "a fence that is only read": Protocol(fence=Fence.READ),
    "the optimistic guard alone": Protocol(fence=Fence.NONE, batch=Batch.GUARD),
    "the guard and a look at the journal": Protocol(fence=Fence.NONE, batch=Batch.GUARD_AND_JOURNAL),
    "the cursor before the write": Protocol(batch=Batch.CURSOR_FIRST),
    "the journal outside the transaction": Protocol(batch=Batch.JOURNAL_APART),
}


def test_the_protocol_is_safe_in_every_world() -> None:
    explored = explore(Protocol(), World())

    assert explored.unsafe is None
    assert explored.phases == {"pending", "up", "applied", "down"}
    assert explored.worlds > 10_000


@pytest.mark.parametrize("protocol", MUTANTS.values(), ids=MUTANTS)
def test_without_one_of_its_parts_it_is_unsafe(protocol: Protocol) -> None:
    explored = explore(protocol, World(increments=0, replacements=0, lost_replies=0))

    assert explored.unsafe is not None
    print(explored.unsafe.why, *explored.unsafe.steps, sep="\n  ")


def test_a_lost_reply_alone_makes_a_document_change_twice_where_nothing_is_conditional() -> None:
    explored = explore(Protocol(fence=Fence.NONE), World(crashes=0, increments=0, replacements=0))

    assert explored.unsafe is not None
    assert explored.unsafe.why == "a document was transformed twice"
