"""A dump may come from anybody: what it says leads nowhere outside of it, stops nothing, and is told by its name."""

from __future__ import annotations

import json
import os
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from bson import encode

from goaime_migrate import cli
from goaime_migrate.backends.dump import generation, permissions
from goaime_migrate.backends.embedded import EmbeddedBackend
from goaime_migrate.backends.ports import VERSIONS, Changes, Owner, Put
from goaime_migrate.errors import DumpUnreadable, FolderMissing, MigrateError, NewerFormat, UsageError

ME = Owner(run="mine", who="me", host="here", pid=os.getpid(), boot="", started="")
GOOD = {"generation": "9", "database": "shop", "put": [], "remove": [], "format": 1}
MIGRATION = """
from goaime_migrate import TransformDocuments

def greet(user):
    user["hello"] = True

operations = [TransformDocuments("users", greet)]
"""
READING = (["status"], ["plan"], ["verify"], ["history"], ["wait", "--timeout", "0"])
WRITING = (["up"], ["down", "--yes"], ["stamp", "head", "--yes"], ["repair", "--yes"])

Command = Callable[..., tuple[int, str]]


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    """A database with one collection, beside a file that is none of its business."""
    shop = tmp_path / "dump" / "shop"
    shop.mkdir(parents=True)
    (shop / "users.bson").write_bytes(b"".join(encode({"_id": n}) for n in (3, 1, 2)))
    (tmp_path / "migrations").mkdir()
    (tmp_path / "migrations" / "0001_greet.py").write_text(MIGRATION)
    (tmp_path / "victim").write_text("precious")
    return tmp_path / "dump"


@pytest.fixture
def command(dump: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs one command in this process; its exit status, and what it wrote."""
    monkeypatch.chdir(dump.parent)

    def run(*words: str) -> tuple[int, str]:
        status = cli.main([*words, "--uri", "dump:dump"])
        said = capsys.readouterr()
        return status, said.out + said.err

    return run


def content(folder: Path) -> dict[str, bytes]:
    """All files below, links not followed, but not what a lock or a reader cannot change."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b""
        for path in folder.rglob("*")
        if not path.is_symlink() and not path.is_fifo()
    }


def marked(dump: Path, marker: bytes | dict[str, Any], **staged: bytes) -> None:
    """What a writer leaves that was killed behind its commit point."""
    files = dump / generation.STAGING / "files"
    files.mkdir(parents=True)
    for name, data in staged.items():
        (files / f"{name}.bson").write_bytes(data)
    said = marker if isinstance(marker, bytes) else json.dumps(marker).encode()
    (dump / generation.STAGING / "committed.json").write_bytes(said)


@contextmanager
def opened(dump: Path, database: str | None = "shop", *, write: bool) -> Iterator[EmbeddedBackend]:
    backend = EmbeddedBackend.open(dump, database, write=write)
    try:
        yield backend
    finally:
        backend.close()


# Markers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "marker",
    [
        GOOD | {"remove": ["/VICTIM"]},
        GOOD | {"remove": ["../../victim"]},
        GOOD | {"remove": ["../../victim.bson"]},
        GOOD | {"database": "../..", "put": ["victim.bson"]},
        GOOD | {"database": "..", "remove": ["victim.bson"]},
        GOOD | {"database": "/", "remove": ["victim.bson"]},
        GOOD | {"database": ".goaime-migrate"},
        GOOD | {"database": "a\0b"},
        GOOD | {"database": ""},
        GOOD | {"database": "x" * 64},
        GOOD | {"database": "\udcff"},
        GOOD | {"database": ["shop"]},
        GOOD | {"database": None},
        GOOD | {"put": ["authorized_keys"]},
        GOOD | {"put": [".bson"]},
        GOOD | {"put": ["x" * 251 + ".bson"]},
        GOOD | {"put": ["a/b.bson"]},
        GOOD | {"put": ["a\0.bson"]},
        GOOD | {"put": "users.bson"},
        GOOD | {"put": [1]},
        GOOD | {"put": ["users.bson"], "remove": ["users.bson"]},
        GOOD | {"put": ["users.bson", "users.bson"]},
        GOOD | {"generation": 7},
        GOOD | {"generation": ""},
        GOOD | {"format": 0},
        GOOD | {"format": True},
        GOOD | {"format": "1"},
        GOOD | {"format": 1.0},
        GOOD | {"more": 1},
        {key: value for key, value in GOOD.items() if key != "remove"},
        {},
        b"",
        b" \n",
        b"[]",
        b"null",
        b"\xff\xfe",
        json.dumps(GOOD).encode()[:-9],
        json.dumps(GOOD).encode()[:-1] + b', "put": ["users.bson"]}',
        b'{"format": NaN}',
        b"[" * 100_000,
        b" " * (17 * 1024 * 1024),
    ],
    ids=range(41),
)
def test_a_marker_that_is_not_to_the_letter_ours_is_named_and_nothing_is_done(
    dump: Path, command: Command, marker: Any
) -> None:
    victim = dump.parent / "victim"
    (dump.parent / "victim.bson").write_text("precious")
    if isinstance(marker, dict) and marker.get("remove") == ["/VICTIM"]:
        marker = marker | {"remove": [str(victim)]}
    marked(dump, marker, users=encode({"_id": 9}), victim=b"bad")
    before = content(dump.parent)
    for words in (*READING, *WRITING):
        status, said = command(*words)
        assert (status, "GM105" in said, "committed.json" in said) == (2, True, True), said
        assert "nothing was moved or removed" in " ".join(said.split())
    assert content(dump.parent) == before


