"""Dumps, records, markers, settings and filters that chance has damaged, given to the real commands.

Whatever it is: an exit status of the table, an error that says what is wrong, no hang; and who only reads changes no
byte. A case is known by its seed alone: `-k soak` tries thousands, and `one(seed)` any of them again.
"""

from __future__ import annotations

import io
import json
import random
import shutil
import signal
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from bson import Binary, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp, decode_all, encode

from goaime_migrate import cli

QUICK, THOROUGH, PARTS = 250, 4_000, 5
PATIENCE_S = 30
STATUSES = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}
READING = [
    ["status"], ["status", "--check"], ["plan"], ["plan", "--down"], ["plan", "base", "--down"], ["verify"],
    ["history"], ["lint"], ["wait", "--timeout", "0"], ["unlock"], ["up", "--dry-run"], ["down", "--dry-run"],
]  # fmt: skip
WRITING = [
    ["up"], ["up", "+1"], ["down", "--yes"], ["down", "base", "--yes"], ["stamp", "head", "--yes"], ["repair", "--yes"],
]  # fmt: skip
MIGRATIONS = {
    "0001_greet.py": """
from goaime_migrate import Lookup, TransformDocuments
def greet(user, towns):
    user["town"] = (towns.get(user.get("t")) or {}).get("name")
operations = [TransformDocuments("users", greet, towns=Lookup("towns"))]
""",
    "0002_index.py": 'from goaime_migrate import *\noperations = [CreateIndex("users", "n", unique=True)]\n',
    "0003_more.py": """
from goaime_migrate import AddField, TransformDocuments
def more(user):
    user["more"] = [1]
operations = [TransformDocuments("users", more), AddField("towns", "big", False)]
""",
}
INI = """
[goaime-migrate]
uri = dump:${NOWHERE:-dump}
database = shop
migrations = %(here)s/migrations
lock_timeout = 1
[env:other]
batch_size = 10
"""
TOML = (
    '[tool.goaime-migrate]\nuri = "dump:dump"\nlock_timeout = 1\n[tool.goaime-migrate.env.x]\nworkers = 2\n'
)
WHERES = [
    '{"n": {"$gt": 2}}', '{"$or": [{"n": 1}, {"t": {"$in": [1, null]}}]}',
    '{"_id": {"$oid": "65f0a1b2c3d4e5f6a7b8c9d0"}}',
    '{"a.b": {"$exists": true}, "n": {"$not": {"$lt": 3}}}', '{"$expr": {"$gt": ["$n", 1]}}',
    '{"name": {"$regex": "a(b"}}',
    '{"n": {"$type": "int"}}', '{"l": {"$elemMatch": {"x": 1}}, "l.0": {"$size": 2}}', '{"n": {"$mod": [0, 0]}}',
]  # fmt: skip
MARKER = {
    "generation": "0" * 32,
    "database": "shop",
    "put": ["users.bson"],
    "remove": ["towns.bson"],
    "format": 1,
}
ODD: list[Any] = [
    None, True, 0, -1, 1, 2**31, Int64(2**62), -(2**63), 0.5, float("nan"), float("inf"), "", "0001", "a\0b", "\x1b[2J",
    "x" * 5_000, [], [[]], {}, {"a": {"$b": 1}}, b"", b"\x28\xb5\x2f\xfd" + b"\xff" * 20, ObjectId(b"x" * 12),
    datetime(2024, 1, 1, tzinfo=UTC), Regex("("), Timestamp(1, 1), Decimal128("NaN"), MinKey(), MaxKey(), Binary(b"x", 4),
]  # fmt: skip

Files = dict[str, bytes]


def jsonable(value: Any) -> Any:
    return value if isinstance(value, str | int | float | list | type(None)) else {"$numberLong": str(value)}


