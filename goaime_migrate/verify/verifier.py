"""`verify`: every promise of the applied versions, checked again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from goaime_migrate.backends.ports import Backend, CollectionReader, UserDatabase
from goaime_migrate.errors import LoadFailed
from goaime_migrate.errors.hint import STATUS, Hint
from goaime_migrate.events import Listener
from goaime_migrate.ledger import Ledger
from goaime_migrate.migration import Migration
from goaime_migrate.operations import DocumentOperation
from goaime_migrate.planner import Facts
from goaime_migrate.results import VerifyFailure, VerifyResult
from goaime_migrate.run.code import findings, step_of
from goaime_migrate.run.progress import ReadProgress
from goaime_migrate.transform.step import Step
from goaime_migrate.verify import promises


def verify(
    backend: Backend,
    facts: Facts,
    book: Ledger,
    sample: int | None,
    superseded: bool,
    listener: Listener,
) -> VerifyResult:
    """Hold every document (or a sample) against every promise. Read-only.

    Those that a newer version supersedes are left out, unless `superseded` asks for them.
    """
    applied = [facts.code[v] for v in book.applied if v in facts.code]
    lost = next((v for v in book.applied if v not in facts.code), None)
    if lost is not None:
        raise LoadFailed(
            f"the file of {lost} ({book.versions[lost].name}) is gone or does not load: its promises are unknown",
            version=lost,
            hint=Hint("{}", STATUS),
        )
    replaced = set() if superseded else {old for m in applied for old in m.supersedes}
    kept = [m for m in applied if m.version not in replaced]
    checked, failures = 0, list(_statements(backend, kept))
    for collection in sorted(_collections(kept)):
        promising = _promising(kept, collection, book)
        auditor = promises.Auditor([step for step, _ in promising], [known for _, known in promising])
        versions = dict.fromkeys(step.version for step, _ in promising)
        auditor.whole(backend, collection, sample, ReadProgress(listener, versions, f"verify {collection}"))
        checked += auditor.checked
        failures += auditor.failures
    for m in kept:
        failures += _filtered(backend, m, book, sample)
    return VerifyResult(
        checked,
        tuple(failures),
        tuple(m.version for m in kept),
        tuple(sorted(replaced & set(book.applied))),
    )


def _document_operations(
    migrations: Sequence[Migration],
) -> Iterator[tuple[Migration, int, DocumentOperation]]:
    for m in migrations:
        for index, operation in enumerate(m.operations):
            if isinstance(operation, DocumentOperation):
                yield m, index, operation


def _collections(migrations: Sequence[Migration]) -> set[str]:
    return {
        operation.collection
        for m, index, operation in _document_operations(migrations)
        if step_of(m, index).where is None
    }


def _promising(
    migrations: Sequence[Migration], collection: str, book: Ledger
) -> list[tuple[Step, str | None]]:
    """The steps on a collection that promise something of every document, with the passes they were applied in."""
    steps = [
        (step_of(m, i), _pass_of(book, m, i))
        for m, i, o in _document_operations(migrations)
        if o.collection == collection
    ]
    return [
        (step, known)
        for step, known in steps
        if step.where is None and (step.model is not None or step.check is not None)
    ]


def _pass_of(book: Ledger, migration: Migration, index: int) -> str | None:
    """The pass in which an operation was applied; None for one that has been written into the file since."""
    known = book.versions[migration.version].operations[index : index + 1]
    return known[0].pass_id if known else None


def _filtered(
    backend: CollectionReader, migration: Migration, book: Ledger, sample: int | None
) -> list[VerifyFailure]:
    """Promises about the documents that a filter chose: those that the journal says were written."""
    failures: list[VerifyFailure] = []
    for m, index, operation in _document_operations([migration]):
        step = step_of(m, index)
        pass_id = _pass_of(book, m, index)
        if step.where is None or pass_id is None or (step.model is None and step.check is None):
            continue
        auditor = promises.Auditor([step], [pass_id])
        for batch in promises.migrated(backend, operation.collection, pass_id, sample):
            auditor.batch(backend, batch)
        failures += auditor.failures
    return failures


def _statements(backend: UserDatabase, migrations: Sequence[Migration]) -> Iterator[VerifyFailure]:
    """What the migrations' own `verify(db)` find."""
    for m in migrations:
        for finding in findings(backend, m):
            yield VerifyFailure(m.version, None, None, None, finding)
