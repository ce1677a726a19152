"""Where a process takes its settings from, and what it never shows."""

from __future__ import annotations

import json
import os
import pty
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pytest
from bson import decode_all

from tests.acceptance.project import COMMAND, GREETING, INDEX, Project
from tests.servers import ReplicaSet
from tests.servers.users import ADMIN, READER, WRITER
from tests.world import World

INI = """
[goaime-migrate]
uri = dump:dump
database = wrong
migrations = ${FOLDER:-migrations}

[env:production]
database = goaime
"""


def bare(project: Project, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command without the variables that name the database."""
    kept = {
        k: v
        for k, v in project.environment(**environment).items()
        if not k.startswith("GOAIME_") or k in environment
    }
    return subprocess.run(
        [*COMMAND, *words], cwd=project.folder, env=kept, capture_output=True, text=True, check=False
    )


def test_flag_over_variable_over_file(embedded: Project) -> None:
    embedded.write(GREETING)
    (embedded.folder / "alembic-style.ini").write_text(INI)
    for name in ("wrong", "variable", "flag"):
        (embedded.folder / "dump" / name).mkdir()

    def database(*words: str, **environment: str) -> str:
        done = bare(embedded, "status", *words, **environment)
        assert done.returncode == 0, done.stderr
        return done.stdout.split()[1]

    assert database() == "wrong"
    assert database("--env", "production") == "goaime"
    assert database("--env", "production", GOAIME_MIGRATE_DATABASE="variable") == "variable"
    assert database("--database", "flag", GOAIME_MIGRATE_DATABASE="variable") == "flag"


def test_another_configuration_file(embedded: Project) -> None:
    embedded.write(GREETING)
    elsewhere = embedded.folder / "etc"
    elsewhere.mkdir()
    (elsewhere / "production.ini").write_text(INI.replace("dump:dump", "dump:../dump"))
    done = bare(embedded, "up", "-c", "etc/production.ini", "--env", "production", FOLDER="../migrations")
    assert done.returncode == 0, done.stderr
    assert embedded.state() == {"0001": "applied"}


def test_the_next_command_works_as_it_is_told(embedded: Project) -> None:
    embedded.write(GREETING)
    elsewhere = embedded.folder / "etc"
    elsewhere.mkdir()
    (elsewhere / "my own.ini").write_text(INI.replace("dump:dump", "dump:../dump"))
    for name in ("c", "d"):
        (embedded.folder / "dump" / name).mkdir()
    options = "--config 'etc/my own.ini' --env production --database c --migrations migrations"

    def told(line: str) -> str:
        """What comes after it."""
        done = bare(embedded, *shlex.split(line))
        *_, found = re.findall(r"goaime-migrate (\w+ .*)", done.stdout + done.stderr)
        return str(found)

    def value(line: str) -> Any:
        return json.loads(bare(embedded, *shlex.split(line), "--json").stdout)

    assert told(f"status {options}") == f"up {options}"
    assert told(f"plan {options}") == f"up 0001 {options}"
    assert told(f"status --check {options}") == f"up {options}"
    assert value(f"status --check {options}")["error"]["hint"] == f"goaime-migrate up {options}"
    assert bare(embedded, *shlex.split(told(f"plan {options}"))).returncode == 0
    assert embedded.state() == {"0001": "pending"}, "it is the other database that was migrated"
    embedded.write(GREETING + "# edited\nMORE = 1\n")
    for line in (f"status {options}", f"status --check {options}"):
        assert told(line).startswith(f"repair {options}")
    assert value(f"status {options}")["problems"][0]["hint"].endswith(f"goaime-migrate repair {options}")


def test_the_next_command_has_no_password(embedded: Project) -> None:
    done = bare(
        embedded, "status", "--uri", "mongodb://ann:pencil@127.0.0.1:1/x?serverSelectionTimeoutMS=10", "-q"
    )
    assert done.returncode == 8
    assert "pencil" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[goaime-migrate]\nuri = dump:dump\nworkrs = 2\n", "workers"),
        ("[goaime-migrate]\nuri = dump:dump\nworkers = many\n", "workers"),
        ("[goaime-migrate]\nuri = ${UNSET_VARIABLE}\n", "UNSET_VARIABLE"),
        ("[goaime-migrate]\nuri = http://example.org\n", "mongodb://"),
    ],
)
def test_a_mistake_in_the_file_is_named(embedded: Project, text: str, said: str) -> None:
    (embedded.folder / "alembic-style.ini").write_text(text)
    done = bare(embedded, "status")
    assert done.returncode == 2
    assert said in done.stderr


def test_an_unknown_environment_or_file_is_a_usage_error(embedded: Project) -> None:
    (embedded.folder / "alembic-style.ini").write_text(INI)
    assert bare(embedded, "status", "--env", "staging").returncode == 2
    assert bare(embedded, "status", "--config", "missing.ini").returncode == 2


def test_a_pipe_gets_no_escape_codes_even_from_a_colourful_shell(embedded: Project) -> None:
    embedded.write(GREETING, INDEX)
    for words in (["status"], ["plan"], ["up"], ["history"], ["nonsense"]):
        done = embedded.run(*words, TERM="xterm-256color", FORCE_COLOR="1")
        assert "\x1b" not in done.text


@pytest.mark.parametrize(("variables", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_a_terminal_gets_colours_unless_it_wants_none(
    embedded: Project, variables: dict[str, str], coloured: bool
) -> None:
    embedded.write(GREETING)
    ours, theirs = pty.openpty()
    environment = embedded.environment(TERM="xterm-256color", **variables)
    environment = {k: v for k, v in environment.items() if k != "NO_COLOR" or k in variables}
    with subprocess.Popen(
        [*COMMAND, "status"], cwd=embedded.folder, env=environment, stdout=theirs, stderr=theirs
    ) as process:
        process.wait(60)
    os.close(theirs)
    shown = os.read(ours, 65536).decode()
    os.close(ours)
    assert "0001" in shown
    assert ("\x1b[" in shown) is coloured


def test_quiet_prints_nothing_and_verbose_says_where_settings_come_from(embedded: Project) -> None:
    embedded.write(GREETING)
    quiet = embedded.ok("up", "--quiet")
    assert quiet.text == ""
    assert "GOAIME_MIGRATE_DATABASE" in embedded.ok("status", "--verbose").err


SECRET = "s3cr3t%$word"
ESCAPED = "s3cr3t%25%24word"
COMMANDS = ["status", "plan", "up", "down --yes", "stamp head --yes"]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_password_is_in_no_output_where_no_server_answers(embedded: Project, command: str) -> None:
    embedded.write(GREETING)
    uri = f"mongodb://bob:{ESCAPED}@127.0.0.1:9/?serverSelectionTimeoutMS=300"
    failed = embedded.run(*command.split(), "--uri", uri, "--verbose", "--json")
    assert failed.code == 8
    assert failed.json["error"]["code"] == "GM701"
    assert "s3cr3t" not in failed.text


@pytest.mark.parametrize(
    "uri", [f"mongodb://bob:{SECRET}@h", f"mongodb://bob:{ESCAPED}@h:port", f"mongo://b:{ESCAPED}@h"]
)
def test_a_password_is_in_no_output_where_the_uri_is_wrong(embedded: Project, uri: str) -> None:
    refused = embedded.run("status", "--uri", uri, "--verbose")
    assert refused.code in (2, 8)
    assert "s3cr3t" not in refused.text


@pytest.fixture
def secured(secured_replica_set: ReplicaSet, database_name: str, tmp_path: Path) -> Project:
    """A project whose server asks for a password; the test chooses the user."""
    world = World("secured", secured_replica_set.uri, database_name, tmp_path / "migrations")
    project = Project(tmp_path, world)
    project.prepare()
    project.write(GREETING, INDEX)
    return project


def test_a_password_is_in_no_output_and_in_no_record(secured: Project) -> None:
    world = secured.world
    words = ("--verbose", "--uri", world.uri)
    said = [secured.ok(command, *words).text for command in ("plan", "up", "status", "history", "unlock")]

    wrong = secured.run("up", *words[:2], world.uri.replace(quote_plus(ADMIN.password), "another-secret"))

    assert wrong.code == 2
    assert "GM103" in wrong.err
    with world.client() as client:
        database = client[world.database]
        records = [repr(list(database[name].find())) for name in database.list_collection_names()]
    for text in (*said, *records, wrong.text):
        assert ADMIN.password not in text
        assert quote_plus(ADMIN.password) not in text
        assert "another-secret" not in text


TALKATIVE = '''
"""Says it in every way."""

import logging
import sys
import warnings


def up(db):
    uri = {uri!r}
    warnings.warn(uri)
    warnings.warn(DeprecationWarning({password!r}))
    print(uri, {password!r})
    print({quoted!r}, end="", flush=True, file=sys.stderr)
    logging.warning("at %s", {password!r})
    sys.stderr.writelines(["at ", {password!r}, "\\n"])
    if db.people.count_documents({{"seen": True}}):
        raise ValueError({password!r})
    db.people.update_many({{}}, {{"$set": {{"seen": True}}}})


def down(db):
    raise ValueError({quoted!r})
'''


def test_what_a_migration_prints_warns_and_raises_shows_no_password(secured: Project) -> None:
    world, known = secured.world, ADMIN.password
    source = TALKATIVE.format(uri=f"mongodb://bob:{ESCAPED}@h/", password=known, quoted=quote_plus(known))
    (world.folder / "0003_says.py").write_text(source)
    (world.folder / "0004_says.py").write_text(source)
    uri = ("--verbose", "--uri", world.uri)

    said = [secured.run(*command.split(), *uri) for command in ("up", "up --json", "status", "down --yes")]

    with world.client() as client:
        database = client[world.database]
        records = [repr(list(database[name].find())) for name in database.list_collection_names()]
    assert [each.code for each in said] == [1, 1, 0, 1]
    assert said[0].err.count("***") >= 12
    for text in (*(each.text for each in said), *records):
        for secret in (known, quote_plus(known), ESCAPED):
            assert secret not in text


def test_a_dump_after_a_command_is_a_plain_dump(embedded: Project) -> None:
    embedded.write(GREETING)
    embedded.ok("up")
    files = sorted(p.name for p in embedded.world.dump.iterdir())
    assert all(name.endswith((".bson", ".metadata.json")) for name in files)
    assert len(decode_all((embedded.world.dump / "people.bson").read_bytes())) == 5


def test_the_role_readwrite_is_enough(secured: Project, secured_replica_set: ReplicaSet) -> None:
    secured.world.uri = secured_replica_set.uri_for(WRITER)
    for command in ("plan", "up", "status --check", "verify", "history", "down base --yes"):
        secured.ok(*command.split())
    assert secured.state() == {"0001": "pending", "0002": "pending"}


def test_a_reader_may_look_and_is_refused_to_write(secured: Project, secured_replica_set: ReplicaSet) -> None:
    secured.world.uri = secured_replica_set.uri_for(READER)
    for command in ("plan", "status", "verify", "history", "unlock", "lint"):
        secured.ok(*command.split())
    refused = secured.run("up", "--json")
    assert refused.code == 9
    assert refused.json["error"]["code"] == "GM803"
    assert secured.state() == {"0001": "pending", "0002": "pending"}
