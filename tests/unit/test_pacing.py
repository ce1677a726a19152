"""How large the next batch is."""

from __future__ import annotations

from goaime_migrate.run import pacing
from goaime_migrate.run.pacing import AIM_S, FEWEST, FIRST, LARGEST, Pacing


def test_the_first_batch_is_a_small_one_and_the_next_grow_to_the_largest() -> None:
    pace = Pacing()
    assert pace.size == FIRST
    for _ in range(5):
        pace.took(AIM_S / 100, pace.size)
    assert pace.size == LARGEST
    assert Pacing(50).size == 50


def test_a_batch_that_took_too_long_is_followed_by_a_smaller_one_but_not_a_tiny_one() -> None:
    pace = Pacing()
    sizes = []
    for _ in range(20):
        pace.took(AIM_S * 10, pace.size)
        sizes.append(pace.size)
    assert sizes[:2] == [FIRST // 2, FIRST // 4]
    assert sizes[-1] == FEWEST


def test_batches_grow_back_to_the_limit() -> None:
    pace = Pacing(100)
    assert pace.collided()
    assert pace.size == 50
    for _ in range(5):
        pace.took(AIM_S / 100, pace.size)
    assert pace.size == 100


def test_a_batch_that_was_not_full_says_nothing_about_the_next() -> None:
    pace = Pacing()
    pace.took(AIM_S * 10, pace.size - 1)
    assert pace.size == FIRST


def test_collisions_halve_down_to_one_document_and_end_after_many_tries_of_it() -> None:
    pace = Pacing(8)
    sizes = []
    while pace.collided():
        sizes.append(pace.size)
    assert sizes[:4] == [4, 2, 1, 1]
    assert sizes.count(1) == pacing.PATIENCE


def test_a_committed_batch_restores_patience() -> None:
    pace = Pacing(1)
    for _ in range(pacing.PATIENCE - 1):
        assert pace.collided()
    pace.took(0.01, 1)
    assert pace.collided()


def test_a_batch_that_a_rate_kept_small_tells_as_much_as_a_full_one() -> None:
    pace = Pacing(first=LARGEST)
    pace.took(AIM_S * 10, 50, most=50)
    assert pace.size == LARGEST // 2
    pace.took(AIM_S * 10, 49, most=50)
    assert pace.size == LARGEST // 2
