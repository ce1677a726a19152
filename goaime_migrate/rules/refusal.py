"""The error that findings amount to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from goaime_migrate.errors import MissingCapability, MissingPrivilege, Refused, WouldFail
from goaime_migrate.errors.hint import PLAN, Hint
from goaime_migrate.results import Finding, Severity

_OF_THEIR_OWN: dict[str, type[Refused]] = {
    "privilege": MissingPrivilege,
    "collection-kind": MissingCapability,
}
"""Rules whose errors are those that a run would give."""


def refusal(findings: Sequence[Finding]) -> Refused | None:
    """The error for findings of which at least one is an error: the first, and how many more there are."""
    wrong = [finding for finding in findings if finding.severity is Severity.ERROR]
    if not wrong:
        return None
    first = wrong[0]
    if first.rule in _OF_THEIR_OWN:
        return _OF_THEIR_OWN[first.rule](first.message, hint=first.remedy, version=first.version)
    more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
    message = first.message.replace("\n", "\\n")  # one line, whatever a collection is called
    return WouldFail(
        f"{first.rule}: {message}{more}",
        hint=Hint("{}; then look again: {}", first.remedy, PLAN),
        version=first.version,
        id=_example(first),
    )


def _example(finding: Finding) -> Any:
    """The `_id` of the first document among its evidence, if there is one."""
    ids = [*finding.evidence.get("ids", ())]
    for each in finding.evidence.get("examples", ()):
        ids += each.get("ids", ()) if isinstance(each, Mapping) else ()
    return ids[0] if ids else None
