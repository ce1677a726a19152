"""Memory that a batch has freed stays with the process."""

from __future__ import annotations

import subprocess
import sys

import pytest

from goaime_migrate.engine.memory import keep_freed

BATCHES = """
import resource
from goaime_migrate.engine.memory import keep_freed

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
