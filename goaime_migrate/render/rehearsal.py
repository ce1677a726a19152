"""`rehearse` as text: a line for each check, and the evidence for those that failed."""

from __future__ import annotations

from goaime_migrate.render.plan import prediction
from goaime_migrate.render.style import GLUE, Style, bullet, clean
from goaime_migrate.render.words import count
from goaime_migrate.results import RehearsalCheck, RehearsalResult

_OK, _FAILED = "ok", "failed"


def rehearsal(result: RehearsalResult, style: Style) -> str:
    """The checks in their order, what `up` would take, and that the database is as it was."""
    if not result.versions:
        return result.message or "nothing to rehearse"
    versions = count(len(result.versions), "version")
    lines = [
        f"{versions} rehearsed {clean(result.where)}, on {count(result.documents, 'document')}"
        if result.where
        else f"{versions} not rehearsed: `up` would be refused"
    ]
    for note in result.notes:
        lines += bullet("!", note, style)
    width = max((len(check.name) for check in result.checks), default=0)
    lines += [line for check in result.checks for line in _check(check, width, style)]
    lines += prediction(result.predicted, style)
    end = "the database was only read" + ("; the copy is gone" if result.where else "")
    return "\n".join([*lines, style.paint(end, "dim")])


def _check(check: RehearsalCheck, width: int, style: Style) -> list[str]:
    """How it came out and its name in columns of their own, the detail wrapped beside them."""
    status = (_OK if check.ok else _FAILED).ljust(len(_FAILED))
    lead = f"{status}  {clean(check.name).ljust(width)}  ".replace(" ", GLUE)
    lines = bullet("", check.detail, style, indent=len(lead))
    lines[0] = f"{lead}{lines[0].lstrip()}"
    head = style.paint(status, "green" if check.ok else "red")
    return [head + "\n".join(lines).replace(GLUE, " ").removeprefix(status)]
