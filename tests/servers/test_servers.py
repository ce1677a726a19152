"""The kit itself: a fault test that passes because its fault never happened would be worse than none."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pymongo
import pytest
from pymongo import MongoClient
from pymongo.errors import AutoReconnect, NetworkTimeout, OperationFailure

from tests.servers import (
    READER,
    WRITER,
    Kind,
    Mongod,
    MongodNotFoundError,
    Options,
    Proxy,
    ReplicaSet,
    Server,
    ServerError,
    User,
    fail_command,
    find_mongod,
    running_server,
)
from tests.servers.mongod import Client, close_quickly
from tests.servers.process import PORTS, free_port
from tests.servers.proxy import command_name

PROJECT = Path(__file__).parents[2]


def connect(uri: str, **options: Any) -> Client:
    return MongoClient(uri, **options)


@pytest.fixture
def proxy(local_replica_set: ReplicaSet) -> Iterator[Proxy]:
    with Proxy(local_replica_set.primary.address) as proxy:
        yield proxy


@pytest.fixture
def proxied(proxy: Proxy) -> Iterator[Client]:
    """A client behind the proxy that does not retry, so that a test sees every fault."""
    with connect(proxy.uri, retryWrites=False, retryReads=False, socketTimeoutMS=5_000) as client:
        yield client


class TestKinds:
    def test_a_server_takes_writes_as_soon_as_it_is_handed_out(
        self, server: Server, database_name: str
    ) -> None:
        server.client[database_name].things.insert_one({"_id": 1})
        assert server.client[database_name].things.count_documents({}) == 1

    def test_a_standalone_server_has_no_transactions(self, standalone: Mongod, database_name: str) -> None:
        assert "setName" not in standalone.hello()
        with standalone.client.start_session() as session:
            session.start_transaction()
            with pytest.raises(OperationFailure, match="replica set"):
                standalone.client[database_name].things.insert_one({}, session=session)

    def test_a_replica_set_has_transactions_and_change_streams(
        self, replica_set: Server, database_name: str
    ) -> None:
        things = replica_set.client[database_name].create_collection("things")
        with things.watch() as stream:
            with replica_set.client.start_session() as session, session.start_transaction():
                things.insert_one({"_id": 1}, session=session)
            assert next(stream)["documentKey"] == {"_id": 1}

    def test_three_nodes_are_one_primary_and_two_secondaries(self, three_nodes: ReplicaSet) -> None:
        assert len(three_nodes.members) == 3
        assert len(three_nodes.secondaries) == 2
        assert three_nodes.primary not in three_nodes.secondaries

    def test_options_reach_the_server(self, tmp_path: Path) -> None:
        parameters: dict[str, Any] = {"transactionLifetimeLimitSeconds": 3, "ttlMonitorEnabled": False}
        options = Options(oplog_mb=7, parameters=parameters)
        with running_server(Kind.REPLICA_SET, options, parent=tmp_path) as server:
            assert server.client.local.command("collStats", "oplog.rs")["maxSize"] == 7 * 1024 * 1024
            found = server.client.admin.command({"getParameter": 1, **dict.fromkeys(parameters, 1)})
            assert {name: found[name] for name in parameters} == parameters
        assert list(tmp_path.iterdir()) == []


class TestPasswords:
    def test_a_reader_reads_and_does_not_write(
        self, secured_replica_set: ReplicaSet, database_name: str
    ) -> None:
        secured_replica_set.client[database_name].things.insert_one({"_id": 1})
        with connect(secured_replica_set.uri_for(READER)) as reader:
            assert reader[database_name].things.find_one() == {"_id": 1}
            with pytest.raises(OperationFailure, match="not authorized"):
                reader[database_name].things.insert_one({})

    def test_a_writer_writes(self, secured_replica_set: ReplicaSet, database_name: str) -> None:
        with connect(secured_replica_set.uri_for(WRITER)) as writer:
            writer[database_name].things.insert_one({})

    @pytest.mark.parametrize(
        "user", [None, User(READER.name, "guessed", ())], ids=["no password", "wrong password"]
    )
    def test_strangers_are_refused(self, secured_replica_set: ReplicaSet, user: User | None) -> None:
        with connect(secured_replica_set.uri_for(user)) as stranger, pytest.raises(OperationFailure):
            stranger.admin.command("listDatabases")

    @pytest.mark.parametrize("kind", [Kind.STANDALONE, Kind.THREE_NODES])
    def test_every_kind_can_be_secured(self, kind: Kind, tmp_path: Path) -> None:
        with running_server(kind, Options(auth=True), parent=tmp_path) as server:
            server.client.admin.command("listDatabases")


class TestProcesses:
    @pytest.mark.parametrize("kind", [Kind.STANDALONE, Kind.REPLICA_SET])
    def test_a_killed_server_comes_back_with_what_was_acknowledged(self, kind: Kind, tmp_path: Path) -> None:
        acknowledged = pymongo.WriteConcern("majority", j=True)
        with running_server(kind, parent=tmp_path) as server:
            uri, pid = server.uri, server.primary.pid
            server.client.test.get_collection("things", write_concern=acknowledged).insert_one({})
            server.kill()
            assert not psutil.pid_exists(pid)
            server.start()
            assert server.uri == uri
            assert server.client.test.things.count_documents({}) == 1

    def test_a_killed_primary_is_replaced_and_comes_back(
        self, breakable_three_nodes: ReplicaSet, database_name: str
    ) -> None:
        things = breakable_three_nodes.client[database_name].things
        things.insert_one({"_id": "before"})
        old = breakable_three_nodes.primary
        old.kill()
        assert breakable_three_nodes.wait_for_primary(timeout=15) is not old
        things.insert_one({"_id": "after"})
        breakable_three_nodes.heal()
        assert len(breakable_three_nodes.secondaries) == 2
        assert {thing["_id"] for thing in things.find()} == {"before", "after"}

    def test_a_primary_that_steps_down_is_replaced_while_it_lives(
        self, breakable_three_nodes: ReplicaSet
    ) -> None:
        old = breakable_three_nodes.primary
        breakable_three_nodes.step_down()
        assert old.running
        assert breakable_three_nodes.primary is not old

    def test_a_frozen_primary_is_replaced(self, breakable_three_nodes: ReplicaSet) -> None:
        old = breakable_three_nodes.primary
        old.pause()
        assert breakable_three_nodes.wait_for_primary(timeout=15) is not old

    def test_a_paused_server_answers_nothing_until_it_is_resumed(
        self, breakable_replica_set: ReplicaSet
    ) -> None:
        node = breakable_replica_set.primary
        with connect(node.uri, socketTimeoutMS=300, retryReads=False) as client:
            client.admin.command("ping")
            node.pause()
            with pytest.raises(NetworkTimeout):
                client.admin.command("ping")
            assert node.running
            assert node.hello() == {}
            node.resume()
            client.admin.command("ping")

    def test_a_paused_server_can_be_stopped(self, tmp_path: Path) -> None:
        with running_server(Kind.STANDALONE, parent=tmp_path) as server:
            pid = server.primary.pid
            server.primary.pause()
        assert not psutil.pid_exists(pid)

    def test_a_server_outlives_the_thread_that_started_it(self, tmp_path: Path) -> None:
        """The parent death signal belongs to a thread, which is why servers are started by one that stays."""
        server = Mongod(tmp_path / "node")
        starter = threading.Thread(target=server.start)
        starter.start()
        starter.join()
        try:
            server.client.admin.command("ping")
        finally:
            server.stop()

    def test_a_server_that_cannot_start_says_why(self, tmp_path: Path) -> None:
        server = Mongod(tmp_path / "node", Options(parameters={"noSuchParameter": 1}))
        with pytest.raises(ServerError, match="noSuchParameter"):
            server.start()

    def test_a_port_that_a_stranger_takes_first_is_given_up(self, tmp_path: Path, standalone: Mongod) -> None:
        server = Mongod(tmp_path / "node")
        server.port = standalone.port
        try:
            server.start()
            assert server.port != standalone.port
        finally:
            server.stop()

    def test_free_ports_stay_clear_of_outgoing_connections(self) -> None:
        assert free_port() in PORTS

    @pytest.mark.parametrize(
        "number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name
    )
    def test_no_server_outlives_its_run(self, number: signal.Signals, tmp_path: Path) -> None:
        """Whatever ends the run, even what it cannot notice: the kernel ends its servers too."""
        command = [sys.executable, "-m", "tests.servers", "--kind", "replica-set"]
        environment = {**os.environ, "TMPDIR": str(tmp_path)}
        with subprocess.Popen(
            command, cwd=PROJECT, env=environment, stdout=subprocess.PIPE, text=True
        ) as run:
            assert run.stdout
            uri = run.stdout.readline().removeprefix("export MONGODB_URI='").rstrip("'\n")
            (mongod,) = psutil.Process(run.pid).children()
            with connect(uri) as client:
                client.test.things.insert_one({})
            run.send_signal(number)
            run.wait(20)
            psutil.wait_procs([mongod], timeout=10)
        assert not mongod.is_running()
        if number != signal.SIGKILL:
            assert run.returncode == 0
            assert list(tmp_path.iterdir()) == []


class TestFailPoints:
    def test_it_fails_so_many_commands(self, local_replica_set: ReplicaSet, database_name: str) -> None:
        things = local_replica_set.client[database_name].things
        with fail_command(local_replica_set.primary, "find", times=2, error_code=96):
            for _attempt in range(2):
                with pytest.raises(OperationFailure) as caught:
                    things.find_one()
                assert caught.value.code == 96
            assert things.find_one() is None

    def test_it_ends_with_its_block(self, local_replica_set: ReplicaSet, database_name: str) -> None:
        things = local_replica_set.client[database_name].things
        with fail_command(local_replica_set.primary, "find", error_code=96), pytest.raises(OperationFailure):
            things.find_one()
        assert things.find_one() is None

    def test_it_ends_when_the_test_fails(self, local_replica_set: ReplicaSet, database_name: str) -> None:
        with pytest.raises(ZeroDivisionError), fail_command(local_replica_set.primary, "find", error_code=96):
            _ = 1 / 0
        assert local_replica_set.client[database_name].things.find_one() is None

    def test_it_sets_labels(self, local_replica_set: ReplicaSet, database_name: str) -> None:
        label = "TransientTransactionError"
        with fail_command(local_replica_set.primary, "find", times=1, error_code=251, error_labels=[label]):
            with pytest.raises(OperationFailure) as caught:
                local_replica_set.client[database_name].things.find_one()
        assert caught.value.has_error_label(label)

    def test_it_can_be_meant_for_one_application(
        self, local_replica_set: ReplicaSet, database_name: str
    ) -> None:
        with (
            connect(local_replica_set.uri, appname="victim") as victim,
            fail_command(local_replica_set.primary, "find", error_code=96, app_name="victim"),
        ):
            assert local_replica_set.client[database_name].things.find_one() is None
            with pytest.raises(OperationFailure):
                victim[database_name].things.find_one()

    def test_it_can_cut_the_connection(self, local_replica_set: ReplicaSet, database_name: str) -> None:
        with (
            connect(local_replica_set.uri, retryReads=False) as client,
            fail_command(local_replica_set.primary, "find", times=1, close_connection=True),
            pytest.raises(AutoReconnect),
        ):
            client[database_name].things.find_one()

    def test_it_can_delay(self, local_replica_set: ReplicaSet, database_name: str) -> None:
        with fail_command(local_replica_set.primary, "find", times=1, block_ms=300):
            begun = time.monotonic()
            local_replica_set.client[database_name].things.find_one()
        assert time.monotonic() - begun >= 0.3


class TestProxy:
    def test_a_dropped_reply_means_that_the_server_has_acted(
        self, local_replica_set: ReplicaSet, proxy: Proxy, proxied: Client, database_name: str
    ) -> None:
        things = proxied[database_name].things
        rule = proxy.drop_reply("insert")
        with pytest.raises(AutoReconnect):
            things.insert_one({"_id": 1})
        rule.wait()
        assert local_replica_set.client[database_name].things.find_one() == {"_id": 1}
        things.insert_one({"_id": 2})  # one reply was to be dropped, so the next one comes

    def test_a_commit_whose_replies_are_dropped_is_committed(
        self, local_replica_set: ReplicaSet, proxy: Proxy, database_name: str
    ) -> None:
        rule = proxy.drop_reply("commitTransaction", times=2)  # the driver tries a commit twice by itself
        with connect(proxy.uri) as client, client.start_session() as session:
            session.start_transaction()
            client[database_name].things.insert_one({"_id": 1}, session=session)
            with pytest.raises(AutoReconnect) as caught:
                session.commit_transaction()
            assert caught.value.has_error_label("UnknownTransactionCommitResult")
        rule.wait()
        rule.wait()
        assert local_replica_set.client[database_name].things.find_one() == {"_id": 1}

    def test_a_command_cut_before_means_that_the_server_has_not_acted(
        self, local_replica_set: ReplicaSet, proxy: Proxy, proxied: Client, database_name: str
    ) -> None:
        rule = proxy.cut_before("insert")
        with pytest.raises(AutoReconnect):
            proxied[database_name].things.insert_one({"_id": 1})
        rule.wait()
        assert local_replica_set.client[database_name].things.find_one() is None

    def test_a_held_reply_comes_when_it_is_released(
        self, local_replica_set: ReplicaSet, proxy: Proxy, proxied: Client, database_name: str
    ) -> None:
        rule = proxy.hold_reply("insert")
        insert = threading.Thread(target=proxied[database_name].things.insert_one, args=({"_id": 1},))
        insert.start()
        rule.wait()
        assert local_replica_set.client[database_name].things.find_one() == {"_id": 1}
        assert insert.is_alive()
        rule.release()
        insert.join(5)
        assert not insert.is_alive()

    def test_a_stalled_proxy_passes_everything_on_later(self, proxy: Proxy, proxied: Client) -> None:
        proxied.admin.command("ping")
        answers: list[object] = []
        proxy.stall()
        ping = threading.Thread(target=lambda: answers.append(proxied.admin.command("ping")["ok"]))
        ping.start()
        ping.join(0.3)
        assert answers == []
        proxy.flow()
        ping.join(5)
        assert answers == [1.0]

    def test_a_cut_fails_what_is_under_way_and_nothing_later(self, proxy: Proxy, proxied: Client) -> None:
        rule = proxy.hold_reply("ping")

        def cut_meanwhile() -> None:
            rule.wait()
            proxy.cut()

        cutter = threading.Thread(target=cut_meanwhile)
        cutter.start()
        with pytest.raises(AutoReconnect):
            proxied.admin.command("ping")
        cutter.join()
        proxied.admin.command("ping")

    def test_an_unplugged_proxy_takes_no_new_connections(self, proxy: Proxy) -> None:
        proxy.unplug()
        with connect(proxy.uri, serverSelectionTimeoutMS=500) as client, pytest.raises(AutoReconnect):
            client.admin.command("ping")
        proxy.plug_in()
        with connect(proxy.uri, serverSelectionTimeoutMS=5_000) as client:
            client.admin.command("ping")

    def test_large_messages_pass(self, proxied: Client, database_name: str) -> None:
        blob = os.urandom(12_000_000)
        proxied[database_name].things.insert_one({"_id": 1, "blob": blob})
        assert proxied[database_name].things.find_one() == {"_id": 1, "blob": blob}

    def test_a_rule_that_nothing_falls_under_times_out(self, proxy: Proxy) -> None:
        with pytest.raises(TimeoutError, match="no insert came"):
            proxy.drop_reply("insert").wait(0.05)

    def test_closing_it_ends_its_threads(self, local_replica_set: ReplicaSet) -> None:
        with Proxy(local_replica_set.primary.address) as proxy:
            client = connect(proxy.uri)
            client.admin.command("ping")
            proxy.stall()
        close_quickly(client)
        deadline = time.monotonic() + 5
        while any(thread.name.startswith("proxy-") for thread in threading.enumerate()):
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def test_a_command_is_found_behind_a_document_sequence(self) -> None:
        body = b"\x15\x00\x00\x00\x02insert\x00\x02\x00\x00\x00a\x00\x00"
        sequence = b"\x01" + (4 + 3).to_bytes(4, "little") + b"ab\x00"
        sections = b"\x00\x00\x00\x00" + sequence + b"\x00" + body
        header = b"".join(number.to_bytes(4, "little") for number in (16 + len(sections), 7, 0, 2013))
        assert command_name(header + sections) == "insert"


class TestBinary:
    def test_a_named_one_that_does_not_run_is_an_error(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GOAIME_MIGRATE_TEST_MONGOD", "/nowhere/mongod")
        find_mongod.cache_clear()
        with pytest.raises(MongodNotFoundError, match="/nowhere/mongod does not run"):
            find_mongod()
        monkeypatch.undo()
        find_mongod.cache_clear()
        assert find_mongod().version().startswith("db version v")
