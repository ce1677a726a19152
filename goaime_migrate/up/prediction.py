"""What a whole `up` will take, added up operation by operation; and what that was found from."""

from __future__ import annotations

from goaime_migrate.backends.ports import Backend
from goaime_migrate.migration import Operation
from goaime_migrate.operations import CreateIndex, RunFunctions
from goaime_migrate.results import Predicted
from goaime_migrate.up.cost import (
    CHANGE,
    OFFLINE_S,
    PASS,
    RUN,
    START_S,
    VERSION,
    Fixed,
    Pace,
    Shared,
    Work,
    run_logged,
)


class Prediction:
    """The sum of all that could be foreseen."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._server = backend.capabilities.leases
        self._pace: Pace | None = None
        self._seconds = 0.0
        self._journal = 0.0
        self._grown = 0.0
        self._oplog = 0
        self._timed = 0
        self._documents = 0
        self._others = 0
        """Processes that are started for the run."""
        self._built = False
        self._open: list[str] = []

    @property
    def pace(self) -> Pace:
        """How fast things are, found out once."""
        if self._pace is None:
            self._pace = Pace.of(self._backend)
        return self._pace

    def add(self, work: Work, factor: float, shared: Shared) -> None:
        """A pass of which a sample was worked on; `factor` times that is to be done."""
        self._fixed(PASS)
        self._seconds += work.seconds(factor, self.pace, shared.speed, server=self._server)
        self._others = max(self._others, shared.processes - 1)
        self._journal += factor * work.journal_bytes
        self._grown += factor * work.grown_bytes
        self._oplog += work.oplog_bytes(factor)
        self._timed += work.examined
        self._documents += round(factor * work.examined)

    def change(self, version: str, operation: Operation) -> None:
        """An operation that is no pass: indexes take their time, and nobody knows what a function does."""
        self._fixed(CHANGE)
        if isinstance(operation, CreateIndex) and self._server:
            self._seconds += self.pace.index(self._backend.count(operation.collection))
            self._built = True
        elif isinstance(operation, RunFunctions):
            self.leave_out(f"up(db) of {version}")

    def leave_out(self, what: str) -> None:
        """Something that cannot be foreseen."""
        self._open.append(what)

    def _fixed(self, what: Fixed, times: int = 1) -> None:
        self._seconds += times * what.seconds(self.pace) if self._server else 0.0

    def made(self, versions: int) -> Predicted:
        """The sum, for so many versions; nothing where nothing is to be done."""
        if self._pace is None:
            return Predicted(0.0, 0, 0, basis=self._basis())
        self._fixed(RUN)
        self._fixed(VERSION, versions)
        starting = self._pace.slowness * (self._others * START_S + (0.0 if self._server else OFFLINE_S))
        seconds = self._seconds + starting
        oplog = self._oplog + run_logged(versions) if self._backend.capabilities.change_streams else 0
        room = round(self._journal + max(0.0, self._grown))
        return Predicted(round(seconds, 3), round(self._journal), oplog, room, self._basis())

    def _basis(self) -> str:
        parts = []
        if self._documents:
            of = "" if self._timed >= self._documents else f" of {self._documents:,}"
            parts.append(
                f"{self._timed:,}{of} documents read, transformed and journaled, writing reckoned by bytes"
            )
        if self._built:
            parts.append("building indexes reckoned by documents")
        if self._open:
            parts.append(f"without {', '.join(self._open)}")
        return "; ".join(parts)
