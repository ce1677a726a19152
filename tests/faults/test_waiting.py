"""What a run waits for: other clients' transactions, replicas that lag. It says so, keeps its lease, and ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.client_session import ClientSession

from goaime_migrate import errors
from goaime_migrate.backends.ports import PROGRESS
from goaime_migrate.backends.server.transactional import TransactionalBackend
from goaime_migrate.events import Event, Notice
from goaime_migrate.migrator import Migrator
from goaime_migrate.results import Waiting
from goaime_migrate.run import holdup, lock, pacing
from tests.faults.runs import Forker, Strike
from tests.faults.test_crash import UP
from tests.faults.test_privileges import impatient  # noqa: F401 (a fixture)
from tests.faults.workload import bank
from tests.servers import OTHER, READER, WRITER, Kind, ReplicaSet
from tests.world import World, succeeded

ADD = 'from goaime_migrate import *\noperations = [AddField("c", "new", 1)]\n'


@pytest.fixture
def numbers(one: World) -> World:
    one.insert("c", [{"_id": i, "n": i} for i in range(20)])
    one.write("0001_add.py", ADD)
    return one


@pytest.fixture(autouse=True)
def _brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pacing, "PATIENCE", 3)
    monkeypatch.setattr(holdup, "_ROUND_S", 0.05)


@contextmanager
def locked(world: World, identity: int) -> Iterator[ClientSession]:
    """A document that another client's open transaction has written."""
    with MongoClient[Any](world.uri, appname="the shop") as client, client.start_session() as session:
        session.start_transaction()
        client[world.database].c.update_one({"_id": identity}, {"$set": {"n": -1}}, session=session)
        yield session


class Ear:
    """Hears what is told, and does something at the first notice that says `word`."""

    def __init__(self, word: str, then: Callable[[], object]) -> None:
        self.notices: list[str] = []
        self._word = word
        self._then = then

    def __call__(self, event: Event) -> None:
        if isinstance(event, Notice):
            self.notices.append(event.text)
            if self._word in event.text and sum(self._word in n for n in self.notices) == 1:
                self._then()


@pytest.mark.parametrize("ending", ["commit_transaction", "abort_transaction"])
def test_an_idle_transaction_on_one_document_is_waited_for(numbers: World, ending: str) -> None:
    seen: list[Waiting | None] = []
    with locked(numbers, 7) as session:

        def end() -> None:
            seen.append(numbers.status().waiting)
            getattr(session, ending)()

        ear = Ear("is locked", end)
        with numbers.migrator(ear) as migrator:
            succeeded(migrator.up())
    (notice,) = [n for n in ear.notices if "is locked" in n]
    assert notice.startswith("c: 7 is locked by an open transaction: of 'the shop', ")
    assert [w.reason in notice for w in seen if w] == [True]
    assert numbers.status().waiting is None
    assert all(d["new"] == 1 for d in numbers.documents("c"))
    assert numbers.documents("c")[7]["n"] == (-1 if ending == "commit_transaction" else 7)


def test_a_transaction_that_outlives_its_time_ends_the_run_by_its_name(
    numbers: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TransactionalBackend, "transaction_lifetime", lambda _: 0.2)
    with locked(numbers, 7):
        error = numbers.up().error
    assert isinstance(error, errors.Contended)
    assert error.id == 7
    assert "was locked all the time by an open transaction" in error.message
    assert "'the shop'" in error.message
    assert "try later" in error.hint
    assert numbers.status().waiting is None
    succeeded(numbers.up())


def test_the_server_s_own_limit_is_known(impatient: ReplicaSet, numbers: World) -> None:  # noqa: F811
    for user, limit in ((None, 5.0), (READER, 60.0)):
        uri = impatient.uri if user is None else impatient.uri_for(user)
        with Migrator(World(Kind.REPLICA_SET, uri, "x", numbers.folder).migrator()._settings) as migrator:
            backend = migrator._sources.backend(write=False)
            assert backend.transaction_lifetime() == limit
            assert backend.open_transactions() == []


