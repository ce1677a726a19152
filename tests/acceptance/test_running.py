"""Runs that are stopped, and runs that meet."""

from __future__ import annotations

import getpass
import os
import pty
import signal
import socket
import subprocess

import pytest

from tests.acceptance.project import COMMAND, GREETING, SLOW, Project, until

BATCHES_OF_ONE = ("--batch-size", "1")


@pytest.fixture
def slow(project: Project) -> Project:
    """A project whose migration waits in every call."""
    project.allow(0)
    project.write(SLOW)
    return project


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"]
)
def test_a_signal_lets_the_batch_finish_and_the_next_up_goes_on(
    slow: Project, number: signal.Signals, status: int
) -> None:
    with slow.started("up", "--json", *BATCHES_OF_ONE) as running:
        slow.until_it_waits_in_the_scan(running)
        running.process.send_signal(number)
        until(lambda: running.says("stopping after this batch"))
        slow.allow(1_000)
        stopped = running.end()

    assert stopped.code == status
    assert stopped.json["applied"] == []
    assert stopped.json["error"]["code"] == "GM901"
    assert slow.state() == {"0001": "partial"}
    waited = [d["_id"] for d in slow.world.documents("people") if "waited" in d]
    assert waited
    assert waited == list(range(len(waited)))
    assert len(waited) < 5
    assert slow.json("status")["versions"][0]["progress"]["done"] == len(waited)

    (step,) = slow.json("plan")["steps"]
    assert step["operations"][0]["matched"] == 5 - len(waited)

    slow.ok("up")
    assert slow.state() == {"0001": "applied"}
    assert all(d["waited"] for d in slow.world.documents("people"))


def test_the_same_signal_again_stops_at_once(slow: Project) -> None:
    with slow.started("up", "--json", *BATCHES_OF_ONE) as running:
        slow.until_it_waits_in_the_scan(running)
        running.process.send_signal(signal.SIGINT)
        until(lambda: running.says("stopping after this batch"))
        running.process.send_signal(signal.SIGINT)
        stopped = running.end()

    assert stopped.code == 130
    assert slow.json("status")["lock"] is None
    slow.allow(1_000)
    slow.ok("up")
    assert slow.state() == {"0001": "applied"}


def test_a_second_up_is_told_who_holds_the_lock(slow: Project) -> None:
    with slow.started("up", *BATCHES_OF_ONE) as running:
        slow.until_it_waits_in_the_scan(running)

        second = slow.run("up", "--lock-timeout", "0", "--json")
        assert second.code == 6
        assert second.json["error"]["code"] == "GM601"
        message = second.json["error"]["message"]
        assert getpass.getuser() in message
        assert socket.gethostname() in message
        assert str(running.process.pid) in message

        if not slow.world.embedded:
            status = slow.json("status")
            assert status["lock"]["pid"] == running.process.pid
            assert status["lock"]["live"]
            assert status["versions"][0]["state"] == "running"

        slow.allow(1_000)
        assert running.end().code == 0
    assert slow.state() == {"0001": "applied"}


def test_a_second_up_waits_and_finds_nothing_left_to_do(slow: Project) -> None:
    with slow.started("up", *BATCHES_OF_ONE) as running:
        slow.until_it_waits_in_the_scan(running)
        with slow.started("up", "--lock-timeout", "60", "--json") as second:
            until(lambda: second.says("waiting for the lock"))
            slow.allow(1_000)
            assert running.end().code == 0
            ended = second.end()
    assert ended.code == 0
    assert ended.json["applied"] == []


def test_unlock_shows_the_holder_and_force_shuts_it_out(slow: Project) -> None:
    if slow.world.embedded:
        pytest.skip("the lock of a dump directory is the operating system's; it ends with its process")
    with slow.started("up", "--json", *BATCHES_OF_ONE) as running:
        slow.until_it_waits_in_the_scan(running)
        shown = slow.json("unlock")
        assert shown["lock"]["pid"] == running.process.pid
        assert not shown["ended"]

        assert slow.json("unlock", "--force", "--yes")["ended"]
        slow.allow(1_000)
        stopped = running.end()

    assert stopped.code == 7
    assert stopped.json["error"]["code"] == "GM602"
    slow.ok("up")
    assert slow.state() == {"0001": "applied"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_the_question_of_down_ends_at_once(embedded: Project, number: signal.Signals) -> None:
    embedded.write(GREETING)
    embedded.applied()
    before = embedded.fingerprint()
    terminal, stdin = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, "down"],
        cwd=embedded.folder,
        env=embedded.environment(),
        stdin=stdin,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        assert process.stderr is not None
        said = b""
        while not said.endswith(b"[y/N] "):
            said += process.stderr.read(1)
        process.send_signal(number)
        try:
            _, rest = process.communicate(timeout=20)
        finally:
            process.kill()
            os.close(terminal)
            os.close(stdin)
    assert process.returncode == 128 + number
    assert b"nothing was changed" in rest
    assert b"goaime-migrate down asks again" in rest
    assert embedded.fingerprint() == before
