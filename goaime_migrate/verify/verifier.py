"""`verify`: every promise of the applied versions, checked again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from goaime_migrate.backends.ports import Backend
from goaime_migrate.errors import LoadFailed
from goaime_migrate.errors.hint import STATUS, Hint
from goaime_migrate.events import Listener
from goaime_migrate.ledger import Ledger, PassRecord
from goaime_migrate.migration import Migration
from goaime_migrate.operations import DocumentOperation
from goaime_migrate.planner import Facts
from goaime_migrate.results import Straggler, UncheckedPromise, VerifyFailure, VerifyResult
from goaime_migrate.run.applied import AppliedSteps, applied_steps
from goaime_migrate.run.code import findings, step_of
from goaime_migrate.run.progress import ReadProgress
from goaime_migrate.transform.step import Step
from goaime_migrate.verify import promises, validators
from goaime_migrate.verify.fixed_points import fixed_points


def verify(
    backend: Backend,
    facts: Facts,
    ledger: Ledger,
    sample: int | None,
    superseded: bool,
    listener: Listener,
) -> VerifyResult:
    """Hold every document (or a sample) against every promise. Read-only.

    Those that a newer version supersedes are left out, unless `superseded` asks for them.
    """
    applied = _applied_files(facts, ledger)
    replaced = set() if superseded else {old for m in applied for old in m.supersedes}
    kept = [m for m in applied if m.version not in replaced]
    found = _Findings(backend, ledger, sample, listener)
    for m in kept:
        found.statement(m)
    for collection in sorted(_collections(kept)):
        found.collection(collection, _promising(kept, collection, ledger))
    for each in applied_steps(applied, ledger):
        found.fixed_points(each, {m.version for m in kept})
    for m in kept:
        found.verify_filtered(m)
    for rule in validators.in_force(applied, kept):
        found.validator(rule)
    return VerifyResult(
        sum(found.checked.values()),
        tuple(found.failures),
        tuple(m.version for m in kept),
        tuple(sorted(replaced & set(ledger.applied))),
        found.promises,
        tuple(m.version for m in kept if not (_promises(m) or m.version in found.settled)),
        tuple(found.unchecked),
        tuple(found.stragglers),
    )


def _applied_files(facts: Facts, ledger: Ledger) -> list[Migration]:
    """The files of the applied versions. Raises LoadFailed."""
    for version in ledger.applied:
        if version not in facts.code:
            name = ledger.versions[version].name
            raise LoadFailed(
                f"the file of {version} ({name}) is gone or does not load: its promises are unknown",
                version=version,
                hint=Hint("{}", STATUS),
            )
    return [facts.code[version] for version in ledger.applied]


_PRUNED = "its journal was pruned, which alone knew which documents, or what it had looked up among them"


class _Findings:
    """What holding promises against documents has found so far."""

    def __init__(self, backend: Backend, ledger: Ledger, sample: int | None, listener: Listener) -> None:
        self._backend = backend
        self._ledger = ledger
        self._sample = sample
        self._listener = listener
        self.promises = 0
        self.checked: dict[str, int] = {}
        """Documents by collection; those that a filter chose are not counted."""
        self.failures: list[VerifyFailure] = []
        self.unchecked: list[UncheckedPromise] = []
        self.stragglers: list[Straggler] = []
        self.settled: set[str] = set()
        """The versions whose transforms have promised a fixed point."""

    def statement(self, m: Migration) -> None:
        """What a migration's own `verify(db)` finds."""
        self.promises += m.verify is not None
        said = findings(self._backend, m)
        self.failures += [VerifyFailure(m.version, None, None, None, finding) for finding in said]

    def collection(self, name: str, promising: Sequence[tuple[Step, PassRecord | None]]) -> None:
        """Hold a whole collection, or a sample of it, against what some steps promise of every document."""
        promising = [(step, known) for step, known in promising if not self._was_pruned(step)]
        auditor = promises.Auditor(
            [step for step, _ in promising], [known for _, known in promising], self._backend.now()
        )
        versions = dict.fromkeys(step.version for step, _ in promising)
        looking = ReadProgress(self._listener, versions, f"verify {name}")
        auditor.whole(self._backend, name, self._sample, looking)
        self.promises += sum(_count(step) for step, _ in promising)
        self.checked[name] = auditor.checked
        self.failures += auditor.failures

    def fixed_points(self, applied: AppliedSteps, kept: set[str]) -> None:
        """Hold a collection, or a sample of it, against the transforms that are in effect in it."""
        looking = ReadProgress(self._listener, applied.versions, f"stragglers of {applied.collection}")
        found = fixed_points(self._backend, applied, self._sample, looking)
        promising = kept.intersection(found.versions)
        self.settled |= promising
        self.promises += len(promising)
        self.stragglers += found.stragglers
        self.unchecked += found.unchecked
        if found.versions:
            self.checked.setdefault(applied.collection, found.checked)

    def verify_filtered(self, migration: Migration) -> None:
        """The same for the documents that a filter chose: those that the journal says were written."""
        for m, index, operation in _document_operations([migration]):
            step, known = step_of(m, index), _pass_of(self._ledger, m, index)
            if step.where is None or known is None or not _count(step) or self._was_pruned(step):
                continue
            auditor = promises.Auditor([step], [known], self._backend.now())
            for batch in promises.migrated_batches(
                self._backend, operation.collection, known.id, self._sample
            ):
                auditor.batch(self._backend, batch)
            self.promises += _count(step)
            self.failures += auditor.failures

    def _was_pruned(self, step: Step) -> bool:
        """Whether only a journal that was pruned knew what the promises of a step are about; that is noted."""
        own = any(lookup.collection == step.collection for lookup in step.looked_up.values())
        if not self._ledger.versions[step.version].rollback or not (own or step.where is not None):
            return False
        self.unchecked.append(UncheckedPromise(step.version, step.collection, _PRUNED))
        return True

    def validator(self, rule: validators.Rule) -> None:
        """Ask the database for the documents that a validator does not fit."""
        found = validators.misfits(self._backend, rule, self._sample)
        if isinstance(found, UncheckedPromise):
            self.unchecked.append(found)
            return
        self.promises += 1
        documents = self._backend.count(rule.collection)
        self.checked.setdefault(
            rule.collection, documents if self._sample is None else min(self._sample, documents)
        )
        self.failures += found


