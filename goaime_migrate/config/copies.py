"""What the databases are called in which one is rehearsed."""

from __future__ import annotations

PLACES = 3
"""Databases that may be copies of one at a time; their names are known beforehand, so that roles can name them."""
_LONGEST = 63
"""Bytes of the name of a database."""


def place_names(database: str) -> list[str]:
    """What the databases are called in which one may be rehearsed."""
    ending = "_rehearsal_{}"
    if len(database.encode()) + len(ending.format(PLACES)) > _LONGEST:
        import hashlib

        short = database.encode()[:34].decode(errors="ignore")
        database = f"{short}_{hashlib.sha256(database.encode()).hexdigest()[:8]}"
    return [f"{database}{ending.format(number)}" for number in range(1, PLACES + 1)]
