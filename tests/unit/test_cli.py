"""The command line over a Migrator that only remembers what it was asked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId

from goaime_migrate import errors
from goaime_migrate.cli import argv
from goaime_migrate.cli.commands import COMMANDS
from goaime_migrate.cli.parser import application
from goaime_migrate.errors import Problem
from goaime_migrate.results import (
    Direction,
    LintResult,
    OnConflict,
    RepairResult,
    StampResult,
    State,
    UnlockResult,
    VerifyFailure,
    VerifyResult,
)
from tests.unit.command_line import STEP, Fake, Run, planned, ran, standing

PROBLEM = Problem("GM201", "0001", "0001 was edited", "goaime-migrate repair")


FAILURES: list[tuple[errors.MigrateError, int]] = [
    (errors.TransformFailed("it raised"), 1),
    (errors.InvalidUri("bad"), 2),
    (errors.AuthenticationFailed("no"), 2),
    (errors.UnknownTarget("which?"), 2),
    (errors.EditedMigration("edited"), 4),
    (errors.LockHeld("held"), 6),
    (errors.LeaseLost("lost"), 7),
    (errors.ServerUnreachable("gone"), 8),
    (errors.Irreversible("no way back"), 9),
    (errors.Interrupted("stopped"), 130),
]


class TestExitStatus:
    @pytest.mark.parametrize(("error", "status"), FAILURES, ids=[row[0].code for row in FAILURES])
    @pytest.mark.parametrize(
        "command", ["status", "plan", "up", "verify", "history", "lint", "wait", "unlock"]
    )
    def test_an_error_of_the_facade_ends_the_command(
        self, run: Run, migrator: Fake, command: str, error: errors.MigrateError, status: int
    ) -> None:
        migrator.answers[command] = error
        ended = run(command, "--json")
        assert ended.status == status
        assert f"error[{error.code}]: {error.message}" in ended.err
        assert ended.json["error"]["code"] == error.code
        assert "Traceback" not in ended.err
        assert migrator.closed

    @pytest.mark.parametrize(("error", "status"), FAILURES, ids=[row[0].code for row in FAILURES])
    @pytest.mark.parametrize(("command", "direction"), [("up", Direction.UP), ("down", Direction.DOWN)])
    def test_an_error_inside_a_result_shows_the_result_first(
        self,
        run: Run,
        migrator: Fake,
        *,
        command: str,
        direction: Direction,
        error: errors.MigrateError,
        status: int,
    ) -> None:
        migrator.answers[command] = ran(direction, error)
        ended = run(command, "--yes")
        assert ended.status == status
        assert "no version was" in ended.out
        assert error.message in ended.err

    def test_sigterm_is_143(self, run: Run, migrator: Fake) -> None:
        error = errors.Interrupted("stopped")
        error.exit_code = 143
        migrator.answers["up"] = ran(Direction.UP, error)
        assert run("up").status == 143

    @pytest.mark.parametrize(
        ("words", "result", "status"),
        [
            (("status",), standing(State.PENDING, PROBLEM), 0),
            (("status", "--check"), standing(), 0),
            (("status", "--check"), standing(State.PENDING), 3),
            (("status", "--check"), standing(State.PARTIAL), 3),
            (("status", "--check"), standing(State.PENDING, PROBLEM), 4),
            (("status", "--check"), standing(State.APPLIED, PROBLEM, PROBLEM), 4),
            (("status", "--check"), standing(State.APPLIED, Problem("XX", None, "odd", "")), 4),
            (("wait",), standing(), 0),
            (("wait", "--timeout", "0"), standing(State.PENDING), 3),
            (("verify",), VerifyResult(3, ()), 0),
            (("verify",), VerifyResult(3, (VerifyFailure("0001", "c", 1, "f", "wrong"),)), 5),
            (("lint",), LintResult(1), 0),
            (("lint",), LintResult(1, (PROBLEM,)), 4),
            (("plan",), planned(), 0),
            (("plan",), planned(refused=errors.EditedMigration("edited")), 4),
            (("plan",), planned(refused=errors.Irreversible("no")), 9),
        ],
    )
    def test_a_result_decides_it(
        self, run: Run, migrator: Fake, words: tuple[str, ...], result: Any, status: int
    ) -> None:
        migrator.answers[words[0]] = result
        ended = run(*words)
        assert ended.status == status
        assert ("next: " in ended.err) is (status not in (0, 9)) or status in (4, 9)
        machine = run(*words, "--json")
        assert machine.status == status
        assert (machine.json["error"] is None) is (status == 0)

    def test_what_nobody_foresaw_is_one_line(self, run: Run, migrator: Fake) -> None:
        migrator.answers["status"] = ZeroDivisionError("at mongodb://app:s3cr3t@h/")
        ended = run("status")
        assert ended.status == 1
        assert ended.err.splitlines()[0] == (
            "error[GM000]: ZeroDivisionError: at mongodb://app:***@h/ (this is a bug)"
        )
        assert "Traceback" not in ended.err
        assert "Traceback" in run("status", "--verbose").err
        migrator.answers["status"] = errors.ServerUnreachable("gone")
        assert "Traceback" not in run("status", "--verbose").err

    def test_a_refused_plan_is_shown_before_its_error(self, run: Run, migrator: Fake) -> None:
        migrator.answers["plan"] = planned(Direction.UP, STEP, refused=errors.Irreversible("no way back"))
        for words in (("plan",), ("up", "--dry-run"), ("down", "--dry-run"), ("down",)):
            ended = run(*words)
            assert ended.status == 9
            assert "0001 add_user_id" in ended.out
            assert "error[GM801]: no way back" in ended.err


class TestUsage:
    @pytest.mark.parametrize(
        ("word", "right"),
        [
            ("upgrade", "up"),
            ("migrate", "up"),
            ("downgrade", "down"),
            ("create", "new NAME"),
            ("revision", "new NAME"),
            ("info", "status"),
            ("current", "status"),
            ("rollback", "down"),
            ("validate", "verify (the documents), or goaime-migrate lint (the files)"),
            ("statsu", "status"),
            ("verfy", "verify"),
            ("xyzzy", "--help lists the commands"),
        ],
    )
    def test_a_wrong_word_names_the_right_command(self, run: Run, word: str, right: str) -> None:
        ended = run(word, "0003")
        assert ended.status == 2
        assert ended.err.splitlines() == [
            f"error[GM100]: there is no command {word}",
            f"next: goaime-migrate {right}",
        ]

    @pytest.mark.parametrize(
        "words",
        [
            ("upgrade",),
            ("up", "--nonsense"),
            ("--json",),
            ("new",),
            ("status", "extra"),
            ("stamp",),
            ("new", "x", "--kind", "y"),
            ("up", "--where", "{"),
            ("up", "--where", "[1]"),
            ("up", "--where", '{"n": 123456789012345678901234567890}'),
            ("wait", "--timeout", "x"),
            ("explain", "GM999"),
            ("up", "--workers", "many"),
            ("down", "--on-conflict", "maybe"),
            ("verify", "--sample", "0"),
            ("status", "--config", "nope.ini"),
            ("status", "--env", "nope"),
            ("up", "--workers", "-2"),
            ("plan", "--down", "--where", "{}"),
            ("throttle",),
            ("throttle", "--pause", "--resume"),
            ("up", "--first", "a"),
        ],
    )
    def test_a_usage_error_is_2_and_json_all_the_same(self, run: Run, words: tuple[str, ...]) -> None:
        ended = run(*words, "--json")
        assert ended.status == 2
        assert ended.json["error"]["code"].startswith("GM10")
        assert ended.json["error"]["hint"]
        assert "error[GM10" in ended.err

    def test_options_in_front_are_put_behind(self, run: Run) -> None:
        ended = run("--uri", "mongodb://app:s3cr3t@h/", "--quiet", "status", "--check")
        assert ended.status == 2
        assert "next: goaime-migrate status --check --uri mongodb://app:***@h/ --quiet" in ended.err

    @pytest.mark.parametrize("words", [(), ("--help",), ("-h",), ("up", "--help")])
    def test_help_is_no_error(self, run: Run, words: tuple[str, ...]) -> None:
        ended = run(*words)
        assert ended.status == 0
        assert ended.out.startswith("Usage: goaime-migrate")

    def test_every_command_is_listed_with_a_sentence(self, run: Run) -> None:
        listed = run("--help").out
        for command in COMMANDS:
            assert f"  {command} " in listed

    @pytest.mark.parametrize("command", COMMANDS)
    def test_every_command_takes_the_common_options(self, run: Run, command: str) -> None:
        shown = run(command, "--help").out
        for option in (
            "--config",
            "--env",
            "--uri",
            "--database",
            "--migrations",
            "--json",
            "--quiet",
            "--verbose",
        ):
            assert option in shown

    @pytest.mark.parametrize(
        ("words", "hint"),
        [
            (("history", "--html", "--json"), "goaime-migrate history --html FILE"),
            (("history", "--html", "--jsno"), "goaime-migrate history --html FILE"),
            (("history", "--html", "-q"), "goaime-migrate history --html FILE"),
            (("history", "--html", "--"), "goaime-migrate history --html FILE"),
            (("history", "--html", "--uri=dump:demo"), "goaime-migrate history --html FILE"),
            (("status", "-c", "--json"), "goaime-migrate status -c FILE"),
            (("status", "--database", "--quiet"), "goaime-migrate status --database NAME"),
            (("new", "name", "--kind", "--json"), "goaime-migrate new --kind KIND"),
            (("up", "--where", "--yes"), "goaime-migrate up --where JSON"),
            (("prune", "--keep", "--yes"), "goaime-migrate prune --keep"),
        ],
    )
    def test_an_option_is_not_the_value_of_another(
        self, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], hint: str
    ) -> None:
        monkeypatch.chdir(tmp_path)
        there = list(tmp_path.iterdir())
        ended = run(*words)
        assert ended.status == 2
        assert "needs a value" in ended.err
        assert hint in ended.err
        assert list(tmp_path.iterdir()) == there

    @pytest.mark.parametrize(
        "words", [("history", "--html=--json.html"), ("blame", "c", "--as-of", "-1", "7"), ("up", "--", "-3")]
    )
    def test_what_only_looks_like_one_is_taken(
        self, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert "needs a value" not in run(*words).err

    def test_every_option_that_takes_a_value_is_known_to_the_rewriting(self) -> None:
        import typer.main

        group: Any = typer.main.get_command(application())
        taking = {
            name
            for command in group.commands.values()
            for option in command.params
            if option.param_type_name == "option" and not option.is_flag
            for name in option.opts
        }
        assert taking == argv.TAKING_A_VALUE


class TestTargets:
    @pytest.mark.parametrize(
        ("words", "target"),
        [
            (("down", "-1", "--yes"), "+1"),
            (("down", "--yes", "-12"), "+12"),
            (("up", "-2"), "+2"),
            (("up", "+2"), "+2"),
            (("up", "0003"), "0003"),
            (("up", "--workers", "2", "-3"), "+3"),
            (("up", "--", "-3"), "-3"),
            (("up",), None),
        ],
    )
    def test_steps_are_no_options(
        self, run: Run, migrator: Fake, words: tuple[str, ...], target: str | None
    ) -> None:
        assert run(*words).status == 0
        assert migrator.calls[-1][0] == words[0]
        assert migrator.calls[-1][1] == (target,)

    def test_plan_goes_both_ways(self, run: Run, migrator: Fake) -> None:
        run("plan", "-1", "--down")
        run("up", "head", "--dry-run", "--where", '{"n": {"$numberLong": "5"}}')
        run("down", "base", "--dry-run")
        assert migrator.calls == [
            ("plan", ("+1",), {"direction": Direction.DOWN, "where": None}),
            ("plan", ("head",), {"direction": Direction.UP, "where": {"n": 5}}),
            ("plan", ("base",), {"direction": Direction.DOWN}),
        ]

    def test_where_is_extended_json(self, run: Run, migrator: Fake) -> None:
        run("up", "--where", '{"_id": {"$oid": "65f0a1b2c3d4e5f6a7b8c9d0"}}')
        assert migrator.calls[-1][2] == {"where": {"_id": ObjectId("65f0a1b2c3d4e5f6a7b8c9d0")}}


class TestSettings:
    def test_flags_reach_the_settings(self, run: Run, migrator: Fake) -> None:
        run(
            "up",
            "--workers",
            "3",
            "--batch-size",
            "100",
            "--max-lag",
            "1.5",
            "--max-rate",
            "10",
            "--lock-timeout",
            "0",
            "--uri",
            "mongodb://x/",
            "--database",
            "d",
            "--migrations",
            "m",
            "--allow-untested-topology",
        )
        found = migrator.settings
        assert found is not None
        assert (found.workers, found.batch_size, found.max_lag, found.max_rate) == (3, 100, 1.5, 10)
        assert (found.lock_timeout, found.uri, found.database) == (0, "mongodb://x/", "d")
        assert found.migrations == Path.cwd() / "m"
        assert found.allow_untested_topology

    def test_the_policy_for_conflicts_may_stand_in_the_file(self, run: Run, migrator: Fake) -> None:
        with Path("alembic-style.ini").open("a") as ini:
            ini.write("on_conflict = restore\n")
        run("down", "--yes")
        run("down", "--yes", "--on-conflict", "stop")
        assert [call[2]["on_conflict"] for call in migrator.calls] == [OnConflict.RESTORE, OnConflict.STOP]

    def test_new_and_lint_need_no_connection_string(self, run: Run, migrator: Fake) -> None:
        Path("alembic-style.ini").write_text("[goaime-migrate]\nuri = ${NOWHERE}\n")
        assert run("lint").status == 0
        assert run("new", "add_x", "--kind", "index").status == 0
        assert migrator.calls[-1][1][1:] == ("add_x", "index")
        assert run("status").status == 2

    def test_verbose_leaves_out_what_is_not_set(self, run: Run) -> None:
        told = run("status", "--verbose").err
        assert "lock_timeout = 60.0 (default)" in told
        assert "None" not in told

    def test_verbose_tells_the_sources_without_secrets(self, run: Run) -> None:
        assert (
            "uri = mongodb://app:***@h/ (alembic-style.ini [goaime-migrate])"
            in run("status", "--verbose").err
        )


ASKING: list[tuple[tuple[str, ...], str, dict[str, Any]]] = [
    (("down",), "down", {"on_conflict": OnConflict.KEEP}),
    (("stamp", "0001"), "stamp", {"dry_run": False}),
    (("repair",), "repair", {"dry_run": False}),
    (("unlock", "--force"), "unlock", {"force": True}),
]


@pytest.mark.parametrize(("words", "method", "named"), ASKING, ids=[row[1] for row in ASKING])
class TestConfirmation:
    def did(self, migrator: Fake, method: str, named: dict[str, Any]) -> bool:
        return any(call[0] == method and call[2] == named for call in migrator.calls)

    def test_nobody_there_is_9(
        self, run: Run, migrator: Fake, words: tuple[str, ...], method: str, named: dict[str, Any]
    ) -> None:
        ended = run(*words, "--json")
        assert ended.status == 9
        assert ended.json["error"]["code"] == "GM802"
        assert "--yes" in ended.err
        assert not self.did(migrator, method, named)

    def test_yes_does_not_ask(
        self, run: Run, migrator: Fake, words: tuple[str, ...], method: str, named: dict[str, Any]
    ) -> None:
        ended = run(*words, "--yes")
        assert ended.status == 0
        assert "[y/N]" not in ended.err
        assert self.did(migrator, method, named)

    @pytest.mark.parametrize(("typed", "status"), [("y\n", 0), ("YES\n", 0), ("n\n", 9), ("\n", 9), ("", 9)])
    def test_what_is_typed_decides(
        self,
        run: Run,
        migrator: Fake,
        answer: Callable[[str], None],
        *,
        words: tuple[str, ...],
        method: str,
        named: dict[str, Any],
        typed: str,
        status: int,
    ) -> None:
        answer(typed)
        ended = run(*words)
        assert ended.status == status
        assert "[y/N]" in ended.err
        assert "0001" in ended.err or "deploy" in ended.err
        assert self.did(migrator, method, named) is (status == 0)

    def test_nothing_to_do_asks_nothing(
        self, run: Run, migrator: Fake, words: tuple[str, ...], method: str, named: dict[str, Any]
    ) -> None:
        nothing = {
            "plan": planned(Direction.DOWN, message="nothing is applied"),
            "stamp": StampResult(()),
            "repair": RepairResult((), ()),
            "unlock": UnlockResult(None, ended=False),
        }
        migrator.answers.update(nothing)
        ended = run(*words)
        assert ended.status == 0
        assert "[y/N]" not in ended.err


@pytest.mark.parametrize(
    "words", [("up", "--yes"), ("unlock",), ("stamp", "1", "--dry-run"), ("repair", "--dry-run")]
)
def test_these_never_ask(run: Run, words: tuple[str, ...]) -> None:
    assert run(*words).status == 0
