"""The version that a target names."""

from __future__ import annotations

import re

from goaime_migrate.errors import UnknownTarget
from goaime_migrate.errors.hint import STATUS, Hint
from goaime_migrate.planner.facts import BASE, HEAD, Facts
from goaime_migrate.results import Direction, State

_NUMBER = re.compile(r"[0-9]{1,9}")


def resolve(text: str, facts: Facts, direction: Direction) -> str:
    """The version that a target names, or `base`. Raises UnknownTarget.

    "0003", "3", a unique part of a name, `head`, `base`, or +N / -N: N steps in the command's direction.
    """
    wanted = text.strip()
    if not wanted:
        raise _unknown(text, facts)
    if wanted in (BASE, "0"):
        return BASE
    if wanted == HEAD:
        return facts.head or BASE
    if wanted[:1] in ("+", "-") and _NUMBER.fullmatch(wanted[1:]):
        return _steps(int(wanted[1:]), facts, direction)
    if _NUMBER.fullmatch(wanted):
        return _with_number(wanted, facts)
    stem = wanted.removesuffix(".py")
    matches = [v for v, name in facts.known.items() if stem in f"{v}_{name}"]
    exact = [v for v, name in facts.known.items() if stem in (name, f"{v}_{name}")]
    if len(exact) == 1 or len(matches) == 1:
        return (exact if len(exact) == 1 else matches)[0]
    if matches:
        listed = ", ".join(f"{v}_{facts.known[v]}" for v in matches)
        raise UnknownTarget(f"{text!r} names several versions: {listed}", hint="use the number")
    raise _unknown(text, facts)


def _steps(count: int, facts: Facts, direction: Direction) -> str:
    if direction is Direction.UP:
        ahead = unapplied_versions(facts)
        return ahead[min(count, len(ahead)) - 1] if count and ahead else facts.current or BASE
    behind = facts.recorded
    return behind[-count - 1] if count < len(behind) else BASE


def unapplied_versions(facts: Facts) -> list[str]:
    """Versions that `up` would still work on."""
    return [m.version for m in facts.migrations if not _is_applied(m.version, facts)]


def _is_applied(version: str, facts: Facts) -> bool:
    return version in facts.versions and facts.versions[version].state is State.APPLIED


def _with_number(text: str, facts: Facts) -> str:
    for version in facts.known:
        if int(version) == int(text):
            return version
    raise _unknown(text, facts)


def _unknown(text: str, facts: Facts) -> UnknownTarget:
    known = list(facts.known)
    span = f"; the versions are {known[0]} to {known[-1]}" if known else "; there are no migrations"
    return UnknownTarget(f"there is no version {text!r}{span}", hint=Hint("see them: {}", STATUS))
