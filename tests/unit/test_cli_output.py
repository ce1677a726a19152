"""What the command line prints, how it is interrupted, and how it ends."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from goaime_migrate import errors
from goaime_migrate.cli import watching
from goaime_migrate.cli.console import Masked
from goaime_migrate.events import StageStarted
from goaime_migrate.results import (
    Direction,
    LockStatus,
    RunResult,
    State,
)
from tests.unit.command_line import LOCK, Fake, Run, ran, standing


class TestOutput:
    @pytest.mark.parametrize(
        ("words", "keys"),
        [
            (
                ("status",),
                ["database", "server", "mode", "current", "head", "pending", "problems", "lock", "versions"],
            ),
            (("wait",), ["database", "pending", "versions"]),
            (("up",), ["direction", "applied", "failed", "documents", "conflicts", "warnings", "duration_s"]),
            (
                ("down", "--yes"),
                ["direction", "reverted", "failed", "documents", "conflicts", "warnings", "duration_s"],
            ),
            (("plan",), ["direction", "target", "steps", "predicted", "refused"]),
            (("verify",), ["checked", "failures"]),
            (("lint",), ["checked", "problems"]),
            (("unlock",), ["lock", "ended"]),
            (("stamp", "1", "--yes"), ["recorded", "removed"]),
            (("repair", "--yes"), ["accepted", "dropped"]),
            (("init",), ["created", "kept"]),
            (("new", "x"), ["version", "path"]),
            (("explain", "GM301"), ["errors"]),
            (("explain",), ["errors"]),
        ],
    )
    def test_json_is_one_value_with_the_keys_of_the_contract(
        self, run: Run, words: tuple[str, ...], keys: list[str]
    ) -> None:
        ended = run(*words, "--json")
        assert ended.status == 0
        assert set(keys) <= set(ended.json)
        assert ended.json["error"] is None

    def test_history_is_a_list(self, run: Run) -> None:
        assert run("history", "--json").json[0]["version"] == "0001"

    def test_a_migration_that_prints_does_not_spoil_the_result(self, run: Run, migrator: Fake) -> None:
        def noisy(*_: Any, **__: Any) -> RunResult:
            print("hello from a migration")
            return ran(Direction.UP)

        migrator.answers["up"] = noisy
        ended = run("up", "--json")
        assert ended.json["applied"] == ["0001"]
        assert "hello from a migration" in ended.err

    def test_progress_goes_to_stderr_and_quiet_hides_it(self, run: Run, migrator: Fake) -> None:
        def telling(*_: Any, **__: Any) -> RunResult:
            if migrator.listener is not None:
                migrator.listener(StageStarted("up", ("0001",), "sessions", 5))
            return ran(Direction.UP)

        migrator.answers["up"] = telling
        assert "0001 up sessions: 5 documents" in run("up").err
        ended = run("up", "--quiet")
        assert (ended.out, ended.err) == ("", "")

    @pytest.mark.parametrize(
        "command", ["status", "plan", "verify", "history", "lint", "wait", "unlock", "explain"]
    )
    def test_quiet_still_shows_what_a_reading_command_was_asked_for(self, run: Run, command: str) -> None:
        assert run(command, "--quiet").out

    @pytest.mark.parametrize("code", ["GM301", "gm301", "301", "TransformFailed", "error[GM301]:"])
    def test_explain_takes_what_people_paste(self, run: Run, code: str) -> None:
        assert run("explain", code).out.startswith("GM301 TransformFailed, exit 1")

    def test_watch_follows_a_run_to_its_end(
        self, run: Run, migrator: Fake, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(watching, "WATCH_EVERY_S", 0)
        steps = iter(
            [standing(State.RUNNING, lock=LOCK), standing(State.RUNNING, lock=LOCK), standing(State.PARTIAL)]
        )
        migrator.answers["status"] = lambda: next(steps)
        ended = run("status", "--watch")
        assert ended.out.count("database") == 3
        assert "--watch" not in ended.out
        assert "0001 unfinished" in ended.out.splitlines()[-1]

    @pytest.mark.parametrize("lock", [None, replace(LOCK, live=False, gone=True)])
    def test_watch_ends_at_once_where_nothing_runs(
        self, run: Run, migrator: Fake, lock: LockStatus | None
    ) -> None:
        migrator.answers["status"] = standing(State.PENDING, lock=lock)
        assert run("status", "--watch").status == 0
        assert run("status", "--watch", "--check").status == 3
        assert [name for name, *_ in migrator.calls] == ["status", "status"]

    def test_watch_prints_a_line_of_json_a_tick(
        self, run: Run, migrator: Fake, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(watching, "WATCH_EVERY_S", 0)
        steps = iter([standing(State.RUNNING, lock=LOCK), standing(State.PARTIAL)])
        migrator.answers["status"] = lambda: next(steps)
        ended = run("status", "--watch", "--json", "--check")
        running, over = map(json.loads, ended.out.splitlines())
        assert (running["lock"]["pid"], running["error"], over["lock"]) == (1, None, None)
        assert (ended.status, over["error"]["code"]) == (3, "GM501")

    def test_watch_that_fails_prints_a_line_as_well(self, run: Run, migrator: Fake) -> None:
        migrator.answers["status"] = errors.ServerUnreachable("gone")
        (line,) = run("status", "--watch", "--json").out.splitlines()
        assert json.loads(line)["error"]["code"] == "GM701"

    def test_watch_shows_what_fits_on_the_screen(
        self, run: Run, migrator: Fake, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(watching, "WATCH_EVERY_S", 0)
        monkeypatch.setattr("goaime_migrate.cli.console._terminal", lambda stream: stream is sys.stdout)
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("LINES", "6")
        steps = iter([standing(State.RUNNING, lock=LOCK), standing()])
        migrator.answers["status"] = lambda: next(steps)
        assert run("status", "--watch").out.partition("\x1b[")[0].count("\n") <= 6

    def test_watch_on_a_terminal_puts_each_screen_in_the_place_of_the_last(
        self, run: Run, migrator: Fake, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(watching, "WATCH_EVERY_S", 0)
        monkeypatch.setattr("goaime_migrate.cli.console._terminal", lambda stream: stream is sys.stdout)
        monkeypatch.setenv("TERM", "xterm")
        steps = iter([standing(State.RUNNING, lock=LOCK), standing(State.RUNNING, lock=LOCK), standing()])
        migrator.answers["status"] = lambda: next(steps)
        screens = re.split(r"\x1b\[(\d+)A\r\x1b\[J", run("status", "--watch").out)
        assert len(screens) == 5
        assert [screens[0].count("\n"), screens[2].count("\n")] == [int(screens[1]), int(screens[3])]
        assert "up to date" in screens[4]


class TestSignals:
    def test_the_first_asks_and_the_second_stops(self, run: Run, migrator: Fake) -> None:
        def hit_twice(*_: Any, **__: Any) -> RunResult:
            signal.raise_signal(signal.SIGINT)
            assert migrator.interrupts == [signal.SIGINT]
            signal.raise_signal(signal.SIGTERM)
            raise AssertionError("the second signal did not stop it")

        migrator.answers["up"] = hit_twice
        before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
        ended = run("up", "--json")
        assert ended.status == 143
        assert ended.json["error"]["code"] == "GM901"
        assert "goaime-migrate up goes on from there" in ended.err
        assert migrator.closed
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before

    def test_other_commands_stop_at_once(self, run: Run, migrator: Fake) -> None:
        migrator.answers["verify"] = lambda **_: signal.raise_signal(signal.SIGINT)
        assert run("verify").status == 130
        migrator.answers["verify"] = lambda **_: signal.raise_signal(signal.SIGTERM)
        assert run("verify").status == 143
        assert migrator.closed

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    @pytest.mark.parametrize("words", [("down",), ("stamp", "1"), ("repair",), ("unlock", "--force")])
    def test_a_question_ends_at_once(
        self,
        run: Run,
        migrator: Fake,
        monkeypatch: pytest.MonkeyPatch,
        words: tuple[str, ...],
        number: signal.Signals,
    ) -> None:
        class Terminal(io.StringIO):
            def isatty(self) -> bool:
                return True

            def readline(self, _: int | None = -1) -> str:  # type: ignore[override]
                signal.raise_signal(number)
                raise AssertionError("it goes on waiting")

        monkeypatch.setattr(sys, "stdin", Terminal())
        ended = run(*words)
        assert ended.status == 128 + number
        assert f"stopped by {number.name}; nothing was changed" in ended.err
        assert f"goaime-migrate {words[0]} asks again" in ended.err
        assert "after this batch" not in ended.err
        assert "goaime-migrate up" not in ended.err
        assert not any(
            call[0] in ("down",) or call[2].get("force") or call[2].get("dry_run") is False
            for call in migrator.calls
        )
        assert migrator.closed

    @pytest.mark.parametrize("words", [("up", "--dry-run"), ("down",)])
    def test_a_preview_ends_at_once(self, run: Run, migrator: Fake, words: tuple[str, ...]) -> None:
        migrator.answers["plan"] = lambda *_, **__: signal.raise_signal(signal.SIGINT)
        ended = run(*words)
        assert ended.status == 130
        assert "after this batch" not in ended.err


class TestProcess:
    """What only a process of its own can show."""

    def go(self, *words: str, **given: Any) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "goaime_migrate", *words]
        return subprocess.run(command, check=False, capture_output=True, text=True, **given)

    def test_the_version_imports_next_to_nothing(self) -> None:
        code = (
            "import sys; from goaime_migrate.cli import main; main(['--version']);"
            "assert not {'typer', 'rich', 'pydantic', 'pymongo', 'bson'} & set(sys.modules)"
        )
        ended = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
        assert ended.stdout.startswith("goaime-migrate ")

    def test_text_without_a_terminal_imports_neither_rich_nor_the_driver(self) -> None:
        code = (
            "import sys; from goaime_migrate.cli import main; main(['explain']);"
            "assert not {'rich', 'pymongo', 'bson'} & set(sys.modules)"
        )
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)

    def test_a_reader_that_leaves_is_no_failure(self) -> None:
        command = f"{sys.executable} -m goaime_migrate explain | true; echo ${{PIPESTATUS[0]}}"
        ended = subprocess.run(["bash", "-c", command], check=False, capture_output=True, text=True)
        assert (ended.stdout, ended.stderr) == ("0\n", "")

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
    def test_a_full_disk_is_a_failure(self) -> None:
        with Path("/dev/full").open("w") as full:
            command = [sys.executable, "-m", "goaime_migrate", "explain"]
            ended = subprocess.run(command, check=False, stdout=full, stderr=subprocess.PIPE, text=True)
        assert ended.returncode == 1
        assert "the result cannot be written: No space left on device" in ended.stderr

    def test_an_ascii_terminal_is_no_failure(self) -> None:
        env = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C"}
        assert self.go("--help", env=env).returncode == 0
        assert self.go("explain", "é", env=env).returncode == 2


def test_what_others_write_is_masked_line_by_line() -> None:
    stream = io.StringIO()
    other = Masked(stream)
    for text in ("at mongodb://u:", "secret@h/ and", " on\nnext\r", "begun mongodb://u:secret"):
        assert other.write(text) == len(text)
    assert stream.getvalue() == "at mongodb://u:***@h/ and on\nnext\r"
    other.flush()
    other.writelines(["@h\n", "end\n"])
    assert stream.getvalue().endswith("next\rbegun mongodb://u:***@h\nend\n")
    assert not other.isatty()
