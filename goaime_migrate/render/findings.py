"""What rules say, as text: the worst first, each with its evidence and what to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from goaime_migrate.render.style import Style, advice, bullet
from goaime_migrate.render.values import key, mask, value
from goaime_migrate.render.words import count

if TYPE_CHECKING:
    from goaime_migrate.results import Finding

COLORS = {"error": "red", "warning": "yellow", "note": "cyan"}
EXAMPLES = 3


def findings(found: Sequence[Finding], style: Style, *, indent: int = 0) -> list[str]:
    """All of them, one below the other."""
    return [line for finding in found for line in _finding(finding, style, indent)]


def summary(found: Sequence[Finding]) -> str:
    """How many there are of each kind.

    >>> summary([])
    'no findings'
    """
    counts = Counter(str(finding.severity) for finding in found)
    return ", ".join(count(counts[name], name) for name in COLORS if counts[name]) or "no findings"


def _finding(finding: Finding, style: Style, indent: int) -> list[str]:
    head = f"{finding.severity}[{finding.rule}] {place(finding)}".rstrip()
    heads = bullet("", head, style, indent=indent, under=indent + 4)
    lines = [style.paint(line, COLORS[finding.severity], "bold") for line in heads]
    lines += bullet("", finding.message, style, indent=indent + 2)
    lines += [line for text in examples(finding, style) for line in bullet("-", text, style, indent + 2)]
    return [*lines, *advice("do:", finding.remedy, style, indent + 2)]


def place(finding: Finding) -> str:
    """Version, collection, file and line, as far as there are any."""
    line = f":{finding.line}" if finding.line else ""
    where = f"({finding.file}{line})" if finding.file else ""
    return " ".join(filter(None, (finding.version, finding.collection, where)))


def examples(finding: Finding, style: Style) -> list[str]:
    """The documents among the evidence, a line each."""
    told = []
    for example in finding.evidence.get("examples", ())[:EXAMPLES]:
        if not isinstance(example, Mapping):
            continue
        shown = ", ".join(
            f"{key(name)} = {value(part, style, 40)}" for name, part in _parts(example.get("key"))
        ) or str(example.get("type", ""))
        told.append(f"{shown}: _id {_ids(example.get('ids', [example.get('id')]), style)}")
    if ids := finding.evidence.get("ids"):
        told.append(f"for example _id {_ids(ids, style)}")
    return told


def _parts(found: object) -> Sequence[tuple[str, Any]]:
    return list(found.items()) if isinstance(found, Mapping) else ()


def _ids(ids: Sequence[Any], style: Style) -> str:
    """Some `_id`s; where values are masked, those that are text."""
    shown = [mask(each) if style.masked and isinstance(each, str) else _plain(each, style) for each in ids]
    more = f" {style.ellipsis}" if len(shown) > EXAMPLES else ""
    return ", ".join(shown[:EXAMPLES]) + more


def _plain(identity: Any, style: Style) -> str:
    if style.masked and isinstance(identity, Mapping | list):
        return mask(identity)
    return value(identity, Style(symbols=style.symbols), 40)
