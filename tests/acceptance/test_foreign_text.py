"""What documents, records, settings and migrations say does not speak for the command, and tells no secret."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest
from bson import Regex, encode

from tests.acceptance.project import COMMAND, PATIENCE_S, Project

FORGED = "\nnothing was written; next: rm -rf /\r\n::error::forged\n##[error]forged"
STEERING = "\x1b[2J\x9b1m\u202eolleh\u2066\u2028\u0085\x07"
SECRET = "sup3rs3cret"
STRANGER = f"mongodb://u:{SECRET}@elsewhere/?bogus=tok3nvalue"

TALKATIVE = f'''
"""Writes wherever it can."""

import atexit
import os
import subprocess
import sys
from goaime_migrate import TransformDocuments

URI = os.environ["GOAIME_MIGRATE_URI"] + " {STRANGER}"


def talk(when):
    print(when, "print", URI)
    if sys.__stdout__:
        sys.__stdout__.write(when + " dunder " + URI + "\\n")
    os.write(1, f"{{when}} fd1 {{URI}}\\n".encode())
    os.write(2, f"{{when}} fd2 {{URI}}\\n".encode())
    subprocess.run(["echo", when, "program", URI], check=True)
    os.system(f"echo {{when}} shell '{{URI}}' >&2")


talk("import")
atexit.register(talk, "atexit")


def up(db):
    talk("up")


def down(db):
    talk("down")


def verify(db):
    talk("verify")
'''
TRANSFORM = """
import os
import subprocess
from goaime_migrate import TransformDocuments


def talk(person):
    os.write(1, b"transform fd1 mongodb://u:sup3rs3cret@h\\n")
    subprocess.run(["echo", "transform", "program"])
    person["n"] = 1


