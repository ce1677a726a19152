"""Files and ledger put together: what `status` says of a version while a run works on it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from goaime_migrate.backends.ports import PAUSED, Backend, LeaseRecord, Origin, Owner, Pause
from goaime_migrate.ledger import Ledger, OperationRecord, PassRecord, VersionRecord
from goaime_migrate.migration import Migration
from goaime_migrate.planner import Facts
from goaime_migrate.results import Progress, State, Throttle, VersionStatus, Waiting
from goaime_migrate.status import standing

NOW = datetime(2026, 3, 1, 13, 0, tzinfo=UTC)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def record(version: str, state: State, *, started: float, took: float = 0.0) -> VersionRecord:
    operation = OperationRecord("an operation", f"{version}-1", started=True)
    return VersionRecord(
        version, "recorded", "", state, "same", (operation,), started_at=ago(started), duration_s=took
    )


def walk(version: str, *, run: float) -> PassRecord:
    return PassRecord(
        f"{version}-1", "c", ((version, 0, "same"),), 1, False, None, 9, None, None, False, True, (False,),
        run_at=ago(run), target_level=0, taken_back=4, to_take_back=8,
    )  # fmt: skip


def shown(
    *records: VersionRecord,
    files: Sequence[Migration] = (),
    passes: Sequence[PassRecord] = (),
    acquired: float = 100.0,
    live: bool = True,
    **of_the_run: Any,
) -> list[VersionStatus]:
    lease = LeaseRecord(Owner("r", "w", "h", 1, "b", "s"), 1, ago(acquired), NOW, live, **of_the_run)
    backend = SimpleNamespace(
        read_lease=lambda: lease,
        now=lambda: NOW,
        origin=Origin,
        find=lambda *_, **__: [],
        database_name="d",
        server="s",
        capabilities=SimpleNamespace(mode="transactional"),
    )
    ledger = Ledger({r.version: r for r in records}, {p.id: p for p in passes})
    facts = Facts(files, (), ledger.versions, ledger.passes, frozenset(ledger.versions))
    return list(standing(cast("Backend", backend), cast("Any", facts), ledger).versions)


def test_the_time_of_a_running_version_is_since_it_began() -> None:
    (version,) = shown(record("0001", State.RUNNING, started=7.0))
    assert version.duration_s == 7.0


def test_one_that_goes_on_counts_from_the_present_run() -> None:
    (version,) = shown(record("0001", State.RUNNING, started=86_400.0, took=50.0), acquired=30.0)
    assert version.duration_s == 30.0


@pytest.mark.parametrize("state", [State.RUNNING, State.REVERTING])
def test_one_whose_pass_was_taken_up_counts_from_there(state: State) -> None:
    (version,) = shown(record("0001", state, started=86_400.0), passes=[walk("0001", run=12.0)])
    assert version.duration_s == 12.0


def test_the_progress_of_a_way_down_is_of_what_the_journal_holds() -> None:
    (version,) = shown(record("0001", State.REVERTING, started=86_400.0), passes=[walk("0001", run=2.0)])
    assert version.progress == Progress(done=4, total=8, rate=2.0, eta_s=2.0)


@pytest.mark.parametrize(
    "told",
    [
        {"throttle": Throttle(paused=True)},
        {"throttle": Throttle(max_rate=5.0), "waiting": Waiting(PAUSED, NOW)},
        {"waiting": Waiting(PAUSED, NOW)},
    ],
)
def test_a_run_that_is_paused_has_no_rate_and_no_end(told: dict[str, Any]) -> None:
    (version,) = shown(record("0001", State.REVERTING, started=9.0), passes=[walk("0001", run=2.0)], **told)
    assert version.progress == Progress(done=4, total=8, rate=None, eta_s=None)


def test_pauses_do_not_count_where_it_goes_on() -> None:
    pauses = (Pause(ago(90), ago(60)), Pause(ago(14), ago(10)), Pause(ago(6), ago(2)))
    (version,) = shown(
        record("0001", State.REVERTING, started=100.0), passes=[walk("0001", run=12.0)], pauses=pauses
    )
    assert version.progress == Progress(done=4, total=8, rate=0.7, eta_s=5.7), "of 12 s 2 and 4 were pauses"


def test_where_no_run_is_alive_the_recorded_time_stays() -> None:
    (version,) = shown(record("0001", State.RUNNING, started=7.0, took=3.0), live=False)
    assert (version.state, version.duration_s) == (State.PARTIAL, 3.0)


def test_an_applied_version_has_the_name_that_was_recorded() -> None:
    archive, other = (
        Migration("0004", name, name, "same", Path(f"0004_{name}.py"), ()) for name in ("archive", "other")
    )
    (version,) = shown(record("0004", State.APPLIED, started=7.0), files=[archive, other])
    assert (version.name, version.checksum) == ("recorded", "same")
