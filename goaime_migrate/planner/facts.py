"""What a plan is made from: the files and the history, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from goaime_migrate.errors import HistoryError, VersionGap
from goaime_migrate.migration import Migration
from goaime_migrate.planner.identity import Identity, identify
from goaime_migrate.results import State

if TYPE_CHECKING:
    from goaime_migrate.ledger import OperationRecord, PassRecord, VersionRecord

BASE, HEAD = "base", "head"


@dataclass(frozen=True)
class Facts:
    """The files and the history, side by side. What follows from them is found once, for any number of versions."""

    migrations: Sequence[Migration]
    file_problems: Sequence[HistoryError]
    versions: Mapping[str, VersionRecord]
    passes: Mapping[str, PassRecord]
    touched: frozenset[str]
    """Versions of which something may be in effect in the database."""
    unloaded: Mapping[str, str] = field(default_factory=dict)
    """The versions whose file does not load, with the name that it has."""
    file_warnings: Sequence[HistoryError] = ()
    """What the folder has that looks like a migration and is none."""
    lost: Mapping[str, str] = field(default_factory=dict)
    """Versions that have run here and have no record any more, ascending, each with what is left of it."""

    @cached_property
    def files(self) -> Mapping[str, Migration]:
        """The migrations by version; of two with one number that which was recorded."""
        found: dict[str, Migration] = {}
        for m in self.migrations:
            record = self.versions.get(m.version)
            if m.version not in found or (record is not None and record.name == m.name):
                found[m.version] = m
        return found

    @cached_property
    def identity(self) -> Identity:
        """Which file is which recorded version."""
        return identify(self.files, self.versions)

    @property
    def code(self) -> Mapping[str, Migration]:
        """The files of recorded versions, whatever number they have now; what is taken back needs these."""
        return self.identity.code

    @cached_property
    def current(self) -> str | None:
        """The highest applied version."""
        return max((v for v, r in self.versions.items() if r.state is State.APPLIED), key=int, default=None)

    @cached_property
    def head(self) -> str | None:
        """The newest file."""
        return max((*(m.version for m in self.migrations), *self.unloaded), key=int, default=None)

    @cached_property
    def known(self) -> Mapping[str, str]:
        """Every version with its name, of files and of history, ascending."""
        recorded = {v: r.name for v, r in self.versions.items()}
        files = {v: m.name for v, m in self.files.items() if v not in self.identity.others}
        names = {**self.unloaded, **recorded, **files}
        return dict(sorted(names.items(), key=lambda item: int(item[0])))

    @cached_property
    def recorded(self) -> Sequence[str]:
        """The versions that have a record, ascending."""
        return sorted(self.versions, key=int)

    @cached_property
    def broken(self) -> frozenset[str]:
        """The versions that have a file with a problem of its own."""
        own = (p for p in self.file_problems if not isinstance(p, VersionGap))
        return frozenset(p.version for p in own if p.version)

    @cached_property
    def unfinished(self) -> frozenset[str]:
        """The versions in a pass that has begun to change documents and has not come to its end."""
        begun = (p for p in self.passes.values() if not p.finished and p.committed)
        return frozenset(v for p in begun for v in p.versions)


def starts_again(operation: OperationRecord) -> bool:
    """Whether it is a user's function that did not come to its end: whatever its file says now is run."""
    return is_function(operation) and not operation.done


def is_function(operation: OperationRecord) -> bool:
    """Whether an operation is a user's function."""
    return operation.undo is not None and operation.undo.get("kind") == "function"