def test_the_lease_is_kept_while_a_former_holder_s_transaction_is_waited_for(
    numbers: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("TTL_S", 0.6), ("HEARTBEAT_S", 0.2), ("MARGIN_S", 0.1)):
        monkeypatch.setattr(lock, name, value)
    with numbers.migrator() as migrator:
        backend = migrator._sources.backend(write=True)
        backend.prepare()
    with MongoClient[Any](numbers.uri) as client, client.start_session() as session:
        progress = client[numbers.database][PROGRESS]
        progress.insert_one({"_id": "x", "kind": "partition", "fence": 0, "pass": "x"})
        session.start_transaction()
        progress.update_one({"_id": "x"}, {"$set": {"seq": 1}}, session=session)
        ear = Ear("left a transaction open", session.abort_transaction)
        with numbers.migrator(ear) as migrator:
            backend = migrator._sources.backend(write=True)
            with lock.hold(backend, 0, ear) as lease:
                lease.renew()
                progress.delete_many({})
    assert len(ear.notices) == 1


# --- replicas ----------------------------------------------------------------------------------------------------


def test_a_run_that_waits_for_replicas_says_so_in_status(
    numbers: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    lags = iter([0.0, 30.0, 30.0])
    monkeypatch.setattr(TransactionalBackend, "replication_lag", lambda _: next(lags, 0.0))
    seen: list[Waiting | None] = []

    def look() -> None:
        seen.append(numbers.status().waiting)

    ear = Ear("going on", look)
    original = lock.Lease.waits

    def noted(lease: lock.Lease, reason: str | None) -> None:
        original(lease, reason)
        look()

    monkeypatch.setattr(lock.Lease, "waits", noted)
    with numbers.migrator(ear, max_lag=10.0) as migrator:
        succeeded(migrator.up())
    assert [w and w.reason for w in seen] == ["a replica lags 30 s behind, more than 10 s", None, None]
    assert isinstance(seen[0], Waiting)
    assert isinstance(seen[0].since, datetime)


@pytest.mark.parametrize("command", ["up", "down"])
def test_a_lag_that_may_not_be_seen_is_refused_with_the_grant(
    secured_replica_set: ReplicaSet, numbers: World, database_name: str, command: str
) -> None:
    world = World(Kind.REPLICA_SET, secured_replica_set.uri_for(WRITER), database_name, numbers.folder)
    if command == "down":
        succeeded(world.up())
    before = world.states()
    with world.migrator(max_lag=10.0) as migrator, pytest.raises(errors.MissingPrivilege) as caught:
        getattr(migrator, command)()
    assert "grantRolesToUser('writer', [{ role: 'clusterMonitor', db: 'admin' }])" in caught.value.hint
    assert caught.value.exit_code == 9
    assert world.states() == before


@pytest.mark.parametrize("apart", [{"hidden": True}, {"secondaryDelaySecs": 3600}, {"slaveDelay": 5}, {}])
def test_members_that_no_application_reads_from_are_left_out(
    numbers: World, monkeypatch: pytest.MonkeyPatch, apart: dict[str, Any]
) -> None:
    at = [datetime(2026, 1, 1, 12, 0, second) for second in (50, 48, 20)]
    members = [
        {"_id": i, "stateStr": "SECONDARY" if i else "PRIMARY", "health": 1, "optimeDate": at[i]}
        for i in range(3)
    ]
    answers = {
        "replSetGetStatus": {"members": members},
        "replSetGetConfig": {"config": {"members": [{"_id": 0}, {"_id": 1}, {"_id": 2, **apart}]}},
    }
    with numbers.migrator() as migrator:
        backend = migrator._sources.backend(write=False)
        assert isinstance(backend, TransactionalBackend)
        monkeypatch.setattr(type(backend._client.admin), "command", lambda _, name: answers[name])
        assert backend.replication_lag() == (2.0 if apart else 30.0)
        monkeypatch.undo()


def test_the_transaction_of_a_killed_run_outlives_a_lease(
    forker: Forker,
    impatient: ReplicaSet,  # noqa: F811
    numbers: World,
) -> None:
    """Another user may not end it: the lease that was just taken is shorter than the wait."""
    world = World(Kind.REPLICA_SET, impatient.uri_for(WRITER), numbers.database, numbers.folder / "bank")
    this = bank(world)
    assert forker.run(world, *UP, strikes=[Strike("update", "accounts", 3, "after")]) == -9
    constants = {"run.lock.TTL_S": 1.5, "run.lock.HEARTBEAT_S": 0.4, "run.lock.MARGIN_S": 0.3}
    forker.succeed(world, *UP, uri=impatient.uri_for(OTHER), timeout=30, constants=constants)
    this.is_up()
    impatient.client.drop_database(world.database)
