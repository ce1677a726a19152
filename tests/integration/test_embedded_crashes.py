"""A dump as a database: writers that die, and readers meanwhile."""

import fcntl
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from goaime_migrate.backends.dump import generation
from goaime_migrate.backends.embedded import EmbeddedBackend
from goaime_migrate.backends.ports import (
    PROGRESS,
    VERSIONS,
    Changes,
    Delete,
    LeaseRecord,
    Owner,
)
from goaime_migrate.errors import (
    LeaseLost,
    Refused,
)
from tests.integration.dumps import ME, content, put, reading, writing

OTHER = Owner(run="other", who="they", host="here", pid=os.getpid(), boot="", started="")


# The lease ------------------------------------------------------------------------------------------------


def test_only_one_holds_the_lease_and_the_others_are_told_who(dump: Path) -> None:
    with writing(dump) as holder:
        other = EmbeddedBackend.open(dump, None, write=True)
        found = other.try_lease(OTHER, 30)
        assert (found.owner.run, found.owner.pid, found.live) == ("", os.getpid(), True)
        assert other.read_lease() == found
        assert not other.renew_lease(found, 30)
        with pytest.raises(Refused, match=f"locked by process {os.getpid()}"):
            other.break_lease()
        with pytest.raises(LeaseLost):
            put(other, "users", {"_id": 9})
        mine = holder.read_lease()
        assert isinstance(mine, LeaseRecord)
        assert holder.renew_lease(mine, 30)
        put(holder, "users", {"_id": 4})
        holder.release_lease(found)
        holder.release_lease(mine)
        assert other.try_lease(OTHER, 30).owner.run == "other"
        assert other.count("users") == 4
        other.close()


def test_a_reader_takes_no_lock_and_gets_none(dump: Path) -> None:
    with reading(dump) as backend:
        assert backend.read_lease() is None
        backend.break_lease()
        with pytest.raises(Refused, match="for reading only"):
            backend.try_lease(ME, 30)


