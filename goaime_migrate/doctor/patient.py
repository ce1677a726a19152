"""What is examined, and how the result of a check comes about."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

from goaime_migrate import planner
from goaime_migrate.backends.ports import Backend
from goaime_migrate.backends.ports.checkup import Checkup
from goaime_migrate.config import Settings
from goaime_migrate.errors import MigrateError, MissingPrivilege, ServerUnreachable
from goaime_migrate.events import Listener
from goaime_migrate.ledger import Ledger
from goaime_migrate.migration import Operation
from goaime_migrate.planner import Facts
from goaime_migrate.results import Check, CheckStatus, PlanResult, Predicted, StatusResult
from goaime_migrate.status import standing


@dataclass(frozen=True)
class Patient:
    """A database with its files, its history and its settings; what several checks need is found once."""

    backend: Backend
    facts: Facts
    ledger: Ledger
    settings: Settings
    listener: Listener

    @cached_property
    def server(self) -> Checkup | None:
        """None for a dump directory."""
        return self.backend.checkup()

    @cached_property
    def status(self) -> StatusResult:
        """As `status` tells it."""
        return standing(self.backend, self.facts, self.ledger)

    @cached_property
    def plan(self) -> PlanResult | None:
        """As `plan` tells it; None where the files and the history do not allow one."""
        from goaime_migrate.up.forecast import forecast

        try:
            plan = planner.plan_up(self.facts)
        except MigrateError:
            return None  # the check of the history says why
        return forecast(self.backend, self.facts, plan, None, self.settings, self.listener)

    @property
    def predicted(self) -> Predicted | None:
        """What the pending versions will take; None where that is not known."""
        return None if self.plan is None or self.plan.refused is not None else self.plan.predicted

    @cached_property
    def pending(self) -> list[Operation]:
        """The operations of all versions that are not applied."""
        versions = [v for v in self.status.pending if v in self.facts.files]
        return [operation for v in versions for operation in self.facts.files[v].operations]


@dataclass(frozen=True)
class Said:
    """How one check came out."""

    message: str
    status: CheckStatus = CheckStatus.OK
    remedy: str = ""


CheckFunction = Callable[[Patient], Said | None]


def warn(message: str, remedy: str) -> Said:
    """Something that stops nothing, and that somebody should know."""
    return Said(message, CheckStatus.WARNING, remedy)


def fault(message: str, remedy: str) -> Said:
    """Something that would make a command fail."""
    return Said(message, CheckStatus.ERROR, remedy)


def examine(function: CheckFunction, patient: Patient) -> Iterator[Check]:
    """The check by its function's name; none where it says nothing of this database.

    What this user may not see is unknown, and what raises is a fault. Raises ServerUnreachable.
    """
    try:
        said = function(patient)
    except ServerUnreachable:
        raise
    except MissingPrivilege as error:
        said = Said(f"cannot be seen: {error.message}", CheckStatus.UNKNOWN, str(error.hint))
    except MigrateError as error:
        said = fault(error.message, str(error.hint))
    if said is not None:
        yield Check(function.__name__.replace("_", "-"), said.status, said.message, said.remedy)
