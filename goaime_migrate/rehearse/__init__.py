"""`rehearse`: the pending versions carried out on a copy, up and down and up, and everything held against what it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from goaime_migrate.backends.ports import Backend
from goaime_migrate.config import DUMP, Settings
from goaime_migrate.errors import MigrateError, Refused, RehearsalFailed, ResultBreaksPromise, WouldFail
from goaime_migrate.errors.hint import DOWN, PLAN, REHEARSE, UP, Hint
from goaime_migrate.events import Listener, Notice
from goaime_migrate.ledger import Ledger
from goaime_migrate.operations import SetValidator
from goaime_migrate.planner import Facts, UpPlan
from goaime_migrate.rehearse.copying import copy
from goaime_migrate.rehearse.performance import FactsOf, Performance
from goaime_migrate.rehearse.sampling import Sampling
from goaime_migrate.rehearse.scratch import Scratch, in_memory, on_server
from goaime_migrate.results import REHEARSED, Finding, Predicted, RehearsalCheck, RehearsalResult
from goaime_migrate.rules.refusal import refusal
from goaime_migrate.run.run import Run
from goaime_migrate.up.forecast import forecast
from goaime_migrate.workers.pool import open_pool

_NOTHING = Predicted(0.0, 0, 0)


@dataclass(frozen=True)
class Extent:
    """How much is copied, and where to."""

    sample: int | None = REHEARSED
    """Documents a collection, None for all."""
    memory: bool = False


@dataclass(frozen=True)
class Rehearsal:
    """One rehearsal of a plan, of a database that is only read."""

    source: Backend
    facts: Facts
    ledger: Ledger
    plan: UpPlan
    settings: Settings
    listener: Listener
    interrupted: Callable[[], int | None]
    facts_of: FactsOf

    def give(self, extent: Extent) -> RehearsalResult:
        """Copy, carry out, compare, remove the copy. Raises MigrateError where it cannot be begun."""
        if not self.plan.versions:
            return RehearsalResult((), 0, (), _NOTHING, message=self.plan.message)
        self._require_finished()
        foreseen = forecast(self.source, self.facts, self.plan, None, self.settings, self.listener)
        if foreseen.refused is not None:
            return self._refused(foreseen.refused, foreseen.findings)
        with self._scratch(extent) as scratch:
            run = scratch.run(self.listener, self.interrupted)
            sampling = Sampling(self.source, self.facts, self.plan, self.listener)
            if extent.sample is None:
                sampling.take_all()
            else:
                sampling.take(extent.sample)
            copied = copy(self.source, self.ledger, sampling, run)
            self.listener(Notice(f"rehearsing {', '.join(self.plan.versions)} {scratch.where}"))
            return self._perform(scratch, run, sampling, copied, foreseen.predicted)

    def _refused(self, error: MigrateError, findings: Sequence[Finding]) -> RehearsalResult:
        """What `up` would refuse, by what the database itself says: a copy need not be refused the same."""
        if isinstance(error, WouldFail):  # findings are shown by `plan`: here it has to say itself what to do
            error = refusal(findings) or error
        return RehearsalResult(
            versions=self.plan.versions,
            documents=0,
            checks=(RehearsalCheck("up", False, error.message),),
            predicted=_NOTHING,
            error=_told(error.advise(error.hint.instead(PLAN, REHEARSE))),
        )

    def _perform(
        self, scratch: Scratch, run: Run, sampling: Sampling, copied: int, predicted: Predicted
    ) -> RehearsalResult:
        error: MigrateError | None = None
        with open_pool(scratch.settings, self.listener) as pool:
            performance = Performance(run, self.plan, pool, self.facts_of)
            try:
                performance.give()
            except MigrateError as stopped:
                error = _told(stopped.advise(stopped.hint.instead(UP, REHEARSE)))
        return RehearsalResult(
            versions=self.plan.versions,
            documents=copied,
            checks=tuple(performance.checks),
            predicted=_NOTHING if error else predicted,
            error=error or performance.failure(),
            where=scratch.where,
            notes=tuple(sampling.notes),
        )

    def _require_finished(self) -> None:
        """Documents of which some are migrated and some are not are no place to begin at. Raises Refused."""
        for record in self.ledger.unfinished:
            raise Refused(
                f"{record.version} is {record.state}: a rehearsal begins where versions are applied or are not",
                hint=Hint("finish it: {}; or take it back: {}", UP, DOWN),
                version=record.version,
            )

    def _scratch(self, extent: Extent) -> AbstractContextManager[Scratch]:
        if extent.memory or self.settings.uri.startswith(DUMP):
            return in_memory(self.source, self.settings, self.listener)
        return on_server(self.source, self.settings, self.listener, validators=any(self._validators()))

    def _validators(self) -> Iterator[bool]:
        """Whether there are validators, or will be."""
        for version in self.plan.versions:
            yield from (isinstance(o, SetValidator) for o in self.facts.files[version].operations)
        yield from ("validator" in info.options for info in self.source.collections().values())


def _told(error: MigrateError) -> MigrateError:
    """A promise that does not hold is what a rehearsal is to find; whatever else raises is its own error."""
    if not isinstance(error, ResultBreaksPromise):
        return error
    return RehearsalFailed(
        f"up: {error.message}",
        hint=error.hint,
        version=error.version,
        id=error.id,
        field=error.field,
        detail=error.detail,
    )
