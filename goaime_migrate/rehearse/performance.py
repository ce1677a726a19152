"""The rehearsal itself, check by check: up, verify, up again, every transform twice, down, all compared, up once more."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

from goaime_migrate import planner
from goaime_migrate.backends.ports import Backend
from goaime_migrate.down import reverter
from goaime_migrate.errors import Irreversible, MigrationFailed, RehearsalFailed
from goaime_migrate.errors.hint import Command, Hint
from goaime_migrate.ledger import Ledger, PassRecord
from goaime_migrate.planner import Facts, UpPlan
from goaime_migrate.planner.facts import BASE
from goaime_migrate.rehearse.snapshot import Difference, Snapshot
from goaime_migrate.rehearse.twice import Twice
from goaime_migrate.results import RehearsalCheck, RunResult, VerifyFailure
from goaime_migrate.run.run import Run
from goaime_migrate.run.work import Pool
from goaime_migrate.up import executor
from goaime_migrate.verify import verifier

FactsOf = Callable[[Backend], tuple[Facts, Ledger]]
"""The files beside the history that a database has now."""
_EXAMPLES = 3
"""Differences that are told in full."""


class Performance:
    """What is found on one copy."""

    def __init__(self, run: Run, plan: UpPlan, pool: Pool, facts_of: FactsOf) -> None:
        self._run = run
        self._backend = run.backend
        self._plan = plan
        self._pool = pool
        self._facts_of = facts_of
        self._first: Difference | None = None
        self.checks: list[RehearsalCheck] = []

    def give(self) -> None:
        """All of it. Raises what a version raises, and what stops a run."""
        facts, _ = self._facts_of(self._backend)
        back_to = facts.current or BASE
        with Snapshot(self._backend, self._run.check) as before:
            self._up("up")
            self._verify()
            self._up_again()
            self._twice()
            if self._down(back_to):
                self._compare(before)
                self._up("up after down")

    def failure(self) -> RehearsalFailed | None:
        """The error for checks that did not hold, if there are any."""
        failed = [check for check in self.checks if not check.ok]
        if not failed:
            return None
        first = self._first or Difference(failed[0].detail)
        return RehearsalFailed(
            f"{failed[0].name}: {first.text}" + (f"; {len(failed)} checks failed" if failed[1:] else ""),
            hint=Hint("correct the migration, then: {}", Command(("rehearse",))),
            version=self._plan.versions[-1] if len(self._plan.versions) == 1 else None,
            id=first.id,
            field=first.field,
        )

    # the way there and back

    def _up(self, name: str) -> None:
        facts, ledger = self._facts_of(self._backend)
        plan = planner.plan_up(facts, self._plan.target)
        result = executor.apply(self._run, facts, ledger, plan, self._pool)
        self._carried_out(name, result)

    def _carried_out(self, name: str, result: RunResult) -> None:
        """Raises what has stopped the run."""
        if result.error is not None:
            self._fail(name, [Difference(result.error.message, result.error.id, result.error.field)])
            raise result.error
        counts = result.documents
        changed = (
            f": {counts.changed:,} of {_number(counts.matched, 'document')} changed" if counts.matched else ""
        )
        self._pass(name, ", ".join(result.versions) + changed)

    def _down(self, back_to: str) -> bool:
        """Whether there was a way back."""
        facts, ledger = self._facts_of(self._backend)
        try:
            plan = planner.plan_down(facts, back_to)
        except Irreversible as error:
            self._fail("down", [Difference(error.message)])
            return False
        result = reverter.take_back(self._run, facts, ledger, plan)
        if result.error is None and result.conflicts:
            first, many = result.conflicts[0], _number(len(result.conflicts), "conflict")
            text = f"{many}: {first.collection}: the document {first.id!r}"
            self._fail("down", [Difference(text, first.id)])
        else:
            self._carried_out("down", result)
        return True

    # what has to hold

    def _verify(self) -> None:
        facts, ledger = self._facts_of(self._backend)
        ours = {v: r for v, r in ledger.versions.items() if v in self._plan.versions}
        found = verifier.verify(
            self._backend, facts, Ledger(ours, ledger.passes), None, False, self._run.listener
        )
        failures = [Difference(_broken(failure), failure.id, failure.field) for failure in found.failures]
        fine = f"{_number(found.promises, 'promise')} held over {_number(found.checked, 'document')}"
        self._hold("verify", failures, fine if found.promises else "nothing is promised")

    def _up_again(self) -> None:
        facts, _ = self._facts_of(self._backend)
        left = planner.plan_up(facts, self._plan.target).versions
        found = [Difference(f"{', '.join(left)} would be applied once more")] if left else []
        self._hold("up again", found, "there is nothing to do")

    def _passes(self) -> list[PassRecord]:
        """Those of the versions that are rehearsed."""
        _, ledger = self._facts_of(self._backend)
        return [p for p in ledger.passes.values() if not set(p.versions).isdisjoint(self._plan.versions)]

    def _twice(self) -> None:
        """Each transform called once more, and each `reverse=` tried. Raises MigrationFailed."""
        facts, _ = self._facts_of(self._backend)
        passes = [Twice(self._backend, record, facts.files) for record in self._passes()]
        check = self._run.check
        found = [d for each in passes for d in islice(each.impure(check), 10 * _EXAMPLES)]
        tried = sum(each.tried for each in passes)
        self._hold(
            "pure", found, f"{_number(tried, 'document')} transformed a second time, to the same bytes"
        )
        reversible = [each for each in passes if each.has_reverse]
        if reversible and not found:
            self._reverse(reversible)

    def _reverse(self, passes: Sequence[Twice]) -> None:
        try:
            found = [d for p in passes for d in islice(p.not_reversed(self._run.check), 10 * _EXAMPLES)]
        except MigrationFailed as error:
            self._fail("reverse", [Difference(error.message, error.id, error.field)])
            raise
        tried = sum(each.reversed for each in passes)
        self._hold(
            "reverse", found, f"{_number(tried, 'result')} reversed and transformed again, to the same bytes"
        )

    def _compare(self, before: Snapshot) -> None:
        """Everything is what it was."""
        for name, found, fine in (
            ("documents", before.different_documents(self._backend), "byte for byte what they were"),
            ("indexes", before.different_indexes(self._backend), "what they were"),
            ("validators", before.different_validators(self._backend), "what they were"),
            ("collections", before.different_collections(self._backend), "what they were"),
        ):
            self._hold(name, found, f"{fine} before up")

    # what is found

    def _hold(self, name: str, found: Iterable[Difference], fine: str) -> None:
        """A check: nothing may be found."""
        differences = iter(found)
        first = list(islice(differences, _EXAMPLES))
        if first:
            self._fail(name, first, more=sum(1 for _ in differences))
        else:
            self._pass(name, fine)

    def _pass(self, name: str, detail: str) -> None:
        self.checks.append(RehearsalCheck(name, True, detail))

    def _fail(self, name: str, found: Sequence[Difference], more: int = 0) -> None:
        self._first = self._first or found[0]
        self.checks.append(RehearsalCheck(name, False, "; ".join(_lines(found, more))))


def _broken(failure: VerifyFailure) -> str:
    """Which promise does not hold, and of which document where it is about one."""
    of = "verify(db)" if failure.collection is None else f"{failure.collection}: the document {failure.id!r}"
    return f"{failure.version}: {of}: {failure.reason}"


def _number(many: int, what: str) -> str:
    return f"{many:,} {what}" if many == 1 else f"{many:,} {what}s"


def _lines(found: Sequence[Difference], more: int) -> Iterator[str]:
    yield from (difference.text for difference in found)
    if more:
        yield f"and {more} more"
