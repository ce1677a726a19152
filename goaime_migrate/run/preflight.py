"""What is refused before anything of a plan is done: what this user may not do, and what could not be kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from goaime_migrate.backends.ports import VERSIONS, Backend, Need
from goaime_migrate.backends.record_fields import reading
from goaime_migrate.errors import MigrateError
from goaime_migrate.ledger import PassRecord, VersionRecord
from goaime_migrate.migration import Migration
from goaime_migrate.operations import DocumentOperation, RunFunctions, StateOperation
from goaime_migrate.operations.undoing import needs_of, require_undoing
from goaime_migrate.operations.validators import UNDOES as VALIDATORS
from goaime_migrate.planner import DownPlan, UpPlan
from goaime_migrate.planner.groups import RestorePass, UndoChange
from goaime_migrate.results import Document
from goaime_migrate.rules.privileges import needs_records, needs_up
from goaime_migrate.run.ground import require_ground


def require_up(
    backend: Backend, plan: UpPlan, files: Mapping[str, Migration], versions: Mapping[str, VersionRecord]
) -> None:
    """Raises MissingPrivilege and other refusals. How it stands after a user's function cannot be foreseen.

    An operation that was begun, by a run that did not come to its end, may be half done: it is not asked again.
    """
    refs = [ref for group in plan.groups for ref in group.operations]
    declared = [(ref, files[ref.version].operations[ref.number]) for ref in refs]
    operations = [
        (ref, each) for ref, each in declared if isinstance(each, DocumentOperation | StateOperation)
    ]
    backend.require_actions([*needs_records(backend), *needs_up(backend, [each for _, each in operations])])
    changed: frozenset[str] = frozenset()
    for ref, each in operations:
        if isinstance(each, RunFunctions):
            return
        if isinstance(each, StateOperation):
            if not _is_begun(versions.get(ref.version), ref.number):
                _require(each, ref.version, backend, changed)
            changed |= each.names


def _require(operation: StateOperation, version: str, backend: Backend, changed: frozenset[str]) -> None:
    try:
        operation.require(backend, changed)
    except MigrateError as error:
        raise error.at(version) from None


def _is_begun(record: VersionRecord | None, number: int) -> bool:
    return record is not None and any(o.undo is not None for o in record.operations[number : number + 1])


def require_down(
    backend: Backend,
    plan: DownPlan,
    versions: Mapping[str, VersionRecord],
    passes: Mapping[str, PassRecord],
) -> None:
    """The same for what is to be given back and undone. Raises CollectionChanged and DamagedRecord too."""
    require_ground(backend, plan, versions, passes)
    refs = [ref for group in plan.groups if isinstance(group, UndoChange) for ref in group.operations]
    recorded = [(version, versions[version].operations[number].undo) for version, number in refs]
    undos = [(version, undo) for version, undo in recorded if undo is not None]
    backend.require_actions(
        [
            *needs_records(backend),
            *_restoring(backend, plan, versions),
            *(need for version, undo in undos for need in _undoing(version, undo)),
        ]
    )
    for version, undo in undos:
        if undo.get("kind") == "function":
            return
        with reading(VERSIONS, version):
            require_undoing(backend, undo)


def _undoing(version: str, undo: Document) -> tuple[Need, ...]:
    with reading(VERSIONS, version):
        return needs_of(undo)


def _restoring(backend: Backend, plan: DownPlan, versions: Mapping[str, VersionRecord]) -> Iterator[Need]:
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
            yield Need(group.today, ("bypassDocumentValidation",) if validated else ())
