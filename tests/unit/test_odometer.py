from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from goaime_migrate.events import BatchCommitted, Notice, StageStarted
from goaime_migrate.results import PaceMark
from goaime_migrate.run.odometer import MOST, Odometer


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def started(*versions: str, done: int = 0) -> StageStarted:
    return StageStarted("up", versions, "c", None, done)


def committed(done: int, *versions: str) -> BatchCommitted:
    return BatchCommitted(versions, done, None)


def test_the_versions_of_a_pass_share_its_marks() -> None:
    clock = Clock()
    odometer = Odometer(clock)
    odometer.hear(started("0001", "0002"))
    clock.now += 1.5
    odometer.hear(committed(500, "0001", "0002"))
    assert odometer.pace("0001") == odometer.pace("0002") == (PaceMark(0.0, 0), PaceMark(1.5, 500))


def test_a_second_stage_goes_on_where_the_first_has_ended() -> None:
    clock = Clock()
    odometer = Odometer(clock)
    for _ in range(2):
        odometer.hear(started("0001"))
        clock.now += 1
        odometer.hear(committed(10, "0001"))
    assert [mark.done for mark in odometer.pace("0001")] == [0, 10, 10, 20]


def test_what_an_earlier_run_has_done_is_not_counted() -> None:
    odometer = Odometer(Clock())
    odometer.hear(started("0001", done=1_000))
    odometer.hear(committed(1_200, "0001"))
    assert odometer.pace("0001")[-1].done == 200


def test_an_operation_without_documents_has_no_pace() -> None:
    odometer = Odometer()
    odometer.hear(started("0001"))
    odometer.hear(Notice("a pause"))
    assert odometer.pace("0001") == odometer.pace("0002") == ()


@given(st.lists(st.tuples(st.floats(0, 1_000), st.integers(0, 2_000)), min_size=1, max_size=400))
def test_however_long_it_takes_there_are_few_marks_and_they_ascend(
    batches: list[tuple[float, int]],
) -> None:
    clock, done = Clock(), 0
    odometer = Odometer(clock)
    odometer.hear(started("0001"))
    for took, documents in batches:
        clock.now += took
        done += documents
        odometer.hear(committed(done, "0001"))
    marks = odometer.pace("0001")
    assert len(marks) <= MOST
    assert marks == tuple(sorted(marks, key=lambda mark: (mark.at, mark.done)))
    if done:
        assert marks[0] == PaceMark(0.0, 0)
        assert marks[-1].done == done
