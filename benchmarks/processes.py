"""How much memory and time of processors processes take, with all that they start."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_LOOK_S = 0.05
_PROC = Path("/proc")
TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_TIMES = slice(11, 15)
"""Where a process's `stat`, behind its name, has its own time and that of its children that have ended."""


@dataclass(frozen=True)
class Ended:
    """How a command went."""

    code: int
    out: str
    err: str
    seconds: float
    peak_mib: float
    processes: int


def run(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> Ended:
    """Run a command to its end; its peak is the sum of the peaks of its processes."""
    begun = time.monotonic()
    with subprocess.Popen(
        command, env=environment, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        watch = _Watch(process.pid)
        watch.start()
        out, err = process.communicate()
        seconds = time.monotonic() - begun
        watch.ended.set()
        watch.join()
    return Ended(process.returncode, out, err, seconds, sum(watch.peaks.values()) / 1024, len(watch.peaks))


class _Watch(threading.Thread):
    """Looks at a process and its descendants; the kernel itself remembers each one's highest."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self.ended = threading.Event()
        self.peaks: dict[int, int] = {}
        """KiB by process id."""

    def run(self) -> None:
        while not self.ended.wait(_LOOK_S):
            for pid in _family(self._pid):
                with suppress(OSError, StopIteration):
                    self.peaks[pid] = max(self.peaks.get(pid, 0), _highest(pid))


def cpu_seconds(root: int) -> float:
    """What a process and all that it has started have had of the processors so far, in steps of `TICK_S`."""
    ticks = 0
    for pid in _family(root):
        with suppress(OSError):
            fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
            ticks += sum(map(int, fields[_TIMES]))
    return ticks * TICK_S


def _family(pid: int) -> list[int]:
    found = [pid]
    for each in found:
        with suppress(OSError):
            for thread in (_PROC / str(each) / "task").iterdir():
                found += map(int, (thread / "children").read_text().split())
    return found


def _highest(pid: int) -> int:
    lines = (_PROC / str(pid) / "status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])
