"""Who does which partition, and when one that was refused is tried again."""

from __future__ import annotations

import pytest

from goaime_migrate.errors import DuplicateKey, TransformFailed
from goaime_migrate.run.work import PartitionQueue


def test_partitions_are_given_out_in_order_and_only_the_first_is_in_turn() -> None:
    queue = PartitionQueue([0, 1, 2])

    assert [queue.next() for _ in range(4)] == [0, 1, 2, None]
    assert [queue.refuse(number, DuplicateKey("twice")) for number in range(3)] == [True, False, False]
    assert not queue.finished


def test_it_is_finished_when_everything_is_done_in_whatever_order() -> None:
    queue = PartitionQueue([5, 3, 9])
    given = [queue.next() for _ in range(3)]

    for number in reversed(given):
        assert number is not None
        assert not queue.finished
        queue.done(number)

    assert queue.finished


def test_nothing_to_do_is_finished() -> None:
    assert PartitionQueue([]).finished
    assert PartitionQueue([]).next() is None


def test_a_duplicate_key_out_of_turn_is_put_off_until_everything_before_it_is_done() -> None:
    queue = PartitionQueue([2, 1, 0])
    first, second, third = (queue.next() for _ in range(3))
    assert first is not None
    assert second is not None
    assert third is not None

    assert not queue.refuse(second, DuplicateKey("twice"))
    assert queue.next() is None
    queue.done(third)
    assert queue.next() is None
    queue.done(first)

    again = queue.next()
    assert again == 1
    assert queue.refuse(again, DuplicateKey("twice"))


def test_others_go_on_while_one_is_put_off() -> None:
    queue = PartitionQueue([0, 1, 2])
    queue.next()
    second = queue.next()
    assert second is not None

    queue.refuse(second, DuplicateKey("twice"))

    assert queue.next() == 2


@pytest.mark.parametrize("in_turn", [True, False])
def test_any_other_error_is_final(in_turn: bool) -> None:
    queue = PartitionQueue([0, 1])
    given = [queue.next(), queue.next()]

    assert queue.refuse(given[0 if in_turn else 1] or 0, TransformFailed("raised"))
