"""Which file is which recorded version: known by the code under any number, or by the number and the name.

A record whose name and code both differ from the file of its number is not that file: somebody has given the number
to another migration, as a merge of two branches does, or the record is another project's. Nor is it where only the
name is the same, and another file has the code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from goaime_migrate.migration import Migration


class Recorded(Protocol):
    """What a recorded version is known by."""

    @property
    def name(self) -> str:
        """As its file is called."""

    @property
    def checksum(self) -> str:
        """Of its code."""


class Identity(NamedTuple):
    """The files of recorded versions, each by the version that is recorded."""

    code: Mapping[str, Migration]
    """The file that is this version: under its own number, edited or not, or with its code under another one."""
    moved: Mapping[str, Migration]
    """Those of them that have another number now."""
    namesakes: Mapping[str, Migration]
    """For a version that none of them is: the file with its name under another number, with other code."""
    others: Mapping[str, Migration]
    """The file that has the number now, and is another migration."""

    @property
    def displaced(self) -> frozenset[str]:
        """The recorded versions whose number another file has, or whose file has another number."""
        return frozenset({*self.moved, *self.namesakes, *self.others})


def identify(files: Mapping[str, Migration], records: Mapping[str, Recorded]) -> Identity:
    """Find the file of every recorded version; linear in their numbers. Each file is one version's at most."""
    home = {v: files[v] for v, r in records.items() if v in files and files[v].checksum == r.checksum}
    free = [m for v, m in files.items() if v not in home]
    by_code: dict[str, list[Migration]] = {}
    by_name: dict[str, list[Migration]] = {}
    for m in free:
        by_code.setdefault(m.checksum, []).append(m)
        by_name.setdefault(m.name, []).append(m)
    away = {v: r for v, r in records.items() if v not in home}
    moved: dict[str, Migration] = {}
    taken: set[str] = set()
    for v, r in away.items():
        # What does nothing has the code of all that do nothing.
        found = [m for m in by_code.get(r.checksum, ()) if m.operations or m.name == r.name]
        named = [m for m in found if m.name == r.name] or found
        if len(named) == 1 and named[0].version not in taken:
            moved[v] = named[0]
            taken.add(named[0].version)
    edited = {
        v: files[v] for v, r in away.items() if v not in {*moved, *taken} and _is_edited(files.get(v), r)
    }
    home |= edited
    away = {v: r for v, r in away.items() if v not in home}
    taken |= edited.keys()
    namesakes = {}
    for v, r in away.items():
        alike = [m for m in by_name.get(r.name, ()) if m.version not in taken]
        if v not in moved and len(alike) == 1:
            namesakes[v] = alike[0]
    others = {v: files[v] for v in away if v in files}
    return Identity({**home, **moved}, moved, namesakes, others)


def _is_edited(file: Migration | None, record: Recorded) -> bool:
    """Whether the file of a number is what is recorded under it, with other code: it has kept its name at least."""
    return file is not None and file.name == record.name
