"""`prune` as text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from goaime_migrate.render.style import Style, bullet, clean
from goaime_migrate.render.values import value
from goaime_migrate.render.words import versions
from goaime_migrate.units import size

if TYPE_CHECKING:
    from goaime_migrate.results import ErasedDocument, PruneResult


def prune(result: PruneResult, style: Style, *, would: bool) -> str:
    """What was deleted, or would be."""
    lines = []
    for text in _sentences(result, style, would=would):
        lines += bullet("", text, style, indent=0)
    for name in result.collections:
        lines += bullet("-", f"{clean(name)}, which was kept aside", style)
    if not result.empty:
        room = f"{'frees' if would else 'freed'} {size(result.freed_bytes)}, before compression"
        lines.append(style.paint(room, "bold"))
    elif result.erased is None:
        lines.append("nothing to prune")
    for note in result.notes:
        lines += bullet("note:", clean(note), style, indent=0)
    return "\n".join(lines)


def brief(result: PruneResult, *, would: bool) -> str:
    """The same in one line, for one of several databases."""
    parts = list(_sentences(result, Style(), would=would)) or ["nothing to prune"]
    if not result.empty:
        parts.append(f"{'frees' if would else 'freed'} {size(result.freed_bytes)}")
    return "; ".join(parts)


def _sentences(result: PruneResult, style: Style, *, would: bool) -> Iterator[str]:
    if result.pruned:
        done, they = "would be pruned" if would else "pruned", "it" if len(result.pruned) == 1 else "they"
        yield f"{versions(result.pruned)} {done}: {they} can{' then' if would else ''} be taken back no more"
    if result.unreachable:
        yield f"{versions(result.unreachable)} cannot be taken back either then: a version above cannot"
    if result.leftover:
        done = "would be finished" if would else "is finished"
        yield f"what an earlier prune was cut off in {done}"
    if result.erased is not None:
        yield _erasure(result.erased, style, would=would)


def _erasure(found: ErasedDocument, style: Style, *, would: bool) -> str:
    document = f"{clean(found.collection)} {value(found.id, style)}"
    if not found.versions:
        return f"nothing is kept of {document}"
    done = "would be erased" if would else "erased"
    return f"{document} {done} from what {versions(found.versions)} {'has' if len(found.versions) == 1 else 'have'} kept"