def test_the_lock_ends_with_its_process(dump: Path) -> None:
    hold = "fcntl.flock(os.open(sys.argv[1], 0), fcntl.LOCK_EX); print(flush=True); time.sleep(60)"
    code = f"import fcntl, os, sys, time; {hold}"
    with subprocess.Popen([sys.executable, "-c", code, str(dump)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        backend = EmbeddedBackend.open(dump, None, write=True)
        assert backend.try_lease(ME, 30).owner.pid == process.pid
        process.kill()
        process.wait()
        assert backend.try_lease(ME, 30).owner.run == "mine"
        backend.close()


def test_a_reader_stays_with_its_generation_until_it_reads_the_versions(dump: Path) -> None:
    big = [{"_id": n, "x": "x" * 1000} for n in range(200)]
    with writing(dump) as backend:
        put(backend, "big", *big)
    with reading(dump) as reader:
        with writing(dump) as backend:
            backend.transact(lambda _: Changes(first=[Delete("big", {"_id": {"$gte": 100}})]))
            put(backend, VERSIONS, {"_id": "0001"})
        assert (reader.count("big"), reader.count(VERSIONS)) == (200, 0)
        assert reader.find(VERSIONS, {}) == [{"_id": "0001"}]
        assert (reader.count("big"), reader.count(VERSIONS)) == (100, 1)


def test_work_that_a_server_left_unfinished_goes_on_with_the_fence_of_here(dump: Path) -> None:
    with writing(dump) as backend:
        put(backend, PROGRESS, {"_id": "p", "kind": "partition", "done": False, "fence": 7})
        put(backend, PROGRESS, {"_id": "q", "kind": "partition", "done": True, "fence": 7})
    with writing(dump) as backend:
        lease = backend.read_lease()
        assert lease is not None
        assert [d["fence"] for d in backend.find(PROGRESS, {})] == [lease.fence, 7]


# Crashes --------------------------------------------------------------------------------------------------

STEPS = ("rename", "fsync", "unlink", "mkdir", "rmdir")
LAST_STEP = 60


def _change_everything(backend: EmbeddedBackend, number: int) -> None:
    """From generation `number` to the next: documents, records, collections that come, go and are renamed."""
    for name in ("users", "plain", VERSIONS):
        put(backend, name, {"_id": "generation", "n": number + 1, "pad": "x" * 70_000})
    backend.rename_collection(f"at{number}", f"at{number + 1}")
    backend.drop_collection(f"born{number}")
    backend.create_collection(f"born{number + 1}", {})


def _generation(backend: EmbeddedBackend) -> int:
    """The one that every part of the dump agrees on."""
    found = {backend.find(name, {"_id": "generation"})[0]["n"] for name in (VERSIONS, "users", "plain")}
    found |= {int(name[2:]) for name in backend.collections() if name.startswith("at")}
    found |= {int(name[4:]) for name in backend.collections() if name.startswith("born")}
    assert len(found) == 1, found
    return int(found.pop())


def _start(dump: Path) -> None:
    with writing(dump) as backend:
        backend.create_collection("at-1", {})
        backend.create_collection("born-1", {})
        _change_everything(backend, -1)


def _die_at(step: int) -> None:
    """Count calls of what changes a directory, and end the process instead of the one with this number."""
    count = 0

    def dying(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal count
            count += 1
            if count == step:
                os._exit(9)
            return original(*args, **kwargs)

        return call

    for name in STEPS:
        setattr(os, name, dying(getattr(os, name)))


def _in_child(work: Callable[[], None]) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(0)
    return pid


def _exit_code(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _check_after_crash(dump: Path, allowed: set[int]) -> int:
    """Readers see a whole generation and change nothing; so does the next writer, who tidies up."""
    before = content(dump)
    with reading(dump) as reader:
        seen = _generation(reader)
    assert content(dump) == before
    assert seen in allowed
    with writing(dump) as writer:
        assert _generation(writer) == seen
    assert not (dump / generation.STAGING).exists()
    with reading(dump) as reader:
        assert _generation(reader) == seen
    return seen


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_writer_that_dies_at_any_step_leaves_one_generation(dump: Path, tmp_path: Path) -> None:
    _start(dump)
    seen = []
    for step in range(1, LAST_STEP):
        copy = Path(shutil.copytree(dump, tmp_path / f"copy{step}"))

        def work(copy: Path = copy, step: int = step) -> None:
            backend = EmbeddedBackend.open(copy, None, write=True)
            backend.try_lease(ME, 30)
            _change_everything(backend, 0)
            _die_at(step)
            backend.save()

        died = _exit_code(_in_child(work))
        seen.append(_check_after_crash(copy, {0, 1}))
        shutil.rmtree(copy)
        if died == 0:
            break
    assert died == 0, "there are more steps than were tried"
    assert seen == sorted(seen)
    assert set(seen) == {0, 1}


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_writer_that_dies_while_it_recovers_leaves_one_generation(dump: Path, tmp_path: Path) -> None:
    _start(dump)
    for first in (9, 12, 16, 20):  # before and after the commit point
        for second in range(1, LAST_STEP):
            copy = Path(shutil.copytree(dump, tmp_path / f"copy{first}-{second}"))

            def crash(copy: Path = copy, first: int = first) -> None:
                backend = EmbeddedBackend.open(copy, None, write=True)
                backend.try_lease(ME, 30)
                _change_everything(backend, 0)
                _die_at(first)
                backend.save()

            def recover(copy: Path = copy, second: int = second) -> None:
                _die_at(second)
                EmbeddedBackend.open(copy, None, write=True).try_lease(ME, 30)

            _exit_code(_in_child(crash))
            with reading(copy) as reader:
                expected = _generation(reader)
            died = _exit_code(_in_child(recover))
            _check_after_crash(copy, {expected})
            shutil.rmtree(copy)
            if died == 0:
                break
        assert died == 0


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_writer_that_is_killed_at_any_moment_leaves_one_generation(dump: Path) -> None:
    _start(dump)
    moments = random.Random(7)

    def write_for_ever() -> None:
        backend = EmbeddedBackend.open(dump, None, write=True)
        backend.try_lease(ME, 30)
        number = _generation(backend)
        while True:
            _change_everything(backend, number)
            backend.save()
            number += 1

    last = 0
    for _ in range(25):
        pid = _in_child(write_for_ever)
        time.sleep(moments.uniform(0.005, 0.08))
        os.kill(pid, signal.SIGKILL)
        assert _exit_code(pid) == -signal.SIGKILL
        seen = _check_after_crash(dump, set(range(last, last + 10_000)))
        last = seen
    assert last > 0


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_readers_see_one_generation_while_a_writer_switches(dump: Path) -> None:
    _start(dump)

    def write() -> None:
        backend = EmbeddedBackend.open(dump, None, write=True)
        backend.try_lease(ME, 30)
        for number in range(10_000):
            _change_everything(backend, number)
            backend.save()

    pid = _in_child(write)
    try:
        seen = []
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline:
            with reading(dump) as reader:
                seen.append(_generation(reader))
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    assert seen == sorted(seen)
    assert len(set(seen)) > 2


def test_the_lock_is_the_directorys_own(dump: Path) -> None:
    fd = os.open(dump, os.O_RDONLY)
    with writing(dump):
        with pytest.raises(BlockingIOError):
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(fd)
