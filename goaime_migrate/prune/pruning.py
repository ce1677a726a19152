"""Pruning versions: they are marked first, so that none is ever taken back from a part of its journal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from goaime_migrate.backends.ports import JOURNAL, Backend, Need, name_of
from goaime_migrate.journal import audit, clearing
from goaime_migrate.journal.paging import payloads, size_of
from goaime_migrate.ledger import Ledger, Pruning, log, put_version
from goaime_migrate.operations.collections import ASIDE
from goaime_migrate.prune.selection import Kept, Selection
from goaime_migrate.results import Mode, PruneResult
from goaime_migrate.run.run import Run

_ROOM = (
    "the server uses the room that is free now for what comes; it goes back to the file system when the collection "
    "{} is compacted, in mongosh: db.runCommand({{compact: {!r}}})"
)


def find_kept(backend: Backend, ledger: Ledger) -> Kept:
    """What there is to prune."""
    there = backend.collections()
    aside = tuple(sorted(name for name in there if name.startswith(f"{ASIDE}.")))
    return Kept(ledger, frozenset(clearing.passes(backend)), there, aside)


def foresee(backend: Backend, ledger: Ledger, selection: Selection) -> PruneResult:
    """What would be deleted. All of it is read once. Raises JournalIncomplete, DamagedRecord, NewerFormat."""
    size = sum(audit.require_whole(backend, ledger.passes[p]) for p in selection.passes if p in ledger.passes)
    size += sum(size_of(found) for p in selection.leftover for found in payloads(backend, f"{p}/"))
    size += sum(backend.size(name).size for name in selection.collections)
    return PruneResult(
        selection.versions,
        None,
        size,
        selection.collections,
        selection.unreachable,
        selection.notes,
        leftover=bool(selection.leftover),
    )


def prune(run: Run, ledger: Ledger, selection: Selection) -> PruneResult:
    """Delete it, under the lease. Whatever a run that is killed has marked, the next one deletes.

    Raises what `foresee` does, MissingPrivilege, LeaseLost, Interrupted.
    """
    result = foresee(run.backend, ledger, selection)
    run.backend.require_actions([Need(name, ("dropCollection",)) for name in selection.collections])
    run.check()
    _mark(run, ledger, selection.versions)
    for name in selection.collections:
        run.check()
        run.lease.renew()
        run.backend.drop_collection(name)
    for pass_id in (*selection.leftover, *selection.passes):
        run.check()
        clearing.clear_with(run.backend, pass_id, run.record)
    return replace(result, notes=(*result.notes, *_room(run, selection)))


def _mark(run: Run, ledger: Ledger, versions: Sequence[str]) -> None:
    """Say of all these versions at once that they are pruned, by whom and when."""
    if not versions:
        return
    now, owner = run.backend.now(), run.lease.record.owner
    by = Pruning(now, owner.who, owner.host)
    run.record(
        *(put_version(replace(ledger.versions[v], rollback="pruned", pruned=by)) for v in versions),
        *(log(now, owner, "prune", "pruned", v) for v in versions),
    )


def _room(run: Run, selection: Selection) -> list[str]:
    """When the room is free for others."""
    if run.backend.capabilities.mode is Mode.EMBEDDED or not (selection.passes or selection.leftover):
        return []
    name = name_of(JOURNAL, run.backend.records)
    return [_ROOM.format(name, name)]
