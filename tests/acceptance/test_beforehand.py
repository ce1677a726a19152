"""`try`, `rehearse` and `doctor` as processes: what they print, how they end, and that they write nothing."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
from contextlib import closing, suppress

import pytest
from bson import ObjectId

from tests.acceptance.project import COMMAND, FAILING, GREETING, INDEX, LETTERS, PATIENCE_S, Project, until
from tests.servers import ReplicaSet, User

WARNING = '''
"""Cannot greet everybody."""

import warnings

from goaime_migrate import TransformDocuments


def warn(person):
    if person["name"] == "Bob":
        warnings.warn("no greeting for Bob")
    person["greeted"] = person["name"] != "Bob"


def only_others(person):
    if not person["greeted"]:
        yield "greeted: false"


operations = [TransformDocuments("people", warn, check=only_others)]
'''


def test_try_goes_through_what_is_pending_and_writes_nothing(project: Project) -> None:
    project.write(GREETING, LETTERS)
    before = project.fingerprint()
    ran = project.ok("try", "2", "--id", "1")
    assert "0001 step_1  (pending, comes first)" in ran.out
    assert '+ greeting  "Hello Bob"' in ran.out
    assert "+ letters  3" in ran.out
    found = project.json("try", "0002", "--where", '{"name": "Cleo"}')
    assert set(found) >= {"version", "id", "before", "after", "steps", "error"}
    assert (found["version"], found["id"]) == ("0002", {"$numberInt": "2"})
    assert list(found["after"]) == ["_id", "name", "greeting", "letters"]
    assert [step["changed"] for step in found["steps"]] == [True, True]
    assert project.fingerprint() == before


def test_try_tells_warnings_and_promises(project: Project) -> None:
    project.write(WARNING)
    ran = project.run("try", "1", "--id", "1", "--json")
    (step,) = ran.json["steps"]
    assert (ran.code, ran.json["error"]["code"]) == (5, "GM401")
    assert step["warnings"] == ["no greeting for Bob"]
    assert step["problems"] == ["greeted: false"]
    assert "warning: no greeting for Bob" in project.run("try", "1", "--id", "1").out


def test_try_shows_the_line_that_raised(project: Project) -> None:
    project.write(GREETING, FAILING)
    ran = project.run("try", "2", "--id", "3")
    assert ran.code == 1
    assert 'person["share"] = 1 / (person["_id"] - 3)' in ran.err
    assert "next: correct the document or the migration, then:" in ran.err
    assert "goaime-migrate try 0002 --id 3" in ran.err
    assert "+ greeting" in ran.out


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--id", "9"),
        ("--id", "Bob"),
        ("--where", "{"),
        ("--where", "[1]"),
        ("--id", "1", "--where", "{}"),
        ("--doc", "nowhere.json"),
        ("--doc", "bad.json"),
        ("--doc", "list.json"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_tried_is_a_usage_error(embedded: Project, words: tuple[str, ...]) -> None:
    embedded.write(GREETING)
    (embedded.folder / "bad.json").write_text('{"_id": 1')
    (embedded.folder / "list.json").write_text("[]")
    ran = embedded.run("try", "1", *words, "--json")
    assert (ran.code, ran.json["steps"]) == (2, [])
    assert "next: " in ran.err


def test_try_a_file_needs_no_database(embedded: Project) -> None:
    embedded.write(GREETING)
    (embedded.folder / "doc.json").write_text('{"_id": {"$oid": "65f0c0ffee65f0c0ffee65f0"}, "name": "Zoe"}')
    ran = embedded.run("try", "1", "--doc", "doc.json", GOAIME_MIGRATE_URI="", GOAIME_MIGRATE_DATABASE="")
    assert ran.code == 0, ran.text
    assert '+ greeting  "Hello Zoe"' in ran.out


def test_try_does_not_mind_what_is_wrong_with_other_versions(project: Project) -> None:
    project.write(GREETING, "nonsense", LETTERS)
    assert project.run("try", "2", "--id", "1").code == 4
    assert project.run("try", "1", "--id", "1").code == 0


class Terminal:
    """A command whose stdout and stderr are a terminal of 80 columns."""

    def __init__(self, project: Project, *words: str) -> None:
        self._master, slave = pty.openpty()
        environment = project.environment(COLUMNS="80", TERM="xterm")
        self.process = subprocess.Popen(
            [*COMMAND, *words], cwd=project.folder, env=environment, stdout=slave, stderr=slave
        )
        os.close(slave)
        os.set_blocking(self._master, False)
        self._read = ""

    def shows(self, text: str) -> bool:
        """Whether it has shown this by now."""
        with suppress(OSError):
            self._read += os.read(self._master, 1 << 16).decode(errors="replace")
        return text in self._read

    def close(self) -> None:
        """Let go of it."""
        self.process.kill()
        self.process.wait(PATIENCE_S)
        os.close(self._master)


def test_try_watches_what_is_saved_until_ctrl_c(embedded: Project) -> None:
    embedded.write(GREETING)
    with closing(Terminal(embedded, "try", "1", "--id", "1", "--watch")) as terminal:
        until(lambda: terminal.shows("Ctrl-C ends it"))
        assert terminal.shows("Hello Bob")
        embedded.write(GREETING.replace("Hello", "Good day"))
        until(lambda: terminal.shows("Good day Bob"))
        embedded.write("this is no Python")
        until(lambda: terminal.shows("GM206"))
        embedded.write(GREETING.replace("Hello", "Welcome"))
        until(lambda: terminal.shows("Welcome Bob"))
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.process.wait(PATIENCE_S) == 130


def test_doctor_says_how_all_is(project: Project) -> None:
    project.write(GREETING, INDEX)
    before = project.fingerprint()
    ran = project.ok("doctor")
    for name in ("config", "mode", "history", "records", "origin", "plan", "disk"):
        assert f"ok       {name} " in ran.out
    checks = project.json("doctor")["checks"]
    assert {"name", "status", "message", "remedy"} == set(checks[0])
    assert project.fingerprint() == before


def test_doctor_ends_with_9_where_something_would_fail(project: Project) -> None:
    project.write(FAILING)
    ran = project.run("doctor", "--json")
    (failed,) = [check for check in ran.json["checks"] if check["status"] == "error"]
    assert (ran.code, ran.json["error"]["code"], failed["name"]) == (9, "GM809", "plan")
    assert "divide raised ZeroDivisionError" in failed["message"]
    assert "goaime-migrate plan" in failed["remedy"]


def test_doctor_where_no_server_is(embedded: Project) -> None:
    embedded.write(GREETING)
    ran = embedded.run("doctor", "--uri", "mongodb://app:s3cr3t-word@127.0.0.1:1/?serverSelectionTimeoutMS=1")
    assert ran.code == 8
    assert "error    server" in ran.out
    assert "(--uri)" in ran.out
    assert "s3cr3t-word" not in ran.text


def test_doctor_with_a_wrong_password(embedded: Project, secured_replica_set: ReplicaSet) -> None:
    embedded.write(GREETING)
    uri = secured_replica_set.uri_for(User("writer", "wr0ng-word", ()))
    ran = embedded.run("doctor", "--uri", uri, "--database", "x")
    assert (ran.code, "wr0ng-word" in ran.text) == (2, False)


NO_WAY_BACK = '''
"""Forgets what was there."""


def up(db):
    db.people.update_many({}, {"$set": {"name": "?"}})


def down(db):
    db.people.update_many({}, {"$set": {"name": ""}})
'''


def test_rehearse_proves_the_way_back_and_writes_nothing(project: Project) -> None:
    project.write(GREETING, LETTERS)
    before = project.fingerprint()
    ran = project.ok("rehearse")
    assert "ok      documents      byte for byte what they were before up" in ran.out
    assert "predicted: " in ran.out
    found = project.json("rehearse", "1", "--all", "--memory")
    assert set(found) >= {"versions", "documents", "checks", "predicted", "error"}
    assert found["versions"] == ["0001"]
    assert all(check["ok"] for check in found["checks"])
    assert found["predicted"]["journal_bytes"] > 0
    assert found["predicted"]["basis"]
    assert project.fingerprint() == before


def test_rehearse_says_what_does_not_come_back(project: Project) -> None:
    project.write(NO_WAY_BACK)
    ran = project.run("rehearse", "--json")
    assert (ran.code, ran.json["error"]["code"], ran.json["error"]["field"]) == (5, "GM402", "name")
    assert [check["name"] for check in ran.json["checks"] if not check["ok"]] == ["documents"]


def test_rehearse_fails_as_the_migration_does(project: Project) -> None:
    project.write(FAILING)
    ran = project.run("rehearse")
    assert ran.code == 1
    assert "goaime-migrate rehearse" in ran.err
    assert project.run("rehearse", "--all", "--sample", "3").code == 2


def test_an_id_is_typed_as_for_blame(embedded: Project) -> None:
    """A bare word is a string, 24 hex digits are an ObjectId first."""
    known, both = ObjectId("65f0c0ffee65f0c0ffee65f0"), ObjectId("65f0c0ffee65f0c0ffee65f1")
    word = "65f0c0ffee65f0c0ffee65f2"
    ids = ["ann", known, both, str(both), word]
    embedded.world.insert("people", [{"_id": each, "name": "Eve"} for each in ids])
    embedded.write(GREETING)
    quoted = [('"ann"', "ann"), (f'"{both}"', str(both))]
    for typed, found in [("ann", "ann"), (known, known), (both, both), (word, word), *quoted]:
        tried = embedded.json("try", "1", "--id", str(typed))["id"]
        assert tried == (found if isinstance(found, str) else {"$oid": str(found)}), typed
    missed = embedded.run("try", "1", "--id", "bob")
    assert (missed.code, "there is no document with the _id 'bob'" in missed.err) == (2, True)
    assert embedded.run("try", "1", "--id", "{").code == 2
