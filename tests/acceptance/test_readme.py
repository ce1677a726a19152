"""The README is executed: its files are written, its commands run, and their output must be what it says.

A block whose first line is a comment with a file name becomes that file. In a ``console`` block a line that begins
with ``$`` is a command, and what follows is its output, both streams in the order in which they were written; a line
``...`` stands for any lines. Times, durations, sizes and paths may differ. Commands in other blocks are only looked
up: they and their options must exist. A ``python`` block without a name is run before the rest of its page, which
may show a database first and make it afterwards.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from inspect import signature
from pathlib import Path

import pytest

import goaime_migrate
from goaime_migrate.cli.commands import COMMANDS
from goaime_migrate.operations import DECLARED
from tests.world import REPOSITORY

PAGES = ("README.md", "docs/migrations.md")
"""In this order they are one walk through one folder."""
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
VARIABLE = (
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d"), "DATE"),
    (re.compile(r"\b\d\d:\d\d:\d\d\b"), "TIME"),
    (re.compile(r"(?<![\w.])(?:\d+ms|\d+(?:\.\d)?s|\d+m\d\ds)(?!\w)"), "DURATION"),
    (re.compile(r"\b\d+(?:\.\d)? (?:B|kB|MB)\b"), "SIZE"),
    (re.compile(r"\S*/dump(?=\s|$)"), "PATH"),
    (re.compile(r"\b\S+@\S+(?=\s+goaime-migrate)"), "WHO"),
    (re.compile(r" {2,}"), "  "),
)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: str
    language: str
    line: int
    text: str

    @property
    def file(self) -> str | None:
        """The file that its first line names."""
        named = re.match(r"# ([\w/.-]+\.(?:py|ini))\n", self.text)
        return named[1] if named else None

    def commands(self) -> Iterator[tuple[str, str]]:
        """Each command of a console block with the output that it should have."""
        for part in re.split(r"^\$ ", self.text, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            yield command, output


def blocks() -> list[Block]:
    """Every fenced block, in order."""
    texts = {page: (REPOSITORY / page).read_text(encoding="utf-8") for page in PAGES}
    return [
        Block(page, match[1], text.count("\n", 0, match.start()) + 1, match[2])
        for page, text in texts.items()
        for match in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    ]


def test_every_file_loads_and_every_command_prints_what_the_readme_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for page in PAGES:
        walk([block for block in blocks() if block.page == page], tmp_path)


def walk(page: list[Block], folder: Path) -> None:
    """Do what a page says."""
    for block in page:
        if block.language == "python" and not block.file:
            exec(compile(block.text, f"{block.page}, line {block.line}", "exec"), {})
    for block in page:
        if block.file:
            written = folder / block.file
            written.parent.mkdir(exist_ok=True)
            written.write_text(block.text)
        elif block.language == "console":
            for command, expected in block.commands():
                check(command, expected, run(command, folder), f"{block.page}, line {block.line}")


def run(command: str, folder: Path) -> str:
    """Both streams of a command, as a pipe shows them."""
    program = f'#!/bin/sh\nexec "{sys.executable}" -m goaime_migrate "$@"\n'
    tools = folder.parent / "tools"
    tools.mkdir(exist_ok=True)
    (tools / "goaime-migrate").write_text(program)
    (tools / "goaime-migrate").chmod(0o755)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GOAIME_MIGRATE_")}
    environment |= {"PATH": f"{tools}{os.pathsep}{environment['PATH']}", "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        command,
        shell=True,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.stdout


def check(command: str, expected: str, actual: str, where: str) -> None:
    """Hold an output against what the README says."""
    parts = [re.escape(normal(part)) for part in re.split(r"^\.\.\.\n", expected, flags=re.MULTILINE)]
    if not re.fullmatch(r"(?:.*\n)*".join(parts), normal(actual)):
        pytest.fail(f"{where}: $ {command}\n--- it says\n{expected}--- it is\n{actual}", pytrace=False)


def normal(text: str) -> str:
    """The text without what differs from run to run."""
    for pattern, name in VARIABLE:
        text = pattern.sub(name, text)
    return "\n".join(line.rstrip() for line in text.split("\n"))


def test_every_command_that_the_readme_mentions_exists() -> None:
    from typer.main import get_command

    from goaime_migrate.cli.parser import application

    group = get_command(application())
    for words in mentioned():
        command, *rest = words
        assert command in COMMANDS or command.startswith("--"), f"goaime-migrate {command}"
        if command in COMMANDS:
            known = {option for p in group.commands[command].params for option in p.opts}  # type: ignore[attr-defined]
            unknown = [w for w in rest if w.startswith("--") and w not in known]
            assert not unknown, f"goaime-migrate {' '.join(words)}"


def test_every_command_and_every_operation_is_in_the_readme() -> None:
    assert [name for name in COMMANDS if f"\n| `{name}" not in README] == []
    assert [name for name in goaime_migrate.__all__ if not re.search(rf"\b{name}\b", README)] == []


def mentioned() -> Iterator[list[str]]:
    """The words of every `goaime-migrate COMMAND …` in code."""
    for block in blocks():
        if block.language != "python":
            yield from calls(block.text)
    for code in re.findall(r"(?<!`)`(goaime-migrate [^`]+)`", README):
        yield from calls(code)


def calls(text: str) -> Iterator[list[str]]:
    """The words behind each `goaime-migrate` of a shell text."""
    for line in text.splitlines():
        if called := re.search(r"(?:^|[\s\"'\[])goaime-migrate\s+((?:--)?[a-z].*)", line):
            words = re.split(r"\s(?:#|&&|\|\|?|;)(?:\s|$)", called[1])[0]
            yield shlex.split(words.rstrip("\"']"))


def test_every_signature_names_the_arguments_that_there_are() -> None:
    for page in PAGES:
        text = (REPOSITORY / page).read_text(encoding="utf-8")
        table = [line for line in text.splitlines() if line.startswith("| `")]
        called = re.findall(r"`([A-Z]\w+)\(([^`]*)\)`", "\n".join(table))
        assert {name for name, _ in called} >= set(DECLARED), page
        for name, arguments in called:
            there = signature(getattr(goaime_migrate, name)).parameters
            named = [re.split(r"[=:]", argument)[0].lstrip("*") for argument in arguments.split(", ")]
            assert [n for n in named if n not in ("", "…") and n not in there] == [], f"{page}: {name}"
            assert "…" in named or set(there) <= set(named), f"{page}: {name}"


def test_every_error_class_and_every_document_that_the_readme_names_exists() -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", README)
    assert [link for link in links if not (REPOSITORY / link).exists()] == []
    headings = {
        re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-")
        for h in re.findall(r"^#+ (.+)$", README, re.MULTILINE)
    }
    assert [anchor for anchor in re.findall(r"\]\(#([^)]+)\)", README) if anchor not in headings] == []


def test_the_exit_codes_of_the_readme_are_those_of_the_errors() -> None:
    from goaime_migrate import errors

    table = README.partition("### Exit codes")[2].partition("\n### ")[0]
    listed = {int(number) for number in re.findall(r"\| (\d+) \|", table)}
    raised = {cls.exit_code for cls in errors.by_code().values()}
    assert raised | {0, 143} == listed | ({143} if "143" in table else set())


def test_the_first_two_commands_are_the_demo_and_the_tests() -> None:
    shell = next(block for block in blocks() if block.language == "sh")
    commands = [line.split("#")[0].strip() for line in shell.text.splitlines()]
    assert commands == ["python3 dev demo", "python3 dev test"]
    assert shutil.which("python3")
    assert (REPOSITORY / "dev").exists()


def test_the_architecture_names_what_there_is_in_the_order_of_its_imports() -> None:
    listed = README.partition("## Architecture")[2].partition("```\n")[2].partition("```")[0]
    names = re.findall(r"(?:^|\s{2,})([a-z_]+(?:\.py|/))(?=\s)", listed, re.MULTILINE)
    assert len(names) > 10
    assert [name for name in names if not (REPOSITORY / "goaime_migrate" / name).exists()] == []
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    (layers,) = (c["layers"] for c in project["tool"]["importlinter"]["contracts"] if c["type"] == "layers")
    rank = {name: height for height, layer in enumerate(layers) for name in re.findall(r"\w+", layer)}
    ranks = [rank[re.sub(r"(\.py|/)$", "", name)] for name in names]
    assert ranks == sorted(ranks)
