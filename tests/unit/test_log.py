"""Events as lines of JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from typing import Any

import pytest

from goaime_migrate.events import EVENTS, Event, LockWaiting, Notice, StageStarted, name_of
from goaime_migrate.render import log
from goaime_migrate.render.progress import Lines
from goaime_migrate.results import Direction
from tests.unit.command_line import Fake, Run, ran

VALUES: dict[str, Any] = {
    "str": "text", "int": 1, "float": 1.23456, "int | None": None, "str | None": None, "bool | None": None,
    "tuple[str, ...]": ("0001",),
}  # fmt: skip


def made(kind: type[Event]) -> Event:
    return kind(**{field.name: VALUES[str(field.type)] for field in fields(kind)})


@pytest.mark.parametrize("kind", EVENTS, ids=name_of)
def test_every_event_is_one_line_with_its_name_and_its_fields(kind: type[Event]) -> None:
    event = made(kind)
    line = log.event(event)
    assert "\n" not in line
    value = json.loads(line)
    assert list(value) == ["at", "event", *asdict(event)]
    assert value["event"] == name_of(kind)
    assert value["at"].endswith("Z")


@pytest.mark.parametrize("kind", EVENTS, ids=name_of)
def test_people_are_told_every_event_or_none_of_it(kind: type[Event]) -> None:
    line = Lines().line_for(made(kind))
    assert line is None or line


def test_names_are_those_of_the_classes_and_no_two_are_alike() -> None:
    names = [name_of(kind) for kind in EVENTS]
    assert "stage_started" in names
    assert len({*names, *log.SAID}) == len(names) + len(log.SAID)


def test_texts_lose_their_secrets_and_nothing_else() -> None:
    value = json.loads(log.event(Notice("at mongodb://app:s3cr3t@host/ \x1b[2J\n\u202e")))
    assert value["text"] == "at mongodb://app:***@host/ \x1b[2J\n\u202e"


def test_lines_of_others_are_lines_of_their_own() -> None:
    found = log.output("one\r\n\n::error::two\nthree")
    assert [json.loads(line)["text"] for line in found.splitlines()] == ["one", "::error::two", "three"]
    assert log.output("") == ""


class TestOnTheCommandLine:
    @pytest.fixture
    def telling(self, migrator: Fake) -> Fake:
        def up(*_: Any, **__: Any) -> Any:
            assert migrator.listener is not None
            migrator.listener(StageStarted("up", ("0001",), "sessions", 5))
            migrator.listener(LockWaiting("ann", 1.0, 2.0))
            print("hello from a migration")
            return ran(Direction.UP)

        migrator.answers["up"] = up
        return migrator

    def test_events_take_the_place_of_progress(self, run: Run, telling: Fake) -> None:
        ended = run("up", "--log-json")
        said = [json.loads(line) for line in ended.err.splitlines()]
        assert [each["event"] for each in said] == ["stage_started", "lock_waiting", "output"]
        assert said[2]["text"] == "hello from a migration"
        assert ended.out.startswith("applied 0001")

    def test_with_json_both_streams_are_for_programs(self, run: Run, telling: Fake) -> None:
        ended = run("up", "--log-json", "--json")
        assert ended.json["applied"] == ["0001"]
        assert json.loads(ended.err.splitlines()[0])["event"] == "stage_started"

    def test_quiet_leaves_what_is_printed_and_errors(self, run: Run, telling: Fake) -> None:
        ended = run("frob", "--log-json", "--quiet")
        (error,) = map(json.loads, ended.err.splitlines())
        assert (error["event"], error["code"], ended.status) == ("error", "GM100", 2)

    @pytest.mark.parametrize("words", [("up", "--frob"), ("status", "--uri", "x"), ("new",), ("--log-json",)])
    def test_a_mistake_is_a_line_too(self, run: Run, words: tuple[str, ...]) -> None:
        ended = run(*words, "--log-json")
        (error,) = map(json.loads, ended.err.splitlines())
        assert error["event"] == "error"
        assert error["hint"]

    def test_a_program_is_not_asked(self, run: Run, migrator: Fake, answer: Any) -> None:
        answer("y\n")
        ended = run("down", "--log-json")
        assert ended.status == 9
        assert [json.loads(line)["event"] for line in ended.err.splitlines()] == ["message", "error"]
