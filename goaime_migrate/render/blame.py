"""`blame` as text."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from goaime_migrate.render import diff
from goaime_migrate.render.json import extended_json
from goaime_migrate.render.style import Style, bullet, clean
from goaime_migrate.render.values import value
from goaime_migrate.render.words import second
from goaime_migrate.results import ABSENT, ChangeKind

if TYPE_CHECKING:
    from goaime_migrate.results import AsOfResult, BlamedChange, BlameResult

_LINES = 30
_WORDS = {
    ChangeKind.UP: "",
    ChangeKind.CANARY: "as a canary",
    ChangeKind.TAIL: "after others had written it meanwhile",
    ChangeKind.SWEEP: "by sweep",
    ChangeKind.DOWN: "on the way down",
}


def blame(result: BlameResult, style: Style) -> str:
    """Every change with its fields, the oldest first."""
    lines = [style.paint(f"{clean(result.collection)} {value(result.id, style)}", "bold")]
    for change in result.changes:
        lines += _change(change, style)
    if not result.changes:
        lines.append("no version that is applied has changed it")
    for note in result.notes:
        lines += bullet("note:", note, style, indent=0)
    return "\n".join(lines)


def _change(change: BlamedChange, style: Style) -> list[str]:
    at = f"{second(change.at)} UTC" if change.at else "at an unknown time"
    who = f"by {clean(change.who)}" if change.who else ""
    note = "" if change.note is ABSENT else f"({change.note})"
    heading = " ".join(filter(None, (change.version, at, who, _WORDS[change.kind], note)))
    lines = [style.paint(line, "cyan") for line in bullet("", heading, style, indent=0, under=2)]
    known = [each for each in change.fields if each.note is ABSENT]
    before = {each.field: each.before for each in known if each.before is not ABSENT}
    after = {each.field: each.after for each in known if each.after is not ABSENT}
    if known:
        limit = 10_000 if style.verbose else _LINES
        lines += diff.lines(before, after, style, limit, indent=2)
    for each in change.fields:
        if each.note is not ABSENT:
            was = "absent" if each.before is ABSENT else value(each.before, style)
            lines += bullet(
                "?", f"{clean(each.field)}: was {was}; what was written is not known: {each.note}", style
            )
    return lines


def as_of(result: AsOfResult) -> str:
    """The document as canonical Extended JSON, null where there was none."""
    return json.dumps(extended_json(result.document), indent=2, ensure_ascii=False)