@pytest.mark.parametrize("more", [{}, {"new": 1, "put": 5}])
def test_a_marker_of_a_newer_release_is_said_to_be_that(
    dump: Path, command: Command, more: dict[str, Any]
) -> None:
    marked(dump, GOOD | {"format": 99} | more)
    before = content(dump)
    for words in (*READING, *WRITING):
        status, said = command(*words)
        assert (status, "GM806" in said, "upgrade" in said) == (9, True, True), said
    assert content(dump) == before
    with pytest.raises(NewerFormat):
        EmbeddedBackend.open(dump, "shop", write=True)


# Files and folders that are none ---------------------------------------------------------------------------


def _link(path: Path) -> None:
    path.symlink_to(path.parents[-2] / "nowhere")


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _folder(path: Path) -> None:
    path.mkdir()


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        here = Path.cwd()
        os.chdir(path.parent)
        try:
            one.bind(path.name)  # a long path would not fit
        finally:
            os.chdir(here)


@pytest.mark.parametrize("make", [_link, _pipe, _folder, _socket])
@pytest.mark.parametrize(
    "place",
    [
        "shop/users.bson",
        "shop/other.bson",
        "shop/users.metadata.json",
        ".goaime-migrate/committed.json",
    ],
)
def test_what_is_no_file_is_named_and_neither_followed_nor_waited_for(
    dump: Path, command: Command, make: Callable[[Path], None], place: str
) -> None:
    path = dump / place
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    make(path)
    before = content(dump)
    for words in (["status"], ["plan"], ["up"], ["down", "--yes"]):
        status, said = command(*words)
        assert (status, "GM105" in said) == (2, True), said
        assert f"{place} is " in " ".join(said.split())
    assert content(dump) == before


