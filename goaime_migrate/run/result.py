"""What a run did, whether it came to its end or not."""

from __future__ import annotations

import time
from collections.abc import Callable

from goaime_migrate.errors import LeaseLost, MigrateError, MigrationFailed
from goaime_migrate.results import Direction, RunResult, VersionDocuments
from goaime_migrate.run.recorder import Recorder
from goaime_migrate.run.run import Run


def result_of(direction: Direction, recorder: Recorder, work: Callable[[], None]) -> RunResult:
    """Do the work; what the recorder then knows of it, with the error that has stopped it, if one has."""
    started, error, done = time.monotonic(), None, recorder.totals
    try:
        work()
    except MigrateError as caught:
        error = _reason(caught, recorder.run)
    return RunResult(
        direction=direction,
        versions=tuple(done.versions),
        failed=error.version if isinstance(error, MigrationFailed) else None,
        error=error,
        documents=done.documents,
        conflicts=tuple(done.conflicts),
        more_conflicts=done.more_conflicts,
        warnings=tuple(done.warnings),
        duration_s=round(time.monotonic() - started, 3),
        in_all=tuple(VersionDocuments(version, of) for version, of in done.in_all.items()),
    )


def _reason(error: MigrateError, run: Run) -> MigrateError:
    """Why a run stopped: what fails when the lock is lost may fail for what another run has done since."""
    if isinstance(error, MigrationFailed):
        try:
            run.lease.renew()
        except LeaseLost as lost:
            return lost
        except MigrateError:
            pass  # it cannot be asked
    return error
