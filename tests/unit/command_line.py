"""A command line over a facade that answers what it is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

from goaime_migrate import errors
from goaime_migrate.config import Settings
from goaime_migrate.errors import Problem
from goaime_migrate.events import Listener
from goaime_migrate.results import (
    Counts,
    Direction,
    HistoryEntry,
    InitResult,
    LintResult,
    LockStatus,
    Mode,
    NewResult,
    PlanResult,
    Predicted,
    RepairResult,
    RunResult,
    StampResult,
    State,
    StatusResult,
    StepPlan,
    UnlockResult,
    VerifyResult,
    VersionStatus,
)

AT = datetime(2025, 11, 23, 12, 0, 1, tzinfo=UTC)
LOCK = LockStatus("run", "deploy", "pod", 1, 2, AT, AT, live=True)
STEP = StepPlan("0001", "add_user_id", (), (), False, ())


def standing(
    state: State = State.APPLIED, *problems: Problem, lock: LockStatus | None = None
) -> StatusResult:
    version = VersionStatus("0001", "add_user_id", "", state, None, None, None, 0, None, None)
    pending = () if state is State.APPLIED else ("0001",)
    return StatusResult(
        "goaime", "dump:demo", Mode.EMBEDDED, None, "0001", pending, problems, lock, (version,)
    )


def planned(direction: Direction = Direction.UP, *steps: StepPlan, **given: Any) -> PlanResult:
    return PlanResult(direction, None, steps, Predicted(1.0, 0, 0), **{"refused": None} | given)


def ran(direction: Direction, error: errors.MigrateError | None = None) -> RunResult:
    versions = () if error else ("0001",)
    return RunResult(direction, versions, "0001" if error else None, error, Counts(2, 2), (), (), 0.5)


class Fake:
    """A stand-in for Migrator: answers by method name, and a record of the calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.settings: Settings | None = None
        self.listener: Listener | None = None
        self.closed = False
        self.interrupts: list[int] = []
        self.answers: dict[str, Any] = {
            "status": standing(),
            "wait": standing(),
            "plan": planned(Direction.DOWN, STEP),
            "up": ran(Direction.UP),
            "down": ran(Direction.DOWN),
            "verify": VerifyResult(3, ()),
            "history": (HistoryEntry(AT, "0001", "up", "applied", None, 1.0, "me", "here", "0.1.0"),),
            "lint": LintResult(4),
            "unlock": UnlockResult(LOCK, ended=False),
            "stamp": StampResult(("0001",)),
            "repair": RepairResult(("0001",), ()),
            "init": InitResult(("alembic-style.ini",), ()),
            "new": NewResult("0005", "migrations/0005_x.py"),
        }

    def __call__(self, settings: Settings, listener: Listener | None) -> Fake:
        self.settings, self.listener = settings, listener
        return self

    def __enter__(self) -> Fake:
        return self

    def __exit__(self, *_: object) -> None:
        self.closed = True

    def interrupt(self, signum: int) -> None:
        self.interrupts.append(signum)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def method(*given: Any, **named: Any) -> Any:
            self.calls.append((name, given, named))
            answer = self.answers[name]
            if isinstance(answer, BaseException):
                raise answer
            return answer(*given, **named) if callable(answer) else answer

        return method


class Ended(NamedTuple):
    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Ended]
