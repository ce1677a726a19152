"""What a contributor types, as far as it can be tried without making an environment."""

from __future__ import annotations

import signal
import subprocess
import sys

from tests.world import REPOSITORY

PASSING_ON = """
import runpy, sys
sys.exit(runpy.run_path("dev")["run"](sys.executable, "-c", sys.argv[1]))
"""
ENDING_IN_ORDER = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped in order"))
print("ready", flush=True)
time.sleep(60)
"""


def test_a_program_is_told_that_its_wrapper_is_to_end() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PASSING_ON, ENDING_IN_ORDER],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as wrapper:
        assert wrapper.stdout is not None
        assert wrapper.stdout.readline() == "ready\n"
        wrapper.send_signal(signal.SIGTERM)
        out, err = wrapper.communicate(timeout=60)
    assert (wrapper.returncode, out, err) == (1, "", "stopped in order\n")


def test_a_program_that_a_signal_ends_has_the_exit_status_of_a_shell() -> None:
    dies = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    done = subprocess.run([sys.executable, "-c", PASSING_ON, dies], cwd=REPOSITORY, check=False)
    assert done.returncode == 128 + signal.SIGKILL
