"""The dump directory as a database: bytes, locks, generations, and what survives a killed writer."""

import errno
import fcntl
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from bson import Decimal128, Int64, ObjectId, decode, decode_all, encode
from pymongo import ReplaceOne, UpdateOne

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.dump import filenames, generation
from goaime_migrate.backends.embedded import EmbeddedBackend
from goaime_migrate.backends.ports import (
    JOURNAL,
    LOCK,
    PROGRESS,
    VERSIONS,
    Backend,
    Changes,
    Delete,
    GuardFailed,
    IndexInTheWay,
    LeaseRecord,
    Mode,
    Move,
    Owner,
    Put,
    RecordChange,
    Write,
)
from goaime_migrate.errors import (
    DumpUnreadable,
    DuplicateKey,
    FolderMissing,
    IdChanged,
    InvalidResult,
    LeaseLost,
    MissingCapability,
    OperationFailed,
    Refused,
    ResultTooLarge,
    SaveFailed,
    UsageError,
)

ME = Owner(run="mine", who="me", host="here", pid=os.getpid(), boot="", started="")
OTHER = Owner(run="other", who="they", host="here", pid=os.getpid(), boot="", started="")
METADATA = {
    "indexes": [{"v": {"$numberInt": "2"}, "key": {"_id": {"$numberInt": "1"}}, "name": "_id_"}],
    "uuid": "0123456789abcdef0123456789abcdef",
    "collectionName": "users",
    "type": "collection",
}


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    """Two collections, one of them with metadata, and files that are none of our business."""
    shop = tmp_path / "dump" / "shop"
    shop.mkdir(parents=True)
    (shop / "users.bson").write_bytes(b"".join(encode({"_id": n, "name": f"n{n}"}) for n in (3, 1, 2)))
    (shop / "users.metadata.json").write_text(json.dumps(METADATA))
    (shop / "plain.bson").write_bytes(encode({"_id": ObjectId(b"x" * 12), "n": Int64(1)}))
    (shop / "prelude.json").write_text("{}")
    (tmp_path / "dump" / "oplog.bson").write_bytes(encode({"ts": 1}))
    return tmp_path / "dump"


@contextmanager
def writing(dump: Path, database: str | None = None) -> Iterator[EmbeddedBackend]:
    """A backend that holds the lease; what it did is saved at the end."""
    backend = EmbeddedBackend.open(dump, database, write=True)
    try:
        assert backend.try_lease(ME, 30).owner.run == "mine"
        yield backend
    finally:
        backend.close()


@contextmanager
def reading(dump: Path, database: str | None = None) -> Iterator[EmbeddedBackend]:
    backend = EmbeddedBackend.open(dump, database, write=False)
    try:
        yield backend
    finally:
        backend.close()


