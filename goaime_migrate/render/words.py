"""Numbers, times and lists as people say them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise

from goaime_migrate.render.style import clean
from goaime_migrate.results import Counts


def number(value: int) -> str:
    """With a comma for every thousand."""
    return f"{value:,}"


def count(value: int, noun: str, plural: str = "") -> str:
    """A number and what it counts.

    >>> count(1, "document"), count(2000, "document")
    ('1 document', '2,000 documents')
    """
    return f"{number(value)} {noun if value == 1 else plural or noun + 's'}"


def moment(at: datetime) -> str:
    """A time of the server's clock, in UTC, to the minute."""
    return utc(at).strftime("%Y-%m-%d %H:%M")


def second(at: datetime) -> str:
    """The same to the second."""
    return utc(at).strftime("%Y-%m-%d %H:%M:%S")


def utc(at: datetime) -> datetime:
    """The same instant in UTC; a time without a zone is taken for UTC."""
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def versions(names: Sequence[str]) -> str:
    """Version numbers, a run of consecutive ones as a range.

    >>> versions(["0001", "0002", "0003"]), versions(["0004", "0003"]), versions(["0001", "0003"])
    ('0001-0003', '0004-0003', '0001, 0003')
    """
    steps = {int(b) - int(a) for a, b in pairwise(names) if a.isdigit() and b.isdigit()}
    if len(names) > 1 and steps in ({1}, {-1}) and all(name.isdigit() for name in names):
        return f"{names[0]}-{names[-1]}"
    return clean(", ".join(names))


def no_reverse(names: Sequence[str]) -> str:
    """Why documents that were inserted since `up` cannot be taken back.

    >>> no_reverse(["0002"]), no_reverse(["0002", "0001"])
    ('0002 has no reverse=', '0002-0001 have no reverse=')
    """
    return f"{versions(names)} {'has' if len(names) == 1 else 'have'} no reverse="


def documents(counts: Counts) -> str:
    """Counts as a clause.

    >>> documents(Counts(matched=10, changed=9, unchanged=1))
    '10 documents: 9 changed, 1 unchanged'
    """
    if not counts.matched:
        return "no documents"
    parts = [("changed", counts.changed), ("unchanged", counts.unchanged), ("in conflict", counts.conflicts)]
    said = ", ".join(f"{number(value)} {name}" for name, value in parts if value)
    return count(counts.matched, "document") + (f": {said}" if said else "")
