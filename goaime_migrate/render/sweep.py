"""`sweep` as text: a line for each version that has anything to say, and the sum."""

from __future__ import annotations

from collections.abc import Sequence

from goaime_migrate.render.style import Style, bullet
from goaime_migrate.render.words import count, number
from goaime_migrate.results import SweepResult, SweptDocuments


def sweep(result: SweepResult, style: Style) -> str:
    """What was brought forward, or would be, and how much is left."""
    if not result.swept:
        return "" if result.error else "nothing to sweep: no applied version transforms documents"
    lines = [line for each in result.swept for line in _version(each, style, would=result.dry_run)]
    return "\n".join([*lines, _verdict(result, style)])


def _version(each: SweptDocuments, style: Style, *, would: bool) -> Sequence[str]:
    done = f"{'would change' if would else 'changed'} {number(each.changed)} of {count(each.matched, 'document')}"
    conflicts = f", {count(each.conflicts, 'conflict')}: left, as they may be new" if each.conflicts else ""
    return bullet("-", f"{each.version} {each.collection}: {done}{conflicts}", style)


def _verdict(result: SweepResult, style: Style) -> str:
    remaining = result.remaining
    if result.error and not remaining:
        return style.paint("whether any document is in an old shape still is not known", "yellow", "bold")
    if not remaining:
        return style.paint("no document is in an old shape", "green", "bold")
    verb = "is" if remaining == 1 else "are"
    then = "; to bring them forward: goaime-migrate sweep" if result.dry_run and not result.error else ""
    return style.paint(
        f"{count(remaining, 'document')} {verb} in an old shape{style.spell(then)}", "yellow", "bold"
    )
