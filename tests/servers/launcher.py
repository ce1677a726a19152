"""Become another program that dies with the process that asked for it: `launcher.py PARENT_PID COMMAND...`.

The kernel keeps the "parent death signal" across exec, so it is set here and not in a `preexec_fn`, which is
unsafe in a process that has threads (and every MongoClient has some). Standard library only; run with -I -S.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # from <linux/prctl.h>


def main(parent: int, command: list[str]) -> None:
    """Replace this process by `command`, unless `parent` is gone already."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("the process that wanted this server has ended")
    os.execv(command[0], command)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
