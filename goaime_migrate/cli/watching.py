"""`status --watch`: the status again and again, for as long as a run is at work."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from goaime_migrate.cli.ending import show_value
from goaime_migrate.cli.invocation import Invocation
from goaime_migrate.render import status as status_text

if TYPE_CHECKING:
    from goaime_migrate.results import StatusResult

WATCH_EVERY_S = 2.0


def watch(run: Invocation, look: Callable[[], StatusResult]) -> StatusResult:
    """Show the status until the run has ended; how it stands then, which is not shown yet.

    On a terminal each takes the place of the one before, and with --json each is a line.
    """
    above = ""
    while (result := look()).lock is not None and result.lock.live:
        if run.common.json:
            show_value(run.console, result)
        else:
            shown = _fitting(status_text.status(result, run.console.out, then=""), run.console.redraws) + "\n"
            run.console.result(above + shown)
            above = f"\x1b[{shown.count(chr(10)) + 1}A\r\x1b[J" if run.console.redraws else ""
        time.sleep(WATCH_EVERY_S)
    run.console.result(above, end="")
    return result


def _fitting(text: str, screen: bool) -> str:
    """What fits on a screen, where it is one that is drawn anew: the last of it, where the run is told of."""
    if not screen:
        return text
    import shutil

    lines = text.split("\n")
    return "\n".join(lines[-(shutil.get_terminal_size((80, 24)).lines - 2) :])