def _count(step: Step) -> int:
    return (step.model is not None) + (step.check is not None)


def _promises(m: Migration) -> bool:
    """Whether a migration promises anything."""
    steps = [step_of(m, index) for m, index, _ in _document_operations([m])]
    return m.verify is not None or any(map(_count, steps)) or any(map(validators.promises, m.operations))


def _document_operations(
    migrations: Sequence[Migration],
) -> Iterator[tuple[Migration, int, DocumentOperation]]:
    for m in migrations:
        for index, operation in enumerate(m.operations):
            if isinstance(operation, DocumentOperation):
                yield m, index, operation


def _collections(migrations: Sequence[Migration]) -> set[str]:
    """Those of which every document is promised something."""
    return {
        operation.collection
        for m, index, operation in _document_operations(migrations)
        if step_of(m, index).where is None and _count(step_of(m, index))
    }


def _promising(
    migrations: Sequence[Migration], collection: str, ledger: Ledger
) -> list[tuple[Step, PassRecord | None]]:
    """The steps on a collection that promise something of every document, with the passes they were applied in."""
    steps = [
        (step_of(m, i), _pass_of(ledger, m, i))
        for m, i, o in _document_operations(migrations)
        if o.collection == collection
    ]
    return [(step, known) for step, known in steps if step.where is None and _count(step)]


def _pass_of(ledger: Ledger, migration: Migration, index: int) -> PassRecord | None:
    """The pass in which an operation was applied; None for one that has been written into the file since."""
    known = ledger.versions[migration.version].operations[index : index + 1]
    return ledger.passes.get(known[0].pass_id or "") if known else None
