"""`--log-json` as a process: every line on stderr is an event."""

from __future__ import annotations

import json
from typing import Any

from goaime_migrate.events import EVENTS, name_of
from goaime_migrate.render.log import SAID
from tests.acceptance.project import FAILING, GREETING, Project
from tests.acceptance.test_foreign_text import SECRET, TALKATIVE


def events(text: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in text.splitlines()]
    assert {each["event"] for each in found} <= {*map(name_of, EVENTS), *SAID}
    return found


def test_whatever_migrations_print_and_however_a_run_ends(project: Project) -> None:
    project.write(GREETING, TALKATIVE, FAILING)
    ran = project.run("up", "--log-json", "--json")
    found = events(ran.err)
    assert (ran.code, ran.json["failed"]) == (1, "0003")
    assert SECRET not in ran.err
    assert [each["result"] for each in found if each["event"] == "version_finished"] == [
        "applied", "applied", "failed",
    ]  # fmt: skip
    (error,) = [each for each in found if each["event"] == "error"]
    assert {key: error[key] for key in ran.json["error"]} == ran.json["error"]
    said = " ".join(each["text"] for each in found if each["event"] == "output")
    for how in ("print", "dunder", "fd1", "fd2", "program", "shell"):
        assert f"up {how}" in said
        assert f"atexit {how}" in said


def test_the_commands_that_read_have_a_log_too(embedded: Project) -> None:
    embedded.write(GREETING)
    for command in ("status", "plan", "verify", "history", "lint", "doctor"):
        ran = embedded.run(command, "--log-json")
        assert next(each["event"] for each in events(ran.err)) == "command_started"
        assert ran.out
