"""Who does which partition, and when one that was refused is tried again."""

from __future__ import annotations

import pytest

from goaime_migrate.errors import DuplicateKey, TransformFailed
from goaime_migrate.run.work import PartitionQueue, Share


def test_partitions_are_given_out_in_order_and_only_the_first_is_in_turn() -> None:
    shares = PartitionQueue([0, 1, 2])

    assert [shares.next() for _ in range(4)] == [Share(0, True), Share(1, False), Share(2, False), None]
    assert not shares.finished


def test_it_is_finished_when_everything_is_done_in_whatever_order() -> None:
    shares = PartitionQueue([5, 3, 9])
    given = [shares.next() for _ in range(3)]

    for share in reversed(given):
        assert share is not None
        assert not shares.finished
        shares.done(share.number)

    assert shares.finished


def test_nothing_to_do_is_finished() -> None:
    assert PartitionQueue([]).finished
    assert PartitionQueue([]).next() is None


def test_a_duplicate_key_out_of_turn_is_put_off_until_everything_before_it_is_done() -> None:
    shares = PartitionQueue([2, 1, 0])
    first, second, third = (shares.next() for _ in range(3))
    assert first is not None
    assert second is not None
    assert third is not None

    assert not shares.refused(second, DuplicateKey("twice"))
    assert shares.next() is None
    shares.done(third.number)
    assert shares.next() is None
    shares.done(first.number)

    again = shares.next()
    assert again == Share(1, True)
    assert shares.refused(again, DuplicateKey("twice"))


def test_others_go_on_while_one_is_put_off() -> None:
    shares = PartitionQueue([0, 1, 2])
    shares.next()
    second = shares.next()
    assert second is not None

    shares.refused(second, DuplicateKey("twice"))

    assert shares.next() == Share(2, False)


@pytest.mark.parametrize("in_turn", [True, False])
def test_any_other_error_is_final(in_turn: bool) -> None:
    assert PartitionQueue([0, 1]).refused(Share(1, in_turn), TransformFailed("raised"))
