"""The dump directory as a database: bytes, locks, generations, and what survives a killed writer."""

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from bson import decode_all, encode

from goaime_migrate.backends.dump import filenames, generation
from goaime_migrate.backends.embedded import EmbeddedBackend
from goaime_migrate.backends.ports import (
    LOCK,
    VERSIONS,
    Mode,
)
from goaime_migrate.errors import (
    DumpUnreadable,
    FolderMissing,
    MissingCapability,
    SaveFailed,
    UsageError,
)
from tests.integration.dumps import ME, METADATA, content, put, reading, replace, writing

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
