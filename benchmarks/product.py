"""Runs of goaime-migrate itself, each held to its result."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from benchmarks import goaime, processes
from benchmarks.database import MEASURED, Ground, WrongResult, size_of
from benchmarks.processes import Ended
from goaime_migrate import Migrator, Settings
from goaime_migrate.backends.ports import JOURNAL
from goaime_migrate.results import Counts, RunResult, State

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Product:
    """goaime-migrate on the database of the present run."""

    ground: Ground
    workers: int
    migrations: Path = goaime.MIGRATIONS
    documents: int | None = None
    """How many its migrations go over, if it is not the sessions."""

    def _migrator(self) -> Migrator:
        return Migrator(
            Settings(uri=self.ground.uri, database=MEASURED, migrations=self.migrations, workers=self.workers)
        )

    @property
    def _last(self) -> str | None:
        return goaime.LAST if self.migrations == goaime.MIGRATIONS else None

    # the library

    def up(self, target: str | None = None) -> float:
        """Seconds that `up` took. Raises WrongResult."""
        with self._migrator() as migrator:
            seconds, result = _timed(lambda: migrator.up(target or self._last))
            self._succeeded(result)
            versions = result.versions
            self._states(dict.fromkeys(versions, State.APPLIED), migrator)
        if self.migrations == goaime.MIGRATIONS:
            self.ground.expect(steps=len(versions))
        return seconds

    def down(self) -> float:
        """Seconds that `down base` took. Raises WrongResult."""
        with self._migrator() as migrator:
            seconds, result = _timed(lambda: migrator.down("base"))
            self._succeeded(result)
            self._states(dict.fromkeys(result.versions, State.PENDING), migrator)
        self.ground.expect(steps=0)
        return seconds

    def verify(self) -> float:
        """Seconds that `verify` took. Raises WrongResult."""
        with self._migrator() as migrator:
            seconds, result = _timed(migrator.verify)
        require(
            result.checked == (self.documents or self.ground.sessions) and not result.failures,
            f"verify: {result!r:.300}",
        )
        return seconds

    def _succeeded(self, result: RunResult) -> None:
        if result.error is not None:
            raise WrongResult("the run failed") from result.error
        require(bool(result.versions), "no version was run")
        self._counted(result.documents)

    def _counted(self, documents: Counts) -> None:
        """Every session was examined, and nearly all were changed: the sample has few in the newest shape."""
        changed, there = documents.changed, self.documents or self.ground.sessions
        require(documents.matched in (there, changed), f"{documents} of {there}")
        require(0.9 * there <= changed <= there and not documents.conflicts, f"{documents} of {there}")

    def _states(self, expected: dict[str, State], migrator: Migrator) -> None:
        found = {each.version: each.state for each in migrator.status().versions}
        require(expected.items() <= found.items(), f"the ledger says {found}")

    # the command

    def command(self, *arguments: str) -> Ended:
        """`goaime-migrate` as a process, from its start to its end. Raises WrongResult."""
        shell = {k: v for k, v in os.environ.items() if not k.startswith("GOAIME_MIGRATE_")}
        database = ("--uri", self.ground.uri, "--database", MEASURED, "--migrations", str(self.migrations))
        workers = () if arguments[0] == "verify" else ("--workers", str(self.workers))
        command = [sys.executable, "-m", "goaime_migrate", *arguments, *database, *workers, "--json"]
        ended = processes.run(command, shell, goaime.ROOT)
        require(ended.code == 0, f"{arguments[0]} ended with {ended.code}: {ended.err}")
        said = json.loads(ended.out)
        if arguments[0] == "verify":
            require(said["checked"] == self.ground.sessions and not said["failures"], ended.out)
        else:
            self._counted(Counts(**said["documents"]))
        return ended

    def up_command(self) -> Ended:
        """`goaime-migrate up`."""
        ended = self.command("up", goaime.LAST)
        self.ground.expect(steps=len(goaime.transforms()))
        with self._migrator() as migrator:
            self._states(dict.fromkeys(map(str, json.loads(ended.out)["applied"]), State.APPLIED), migrator)
        return ended

    def down_command(self) -> Ended:
        """`goaime-migrate down base`."""
        ended = self.command("down", "base", "--yes")
        self.ground.expect(steps=0)
        return ended

    # room

    def journal(self) -> int:
        """Bytes of before-images and frozen lookups. Raises WrongResult if there are none."""
        size = size_of(self.ground.measured, JOURNAL)
        require(size > 0, "the journal is empty")
        return size


def require(holds: bool, otherwise: str) -> None:
    """Refuse a run that did something else than what it is timed for."""
    if not holds:
        raise WrongResult(otherwise)


def _timed(work: Callable[[], _Result]) -> tuple[float, _Result]:
    begun = time.monotonic()
    result = work()
    return time.monotonic() - begun, result