def content(folder: Path) -> dict[str, bytes]:
    """Every file below the folder by its name."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def put(backend: Backend, collection: str, *documents: dict[str, Any]) -> None:
    backend.transact(lambda _: Changes(first=[Put(collection, document) for document in documents]))


def replace(backend: Backend, collection: str, *pairs: tuple[dict[str, Any], dict[str, Any]]) -> None:
    writes = [Write(encode({"_id": b["_id"]}), encode(b), encode(a)) for b, a in pairs]
    backend.transact(lambda _: Changes(collection=collection, writes=writes))


def raw_id(value: Any) -> bytes:
    return encode({"_id": value})


# Opening --------------------------------------------------------------------------------------------------


def test_the_only_database_need_not_be_named(dump: Path) -> None:
    (dump / "admin").mkdir()
    with reading(dump) as backend:
        assert backend.database_name == "shop"
        assert backend.server == f"dump:{dump}"
        assert backend.capabilities.mode is Mode.EMBEDDED
        assert set(backend.collections()) == {"users", "plain"}
        assert (backend.count("users"), backend.count("nothing")) == (3, 0)


def test_a_missing_folder_is_never_made(tmp_path: Path) -> None:
    with pytest.raises(FolderMissing, match="there is no folder"):
        EmbeddedBackend.open(tmp_path / "dump", None, write=True)
    assert not (tmp_path / "dump").exists()


def test_several_databases_are_named(dump: Path) -> None:
    (dump / "other").mkdir()
    with pytest.raises(UsageError, match="several databases: other, shop"):
        EmbeddedBackend.open(dump, None, write=False)
    with pytest.raises(FolderMissing, match="no database 'shpo'") as caught:
        EmbeddedBackend.open(dump, "shpo", write=False)
    assert "other, shop" in caught.value.hint


def test_the_folder_of_a_database_is_told_from_that_of_a_dump(dump: Path) -> None:
    with pytest.raises(FolderMissing) as caught:
        EmbeddedBackend.open(dump / "shop", None, write=False)
    assert f"dump:{dump} with --database shop" in caught.value.hint


def test_a_database_that_an_empty_dump_does_not_have_is_made_with_the_first_save(tmp_path: Path) -> None:
    with reading(tmp_path, "new") as backend:
        assert backend.collections() == {}
        assert backend.read_lease() is None
    assert not (tmp_path / "new").exists()
    with writing(tmp_path, "new") as backend:
        put(backend, "things", {"_id": 1})
    assert decode_all((tmp_path / "new" / "things.bson").read_bytes()) == [{"_id": 1}]


@pytest.mark.parametrize(
    ("damaged", "message"),
    [
        (lambda good: good[:-3], "byte 54: the file ends within a document; 2 documents before it are good"),
        (lambda good: good + b"\x01", "byte 81: the file ends within a document; 3 documents"),
        (lambda good: good + b"\xff" * 30, "byte 81: no document starts here"),
        (lambda good: good[:58] + bytes(23), "byte 54: the document is damaged"),
        (
            lambda good: good[:67] + b"\x07" + good[68:],
            "byte 54: the document with _id 2 is damaged: the value at byte 19 has a wrong length",
        ),
        (lambda good: good + good[:27], "byte 81: _id 3 is there twice; 3 documents"),
        (lambda good: good + encode({"_id": 3.0}), "_id 3.0 is there twice"),
        (lambda good: good + encode({"a": 3}), "byte 81: the document has no _id"),
        (lambda good: good + b"\x14\0\0\0\x10_id\0\1\0\0\0\x02a\0\xf0\xff\xff", "byte 81: "),
    ],
)
def test_a_damaged_file_is_refused_before_anything_is_written(
    dump: Path, damaged: Callable[[bytes], bytes], message: str
) -> None:
    file = dump / "shop" / "users.bson"
    file.write_bytes(damaged(file.read_bytes()))
    before = content(dump)
    with reading(dump) as backend:
        assert backend.count("plain") == 1
        with pytest.raises(DumpUnreadable, match=message) as caught:
            backend.count("users")
        assert caught.value.message.startswith("shop/users.bson")
    backend = EmbeddedBackend.open(dump, None, write=True)
    with pytest.raises(DumpUnreadable):
        backend.try_lease(ME, 30)
    backend.close()
    assert content(dump) == before
    assert backend.read_lease() is None


def test_compressed_dumps_and_damaged_metadata_are_refused(dump: Path) -> None:
    (dump / "shop" / "users.metadata.json").write_text("{")
    with pytest.raises(DumpUnreadable, match=r"users\.metadata\.json: the metadata cannot be read"):
        EmbeddedBackend.open(dump, None, write=False)
    (dump / "shop" / "users.bson.gz").write_bytes(b"")
    with pytest.raises(UsageError) as caught:
        EmbeddedBackend.open(dump, None, write=False)
    assert "gunzip" in caught.value.hint


def test_views_and_time_series_are_reported_and_kept(dump: Path) -> None:
    view = {"options": {"viewOn": "users", "pipeline": []}, "indexes": [], "uuid": "", "type": "view"}
    (dump / "shop" / "young.metadata.json").write_text(json.dumps(view))
    series = {"options": {"timeseries": {"timeField": "t"}}, "indexes": [], "type": "timeseries"}
    (dump / "shop" / "weather.metadata.json").write_text(json.dumps(series))
    (dump / "shop" / "system.buckets.weather.bson").write_bytes(encode({"_id": 1}))
    capped = {**METADATA, "options": {"capped": True, "size": {"$numberInt": "4096"}}}
    (dump / "shop" / "plain.metadata.json").write_text(json.dumps(capped))
    before = content(dump)
    with writing(dump) as backend:
        assert {name: info.kind for name, info in backend.collections().items()} == {
            "plain": "collection",
            "users": "collection",
            "weather": "timeseries",
            "young": "view",
        }
        assert backend.collections()["plain"].options == {"capped": True, "size": 4096}
        with pytest.raises(MissingCapability, match="'young' is a view"):
            backend.count("young")
        put(backend, VERSIONS, {"_id": "0001"})
    after = content(dump)
    assert {name: after[name] for name in before} == before


@pytest.mark.parametrize("name", ["a/b", "50%", "a b", "straße", "a.b", "a$b", "x" * 300, "ü" * 100])
def test_names_of_collections_become_file_names_and_back(tmp_path: Path, name: str) -> None:
    assert len(filenames.stem_of(name) + ".metadata.json.gz") <= 255
    with writing(tmp_path, "db") as backend:
        put(backend, name, {"_id": 1})
    with reading(tmp_path) as backend:
        assert list(backend.collections()) == [name]
        assert backend.count(name) == 1


def test_file_names_are_mongodumps_own() -> None:
    assert filenames.stem_of("a/b%c d$e") == "a%2Fb%25c%20d$e"
    assert filenames.stem_of("x" * 239)[:211] == "x" * 208 + "%24"


# Saving ---------------------------------------------------------------------------------------------------


def test_what_is_not_touched_keeps_its_bytes_and_its_inode(dump: Path) -> None:
    before, inode = content(dump), (dump / "shop" / "plain.bson").stat().st_ino
    (dump / "shop" / "users.bson").chmod(0o640)
    with writing(dump) as backend:
        backend.prepare()
        replace(backend, "users", ({"_id": 1, "name": "n1"}, {"_id": 1, "name": "one"}))
    after = content(dump)
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"shop/users.bson"}
    assert [d["_id"] for d in decode_all(after["shop/users.bson"])] == [3, 1, 2]
    assert decode_all(after["shop/users.bson"])[1]["name"] == "one"
    assert (dump / "shop" / "plain.bson").stat().st_ino == inode
    assert (dump / "shop" / "users.bson").stat().st_mode & 0o777 == 0o640
    assert not (dump / generation.STAGING).exists()


def test_new_collections_have_the_metadata_that_mongorestore_reads(dump: Path) -> None:
    with writing(dump) as backend:
        put(backend, VERSIONS, {"_id": "0001"})
    metadata = json.loads((dump / "shop" / f"{VERSIONS}.metadata.json").read_bytes())
    assert len(metadata.pop("uuid")) == 32
    assert metadata == {"indexes": METADATA["indexes"], "collectionName": VERSIONS, "type": "collection"}


def test_the_lease_alone_writes_nothing(dump: Path) -> None:
    before = content(dump)
    with writing(dump) as backend:
        assert backend.find(LOCK, {})[0]["run"] == "mine"
        backend.save()
    assert content(dump) == before


def test_saving_twice_saves_once(dump: Path) -> None:
    with writing(dump) as backend:
        put(backend, "users", {"_id": 4})
        backend.save()
        inode = (dump / "shop" / "users.bson").stat().st_ino
        backend.save()
        assert (dump / "shop" / "users.bson").stat().st_ino == inode
    assert (dump / "shop" / "users.bson").stat().st_ino == inode


def test_a_failed_write_leaves_the_old_generation_and_no_rubbish(
    dump: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = content(dump)
    backend = EmbeddedBackend.open(dump, None, write=True)
    lease = backend.try_lease(ME, 30)
    put(backend, "users", {"_id": 4})
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", _disk_full)
        with pytest.raises(SaveFailed, match="No space left on device"):
            backend.release_lease(lease)
    assert content(dump) == before
    assert not (dump / generation.STAGING).exists()
    with writing(dump) as next_one:
        assert next_one.count("users") == 3
    with pytest.raises(SaveFailed):  # whoever suppressed the first one is told again
        backend.close()


def _disk_full(fd: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_files_that_could_not_be_moved_are_moved_by_the_next_writer(
    dump: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = EmbeddedBackend.open(dump, None, write=True)
    backend.try_lease(ME, 30)
    put(backend, "users", {"_id": 4})
    put(backend, VERSIONS, {"_id": "0001"})
    with monkeypatch.context() as patched:
        patched.setattr(generation, "_put", lambda *_: _disk_full(0))
        with pytest.raises(SaveFailed, match="not all files could be moved"):
            backend.save()
        with pytest.raises(SaveFailed):
            backend.close()
    with reading(dump) as reader:
        assert (reader.count("users"), reader.count(VERSIONS)) == (4, 1)
    with writing(dump):
        pass
    assert not (dump / generation.STAGING).exists()
    assert len(decode_all((dump / "shop" / "users.bson").read_bytes())) == 4


def test_a_directory_that_cannot_be_written_to_is_refused_before_the_work(
    dump: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    backend = EmbeddedBackend.open(dump, None, write=True)
    with pytest.raises(SaveFailed, match="cannot be written to"):
        backend.try_lease(ME, 30)
    assert backend.read_lease() is None
    assert backend.count("users") == 3
    backend.close()


def test_dropped_and_renamed_collections_are_so_in_the_directory(dump: Path) -> None:
    with writing(dump) as backend:
        backend.drop_collection("plain")
        backend.rename_collection("users", "people")
        backend.create_collection("empty", {"capped": True, "size": 4096})
    files = content(dump / "shop")
    assert set(files) == {
        "empty.bson",
        "empty.metadata.json",
        "people.bson",
        "people.metadata.json",
        "prelude.json",
    }
    metadata = json.loads(files["people.metadata.json"])
    assert (metadata["collectionName"], metadata["uuid"]) == ("people", METADATA["uuid"])
    assert len(decode_all(files["people.bson"])) == 3
    with reading(dump) as backend:
        assert backend.collections()["empty"].options["capped"] is True


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


# Reading --------------------------------------------------------------------------------------------------


@pytest.fixture
def mixed(tmp_path: Path) -> Iterator[EmbeddedBackend]:
    """Ids of several types, in no order."""
    (tmp_path / "db").mkdir()
    ids = [ObjectId(b"x" * 12), 10, None, 2.5, "b", Int64(3), "a", {"a": 1}, True, datetime(2024, 1, 1)]
    documents = [{"_id": each, "n": n, "even": n % 2 == 0} for n, each in enumerate(ids)]
    (tmp_path / "db" / "mixed.bson").write_bytes(b"".join(map(encode, documents)))
    with reading(tmp_path) as backend:
        yield backend


def test_documents_come_in_the_total_order_of_ids_and_in_ranges(mixed: EmbeddedBackend) -> None:
    def ids(**options: Any) -> list[Any]:
        return [decode(d)["_id"] for d in mixed.documents("mixed", **options)]

    everything = [None, 2.5, 3, 10, "a", "b", {"a": 1}, ObjectId(b"x" * 12), True, datetime(2024, 1, 1)]
    assert ids() == everything
    assert ids(after=raw_id(3.0), limit=2) == [10, "a"]
    assert ids(after=raw_id(5), upto=raw_id("aa")) == [10, "a"]
    assert ids(where={"even": True}, upto=raw_id("b")) == [None, "a", "b"]
    assert ids(max_bytes=40) == [None, 2.5]
    assert mixed.last_id("mixed") == raw_id(datetime(2024, 1, 1))
    assert mixed.last_id("nothing") is None
    assert mixed.documents("mixed", fields=["n"], limit=1) == [encode({"_id": None, "n": 2})]


def test_documents_by_id_are_found_whatever_number_type_asks(mixed: EmbeddedBackend) -> None:
    found = mixed.by_ids("mixed", [raw_id(3), raw_id("zz"), raw_id(Decimal128("2.5")), raw_id(3)])
    assert [decode(d)["_id"] for d in found] == [3, 2.5]
    assert mixed.by_ids("mixed", [raw_id(3)], where={"n": 99}) == []


def test_samples_are_spread_and_always_the_same(mixed: EmbeddedBackend) -> None:
    assert len(mixed.sample("mixed", 100)) == 10
    assert [decode(d)["_id"] for d in mixed.sample("mixed", 3)] == [None, 10, {"a": 1}]
    assert mixed.sample("mixed", 3) == mixed.sample("mixed", 3)
    assert len(mixed.sample("mixed", 3, where={"even": True})) == 3
    assert len(mixed.sample("mixed", 100, where={"even": True})) == 5
    assert mixed.sample("nothing", 3, where={"even": True}) == []


def test_counts(mixed: EmbeddedBackend) -> None:
    assert mixed.count("mixed", {"even": True}) == 5
    assert mixed.count("mixed", limit=3) == mixed.count("mixed", {"even": False}, limit=3) == 3


@pytest.fixture
def people(tmp_path: Path) -> Iterator[EmbeddedBackend]:
    documents: list[dict[str, Any]] = [
        {"_id": 5, "name": "b", "age": 1, "address": {"city": "x", "zip": 1}},
        {"_id": 1, "name": "b", "age": 2.0, "tags": ["u", "v"]},
        {"_id": 2, "name": None, "age": Int64(3), "rows": [{"k": 1}, {"k": 2}]},
        {"_id": 3, "age": Decimal128("1"), "key": {"a": 1, "b": [2]}},
        {"_id": 4, "name": True, "age": "1", "at": datetime(2024, 1, 1), "rows": []},
        {"_id": 6, "name": 1, "age": float("nan"), "nested": [[1]]},
    ]
    (tmp_path / "db").mkdir()
    (tmp_path / "db" / "people.bson").write_bytes(b"".join(map(encode, documents)))
    with reading(tmp_path) as backend:
        yield backend


@pytest.mark.parametrize(
    ("key", "values", "ids"),
    [
        ("name", ["b", "nobody"], [1, 5]),
        ("name", [None], [2]),
        ("name", [1], [6]),
        ("name", [True], [4]),
        ("age", [1], [3, 5]),
        ("age", [Decimal128("2"), 3.0], [1, 2]),
        ("tags", ["v"], [1]),
        ("key", [{"a": 1, "b": [2]}], [3]),
        ("key", [{"b": [2], "a": 1}], []),
        ("address.city", ["x"], [5]),
        ("rows.k", [2], [2]),
        ("_id", [Int64(4), {1, 2}], [4]),
        ("missing", [None], []),
    ],
)
def test_lookups_use_the_servers_equality(
    people: EmbeddedBackend, key: str, values: list[Any], ids: list[int]
) -> None:
    assert [d["_id"] for d in people.lookup("people", key, values, None)] == ids
    assert [d["_id"] for d in people.lookup("people", key, values, [])] == ids


def test_lookups_give_the_fields_that_were_asked_for(people: EmbeddedBackend) -> None:
    assert people.lookup("people", "name", ["b"], ["address.zip", "tags"]) == [
        {"_id": 1, "name": "b", "tags": ["u", "v"]},
        {"_id": 5, "name": "b", "address": {"zip": 1}},
    ]


# Tried on mongod 6.0.27 as well.
@pytest.mark.parametrize(
    ("filter", "ids"),
    [
        ({}, [1, 2, 3, 4, 5, 6]),
        ({"_id": 3}, [3]),
        ({"_id": {"$gt": 2, "$lte": 4}}, [3, 4]),
        ({"name": 1}, [6]),
        ({"name": None}, [2, 3]),
        ({"name": {"$ne": "b"}}, [2, 3, 4, 6]),
        ({"name": {"$in": ["b", True]}}, [1, 4, 5]),
        ({"name": {"$nin": ["b", None]}}, [4, 6]),
        ({"name": {"$exists": False}}, [3]),
        ({"age": {"$lt": 3}}, [1, 3, 5]),
        ({"age": {"$gte": "0"}}, [4]),
        ({"at": {"$gt": datetime(2023, 1, 1)}}, [4]),
        ({"tags": "u"}, [1]),
        ({"tags": ["u", "v"]}, [1]),
        ({"address.city": "x"}, [5]),
        ({"rows.k": {"$gt": 1}}, [2]),
        ({"rows.0.k": 1}, [2]),
        ({"nested.0": 1}, []),
        ({"nested.0": [1]}, [6]),
        ({"rows": []}, [4]),
        ({"$or": [{"_id": 1}, {"name": 1}]}, [1, 6]),
        ({"$nor": [{"_id": 1}, {"name": {"$exists": True}}]}, [3]),
        ({"$and": [{"age": 1}, {"name": "b"}]}, [5]),
        ({"name": {"$regex": "^B", "$options": "i"}}, [1, 5]),
        ({"tags": {"$size": 2}}, [1]),
        ({"rows": {"$elemMatch": {"k": 2}}}, [2]),
        ({"$expr": {"$eq": ["$_id", 1]}}, [1]),
    ],
)
def test_filters_match_what_a_server_matches(
    people: EmbeddedBackend, filter: dict[str, Any], ids: list[int]
) -> None:
    assert [d["_id"] for d in people.find("people", filter)] == ids
    assert [decode(d)["_id"] for d in people.documents("people", where=filter)] == ids


@pytest.mark.parametrize(
    ("filter", "error"),
    [
        ({"$where": "1"}, MissingCapability),
        (
            {"$expr": {"$ne": ["$name", "b"]}},
            MissingCapability,
        ),  # one has no name, which mongomock cannot compare
        ({"a": {"$near": 1}}, MissingCapability),
        ({"a": {"$nonsense": 1}}, UsageError),
        ({"$nonsense": 1}, UsageError),
        ({"a": {1, 2}}, UsageError),
    ],
)
def test_filters_that_cannot_be_evaluated_are_refused(
    people: EmbeddedBackend, filter: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        people.find("people", filter)


def test_records_are_sorted_limited_and_projected(people: EmbeddedBackend) -> None:
    found = people.find("people", {}, sort=[("name", -1), ("_id", 1)], limit=3, fields=["age"])
    assert [d["_id"] for d in found] == [4, 1, 5]
    assert list(found[0]) == ["_id", "age"]


# Changing -------------------------------------------------------------------------------------------------


def test_a_unit_of_work_is_applied_as_one_or_not_at_all(dump: Path) -> None:
    with writing(dump) as backend:
        put(backend, PROGRESS, {"_id": "p", "fence": 1, "cursor": 1, "at": {"x": 1}})
        journal = Put(JOURNAL, {"_id": "j"})
        write = Write(raw_id(1), encode({"_id": 1, "name": "n1"}), encode({"_id": 1, "name": "new"}))

        def changes(cursor: int) -> Changes:
            move = Move(
                PROGRESS, {"_id": "p", "fence": 1, "cursor": cursor}, {"cursor": cursor + 1, "at.y": 2}
            )
            return Changes(first=[journal], collection="users", writes=[write], last=[move])

        with pytest.raises(GuardFailed):
            backend.transact(lambda _: changes(7))
        assert backend.find(JOURNAL, {}) == []
        assert backend.find("users", {"_id": 1}) == [{"_id": 1, "name": "n1"}]
        backend.transact(lambda reader: changes(reader.find(PROGRESS, {})[0]["cursor"]))
        assert backend.find(PROGRESS, {}) == [{"_id": "p", "fence": 1, "cursor": 2, "at": {"x": 1, "y": 2}}]
        assert backend.find("users", {"_id": 1}) == [{"_id": 1, "name": "new"}]
        with pytest.raises(GuardFailed):  # the document is no longer what was read
            backend.transact(lambda _: changes(2))
        assert backend.find(PROGRESS, {})[0]["cursor"] == 2


def test_changes_see_those_before_them(dump: Path) -> None:
    with writing(dump) as backend:
        first: list[RecordChange] = [
            Put(PROGRESS, {"_id": "a", "pass": 1}),
            Move(PROGRESS, {"pass": 1}, {"n": 1}),
            Put(PROGRESS, {"_id": "b", "pass": 2}),
            Delete(PROGRESS, {"pass": 2}),
        ]
        backend.transact(lambda _: Changes(first=first))
        assert backend.find(PROGRESS, {}) == [{"_id": "a", "pass": 1, "n": 1}]


def test_results_that_cannot_be_stored_name_their_document(dump: Path) -> None:
    with writing(dump) as backend:
        old = {"_id": 1, "name": "n1"}
        with pytest.raises(ResultTooLarge) as too_large:
            replace(backend, "users", (old, {"_id": 1, "x": "x" * (16 * 1024 * 1024)}))
        assert too_large.value.id == 1
        write = Write(raw_id(1), encode(old), encode({"_id": 2}))
        with pytest.raises(IdChanged):
            backend.transact(lambda _: Changes(collection="users", writes=[write]))
        assert backend.find("users", {"_id": 1}) == [old]


def test_unique_indexes_are_kept(dump: Path) -> None:
    with writing(dump) as backend:
        backend.create_index("users", [("name", 1)], {"unique": True, "name": "by_name"})
        one, two = {"_id": 1, "name": "n1"}, {"_id": 2, "name": "n2"}
        with pytest.raises(DuplicateKey, match=r"documents 1 and 2 .* 'by_name'") as caught:
            replace(backend, "users", (two, {"_id": 2, "name": "n1"}))
        assert caught.value.id == 2
        with pytest.raises(DuplicateKey):  # one after the other, as a server does it
            replace(backend, "users", (one, {**one, "name": "n2"}), (two, {**two, "name": "n1"}))
        replace(backend, "users", (one, {**one, "name": "free"}), (two, {**two, "name": "n1"}))
        replace(backend, "users", ({**one, "name": "free"}, {**one, "name": "n2"}))
        put(backend, "users", {"_id": 8})
        with pytest.raises(DuplicateKey):  # two documents without the field
            put(backend, "users", {"_id": 9})
        assert sorted(d.get("name", "") for d in backend.find("users", {})) == ["", "n1", "n2", "n3"]
    with writing(dump) as backend, pytest.raises(DuplicateKey):
        put(backend, "users", {"_id": 9, "name": "n3"})


@pytest.mark.parametrize(
    ("options", "keys", "free", "taken"),
    [
        ({}, [("a", 1), ("b", -1)], [{"a": 1, "b": 1}, {"a": 1, "b": 2}], {"a": 1.0, "b": 2}),
        ({"sparse": True}, [("a", 1)], [{}, {}, {"a": None}], {"a": None}),
        (
            {"partialFilterExpression": {"on": True}},
            [("a", 1)],
            [{"a": 1, "on": True}, {"a": 1}],
            {"a": 1, "on": True},
        ),
        ({}, [("a", 1)], [{"a": [1, 2]}, {"a": [3, 3]}], {"a": [4, 2]}),
        ({}, [("a.b", 1)], [{"a": {"b": 1}}, {"a": [{"b": 2}, {"b": 3}]}], {"a": {"b": 3}}),
    ],
)
def test_unique_indexes_of_every_kind(
    tmp_path: Path,
    options: dict[str, Any],
    keys: list[tuple[str, int]],
    free: list[Any],
    taken: dict[str, Any],
) -> None:
    with writing(tmp_path, "db") as backend:
        backend.create_index("c", keys, {"unique": True, **options})
        put(backend, "c", *({"_id": n, **document} for n, document in enumerate(free)))
        with pytest.raises(DuplicateKey):
            put(backend, "c", {"_id": 99, **taken})
        backend.transact(lambda _: Changes(first=[Delete("c", {})]))
        put(backend, "c", {"_id": 99, **taken})
        backend.drop_index("c", backend.indexes("c")[1]["name"])
        put(backend, "c", {"_id": 98, **taken})
        with pytest.raises(DuplicateKey):
            backend.create_index("c", keys, {"unique": True, **options})


def test_the_catalogue_answers_like_a_server(dump: Path) -> None:
    with writing(dump) as backend:
        backend.create_index("users", [("name", 1), ("age", -1)], {"expireAfterSeconds": 5})
        backend.create_index("users", [("name", 1), ("age", -1)], {"expireAfterSeconds": 5})
        assert backend.indexes("users")[1] == {
            "v": 2,
            "key": {"name": 1, "age": -1},
            "name": "name_1_age_-1",
            "expireAfterSeconds": 5,
        }
        backend.set_options("users", {"validator": {"a": 1}, "validationLevel": "strict"})
        backend.set_options("users", {"validator": {}})
        assert backend.collections()["users"].options == {"validationLevel": "strict"}
        in_the_way: list[Callable[[], None]] = [
            lambda: backend.create_index("users", [("x", 1)], {"name": "name_1_age_-1"}),
            lambda: backend.create_index("users", [("name", 1), ("age", -1)], {"name": "another"}),
        ]
        for call in in_the_way:
            with pytest.raises(IndexInTheWay):
                call()
        refused: list[Callable[[], None]] = [
            lambda: backend.drop_index("users", "nothing"),
            lambda: backend.drop_index("users", "_id_"),
            lambda: backend.drop_index("nothing", "x"),
            lambda: backend.set_options("nothing", {}),
            lambda: backend.create_collection("users", {}),
            lambda: backend.create_collection("a$b", {}),
            lambda: backend.rename_collection("nothing", "x"),
            lambda: backend.rename_collection("users", "plain"),
        ]
        for call in refused:
            with pytest.raises(OperationFailed):
                call()
        with pytest.raises(MissingCapability):
            backend.create_collection("ts", {"timeseries": {"timeField": "t"}})
        backend.drop_collection("nothing")
        backend.create_collection("seen", {"viewOn": "users", "pipeline": []})
    assert (dump / "shop" / "seen.metadata.json").exists()
    assert not (dump / "shop" / "seen.bson").exists()


@pytest.mark.parametrize(
    ("stages", "expected"),
    [
        ([{"$set": {"name": "x"}}], {"_id": 1, "name": "x", "in": {"a": 1}}),
        ([{"$set": {"b": {"$add": ["$in.a", 1]}}}], {"_id": 1, "name": "n", "in": {"a": 1}, "b": 2}),
        ([{"$set": {"in": {"b": 2}}}], {"_id": 1, "name": "n", "in": {"a": 1, "b": 2}}),
        ([{"$set": {"name": "$missing"}}], {"_id": 1, "in": {"a": 1}}),
        ([{"$set": {"name": "$$REMOVE"}}, {"$unset": "in.a"}], {"_id": 1, "in": {}}),
        ([{"$set": {"name": {"$literal": "$$NOW"}}}], {"_id": 1, "name": "$$NOW", "in": {"a": 1}}),
        ([{"$set": {"name": {"$cond": [True, "$$REMOVE", 1]}}}], {"_id": 1, "in": {"a": 1}}),
        ([{"$unset": ["name", "in"]}], {"_id": 1}),
        (
            [{"$set": {"name": ["$_id", "$x", {"a": "$in.a"}]}}],
            {"_id": 1, "name": [1, None, {"a": 1}], "in": {"a": 1}},
        ),
        ([{"$project": {"name": 0}}], {"_id": 1, "in": {"a": 1}}),
        ([{"$replaceWith": {"_id": "$_id", "x": "$name"}}], {"_id": 1, "x": "n"}),
        ([{"$replaceRoot": {"newRoot": {"_id": "$_id"}}}], {"_id": 1}),
    ],
)
def test_update_pipelines_do_what_a_server_does(
    tmp_path: Path, stages: list[Any], expected: dict[str, Any]
) -> None:
    with writing(tmp_path, "db") as backend:
        put(backend, "c", {"_id": 1, "name": "n", "in": {"a": 1}})
        assert backend.pipeline("c", [raw_id(1)], stages) == [encode(expected)]


def test_update_pipelines_know_the_time_and_refuse_what_they_cannot_do(tmp_path: Path) -> None:
    with writing(tmp_path, "db") as backend:
        put(backend, "c", {"_id": 1, "s": "x", "d": Decimal128("1")})
        (document,) = backend.pipeline("c", [raw_id(1)], [{"$set": {"at": "$$NOW"}}])
        assert isinstance(decode(document)["at"], datetime)
        for expression in (
            {"$sigmoid": 1},
            {"$mergeObjects": ["$a", "$b"]},
            {"$add": ["$d", 1]},
            {"$eq": ["$q", 1]},
        ):
            with pytest.raises((MissingCapability, OperationFailed)):
                backend.pipeline("c", [raw_id(1)], [{"$set": {"x": expression}}])


# Users' own functions -------------------------------------------------------------------------------------


def test_functions_keep_what_they_changed_and_the_bytes_of_the_rest(dump: Path) -> None:
    odd = b"\x1a\x00\x00\x00\x10_id\x00\x09\x00\x00\x00\x06u\x00\x0ds\x00\x02\x00\x00\x00x\x00\x00"
    file = dump / "shop" / "users.bson"
    broken = encode({"_id": 10, "s": "ab"}).replace(b"ab", b"\xff\xfe")
    file.write_bytes(file.read_bytes() + odd + broken)
    with writing(dump) as backend:
        with backend.functions(write=True) as db:
            assert db.users.count_documents({}) == 4
            db.users.update_many({"_id": {"$lte": 2}}, {"$set": {"seen": True}})
            db.users.delete_one({"_id": 3})
            db.users.insert_one({"name": "new", "_id": 0})
            db.fresh.insert_one({"_id": 1})
            db.drop_collection("plain")
            db.users.create_index("name", unique=True, sparse=True, name="by_name")
            db[VERSIONS].insert_one({"_id": "forged"})
        assert backend.find(VERSIONS, {}) == []
    saved = file.read_bytes()
    assert saved.endswith(odd + broken + encode({"_id": 0, "name": "new"}))
    assert saved.startswith(encode({"_id": 1, "name": "n1", "seen": True}))
    with reading(dump) as backend:
        assert set(backend.collections()) == {"users", "fresh"}
        assert backend.indexes("users")[1]["unique"] is True
        assert [decode(d)["_id"] for d in backend.documents("users", upto=raw_id(9))] == [0, 1, 2, 9]


def test_functions_that_raise_leave_nothing_behind(dump: Path) -> None:
    before = content(dump)
    with writing(dump) as backend:
        with pytest.raises(ZeroDivisionError), backend.functions(write=True) as db:
            db.users.delete_many({})
            _ = 1 / 0
        with backend.functions(write=False) as db:
            db.users.delete_many({})
        spoilers: list[Callable[[Any], Any]] = [
            lambda db: db.users.update_one({"_id": 1}, {"$push": {"x": {1, 2}}}),
            lambda db: db.users.update_one({"_id": 1}, {"$set": {"x": "x" * 17_000_000}}),
        ]
        for spoil in spoilers:
            with pytest.raises((InvalidResult, ResultTooLarge)), backend.functions(write=True) as db:
                db.users.delete_one({"_id": 2})
                spoil(db)
        assert backend.count("users") == 3
    assert content(dump) == before


def test_functions_are_told_what_a_dump_cannot_do(dump: Path) -> None:
    with writing(dump) as backend:
        calls: list[Callable[[Any], Any]] = [
            lambda db: db.list_collections(),
            lambda db: db.command("collStats", "users"),
            lambda db: db.users.bulk_write([UpdateOne({"_id": 1}, {"$set": {"a": 1}}, sort={"a": 1})]),
        ]
        for call in calls:
            with pytest.raises(MissingCapability, match="a dump directory cannot do this"):
                with backend.functions(write=True) as db:
                    call(db)
        with pytest.raises(NotImplementedError, match="mine"), backend.functions(write=True):
            raise NotImplementedError("mine")


def test_functions_write_in_bulk_rename_and_do_not_lose_expired_documents(dump: Path) -> None:
    with writing(dump) as backend:
        backend.create_index("users", [("at", 1)], {"expireAfterSeconds": 1})
        put(backend, "users", {"_id": 7, "at": datetime(2000, 1, 1)})
        with backend.functions(write=True) as db:
            db.users.bulk_write([UpdateOne({"_id": 1}, {"$set": {"a": 1}}), ReplaceOne({"_id": 2}, {"b": 2})])
            db.users.create_index("gone", expireAfterSeconds=1)
            db.users.update_one({"_id": 7}, {"$set": {"gone": datetime(2000, 1, 1)}})
            assert db.users.count_documents({}) == 4
            db.users.rename("people")
            db.plain.drop()
            db.plain.insert_one({"_id": 1})
        assert backend.count("people") == 4
        assert [index["name"] for index in backend.indexes("people")] == ["_id_", "at_1", "gone_1"]
        assert backend.find("people", {"_id": {"$in": [1, 2]}}) == [
            {"_id": 1, "name": "n1", "a": 1},
            {"_id": 2, "b": 2},
        ]
        assert backend.find("plain", {}) == [{"_id": 1}]
    assert "users.bson" not in content(dump / "shop")


def test_functions_find_documents_by_id_without_a_scan(tmp_path: Path) -> None:
    with writing(tmp_path, "db") as backend:
        put(backend, "c", *({"_id": n} for n in range(3_000)))
        started = time.monotonic()
        with backend.functions(write=True) as db:
            for n in range(3_000):
                db.c.update_one({"_id": n}, {"$set": {"n": n}})
        assert time.monotonic() - started < 5
        assert backend.count("c", {"n": {"$exists": True}}) == 3_000


def test_functions_see_unique_indexes_of_the_dump(dump: Path) -> None:
    with writing(dump) as backend:
        backend.create_index("users", [("name", 1)], {"unique": True})
        with pytest.raises(Exception, match="Duplicate"), backend.functions(write=True) as db:
            db.users.insert_one({"_id": 4, "name": "n1"})
        with backend.functions(write=True) as db:
            assert list(db.users.index_information()) == ["_id_", "name_1"]
            db.users.drop_index("name_1")
            db.users.insert_one({"_id": 4, "name": "n1"})
        assert backend.count("users") == 4


def test_twenty_thousand_documents_take_seconds(tmp_path: Path) -> None:
    (tmp_path / "db").mkdir()
    documents = [encode({"_id": ObjectId(), "n": n, "pad": "x" * 6_000}) for n in range(20_000)]
    (tmp_path / "db" / "c.bson").write_bytes(b"".join(documents))
    started = time.monotonic()
    with writing(tmp_path) as backend:
        after: bytes | None = None
        while batch := backend.documents("c", after=after, limit=500):
            writes = [Write(raw_bson.id_of(d), d, d.replace(b"x" * 100, b"y" * 100)) for d in batch]
            backend.transact(lambda _, writes=writes: Changes(collection="c", writes=writes))  # type: ignore[misc]
            after = writes[-1].id
    assert time.monotonic() - started < 10
    assert b"x" * 100 not in (tmp_path / "db" / "c.bson").read_bytes()


def test_the_lock_is_the_directorys_own(dump: Path) -> None:
    fd = os.open(dump, os.O_RDONLY)
    with writing(dump):
        with pytest.raises(BlockingIOError):
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(fd)
