"""What is refused before anything of a plan is done: what this user may not do, and what could not be kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from goaime_migrate.backends.ports import VERSIONS, Backend
from goaime_migrate.backends.record_fields import reading
from goaime_migrate.errors import MissingPrivilege
from goaime_migrate.ledger import VersionRecord
from goaime_migrate.migration import Migration
from goaime_migrate.operations import RunFunctions, StateOperation
from goaime_migrate.operations.base import actions_of, require_undoing
from goaime_migrate.operations.validators import UNDOES as VALIDATORS
from goaime_migrate.planner import DownPlan, RestorePass, StateChange, UndoChange, UpPlan


def only_reads(backend: Backend) -> bool:
    """Whether this user may write nothing: then what another may do, who will run the plan, is not known."""
    try:
        backend.require_actions([(str(VERSIONS), ("insert",))])
    except MissingPrivilege:
        return True
    return False


def require_up(backend: Backend, plan: UpPlan, files: Mapping[str, Migration]) -> None:
    """Raises MissingPrivilege, MissingCapability. How it stands after a user's function cannot be foreseen."""
    refs = [ref for group in plan.groups if isinstance(group, StateChange) for ref in group.operations]
    changes = [files[version].operations[number] for version, number in refs]
    operations = [each for each in changes if isinstance(each, StateOperation)]
    backend.require_actions([(each.collection, each.actions) for each in operations if each.collection])
    for each in operations:
        if isinstance(each, RunFunctions):
            return
        each.require(backend)


def require_down(backend: Backend, plan: DownPlan, versions: Mapping[str, VersionRecord]) -> None:
    """The same for what is to be undone. Raises DamagedRecord too."""
    refs = [ref for group in plan.groups if isinstance(group, UndoChange) for ref in group.operations]
    recorded = [(version, versions[version].operations[number].undo) for version, number in refs]
    undos = [(version, undo) for version, undo in recorded if undo is not None]
    backend.require_actions(
        [
            *_restoring(backend, plan, versions),
            *((str(undo.get("collection")), actions_of(undo)) for _, undo in undos),
        ]
    )
    for version, undo in undos:
        if undo.get("kind") == "function":
            return
        with reading(VERSIONS, version):
            require_undoing(backend, undo)


def _restoring(
    backend: Backend, plan: DownPlan, versions: Mapping[str, VersionRecord]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """What it takes to restore documents that a validator of today may not like: they were there before it.

    Where the plan takes the validator back first, nobody is asked to pass it over.
    """
    known = backend.collections() if any(isinstance(g, RestorePass) for g in plan.groups) else {}
    undone: set[str] = set()
    for group in plan.groups:
        if isinstance(group, UndoChange):
            undos = (versions[version].operations[number].undo for version, number in group.operations)
            undone |= {
                str(undo.get("collection")) for undo in undos if undo and undo.get("kind") in VALIDATORS
            }
        elif isinstance(group, RestorePass) and group.today in known.keys() - undone:
            validated = known[group.today].options.get("validator")
            yield group.today, ("bypassDocumentValidation",) if validated else ()
