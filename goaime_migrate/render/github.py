"""`plan` and `lint` as commands to a runner of GitHub Actions, which shows them beside the lines of the files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from goaime_migrate.render.findings import place, summary
from goaime_migrate.render.style import clean

if TYPE_CHECKING:
    from goaime_migrate.results import Finding

MOST = 10
"""Annotations that a step may have of each kind; more are dropped without a word."""
_LEVELS = {"error": "error", "warning": "warning", "note": "notice"}


def commands(found: Sequence[Finding]) -> str:
    """At most ten lines, the worst first; where there are more the last one says so."""
    lines = [_of(finding) for finding in found]
    if len(lines) > MOST:
        rest = len(lines) - MOST + 1
        more = _line("notice", {"title": "more findings"}, f"{rest} more are in the step summary")
        lines = [*lines[: MOST - 1], more]
    return "\n".join(lines) or _line("notice", {"title": "migrations"}, summary(found))


def _of(finding: Finding) -> str:
    properties = {"title": f"{finding.rule}: {clean(place(finding))}" if not finding.file else finding.rule}
    if finding.file:
        properties |= {"file": finding.file, "line": str(finding.line or 1)}
    return _line(_LEVELS[finding.severity], properties, _text(finding))


def _text(finding: Finding) -> str:
    """What is said and what to do, each in a line: names of collections may hold anything."""
    return f"{clean(finding.message)}\ndo: {clean(finding.remedy)}"


def _line(level: str, properties: dict[str, str], message: str) -> str:
    given = ",".join(f"{name}={_property(text)}" for name, text in properties.items())
    return f"::{level} {given}::{_data(message)}"


def _data(text: str) -> str:
    """As a runner reads the end of a command: in one line."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    """The same for what stands before the second colons."""
    return _data(text).replace(":", "%3A").replace(",", "%2C")