@pytest.mark.parametrize("make", [_link, _pipe, _socket, Path.touch])
@pytest.mark.parametrize("place", ["shop", ".goaime-migrate", ".goaime-migrate/files"])
def test_what_is_no_folder_is_named(
    dump: Path, command: Command, make: Callable[[Path], None], place: str
) -> None:
    if place == "shop":
        (dump / "shop").rename(dump.parent / "elsewhere")
    else:
        marked(dump, GOOD | {"put": ["users.bson"]})
        for path in sorted((dump / place).rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        (dump / place).rmdir()
    make(dump / place)
    before = content(dump.parent)
    for words in (["status"], ["up"]):
        status, said = command(*words, "--database", "shop")
        assert (status, "GM105" in said) == (2, True), said
    assert content(dump.parent) == before


def test_links_lead_to_no_file_of_others(dump: Path, command: Command) -> None:
    """A folder of a database that is a link, a staged link, a link where a file is put."""
    outside = dump.parent / "outside"
    outside.mkdir()
    (outside / "users.bson").write_bytes(encode({"_id": "theirs"}))
    marked(dump, GOOD | {"put": ["users.bson"]})
    (dump / generation.STAGING / "files" / "users.bson").symlink_to(outside / "users.bson")
    for words in (["status"], ["up"]):
        status, said = command(*words)
        assert (status, "is a link" in said) == (2, True)
    (dump / generation.STAGING / "files" / "users.bson").unlink()
    (dump / "shop" / "users.bson").unlink()
    (dump / "shop" / "users.bson").symlink_to(outside / "users.bson")
    assert command("up")[0] == 2
    (dump / "shop" / "users.bson").unlink()
    (dump / "shop").rmdir()
    (dump / "shop").symlink_to(outside)
    assert command("up")[0] == 2
    assert (outside / "users.bson").read_bytes() == encode({"_id": "theirs"})
    assert [path.name for path in outside.iterdir()] == ["users.bson"]


def test_a_committed_file_that_is_nowhere_is_named_at_once(dump: Path, command: Command) -> None:
    marked(dump, GOOD | {"put": ["lost.bson"]})
    for words in (["status"], ["up"]):
        status, said = command(*words)
        assert (status, "lost.bson was committed" in " ".join(said.split())) == (2, True), said


@pytest.mark.parametrize("uri", ["dump:a\0b", "dump:" + "x" * 5_000, "dump:" + "x/" * 5_000])
def test_a_path_that_cannot_be_is_said_to_be_none(
    dump: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], uri: str
) -> None:
    monkeypatch.chdir(dump.parent)
    for words in (["status"], ["up"]):
        assert cli.main([*words, "--uri", uri]) == 2
        assert "a bug" not in capsys.readouterr().err
    with pytest.raises(MigrateError) as caught:
        EmbeddedBackend.open(Path(uri.removeprefix("dump:")), None, write=True)
    assert caught.value.exit_code == 2


def test_a_folder_that_no_database_can_be_called_is_said_to_be_that(tmp_path: Path) -> None:
    (tmp_path / "my shop").mkdir()
    with pytest.raises(UsageError, match="'my shop' cannot be the name of a database"):
        EmbeddedBackend.open(tmp_path, None, write=True)
    for name in ("../shop", ".", "a.b", "\udcff"):
        with pytest.raises(UsageError, match="cannot be the name"):
            EmbeddedBackend.open(tmp_path, name, write=True)
    with pytest.raises(FolderMissing):
        EmbeddedBackend.open(tmp_path, "shop", write=True)


# Damage within ---------------------------------------------------------------------------------------------


def nested(depth: int, kind: int = 3) -> bytes:
    """Documents in documents: so many of them."""
    inner = b"\5\0\0\0\0"
    for _ in range(depth - 1):
        inner = (len(inner) + 8).to_bytes(4, "little") + bytes([kind]) + b"0\0" + inner + b"\0"
    return inner


def holding(value: bytes, kind: int, identity: Any = "mine") -> bytes:
    """A document with an `_id` and one field of these very bytes."""
    start = encode({"_id": identity})[4:-1] + bytes([kind]) + b"f\0" + value + b"\0"
    return (len(start) + 4).to_bytes(4, "little") + start


DAMAGED = {
    "bool": holding(b"\7", 8),
    "bool within": holding(b"\x09\0\0\0\x08b\0\2\0", 3),
    "inner length": holding(b"\xff\0\0\0\0", 3),
    "inner length too small": holding(b"\4\0\0\0\0", 3),
    "length of an array": holding(b"\x0d\0\0\0\x100\0\1\0\0\0\0\1", 4),
    "text without an end": holding(b"\2\0\0\0ab", 2),
    "text of no length": holding(b"\0\0\0\0", 2),
    "text within": holding(b"\x0e\0\0\0\x02a\0\xff\0\0\0ab\0", 3),
    "negative binary": holding(b"\xf0\xff\xff\xff\0", 5),
    "old binary": holding(b"\x08\0\0\0\2\1\0\0\0abcd", 5),
    "scope": holding(b"\x13\0\0\0\2\0\0\0a\0\xff\0\0\0\0\0\0\0\0", 15),
    "unknown type": holding(b"\1", 0x20),
    "1,500 deep": holding(nested(1500), 3),
    "1,500 arrays deep": holding(nested(1500, 4), 4),
    "300 deep": holding(nested(300), 3),
    "100,000 deep": holding(nested(100_000), 3),
    "a deep _id": encode({"_id": 0})[:4] + b"",
}
DAMAGED["a deep _id"] = (len(nested(1500)) + 10).to_bytes(4, "little") + b"\x03_id\0" + nested(1500) + b"\0"


