"""Which documents a version has made: none before it was meant for them, and what those do not do to them is no lack.

The journals of the passes that have made documents know. Reads only.
"""

from __future__ import annotations

from collections.abc import Sequence

from goaime_migrate.backends.ports import Reader
from goaime_migrate.journal import claims
from goaime_migrate.run.applied import Maker


def made_at(reader: Reader, makers: Sequence[Maker], ids: Sequence[bytes]) -> dict[bytes, int]:
    """The place of the last step that has made a document, for those that the journals know of."""
    found: dict[bytes, int] = {}
    for maker in makers if ids else ():
        if maker.kept:
            found.update(dict.fromkeys(claims.written(reader, maker.record.id, ids), maker.place))
    return found


def forgotten(makers: Sequence[Maker], place: int) -> str | None:
    """The version that may have made a document after a step at this place, and of which no journal is kept."""
    return next((maker.version for maker in makers if not maker.kept and maker.place > place), None)
