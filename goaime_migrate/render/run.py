"""The results of `up` and `down` as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from goaime_migrate.render.style import Style, bullet
from goaime_migrate.render.values import key, value
from goaime_migrate.render.warned import warnings
from goaime_migrate.render.words import count, documents, no_reverse, number, versions
from goaime_migrate.results import Direction
from goaime_migrate.units import duration

if TYPE_CHECKING:
    from goaime_migrate.results import RunResult

CONFLICTS = 10


def run(result: RunResult, style: Style) -> str:
    """What was done; where it stopped is told on stderr."""
    lines = [*warnings(result.warnings, style), *_conflicts(result, style)]
    for text in _newcomers(result):
        lines += bullet("note:", text, style)
    if result.message:
        lines += bullet("", result.message, style, indent=0)
    if summary := _summary(result):
        lines.append(style.paint(summary, "yellow" if result.error else "green", "bold"))
    for each in result.in_all:
        whole = f"{each.version} in all, with the runs before: {documents(each.documents)}"
        lines += bullet("", whole, style, indent=0)
    return "\n".join(lines)


def brief(result: RunResult) -> str:
    """The same in one line, for one of several databases."""
    more = [
        count(number, noun)
        for number, noun in (
            (len(result.conflicts) + result.more_conflicts, "conflict"),
            (sum(warning.count for warning in result.warnings), "warning"),
        )
        if number
    ]
    return ", ".join([result.message or _summary(result), *more])


def _newcomers(result: RunResult) -> list[str]:
    notes = []
    if taken_back := result.born - result.left:
        were = "was" if taken_back == 1 else "were"
        notes.append(f"{count(taken_back, 'document')} inserted since `up` {were} given to reverse=")
    if result.erased:
        stays = "stays as it is" if len(result.erased) == 1 else "stay as they are"
        hashes = ", ".join(result.erased[:CONFLICTS])
        notes.append(
            f"{count(len(result.erased), 'document')} {stays}: erased from the journal by prune (hash of _id: {hashes})"
        )
    if result.left:
        stays = "stays as it is" if result.left == 1 else "stay as they are"
        notes.append(
            f"{count(result.left, 'document')} inserted since `up` {stays}: {no_reverse(result.without_reverse)}"
        )
    return notes


def _summary(result: RunResult) -> str:
    done = "applied" if result.direction is Direction.UP else "took back"
    took = f" in {duration(result.duration_s)}"
    if result.versions:
        this = "this run did " if result.in_all else ""
        return f"{done} {versions(result.versions)}{took}: {this}{documents(result.documents)}"
    if result.error:
        up, found = result.direction is Direction.UP, result.documents
        seen = found.matched if up else found.changed + found.unchanged
        if not seen:
            return f"no version was {'applied' if up else 'taken back'}"
        kept = "migrated and kept" if up else "taken back and kept so"
        by = " by this run" if result.in_all else ""
        return f"no version was finished; {count(seen, 'document')} {'is' if seen == 1 else 'are'} {kept}{by}"
    if result.documents.matched:
        return f"{documents(result.documents)}{took}"
    return "" if result.message else "nothing to do"


def _conflicts(result: RunResult, style: Style) -> list[str]:
    found, total = result.conflicts, len(result.conflicts) + result.more_conflicts
    if not found:
        return []
    shown = found if style.verbose else found[:CONFLICTS]
    lines = [
        style.paint(
            f"{count(total, 'conflict')}: changed by the application since, left as they are", "yellow"
        )
    ]
    for conflict in shown:
        fields = ", ".join(key(name) for name in conflict.fields) or "the whole document"
        where = f"{conflict.version} {conflict.collection} {value(conflict.id, style)}: {fields}"
        lines += bullet("-", where, style)
    if len(found) > len(shown):
        lines.append(f"  {style.ellipsis} {number(total - len(shown))} more (--verbose, or --json)")
    elif result.more_conflicts:
        lines.append(f"  {style.ellipsis} {number(result.more_conflicts)} more")
    return lines