@pytest.mark.parametrize("name", DAMAGED)
def test_damage_within_a_document_is_told_by_its_file_and_its_id(
    dump: Path, command: Command, name: str
) -> None:
    """Also in a collection that no migration touches: what is read is written again."""
    for collection in ("users", "aside"):
        (dump / "shop" / "users.bson").write_bytes(encode({"_id": 1}))
        (dump / "shop" / f"{collection}.bson").write_bytes(encode({"_id": 1}) + DAMAGED[name])
        before = content(dump)
        for words in (["up"], ["plan"]) if collection == "users" else (["up"],):
            status, said = command(*words)
            said = " ".join(said.split())
            assert (status, "GM105" in said, f"{collection}.bson: byte 14" in said) == (2, True, True), said
            assert name == "a deep _id" or '_id "mine"' in said
        assert content(dump) == before


@pytest.mark.parametrize(
    "value",
    [
        {"$ref": "a", "$id": 1},
        {"$ref": 5, "$id": [1]},
        {"a": nested(190)},
        {"a": b"\3" * 500},
        {"a": [{"b": {"c": [1]}}] * 500},
    ],
)
def test_what_is_only_odd_is_kept(dump: Path, command: Command, value: Any) -> None:
    (dump / "shop" / "odd.bson").write_bytes(before := encode({"_id": 1, "f": value}))
    status, said = command("up")
    assert status == 0, said
    assert (dump / "shop" / "odd.bson").read_bytes() == before


INDEX = {"v": 2, "key": {"_id": 1}, "name": "_id_"}


@pytest.mark.parametrize(
    "metadata",
    [
        [],
        7,
        {"options": []},
        {"options": {"validator": 5}},
        {"options": {"viewOn": {}}},
        {"options": {"timeseries": []}},
        {"indexes": {}},
        {"indexes": [5]},
        {"indexes": [{}]},
        {"indexes": [INDEX | {"key": 5}]},
        {"indexes": [INDEX | {"key": {}}]},
        {"indexes": [INDEX | {"name": 5}]},
        {"indexes": [INDEX | {"unique": True, "partialFilterExpression": 5}]},
        {"indexes": [INDEX | {"unique": True, "collation": "de"}]},
        {"collectionName": 5},
        {"type": {}},
        {"uuid": 5},
        {"options": {"a": {"$oid": 5}}},
        {"options": {"a": {"$numberDecimal": "x"}}},
        {"options": {"a": {"$date": {}}}},
        {"options": {"a": {"$binary": {"base64": 7, "subType": []}}}},
        {"options": {"a": {"$regularExpression": 5}}},
        {"options": {"a": {"$timestamp": {"t": "x"}}}},
        '{"options":' * 50_000,
        '{"options":' + '{"a":' * 400 + "1" + "}" * 401,
    ],
    ids=range(25),
)
def test_metadata_of_a_wrong_shape_are_told_by_their_file(
    dump: Path, command: Command, metadata: Any
) -> None:
    said = metadata if isinstance(metadata, str) else json.dumps(metadata)
    (dump / "shop" / "users.metadata.json").write_text(said)
    before = content(dump)
    for words in (["status"], ["plan"], ["up"]):
        status, told = command(*words)
        assert (status, "GM105" in told, "users.metadata.json" in told) == (2, True, True), told
    assert content(dump) == before


@pytest.mark.parametrize(
    "where",
    [
        '{"a":' * 2_000 + "1" + "}" * 2_000,
        '{"a":' * 150 + "1" + "}" * 150,
        '{"$and":[' * 2_000 + "{}" + "]}" * 2_000,
        "[" * 100_000,
        '{"name": {"$regex": "a(b"}}',
        '{"name": {"$regex": [[]]}}',
        '{"name": {"$type": [[]]}}',
        '{"a": {"$oid": 5}}',
        '{"a": {"$numberDecimal": "x"}}',
        '{"a": {"$regularExpression": 5}}',
        '{"a": {"$numberLong": "99999999999999999999"}}',
        '{"a\\u0000b": 1}',
        '{"a": "\\ud800"}',
        '{"a": 99999999999999999999}',
    ],
    ids=range(14),
)
def test_a_filter_that_is_none_is_said_to_be_that(dump: Path, command: Command, where: str) -> None:
    (dump / "shop" / "users.bson").write_bytes(encode({"_id": 1, "name": "a"}))
    for words in (["plan"], ["up"]):
        status, said = command(*words, "--where", where)
        assert (status, "GM100" in said) == (2, True), said


