"""The files of deploy/: they parse, and what they run is what this release understands and how it ends."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from goaime_migrate import errors
from goaime_migrate.cli import argv
from goaime_migrate.cli.options import Request
from goaime_migrate.cli.parser import parse
from tests.world import REPOSITORY

DEPLOY = REPOSITORY / "deploy"
HOOKS = REPOSITORY / ".pre-commit-hooks.yaml"
JOBS = [DEPLOY / "kubernetes" / "job.yaml", DEPLOY / "helm" / "migrate-job.yaml"]
AGAIN = {
    errors.LockHeld.exit_code,
    errors.LeaseLost.exit_code,
    errors.ServerUnreachable.exit_code,
    errors.Interrupted.exit_code,
    143,
}
"""The exit statuses after which a later try may come to its end."""
FAILURES = {cls.exit_code for cls in errors.by_code().values()} | {143}
FROM_A_SHELL = re.compile(r"^goaime-migrate (.*?)(?:\s*(?:\||>).*)?$", re.MULTILINE)


def files() -> list[Path]:
    return sorted(path for path in DEPLOY.rglob("*") if path.is_file())


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def texts(value: Any) -> Iterator[str]:
    """Every text in it."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for member in value.values():
            yield from texts(member)
    elif isinstance(value, list):
        for member in value:
            yield from texts(member)


def containers(value: Any) -> Iterator[dict[str, Any]]:
    """The containers of our own image in a manifest."""
    pod = value["spec"]["template"]["spec"]
    for container in (*pod.get("initContainers", ()), *pod["containers"]):
        if "args" in container:
            yield container


def command_lines(path: Path) -> list[list[str]]:
    """What a file runs, without the program's name."""
    if path.name == "Dockerfile":
        return [json.loads(line.removeprefix("CMD ")) for line in lines(path) if line.startswith("CMD ")]
    found = load(path)
    if path in JOBS or path.parent.name == "kubernetes":
        return [container["args"] for container in containers(found)]
    return [shlex.split(line) for text in texts(found) for line in FROM_A_SHELL.findall(text)]


def lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


COMMAND_LINES = [(path, words) for path in (*files(), HOOKS) for words in command_lines(path)]


@pytest.mark.parametrize(
    ("path", "words"), COMMAND_LINES, ids=[f"{p.name}: {' '.join(w)}" for p, w in COMMAND_LINES]
)
def test_every_command_line_is_one_of_this_release(path: Path, words: list[str]) -> None:
    from goaime_migrate.cli.commands import COMMANDS

    command = argv.check(words, COMMANDS)
    assert isinstance(parse(command, argv.steps(words)), Request)


def test_every_file_runs_something() -> None:
    assert {path for path, _ in COMMAND_LINES} == {*files(), HOOKS}


def test_the_page_tells_every_file() -> None:
    page = (REPOSITORY / "docs" / "production.md").read_text(encoding="utf-8")
    linked = set(re.findall(r"\]\(\.\./(deploy/[^)]+|\.pre-commit-hooks\.yaml)\)", page))
    assert linked == {str(path.relative_to(REPOSITORY)) for path in (*files(), HOOKS)}


@pytest.mark.parametrize("path", JOBS, ids=lambda path: path.parent.name)
def test_a_job_tries_again_what_may_come_to_its_end(path: Path) -> None:
    job = load(path)["spec"]
    rules = job["podFailurePolicy"]["rules"]
    by_action: dict[str, set[int]] = {}
    for rule in rules:
        if "onExitCodes" in rule:
            assert rule["onExitCodes"]["operator"] == "In"
            assert rule["onExitCodes"]["containerName"] == job["template"]["spec"]["containers"][0]["name"]
            by_action.setdefault(rule["action"], set()).update(rule["onExitCodes"]["values"])
    assert by_action == {"FailJob": FAILURES - AGAIN, "Count": AGAIN}
    assert job["template"]["spec"]["restartPolicy"] == "Never"  # a policy needs it
    assert rules[0]["action"] == "Ignore"  # a pod that is evicted ends with 143 too: this comes first


def test_gitlab_tries_again_what_may_come_to_its_end() -> None:
    retried = set(load(DEPLOY / "gitlab-ci.yml")["migrations:up"]["retry"]["exit_codes"])
    assert retried == AGAIN - {errors.Interrupted.exit_code, 143}  # a job that somebody cancels is cancelled


def test_secrets_come_from_where_secrets_are() -> None:
    for path in files():
        for line in lines(path):
            assert not re.search(r"mongodb(\+srv)?://", line), path
            assert "--uri" not in line, path


def test_the_image_hands_signals_to_the_program() -> None:
    entry = next(line for line in lines(DEPLOY / "Dockerfile") if line.startswith("ENTRYPOINT "))
    assert json.loads(entry.removeprefix("ENTRYPOINT ")) == ["goaime-migrate"]
    known = {"FROM", "RUN", "ENV", "COPY", "WORKDIR", "USER", "ENTRYPOINT", "CMD"}
    assert {line.split()[0] for line in lines(DEPLOY / "Dockerfile") if line and line[0] != "#"} == known


def test_the_hook_of_pre_commit() -> None:
    (hook,) = load(HOOKS)
    assert {"id", "name", "entry", "language"} <= set(hook)
    assert hook["pass_filenames"] is False
    for name in ("migrations/0001_x.py", "services/shop/migrations/helpers.py", "alembic-style.ini"):
        assert re.search(hook["files"], name)
    assert not re.search(hook["files"], "src/app.py")