@dataclass
class Bench:
    """A project whose dump is put back before each case."""

    folder: Path
    base: list[Files]
    """Every file of the dump after each version."""

    def lay(self, files: Files) -> None:
        shutil.rmtree(self.folder / "dump", ignore_errors=True)
        for name, data in files.items():
            path = self.folder / "dump" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)

    def content(self) -> Files:
        root = self.folder / "dump"
        return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}

    def run(self, words: list[str]) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            status = cli.main(words)
        return status, out.getvalue(), err.getvalue()


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / "migrations").mkdir()
    for name, source in MIGRATIONS.items():
        (folder / "migrations" / name).write_text(source)
    shop = folder / "dump" / "shop"
    shop.mkdir(parents=True)
    users = [{"_id": n, "n": n, "t": n % 3, "name": f"n{n}", "l": [{"x": n}, [1]]} for n in range(6)]
    (shop / "users.bson").write_bytes(b"".join(map(encode, users)))
    (shop / "towns.bson").write_bytes(b"".join(encode({"_id": n, "name": f"t{n}"}) for n in range(3)))
    metadata = {"options": {}, "indexes": [{"v": 2, "key": {"_id": 1}, "name": "_id_"}], "type": "collection"}
    (shop / "towns.metadata.json").write_text(json.dumps(metadata | {"collectionName": "towns", "uuid": ""}))
    made = Bench(folder, [])
    made.base.append(made.content())
    for target in ("0001", "0002", "0003"):
        status, _, err = made.run(["up", target, *made_options(folder)])
        assert status == 0, err
        made.base.append(made.content())
    return made


def made_options(folder: Path) -> list[str]:
    return [
        "--uri",
        f"dump:{folder / 'dump'}",
        "--database",
        "shop",
        "--migrations",
        str(folder / "migrations"),
    ]


# Damage ----------------------------------------------------------------------------------------------------


def bytewise(chance: random.Random, data: bytes) -> bytes:
    """Bytes changed, cut out, doubled, or a number of four that is none."""
    at = chance.randrange(len(data) + 1)
    length = min(chance.choice((1, 1, 2, 4, 17, 200)), len(data) - at)
    match chance.randrange(6):
        case 0:
            return data[:at] + chance.randbytes(length) + data[at + length :]
        case 1:
            return data[:at]
        case 2:
            return data[:at] + data[at + length :]
        case 3:
            return data[: at + length] + data[at:]
        case 4:
            extreme = chance.choice((0, 1, 4, 5, 0x7FFFFFFF, 0xFFFFFFFF, 0x80000000, 1500))
            return data[:at] + extreme.to_bytes(4, "little") + data[at + 4 :]
        case _:
            return data[:at] + bytes([chance.choice((0, 1, 2, 3, 7, 8, 13, 15, 127, 255))]) + data[at + 1 :]


def within(chance: random.Random, value: Any, odd: Callable[[Any], Any] = lambda value: value) -> Any:
    """The same with one value somewhere in it, at any depth, that is of another kind, gone, or another's."""
    if isinstance(value, dict) and value and chance.random() < 0.9:
        name = chance.choice(list(value))
        changed = dict(value)
        match chance.randrange(8):
            case 0:
                del changed[name]
            case 1:
                changed[chance.choice(("_id", "format", "$x", "", "new", "state"))] = changed.pop(name)
            case 2:
                changed[name] = value[chance.choice(list(value))]
            case _:
                changed[name] = within(chance, value[name], odd)
        return changed
    if isinstance(value, list) and value and chance.random() < 0.8:
        at = chance.randrange(len(value))
        return [*value[:at], within(chance, value[at], odd), *value[at + 1 :]]
    return odd(chance.choice(ODD))


def recordwise(chance: random.Random, data: bytes) -> bytes:
    """One document of a file with another value in it, or gone, or there twice under another `_id`."""
    documents: list[Any] = decode_all(data)
    if not documents:
        return data
    at = chance.randrange(len(documents))
    match chance.randrange(6):
        case 0:
            del documents[at]
        case 1:
            documents.append({**documents[at], "_id": chance.choice(ODD)})
        case _:
            documents[at] = within(chance, documents[at])
    try:
        return b"".join(encode(document) for document in documents if isinstance(document, dict))
    except Exception:  # noqa: BLE001 (what BSON cannot hold cannot be there)
        return data


def damaged(chance: random.Random, files: Files) -> Files:
    """A dump with one to three of its files damaged, and sometimes a marker."""
    files = dict(files)
    for _ in range(chance.choice((1, 1, 2, 3))):
        records = [name for name in files if "schema_versions" in name]
        name = chance.choice(records if records and chance.random() < 0.6 else sorted(files))
        if name.endswith(".bson") and chance.random() < 0.85:
            files[name] = recordwise(chance, files[name]) if _whole(files[name]) else files[name]
        elif name.endswith(".json") and chance.random() < 0.7:
            files[name] = textwise(chance, files[name])
        else:
            files[name] = bytewise(chance, files[name])
    if chance.random() < 0.15:
        files |= marked(chance, files)
    return files