@pytest.mark.parametrize("join", ["$and", "$or", "$nor", "$not"])
def test_a_filter_as_deep_as_a_server_takes_it_is_evaluated(dump: Path, command: Command, join: str) -> None:
    where: dict[str, Any] = {"_id": {"$gt": 1}}
    for _ in range(40):
        where = {"_id": {"$not": where["_id"]}} if join == "$not" else {join: [where]}
    assert command("plan", "--where", json.dumps(where))[0] in (0, 2, 9)


def test_defaults_in_one_another_end(dump: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ini = dump.parent / "deep.ini"
    ini.write_text("[goaime-migrate]\nuri = " + "${A:-" * 2_000 + "dump:dump" + "}" * 2_000)
    assert cli.main(["status", "--config", str(ini)]) == 2
    assert "defaults in one another" in capsys.readouterr().err
    toml = dump.parent / "deep.toml"
    toml.write_text("[tool.goaime-migrate]\nuri = " + "[" * 5_000 + "]" * 5_000)
    assert cli.main(["status", "--config", str(toml)]) == 2
    assert "nested too deep" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--config", "--migrations"])
@pytest.mark.parametrize("path", ["x" * 5_000, "x/" * 5_000, "a\0b"])
def test_any_path_that_cannot_be_is_said_to_be_none(
    dump: Path, capsys: pytest.CaptureFixture[str], option: str, path: str
) -> None:
    assert cli.main(["status", "--uri", f"dump:{dump}", option, path]) == 2
    assert "bug" not in capsys.readouterr().err


# What a killed writer has left -----------------------------------------------------------------------------


def test_up_finishes_what_was_committed_also_where_it_has_nothing_to_do(dump: Path, command: Command) -> None:
    assert command("up")[0] == 0
    migrated = (dump / "shop" / "users.bson").read_bytes()
    (dump / "shop" / "users.bson").write_bytes(b"".join(encode({"_id": n}) for n in (3, 1, 2)))
    (dump / "shop" / "old.bson").write_bytes(b"")
    marked(dump, GOOD | {"put": ["users.bson"], "remove": ["old.bson"]}, users=migrated)
    before = content(dump)

    assert command("verify")[0] == 0
    assert content(dump) == before, "who only reads changes nothing"
    with opened(dump, write=False) as reader:
        assert "old" not in reader.collections()
        assert reader.count("users", {"hello": True}) == 3

    status, said = command("up")
    assert (status, "nothing to do" in said or "already" in said) == (0, True), said
    assert (dump / "shop" / "users.bson").read_bytes() == migrated
    assert not (dump / "shop" / "old.bson").exists()
    assert not (dump / generation.STAGING).exists()


@pytest.mark.parametrize("words", WRITING[:2])
def test_every_writer_throws_away_what_was_not_committed(
    dump: Path, command: Command, words: list[str]
) -> None:
    assert command("up")[0] == 0
    staging = dump / generation.STAGING
    (staging / "files").mkdir(parents=True)
    (staging / "files" / "users.bson").write_bytes(b"half")
    (staging / "plan.json").write_bytes(b"{")
    command("status")
    assert staging.exists()
    command(*words)
    assert not staging.exists()


def test_a_writer_finishes_another_database_of_the_dump_too(dump: Path, command: Command) -> None:
    (dump / "other").mkdir()
    (dump / "other" / "things.bson").write_bytes(encode({"_id": 1}))
    new = encode({"_id": 2})
    marked(dump, GOOD | {"database": "other", "put": ["things.bson"]}, things=new)
    with opened(dump, "other", write=False) as reader:
        assert reader.find("things", {}) == [{"_id": 2}]
    with opened(dump, write=False) as reader:
        assert "things" not in reader.collections()
    assert command("up", "--database", "shop")[0] == 0
    assert (dump / "other" / "things.bson").read_bytes() == new
    assert not (dump / generation.STAGING).exists()


def test_a_database_whose_first_writer_was_killed_is_there_for_readers(dump: Path, tmp_path: Path) -> None:
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    marked(fresh, GOOD | {"database": "new", "put": ["things.bson"]}, things=encode({"_id": 2}))
    with opened(fresh, None, write=False) as reader:
        assert (reader.database_name, reader.find("things", {})) == ("new", [{"_id": 2}])
    with opened(fresh, None, write=True):
        assert (fresh / "new" / "things.bson").read_bytes() == encode({"_id": 2})


def test_what_a_writer_that_is_at_work_has_staged_is_left_to_it(dump: Path) -> None:
    with opened(dump, write=True) as holder:
        holder.try_lease(ME, 30)
        marked(dump, GOOD | {"put": ["users.bson"]}, users=encode({"_id": 9}))
        with opened(dump, write=True) as other:
            assert other.count("users") == 1
            assert (dump / generation.STAGING / "committed.json").exists()


# Rights ----------------------------------------------------------------------------------------------------


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@contextmanager
def umask(mask: int) -> Iterator[None]:
    old = os.umask(mask)
    try:
        yield
    finally:
        os.umask(old)


def saved(dump: Path, database: str = "shop") -> None:
    with opened(dump, database, write=True) as writer:
        writer.try_lease(ME, 30)
        writer.transact(
            lambda _: Changes(first=[Put("users", {"_id": 4}), Put(VERSIONS, {"_id": "0001", "before": 1})])
        )


@pytest.mark.parametrize(
    ("mask", "users", "others", "folder", "new"),
    [
        (0o022, 0o600, None, 0o755, 0o600),
        (0o022, 0o644, None, 0o755, 0o644),
        (0o000, 0o644, 0o640, 0o777, 0o640),
        (0o000, 0o640, 0o604, 0o777, 0o600),
        (0o077, 0o644, None, 0o755, 0o600),
        (0o000, 0o666, None, 0o700, 0o600),
        (0o002, 0o664, None, 0o775, 0o664),
        (0o022, 0o400, None, 0o755, 0o600),
        (0o022, 0o4755, None, 0o755, 0o644),
    ],
)
def test_what_is_written_is_as_strict_as_the_strictest(
    dump: Path, mask: int, users: int, others: int | None, folder: int, new: int
) -> None:
    """A file that is replaced keeps its mode, less what makes a program of it; a new one has the strictest."""
    shop = dump / "shop"
    (shop / "users.bson").chmod(users)
    if others is not None:
        (shop / "plain.bson").write_bytes(encode({"_id": 1}))
        (shop / "plain.bson").chmod(others)
    shop.chmod(folder)
    with umask(mask):
        saved(dump)
    assert mode(shop / "users.bson") == users & 0o777
    assert mode(shop / f"{VERSIONS}.bson") == new
    assert mode(shop / f"{VERSIONS}.metadata.json") == new


def test_nothing_can_be_read_by_others_while_it_is_written(
    dump: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (dump / "shop" / "users.bson").chmod(0o600)
    seen: dict[str, int] = {}
    give = permissions.Rights.give

    def look(rights: permissions.Rights, fd: int) -> None:
        for path in (dump / generation.STAGING).rglob("*"):
            seen[path.name] = seen.get(path.name, 0) | mode(path)
        seen["."] = mode(dump / generation.STAGING)
        give(rights, fd)

    monkeypatch.setattr(permissions.Rights, "give", look)
    with umask(0):
        saved(dump)
    assert {name: found & 0o077 for name, found in seen.items()} == dict.fromkeys(seen, 0)
    assert {".", "files", "users.bson", f"{VERSIONS}.bson"} <= seen.keys()


def test_a_new_database_is_as_strict_as_the_dump(tmp_path: Path) -> None:
    tmp_path.chmod(0o750)
    with umask(0):
        saved(tmp_path, "new")
    assert (mode(tmp_path / "new"), mode(tmp_path / "new" / "users.bson")) == (0o750, 0o640)


def test_a_group_that_cannot_be_given_is_not_to_read_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "x"
    fd = os.open(file, os.O_CREAT | os.O_WRONLY, 0o600)

    def refuse(*_: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "fchown", refuse)
    permissions.Rights(0o640, os.getuid(), os.getgid() + 1).give(fd)
    assert mode(file) == 0o600
    permissions.Rights(0o664, os.getuid(), os.getgid() + 1).give(fd)
    assert mode(file) == 0o644
    os.close(fd)


def test_damage_says_what_leads_on(dump: Path) -> None:
    marked(dump, b"")
    with pytest.raises(DumpUnreadable, match="it is empty") as caught:
        EmbeddedBackend.open(dump, "shop", write=False)
    assert "copy the dump again" in caught.value.hint
