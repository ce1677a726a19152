"""What is to be pruned: versions by their numbers or their age, with all that is kept for them. Pure."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from goaime_migrate.errors import Refused
from goaime_migrate.errors.hint import DOWN, UP, Command, Hint
from goaime_migrate.ledger import Ledger, VersionRecord
from goaime_migrate.operations.collections import ASIDE
from goaime_migrate.results import HistoryEntry, State

PRUNE = Command(("prune",))


@dataclass(frozen=True)
class Selection:
    """What is to be deleted. Whatever was marked as pruned before and is still there belongs to it."""

    versions: tuple[str, ...]
    """Those that are to be marked, ascending."""
    passes: tuple[str, ...]
    """Those whose journals go because of that."""
    leftover: tuple[str, ...]
    """Those whose journals should have gone before."""
    collections: tuple[str, ...]
    """Collections that were kept aside."""
    unreachable: tuple[str, ...] = ()
    """Versions below that can then be taken back no more, although their own journals are kept."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Kept:
    """All that there is to prune: the ledger, the journals that are there, and collections."""

    ledger: Ledger
    journals: frozenset[str]
    """The passes of which anything is kept."""
    there: Container[str]
    """The collections that there are,"""
    aside: tuple[str, ...]
    """and those among them that were kept aside."""

    def of(self, versions: Iterable[str], notes: Sequence[str] = ()) -> Selection:
        """Of these versions, which must all be applied and share no pass with others."""
        chosen = tuple(sorted(versions, key=int))
        marked = {v for v, record in self.ledger.versions.items() if record.rollback}
        passes = [p for v in chosen for p in self.ledger.versions[v].passes]
        lost = [p for v in marked for p in self.ledger.versions[v].passes if p in self.journals]
        below = [v for v in self.ledger.versions if chosen and int(v) < int(chosen[-1])]
        return Selection(
            chosen,
            tuple(dict.fromkeys(passes)),
            tuple(dict.fromkeys(lost)),
            tuple(name for v in (*chosen, *marked) for name in self._aside(self.ledger.versions[v])),
            tuple(v for v in below if v not in chosen and v not in marked and self.has_any(v)),
            tuple(notes),
        )

    def has_any(self, version: str) -> bool:
        """Whether anything is kept to take a version back."""
        record = self.ledger.versions[version]
        return bool(record.passes) or any(True for _ in self._aside(record))

    def _aside(self, record: VersionRecord) -> Iterator[str]:
        """The collections that a version keeps aside."""
        for operation in record.operations:
            undo = operation.undo or {}
            name = str(undo.get("old", ""))
            if (
                undo.get("kind") == "rename_collection"
                and name.startswith(f"{ASIDE}.")
                and name in self.there
            ):
                yield name

    @property
    def orphans(self) -> Mapping[str, str]:
        """Collections kept aside that no version can bring back any more, with the version that has kept them."""
        known = {name for record in self.ledger.versions.values() for name in self._aside(record)}
        return {n: n.removeprefix(f"{ASIDE}.").partition(".")[0] for n in self.aside if n not in known}


def by_version(kept: Kept, wanted: Sequence[str]) -> Selection:
    """These versions. Raises Refused where one of them is unfinished, or shares a pass with another."""
    chosen, notes = [], []
    for version in dict.fromkeys(wanted):
        record = kept.ledger.versions.get(version)
        if record is None:
            notes.append(f"{version} is not applied")
        elif record.rollback:
            notes.append(f"{version}: {record.pruned_by}")
        elif record.state is not State.APPLIED:
            raise Refused(
                f"{version} ({record.name}) is {record.state}: what is kept is needed to go on or back",
                version=version,
                hint=Hint("finish it: {}, or: {}; then prune", UP, DOWN),
            )
        elif kept.has_any(version):
            _require_whole_passes(kept.ledger, record, wanted)
            chosen.append(version)
        else:
            notes.append(f"{version} keeps nothing: its way back needs no journal")
    return _with_orphans(kept.of(chosen, notes), [n for n, v in kept.orphans.items() if v in wanted])


def _require_whole_passes(ledger: Ledger, record: VersionRecord, wanted: Sequence[str]) -> None:
    """Members of one pass share a journal: they go together. Raises Refused."""
    together = [v for p in record.passes if p in ledger.passes for v in ledger.passes[p].versions]
    others = [v for v in dict.fromkeys(together) if v not in wanted and v in ledger.versions]
    if others:
        options = [word for v in dict.fromkeys([*together]) for word in ("--version", v)]
        raise Refused(
            f"{record.version} shares its journal with {', '.join(others)}: they were applied in one pass, and can only "
            "be pruned together",
            version=record.version,
            hint=Hint("prune all of them: {}", PRUNE.to(*options)),
        )


def by_age(kept: Kept, seconds: float, now: datetime, log: Sequence[HistoryEntry]) -> Selection:
    """All versions that were applied so long ago; of those that share a pass all or none."""
    before = now - timedelta(seconds=seconds)
    ledger = kept.ledger
    old = {v for v, record in ledger.versions.items() if _is_old(record, before) and kept.has_any(v)}
    for p in ledger.passes.values():
        members = {v for v in p.versions if v in ledger.versions}
        if not members <= old:
            old -= members
    left = {entry.version: entry.at for entry in log if (entry.action, entry.result) == ("down", "reverted")}
    gone = [name for name, v in kept.orphans.items() if v in left and left[v] <= before]
    return _with_orphans(kept.of(old), gone)


def _is_old(record: VersionRecord, before: datetime) -> bool:
    done = record.state is State.APPLIED and not record.rollback
    return done and record.applied_at is not None and record.applied_at <= before


def _with_orphans(selection: Selection, names: Sequence[str]) -> Selection:
    return replace(selection, collections=tuple(dict.fromkeys((*selection.collections, *names))))