def textwise(chance: random.Random, data: bytes) -> bytes:
    """A JSON file with another value in it."""
    try:
        return json.dumps(within(chance, json.loads(data), jsonable)).encode()
    except ValueError:
        return data  # it has been damaged before


def _whole(data: bytes) -> bool:
    try:
        decode_all(data)
    except Exception:  # noqa: BLE001 (it has been damaged before)
        return False
    return True


def marked(chance: random.Random, files: Files) -> Files:
    """A committed switch, more or less damaged."""
    marker = json.dumps(MARKER).encode()
    if chance.random() < 0.5:
        marker = json.dumps(within(chance, MARKER, jsonable)).encode()
    if chance.random() < 0.3:
        marker = bytewise(chance, marker)
    found = {".goaime-migrate/committed.json": marker}
    if chance.random() < 0.7:
        found[".goaime-migrate/files/users.bson"] = files["shop/users.bson"]
    return found


def settings(chance: random.Random, folder: Path) -> list[str]:
    """A configuration file, damaged."""
    name, text = chance.choice((("odd.ini", INI), ("odd.toml", TOML)))
    data = text.encode()
    for _ in range(chance.choice((1, 1, 2, 5))):
        data = bytewise(chance, data)
    (folder / name).write_bytes(data)
    return ["--config", str(folder / name), "--verbose"]


def filters(chance: random.Random) -> list[str]:
    """A filter, damaged in its text or its values."""
    text = chance.choice(WHERES)
    if chance.random() < 0.6:
        text = json.dumps(within(chance, json.loads(text), jsonable))
    else:
        text = bytewise(chance, text.encode()).decode(errors="replace")
    return [f"--where={text}"]


# Cases -----------------------------------------------------------------------------------------------------


def one(seed: int, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> str:
    """One case. What is wrong with how it ended; empty if nothing is."""
    chance = random.Random(seed)
    monkeypatch.chdir(bench.folder)
    kind = chance.choice(("dump", "dump", "dump", "dump", "settings", "filter"))
    files = chance.choice(bench.base)
    words, options = list(chance.choice(READING + WRITING)), made_options(bench.folder)
    if kind == "dump":
        files = damaged(chance, files)
    elif kind == "settings":
        options = settings(chance, bench.folder)
    else:
        files, words = bench.base[0], [chance.choice(("plan", "up")), "0001"]
        options += filters(chance)
    asked = chance.random() < 0.4
    bench.lay(files)
    words += [*options, *(["--json"] if asked else [])]
    status, out, err = bench.run(words)
    wrong = judged(status, out, err, asked)
    reads = (
        words[0] in ("status", "plan", "verify", "history", "lint", "wait", "unlock") or "--dry-run" in words
    )
    if not wrong and reads and bench.content() != files:
        wrong = "it has changed the dump"
    return f"seed {seed}: {' '.join(words)}: {wrong}\n{err[-1500:]}" if wrong else ""


def judged(status: int, out: str, err: str, asked: bool) -> str:
    if status not in STATUSES:
        return f"exit status {status}"
    if "GM000" in err + out or "Traceback" in err:
        return "nobody foresaw this"
    if status and "next:" not in err:
        return f"it says no next command (exit {status})"
    if asked:
        try:
            json.loads(out)
        except ValueError:
            return f"no JSON: {out[:200]!r}"
    return ""


def too_long(signum: int, frame: FrameType | None) -> None:
    raise RuntimeError(f"it takes longer than {PATIENCE_S} s")


def all_of(seeds: range, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.signal(signal.SIGALRM, too_long)
    try:
        found = []
        for seed in seeds:
            signal.alarm(PATIENCE_S)
            found.append(one(seed, bench, monkeypatch))
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    wrong = [text for text in found if text]
    assert not wrong, f"{len(wrong)} of {len(seeds)}\n" + "\n".join(wrong[:10])


def test_what_chance_has_damaged_is_said_to_be_so(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    all_of(range(QUICK), bench, monkeypatch)


@pytest.mark.soak
@pytest.mark.parametrize("part", range(PARTS))
def test_soak_what_chance_has_damaged_is_said_to_be_so(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, part: int
) -> None:
    start = 1_000_000 * (part + 1)
    all_of(range(start, start + THOROUGH), bench, monkeypatch)
