"""`goaime-migrate` as a process, in a folder of its own, and what a test asks it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from goaime_migrate.cli.commands import COMMANDS
from tests.acceptance import schema
from tests.world import World, succeeded

COMMAND = (sys.executable, "-m", "goaime_migrate")
PATIENCE_S = 60.0
PEOPLE = [{"_id": n, "name": name} for n, name in enumerate(["Ann", "Bob", "Cleo", "Dan", "Eve"])]

GREETING = '''
"""Greet everybody."""

from goaime_migrate import TransformDocuments


def add_greeting(person):
    assert "greeting" not in person, "a document is greeted once"
    person["greeting"] = f"Hello {person['name']}"


operations = [TransformDocuments("people", add_greeting)]
'''
INDEX = '''
"""Find people by name."""

from goaime_migrate import CreateIndex

operations = [CreateIndex("people", "name")]
'''
LETTERS = '''
"""Count the letters of every name."""

from goaime_migrate import TransformDocuments


def count_letters(person):
    person["letters"] = len(person["name"])


def wants_letters(person):
    if "letters" not in person:
        yield "letters: missing"


operations = [TransformDocuments("people", count_letters, check=wants_letters)]
'''
FAILING = '''
"""Cannot work."""

from goaime_migrate import TransformDocuments


def divide(person):
    person["share"] = 1 / (person["_id"] - 3)


operations = [TransformDocuments("people", divide)]
'''
PLAIN = '''
"""Like the migrations of other tools."""


def up(db):
    db.people.update_many({}, {"$set": {"seen": True}})
'''
SLOW = '''
"""Waits in every call until the test has allowed it."""

import os
import time
from pathlib import Path

from goaime_migrate import TransformDocuments

HERE = Path(__file__).parent.parent


def wait(person):
    with (HERE / "calls").open("a") as calls:
        calls.write("x")
    deadline = time.monotonic() + 60
    while (HERE / "calls").stat().st_size > int((HERE / "allowed").read_text()):
        assert time.monotonic() < deadline, "the test has gone away"
        time.sleep(0.005)
    person["waited"] = True


operations = [TransformDocuments("people", wait)]
'''


@dataclass(frozen=True)
class Ran:
    """How a process ended and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON value on stdout."""
        return json.loads(self.out)

    @property
    def text(self) -> str:
        """Both streams."""
        return self.out + self.err


@dataclass
class Running:
    """A process that has not ended yet; its stderr is read all the time."""

    process: subprocess.Popen[str]
    err: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.err.append(line)

    def says(self, text: str) -> bool:
        """Whether this was written to stderr."""
        return any(text in line for line in self.err)

    def end(self) -> Ran:
        """Wait until it ends."""
        assert self.process.stdout is not None
        out = self.process.stdout.read()
        code = self.process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        return Ran(code, out, "".join(self.err))

    def close(self) -> None:
        """Let go of a process that has ended, or is about to."""
        self.process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()


@dataclass
class Project:
    """A folder with migrations, and a database."""

    folder: Path
    world: World

    def prepare(self) -> None:
        """An empty migrations folder, and people."""
        self.world.folder.mkdir()
        self.world.insert("people", PEOPLE)

    def write(self, *sources: str) -> None:
        """Migration files, numbered in this order."""
        for number, source in enumerate(sources, 1):
            self.world.write(f"{number:04d}_step_{number}.py", source)

    def applied(self, target: str | None = None) -> None:
        """Apply migrations in this process, where they are only the ground on which a test stands."""
        succeeded(self.world.up(target))

    # processes

    def environment(self, **more: str) -> dict[str, str]:
        """The environment of a shell that knows nothing of other projects."""
        kept = {
            k: v for k, v in os.environ.items() if not k.startswith("GOAIME_MIGRATE_") and k != "MONGODB_URI"
        }
        kept |= {"GOAIME_MIGRATE_URI": self.world.uri, "GOAIME_MIGRATE_DATABASE": self.world.database}
        return kept | {"PYTHONPATH": str(Path(__file__).parents[2])} | more

    def run(self, *words: str, text: str | None = None, **environment: str) -> Ran:
        """Run a command to its end; stdin is no terminal."""
        done = subprocess.run(
            [*COMMAND, *words],
            cwd=self.folder,
            env=self.environment(**environment),
            input=text or "",
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        ran = Ran(done.returncode, done.stdout, done.stderr)
        if "--json" in words and words[0] in COMMANDS:
            schema.check(words[0], ran.json)
        return ran

    def ok(self, *words: str) -> Ran:
        """Run a command that has to succeed."""
        done = self.run(*words)
        assert done.code == 0, done.text
        return done

    def json(self, *words: str) -> Any:
        """The JSON value of a command that has to succeed."""
        return self.ok(*words, "--json").json

    @contextmanager
    def started(self, *words: str) -> Iterator[Running]:
        """A command that goes on while the test looks at it."""
        process = subprocess.Popen(
            [*COMMAND, *words],
            cwd=self.folder,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        running = Running(process)
        try:
            yield running
        finally:
            process.kill()
            running.close()

    # the slow migration

    def allow(self, calls: int) -> None:
        """How many calls of the slow migration may return."""
        written = self.folder / "allowed.new"
        written.write_text(str(calls))
        written.replace(self.folder / "allowed")

    def calls(self) -> int:
        """How many calls of the slow migration there were."""
        file = self.folder / "calls"
        return file.stat().st_size if file.exists() else 0

    def until_it_waits_in_the_scan(self, running: Running) -> None:
        """Let the calls return that come before the walk, then hold the run in the middle of a batch."""
        allowed = 0

        def held() -> bool:
            nonlocal allowed
            if self.calls() > allowed:
                if running.says("transform people"):
                    return True
                allowed = self.calls()
                self.allow(allowed)
            return False

        until(held)

    # the database

    def state(self) -> dict[str, str]:
        """Every version's state."""
        return {version.version: str(version.state) for version in self.world.status().versions}

    def fingerprint(self) -> Any:
        """Everything in the database: the files of a dump, or each collection's hash and indexes."""
        if self.world.embedded:
            files = sorted(p for p in self.world.dump.parent.rglob("*") if p.is_file())
            return {str(p): sha256(p.read_bytes()).hexdigest() for p in files}
        with self.world.client() as client:
            database = client[self.world.database]
            names = sorted(database.list_collection_names())
            return (
                database.command("dbHash")["collections"],
                {name: database[name].index_information() for name in names},
            )


def until(condition: Callable[[], object]) -> None:
    """Wait for a condition that must come."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)