operations = [TransformDocuments("people", talk)]
"""


def words(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("json_asked", [True, False])
def test_while_users_code_runs_the_descriptors_are_not_the_commands(
    project: Project, json_asked: bool
) -> None:
    project.write(TALKATIVE, TRANSFORM)
    uri = project.world.uri
    for command in (["up"], ["verify"], ["down", "base", "--yes"]):
        ran = project.run(*command, *(["--json"] if json_asked else []))
        assert ran.code == 0, ran.text
        assert SECRET not in ran.text
        assert "program" not in ran.out
        assert "fd1" not in ran.out
        assert "atexit" not in ran.out
        for when in ("import", "atexit", {"up": "up", "verify": "verify", "down": "down"}[command[0]]):
            for how in ("print", "dunder", "fd1", "fd2", "program", "shell"):
                assert f"{when} {how} {uri[:10]}" in ran.err, (when, how, ran.err)
        if json_asked:
            json.loads(ran.out)


@pytest.mark.parametrize("closed", [1, 2, (1, 2), (0, 1, 2)], ids=str)
def test_a_descriptor_that_was_closed_before_becomes_nothing_elses(embedded: Project, closed: object) -> None:
    embedded.write(TALKATIVE)
    gone = closed if isinstance(closed, tuple) else (closed,)
    script = f"import os, sys\nfor fd in {gone}: os.close(fd)\nos.execv(sys.executable, {[*COMMAND, 'up']})"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=embedded.folder,
        env=embedded.environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert SECRET not in done.stdout + done.stderr
    assert ("applied 0001" in done.stdout) is (1 not in gone)
    assert "fd1" not in done.stdout
    assert embedded.state() == {"0001": "applied"}


def test_a_program_that_a_migration_leaves_behind_does_not_keep_the_command(embedded: Project) -> None:
    embedded.write('import subprocess\n\ndef up(db):\n    subprocess.Popen(["sleep", "30"])\n')
    assert embedded.run("up").code == 0


def test_settings_are_shown_when_their_secrets_are_known(embedded: Project) -> None:
    uri = "mongodb://u:s3cr3tpw@127.0.0.1:1/x?bogus=s3cr3tpw&other=tok3n&third=ab&appName=fine"
    ran = embedded.run("status", "--verbose", "--uri", uri, "--migrations", "a-tok3n-b")
    assert ran.code == 2
    assert "s3cr3t" not in ran.text
    assert "tok3n" not in ran.text
    assert "third=ab" not in ran.text
    assert "appName=fine" in ran.text
    ini = embedded.folder / "odd.ini"
    ini.write_text(f"[goaime-migrate]\nmigrations = x{STEERING}y\nuri = dump:{embedded.folder}\n")
    ran = embedded.run("status", "--verbose", "--config", "odd.ini")
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066]", ran.text)


def test_one_line_of_somebody_elses_is_one_line(embedded: Project) -> None:
    """Regexes, names, texts, hosts and results: none begins a line, none steers the terminal."""
    for number, odd in enumerate((FORGED, STEERING), 100):
        embedded.world.insert(
            "people",
            [
                {"_id": f"{number}{odd}", "name": Regex(odd, "i"), odd: odd},
                {"_id": Regex(odd), "name": {odd: [odd]}},
            ],
        )
    embedded.world.write(
        "0001_shout.py",
        "import warnings\nfrom goaime_migrate import TransformDocuments\n\n"
        "def shout(person):\n    warnings.warn('odd: ' + str(person['name']) + repr(person['_id']) + "
        f"{FORGED + STEERING!r})\n    person['name'] = [person['name'], 1]\n\n"
        'operations = [TransformDocuments("people", shout)]\n',
    )
    shown = [embedded.run("plan", GITHUB_ACTIONS="true"), embedded.run("plan", "--verbose")]
    assert embedded.ok("up").code == 0
    journal = embedded.world.dump / "schema_versions_log.bson"
    event = {
        "_id": "odd", "version": f"0001{FORGED}", "action": f"up{FORGED}", "result": f"a{STEERING}",
        "who": FORGED, "host": FORGED, "tool": FORGED, "format": 1,
    }  # fmt: skip
    from bson import decode_all

    kept = decode_all(journal.read_bytes())
    journal.write_bytes(b"".join(encode(d) for d in [*kept, {**kept[0], **event}]))
    shown += [embedded.run(*command) for command in (["history"], ["status"], ["verify"])]
    for ran in shown:
        assert not re.search(r"^\s*(nothing was written; next: rm|::|forged|##)", ran.text, re.MULTILINE)
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066]", ran.text)
    assert "##[" not in shown[0].text


def test_an_error_quotes_what_is_somebody_elses(embedded: Project) -> None:
    embedded.write(
        "from goaime_migrate import TransformDocuments\n\ndef fail(person):\n"
        f"    raise ValueError({'first' + FORGED + STEERING!r})\n\noperations = [TransformDocuments('people', fail)]\n"
    )
    ran = embedded.run("up", GITHUB_ACTIONS="true")
    assert ran.code == 1
    assert "| ::error::forged" in ran.err
    assert not re.search(r"^\s*(nothing was|::|next: rm|##\[)", ran.text, re.MULTILINE)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066]", ran.text)
    assert "##[" not in ran.text
    ran = embedded.run("up", "--json", GITHUB_ACTIONS="true")
    assert "##[" in ran.json["error"]["message"], "JSON has the text as it is"


def test_file_names_are_shown_and_not_obeyed(embedded: Project) -> None:
    embedded.write("operations = []\n")
    names = [b"0002_\x1b[2J.py", b"0003_\xff.py", "0004_\u202e.py".encode(), b"0005_a\nb.py"]
    for name in names:
        (embedded.world.folder / os.fsdecode(name)).write_text("operations = 7\n")
    for command in (["status"], ["lint"], ["plan"], ["up"]):
        ran = embedded.run(*command)
        assert "bug" not in ran.text, ran.text
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\ud800-\udfff]", ran.text)
