"""The ledger as a whole: every version and every pass, read at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from goaime_migrate.backends.ports import PROGRESS, VERSIONS, Reader
from goaime_migrate.backends.record_fields import reading
from goaime_migrate.ledger import passes
from goaime_migrate.ledger.passes import PassRecord
from goaime_migrate.ledger.records import parse
from goaime_migrate.ledger.versions import VersionRecord, version_record
from goaime_migrate.results import State


class Ledger(NamedTuple):
    """Everything recorded, read at one moment."""

    versions: Mapping[str, VersionRecord]
    passes: Mapping[str, PassRecord]

    @property
    def applied(self) -> tuple[str, ...]:
        """The versions that are applied, ascending."""
        return tuple(v for v, r in self.versions.items() if r.state is State.APPLIED)

    @property
    def torn(self) -> frozenset[tuple[str, str]]:
        """Versions and passes that name each other, of which one has no record."""
        named = {(v, pass_id) for v, record in self.versions.items() for pass_id in record.passes}
        naming = {(v, p.id) for p in self.passes.values() for v in p.versions}
        return frozenset(
            (v, pass_id)
            for v, pass_id in named | naming
            if v not in self.versions or pass_id not in self.passes
        )

    @property
    def unfinished(self) -> tuple[VersionRecord, ...]:
        """Versions in any state between pending and applied, ascending."""
        return tuple(r for r in self.versions.values() if r.state is not State.APPLIED)

    @property
    def journaled(self) -> tuple[PassRecord, ...]:
        """The passes whose journal is kept: that of all others was pruned."""
        pruned = {p for record in self.versions.values() if record.rollback for p in record.passes}
        return tuple(record for record in self.passes.values() if record.id not in pruned)

    def committed(self, version: str) -> bool:
        """Whether anything of this version may be in effect in the database."""
        record = self.versions[version]
        return any(
            self.passes[o.pass_id].committed
            if o.pass_id and o.pass_id in self.passes
            else o.started or o.done
            for o in record.operations
        )


_READS = 5
"""While runs come and go; what is torn for good is so the second time."""


def read(reader: Reader) -> Ledger:
    """The ledger as it is now. Raises NewerFormat, DamagedRecord.

    Versions and passes are read one after the other. Where some name others that are not there, a run may have written
    in between: then it is read again.
    """
    ledger = _read(reader)
    for _ in range(_READS):
        if not ledger.torn or (again := _read(reader)).torn == ledger.torn:
            return ledger
        ledger = again
    return ledger


def _read(reader: Reader) -> Ledger:
    versions = [parse(VERSIONS, version_record, d) for d in reader.find(VERSIONS, {}, sort=[("_id", 1)])]
    named = {pass_id for record in versions for pass_id in record.passes}
    # Others have been taken back, and are to be forgotten.
    known = [p for p in passes.read(reader) if p.target_level != 0 or p.id in named]
    ordered = sorted(versions, key=lambda record: int(record.version))
    ledger = Ledger({record.version: record for record in ordered}, {p.id: p for p in known})
    for record in known:
        with reading(PROGRESS, record.id):
            _check_steps(ledger, record)
    return ledger


def _check_steps(ledger: Ledger, record: PassRecord) -> None:
    """Every step of a pass is an operation of a version, unless that was dropped."""
    for version, index, _ in record.steps:
        if version in ledger.versions and index >= len(ledger.versions[version].operations):
            raise ValueError(f"{version} has no operation {index}")
    if not record.steps or max(record.level, record.target_level or 0) > len(record.steps):
        raise ValueError(f"{len(record.steps)} steps, level {record.level}, to {record.target_level}")
