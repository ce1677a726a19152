"""The command line: parse, one call of `Migrator`, render. A user of the library misses nothing."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status. `--version` imports next to nothing.

    Without `argv` it is the command line of this process, which ends after it.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] in (["--version"], ["-V"]):
        from goaime_migrate._version import __version__

        print(f"goaime-migrate {__version__}")
        return 0
    from goaime_migrate.cli import process

    if argv is None:
        process.begin()
    from goaime_migrate.cli.app import run

    status = run(arguments)
    if argv is None:
        process.end()
    return status
