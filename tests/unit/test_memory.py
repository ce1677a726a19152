"""Memory that a batch has freed stays with the process."""

from __future__ import annotations

import subprocess
import sys
import weakref
from typing import Any, cast

import pytest

from goaime_migrate.backends.ports import Changes
from goaime_migrate.memory import keep_freed
from goaime_migrate.run.brake import Options
from goaime_migrate.run.run import Run

BATCHES = """
import resource
from goaime_migrate.memory import keep_freed

{first}

def batch():
    return [bytes(5_000) for _ in range(3_000)]

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

batch(), batch()
before = faults()
for _ in range(10):
    batch()
print(faults() - before)
"""


def faults(first: str) -> int:
    """How many pages a process has had to be given for ten batches, after the first."""
    command = [sys.executable, "-c", BATCHES.format(first=first)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def test_a_batch_is_given_the_memory_of_the_one_before() -> None:
    if not keep_freed():
        pytest.skip("the C library of this machine is not glibc")

    assert faults("keep_freed()") < faults("") / 10


class Batch:
    """Documents that are held in a circle, as by an exception and the frame that has caught it."""

    def __init__(self) -> None:
        self.itself = self


def test_a_batch_that_is_tried_again_does_not_keep_the_last_one() -> None:
    batches: list[weakref.ref[Batch]] = []

    def work(_: Any) -> Changes:
        assert all(batch() is None for batch in batches)
        batches.append(weakref.ref(Batch()))
        return Changes()

    class Backend:
        def transact(self, work: Any) -> None:
            for _ in range(3):
                work(None)

    class Lease:
        def check(self) -> None:
            pass

        def waits(self, reason: str | None) -> None:
            pass

    runner = Run(cast(Any, Backend()), cast(Any, Lease()), lambda _: None, Options(), lambda: None)
    runner.transact(work)

    assert len(batches) == 3
