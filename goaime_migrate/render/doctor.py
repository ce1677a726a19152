"""`doctor` as text: a line for each check, and what to do under those that need it."""

from __future__ import annotations

from collections.abc import Sequence

from goaime_migrate.render.style import GLUE, Style, advice, bullet, clean
from goaime_migrate.render.words import count
from goaime_migrate.results import Check, CheckStatus, DoctorResult

_COLORS = {
    CheckStatus.OK: "green",
    CheckStatus.WARNING: "yellow",
    CheckStatus.ERROR: "red",
    CheckStatus.UNKNOWN: "dim",
}
_WORDS = {
    CheckStatus.OK: ("ok", "ok"),
    CheckStatus.WARNING: ("warning", "warnings"),
    CheckStatus.ERROR: ("error", "errors"),
    CheckStatus.UNKNOWN: ("unknown", "unknown"),
}
_MARK = max(map(len, CheckStatus))


def doctor(result: DoctorResult, style: Style) -> str:
    """Every check in its order, then how many came out how."""
    width = max((len(check.name) for check in result.checks), default=0)
    lines = [line for check in result.checks for line in _check(check, width, style)]
    counted = {status: sum(check.status is status for check in result.checks) for status in CheckStatus}
    summary = ", ".join(count(number, *_WORDS[status]) for status, number in counted.items() if number)
    return "\n".join([*lines, style.paint(summary, "bold")])


def evidence(failed: Sequence[Check]) -> str:
    """Checks that have failed in one line, for one of several databases."""
    told = [
        f"{check.name}: {check.message}" + (f"; do: {check.remedy}" if check.remedy else "")
        for check in failed
    ]
    return "; ".join(map(clean, told))


def _check(check: Check, width: int, style: Style) -> list[str]:
    """The status and the name in columns of their own, the texts wrapped beside them."""
    status = check.status.value.ljust(_MARK)
    indent = _MARK + width + 4
    lead = f"{status}  {clean(check.name).ljust(width)}  ".replace(" ", GLUE).rstrip(GLUE)
    lines = bullet("", check.message, style, indent=indent)
    lines[0] = f"{lead.ljust(indent, GLUE)}{lines[0].lstrip()}"
    if check.remedy:
        lines += advice("do:", check.remedy, style, indent)
    head = style.paint(status, _COLORS[check.status])
    text = "\n".join(lines).replace(GLUE, " ")
    return [head + text.removeprefix(status)]
