"""What `doctor` makes of what a server says of itself: each check with its thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from goaime_migrate import errors
from goaime_migrate.backends.ports import Capabilities, Mode, Need, Room
from goaime_migrate.backends.ports.checkup import Lacking, Member, Oplog
from goaime_migrate.config import Settings
from goaime_migrate.doctor import configured, documents, server
from goaime_migrate.doctor.patient import Patient, examine
from goaime_migrate.results import CheckStatus, OperationPlan, Predicted, StepPlan

OK, WARNING, ERROR, UNKNOWN = CheckStatus
FIRST = Member("a:1", "PRIMARY", True, True, False, 0.0, 0.0)
SECOND = replace(FIRST, name="b:1", state="SECONDARY")
THIRD = replace(SECOND, name="c:1")
GB = 1_000_000_000


@dataclass
class FakeServer:
    """A server that says what it is told to."""

    release: str = "6.0.27"
    ahead: float = 0.0
    set: Sequence[Member] = (FIRST,)
    log: Oplog = field(default_factory=lambda: Oplog(GB, 86_400.0))
    cached: int | None = GB

    def version(self) -> str:
        return self.release

    def clock_ahead(self) -> float:
        return self.ahead

    def members(self) -> Sequence[Member]:
        return self.set

    def oplog(self) -> Oplog:
        return self.log

    def cache_bytes(self) -> int | None:
        return self.cached

    def lacking(self, needs: Sequence[Need]) -> Lacking | None:
        return None


def capable(mode: Mode = Mode.TRANSACTIONAL, product: str = "replica set rs0") -> Capabilities:
    replicated = mode is Mode.TRANSACTIONAL
    return Capabilities(mode, product, replicated, replicated, replicated, True, True, replicated)


def patient(
    said: FakeServer | None = None,
    *,
    free: int = 100 * GB,
    predicted: Predicted | None = None,
    changed: int = 1,
    capabilities: Capabilities | None = None,
    **settings: Any,
) -> Patient:
    """A patient of whom only these things are known."""
    operation = OperationPlan("x", "c", changed, changed, 0)
    plan = predicted and SimpleNamespace(
        refused=None, predicted=predicted, steps=[StepPlan("0001", "x", (operation,), (), False, ())]
    )
    backend = SimpleNamespace(capabilities=capabilities or capable(), room=lambda: Room(disk=free))
    made = Patient(
        cast("Any", backend), cast("Any", None), cast("Any", None), Settings(**settings), lambda _: None
    )
    vars(made).update(server=said or FakeServer(), plan=plan)
    return made


def status(check: Any, of: Patient) -> CheckStatus:
    (found,) = examine(check, of)
    assert bool(found.remedy) is (found.status is not OK)
    return found.status


@pytest.mark.parametrize(
    ("release", "expected"), [("4.0.28", WARNING), ("4.2.1", OK), ("5.0.4", OK), ("8.0.0-rc1", OK)]
)
def test_releases_that_nobody_has_tried(release: str, expected: CheckStatus) -> None:
    assert status(server.server, patient(FakeServer(release))) is expected


@pytest.mark.parametrize(("ahead", "expected"), [(0.3, OK), (-4.0, OK), (6.0, WARNING), (-3600.0, WARNING)])
def test_clocks(ahead: float, expected: CheckStatus) -> None:
    assert status(server.clock, patient(FakeServer(ahead=ahead))) is expected


@pytest.mark.parametrize(
    ("mode", "product", "settings", "expected"),
    [
        (Mode.TRANSACTIONAL, "replica set rs0", {}, OK),
        (Mode.SINGLE_DOCUMENT, "standalone", {}, WARNING),
        (Mode.EMBEDDED, "dump directory", {}, OK),
        (Mode.TRANSACTIONAL, "mongos", {}, ERROR),
        (Mode.TRANSACTIONAL, "mongos", {"allow_untested_topology": True}, OK),
    ],
)
def test_modes(mode: Mode, product: str, settings: dict[str, Any], expected: CheckStatus) -> None:
    assert status(server.mode, patient(capabilities=capable(mode, product), **settings)) is expected


@pytest.mark.parametrize(
    ("members", "expected", "said"),
    [
        ([FIRST], OK, "1 member"),
        ([FIRST, SECOND, THIRD], OK, "3 members"),
        ([FIRST, SECOND, replace(THIRD, state="ARBITER")], OK, ""),
        ([FIRST, SECOND, replace(THIRD, hidden=True)], WARNING, "c:1 is hidden"),
        ([FIRST, SECOND, replace(THIRD, delay_s=3600.0)], WARNING, "c:1 is 1h00m late on purpose"),
        ([FIRST, SECOND, replace(THIRD, lag_s=30.0)], WARNING, "c:1 is 30s behind"),
        ([FIRST, SECOND, replace(THIRD, state="DOWN", healthy=False)], WARNING, "c:1 is down"),
        ([FIRST, replace(SECOND, healthy=False), replace(THIRD, delay_s=9.0)], ERROR, "1 of 3 voting"),
        ([FIRST, replace(SECOND, delay_s=60.0, votes=False)], WARNING, "late on purpose"),
        ([FIRST, replace(SECOND, delay_s=60.0), replace(THIRD, state="ARBITER")], ERROR, "1 of 3 voting"),
    ],
)
def test_members(members: list[Member], expected: CheckStatus, said: str) -> None:
    (found,) = examine(server.members, patient(FakeServer(set=members)))
    assert found.status is expected
    assert said in found.message


@pytest.mark.parametrize(
    ("written", "expected"), [(0, OK), (GB // 4, OK), (GB * 6 // 10, WARNING), (3 * GB, WARNING)]
)
def test_what_goes_through_the_oplog(written: int, expected: CheckStatus) -> None:
    assert status(server.oplog, patient(predicted=Predicted(1.0, 0, written))) is expected


@pytest.mark.parametrize(
    ("free", "journal", "expected"), [(100, 10, OK), (100, 40, OK), (100, 60, WARNING), (100, 120, ERROR)]
)
def test_room_on_the_disk(free: int, journal: int, expected: CheckStatus) -> None:
    predicted = Predicted(1.0, journal * GB, 0)
    assert status(documents.disk, patient(free=free * GB, predicted=predicted)) is expected


@pytest.mark.parametrize(
    ("each", "settings", "expected"),
    [
        (10_000, {}, OK),
        (400_000, {}, OK),
        (800_000, {}, OK),
        (800_000, {"workers": 8}, WARNING),
        (800_000, {"workers": 8, "batch_size": 10}, OK),
    ],
)
def test_batches_in_the_cache(each: int, settings: dict[str, Any], expected: CheckStatus) -> None:
    predicted = Predicted(1.0, 0, 1_000 * each)
    assert status(server.cache, patient(predicted=predicted, changed=1_000, **settings)) is expected


def test_what_is_not_foreseen_is_said() -> None:
    for check in (server.oplog, documents.disk):
        (found,) = examine(check, patient())
        assert found.status is OK
        assert "not known" in found.message


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("", OK),
        ("?tls=true&connectTimeoutMS=100", OK),
        ("?readPreference=secondary", WARNING),
        ("?w=1&retryWrites=false", WARNING),
        ("?appName=shop", OK),
        ("?compressors=snappy", WARNING),
    ],
)
def test_options_that_are_not_followed(options: str, expected: CheckStatus) -> None:
    assert status(configured.uri, patient(uri=f"mongodb://user:pass-word@host/{options}")) is expected


def test_the_settings_are_shown_with_their_sources_and_without_secrets(tmp_path: Path) -> None:
    settings = Settings(
        uri="mongodb://app:secret-word@host/shop",
        database="shop",
        migrations=tmp_path,
        workers=3,
        sources={"uri": "GOAIME_MIGRATE_URI", "workers": "shop.ini [env:x]", "database": "default"},
    )
    said = configured.sources(settings).message
    assert said == "uri = mongodb://app:***@host/shop (GOAIME_MIGRATE_URI); workers = 3 (shop.ini [env:x])"


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (errors.MissingPrivilege("may not", hint="grant it"), UNKNOWN),
        (errors.DamagedRecord("broken", hint="mend it"), ERROR),
    ],
)
def test_what_a_check_raises_is_its_result(raised: errors.MigrateError, expected: CheckStatus) -> None:
    def some_check(_: Patient) -> None:
        raise raised

    (found,) = examine(some_check, patient())
    assert (found.name, found.status, found.remedy) == ("some-check", expected, str(raised.hint))


def test_a_server_that_goes_away_ends_it_all() -> None:
    def some_check(_: Patient) -> None:
        raise errors.ServerUnreachable("gone")

    with pytest.raises(errors.ServerUnreachable):
        list(examine(some_check, patient()))


def test_a_check_that_does_not_concern_a_dump_says_nothing() -> None:
    made = patient()
    vars(made).update(server=None)
    for check in (server.server, server.clock, server.members, server.oplog, server.cache, configured.uri):
        assert list(examine(check, made)) == []
