"""Several databases of one server, or of one dump: each has its turn, and what fails in one stops no other."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pymongo.monitoring import CommandListener, CommandStartedEvent

from goaime_migrate import Databases, Migrator, Settings, cli, errors
from goaime_migrate.backends.server import connect
from goaime_migrate.backends.server.client import SharedClient
from goaime_migrate.cli.signals import StoppedInRun
from goaime_migrate.events import BatchCommitted, DatabaseStarted, Event
from goaime_migrate.results import RunResult
from tests.conftest import EMBEDDED, Backend
from tests.servers import Kind, ReplicaSet
from tests.unit.command_line import Ended
from tests.world import World

DOUBLE = """
    from goaime_migrate import TransformDocuments


    def double(document):
        document["twice"] = 2 * document["n"]


    operations = [TransformDocuments("c", double)]
"""
NAMES = ("a", "b", "c")
everywhere = pytest.mark.parametrize("backend", [EMBEDDED, Kind.REPLICA_SET], indirect=True, ids=str)
on_a_dump = pytest.mark.parametrize("backend", [EMBEDDED], indirect=True, ids=str)
Call = Callable[..., Ended]


@dataclass(frozen=True)
class Shops:
    """Databases of one prefix, each with a document, and one more that the prefix does not match."""

    prefix: str
    worlds: dict[str, World]
    folder: Path

    @property
    def names(self) -> list[str]:
        return [self.prefix + name for name in self.worlds]

    @property
    def pattern(self) -> str:
        return f"{self.prefix}[a-z]"

    def settings(self, *databases: str, **more: Any) -> Settings:
        some = next(iter(self.worlds.values()))
        return Settings(uri=some.uri, databases=databases or (self.pattern,), migrations=self.folder, **more)

    def spoil(self, name: str) -> None:
        self.worlds[name].insert("c", [{"_id": "bad"}])

    def states(self) -> list[str]:
        return [state for world in self.worlds.values() for state in world.states()]


@pytest.fixture
def shops(backend: Backend, tmp_path: Path) -> Iterator[Shops]:
    folder = tmp_path / "migrations"
    prefix = f"{backend.database}_"
    made = {name: World(backend.kind, backend.uri, prefix + name, folder) for name in NAMES}
    for world in made.values():
        world.insert("c", [{"_id": 1, "n": 1}])
    other = World(backend.kind, backend.uri, f"{prefix}other", folder)
    other.insert("c", [{"_id": 1, "n": 1}])
    other.write("0001_double.py", DOUBLE)
    yield Shops(prefix, made, folder)
    assert other.documents("c") == [{"_id": 1, "n": 1}]
    if not other.embedded:
        with other.client() as client:
            for world in (*made.values(), other):
                client.drop_database(world.database)


@pytest.fixture
def call(
    shops: Shops, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Call:
    """The command line, on these databases; without a terminal."""
    some = shops.worlds["a"]
    (tmp_path / "alembic-style.ini").write_text(
        f"[goaime-migrate]\nuri = {some.uri}\nmigrations = {some.folder}\ndatabase = {shops.pattern}\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", None)

    def run(*words: str) -> Ended:
        status = cli.main(words)
        return Ended(status, *capsys.readouterr())

    return run


# --- the library ---------------------------------------------------------------------------------------------------


@everywhere
def test_each_has_its_turn_and_one_that_fails_stops_no_other(shops: Shops) -> None:
    shops.spoil("b")
    heard: list[Event] = []
    with Databases(shops.settings(), heard.append) as databases:
        assert databases.names == tuple(shops.names)
        found = databases.each(lambda migrator: migrator.up())
    assert [each.database for each in found.databases] == shops.names
    assert [each.database for each in found.failed] == [shops.names[1]]
    assert found.not_begun == ()
    assert shops.states() == ["applied", "failed", "applied"]
    assert [e for e in heard if isinstance(e, DatabaseStarted)] == [
        DatabaseStarted(name, number, 3) for number, name in enumerate(shops.names, 1)
    ]
    error = found.error
    assert isinstance(error, errors.TransformFailed)
    assert error.message.startswith(f"{shops.names[1]}: double raised KeyError")
    assert error.message.endswith("(1 of 3 databases)")
    assert error.hint.endswith(f"goaime-migrate up --database {shops.names[1]}")
    assert (error.exit_code, error.id, error.version) == (1, "bad", "0001")


@on_a_dump
@pytest.mark.parametrize(
    ("choice", "states"),
    [
        ({"fail_fast": True}, ["applied", "failed", "pending"]),
        ({"first": "b"}, ["pending", "failed", "pending"]),
        ({"first": "c"}, ["applied", "failed", "applied"]),
    ],
)
def test_who_is_not_begun_is_named(shops: Shops, choice: dict[str, Any], states: list[str]) -> None:
    shops.spoil("b")
    given = {key: shops.prefix + value if key == "first" else value for key, value in choice.items()}
    with Databases(shops.settings()) as databases:
        found = databases.each(lambda migrator: migrator.up(), **given)
    assert shops.states() == states
    pending = [name for name, state in zip(shops.names, states, strict=True) if state == "pending"]
    assert list(found.not_begun) == pending


@everywhere
def test_names_stand_for_themselves_in_their_order_and_once(shops: Shops) -> None:
    a, b, c = shops.names
    with Databases(shops.settings(c, f"{shops.prefix}[ab]", a)) as databases:
        assert databases.names == (c, a, b)
    with Databases(shops.settings(b, "not_there")) as databases:
        assert databases.names == (b, "not_there")
        with pytest.raises(errors.UsageError, match="other is none of the databases"):
            databases.each(lambda migrator: migrator.status(), first="other")


@everywhere
def test_a_pattern_matches_no_database_of_the_server_s_own_and_no_copy(shops: Shops) -> None:
    a = shops.worlds["a"]
    copy = World(a.kind, a.uri, f"{a.database}_rehearsal_1", a.folder)
    copy.insert("c", [{"_id": 1}])
    try:
        with Databases(shops.settings("*")) as databases:
            names = set(databases.names)
        assert names >= {*shops.names, f"{shops.prefix}other"}
        assert not names & {"admin", "config", "local", copy.database}
        with Databases(shops.settings(copy.database, "*")) as databases:
            assert copy.database in databases.names
    finally:
        if not copy.embedded:
            with copy.client() as client:
                client.drop_database(copy.database)


@everywhere
def test_a_pattern_that_matches_nothing_is_refused_with_what_there_is(shops: Shops) -> None:
    with (
        Databases(shops.settings("nowhere_*", shops.names[0])) as databases,
        pytest.raises(errors.UsageError, match=r"no database matches nowhere_\*") as caught,
    ):
        databases.each(lambda migrator: migrator.up())
    assert caught.value.hint.startswith("there is ")


@everywhere
def test_a_migrator_is_about_one(shops: Shops) -> None:
    with Migrator(shops.settings()) as migrator:
        assert migrator.lint().problems == ()
        for work in (migrator.status, migrator.up, migrator.history, lambda: migrator.throttle(paused=True)):
            with pytest.raises(errors.UsageError, match="one database at a time"):
                work()


@everywhere
def test_an_interrupt_ends_the_run_and_begins_no_other(shops: Shops) -> None:
    for world in shops.worlds.values():
        world.insert("c", [{"_id": i, "n": i} for i in range(2, 9)])

    def stop(event: Event) -> None:
        if isinstance(event, BatchCommitted):
            databases.interrupt(signal.SIGINT)

    with Databases(shops.settings(batch_size=2), stop) as databases:
        found = databases.each(lambda migrator: migrator.up())
    assert found.error is not None
    assert found.error.exit_code == 130
    assert [each.database for each in found.databases] == shops.names[:1]
    assert list(found.not_begun) == shops.names[1:]
    with Databases(shops.settings()) as databases:
        databases.interrupt(signal.SIGTERM)
        found = databases.each(lambda migrator: migrator.up())
    assert found.error is not None
    assert (found.error.exit_code, len(found.not_begun)) == (143, 2)


def test_those_at_head_cost_a_look_each_over_one_pool(
    replica_set: ReplicaSet, database_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"{database_name}_{n:02}" for n in range(10)]
    settings = Settings(uri=replica_set.uri, databases=tuple(names), migrations=tmp_path)
    (tmp_path / "0001_nothing.py").write_text("operations = []")
    commands: list[tuple[str, str]] = []

    class Listener(CommandListener):
        def started(self, event: CommandStartedEvent) -> None:
            commands.append((event.database_name, event.command_name))

        def succeeded(self, event: object) -> None:
            pass

        def failed(self, event: object) -> None:
            pass

    clients: list[SharedClient] = []

    class Counted(SharedClient):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options, event_listeners=[Listener()])
            clients.append(self)

    try:
        with Databases(settings) as databases:
            assert databases.each(lambda migrator: migrator.up()).error is None
        monkeypatch.setattr(connect, "SharedClient", Counted)
        with Databases(settings) as databases:
            assert databases.each(lambda migrator: migrator.up()).error is None
        assert len(clients) == 1
        with pytest.raises(Exception, match="after close"):
            clients[0].admin.command("ping")
        for name in names:
            assert [command for database, command in commands if database == name] == ["find", "find"]
        assert len([c for database, c in commands if database == "admin" and c == "hello"]) <= 1
    finally:
        for name in names:
            replica_set.client.drop_database(name)


# --- the command line ------------------------------------------------------------------------------------------------


@everywhere
def test_one_value_with_the_value_of_each(shops: Shops, call: Call) -> None:
    shops.spoil("b")
    ended = call("up", "--json")
    value = ended.json
    assert set(value) == {"databases", "not_begun", "error"}
    assert list(value["databases"]) == shops.names
    assert [each["applied"] for each in value["databases"].values()] == [["0001"], [], ["0001"]]
    assert [each["failed"] for each in value["databases"].values()] == [None, "0001", None]
    assert (ended.status, value["error"]["code"]) == (1, "GM301")
    assert value["databases"][shops.names[1]]["error"]["code"] == "GM301"


@everywhere
def test_all_that_take_several(shops: Shops, call: Call) -> None:
    for command in ("status", "plan", "up", "verify", "sweep", "prune --keep 30d", "plan --down", "doctor"):
        value = call(*command.split(), "--json").json
        assert list(value["databases"]) == shops.names, command
        assert value["error"] is None, command
        one = call(*command.split(), "--json", "--database", shops.names[0]).json
        assert set(one) == set(value["databases"][shops.names[0]]), command
    assert call("status", "--check").status == 0


@everywhere
def test_prune_shows_all_and_asks_once(shops: Shops, call: Call) -> None:
    call("up")
    asked = call("prune", "--keep", "0d")
    assert asked.status == 9, "nobody is there to answer"
    assert asked.err.count("delete this for good?") <= 1
    value = call("prune", "--keep", "0d", "--yes", "--json").json
    assert [each["pruned"] for each in value["databases"].values()] == [["0001"]] * 3
    assert call("down", "--yes").status == 9


@on_a_dump
@pytest.mark.parametrize(
    "command",
    ["history", "blame c 1", "wait --timeout 0", "try 1 --where {}", "rehearse", "stamp 1 --yes", "repair", "unlock",
     "throttle --pause", "status --watch", "plan --format markdown"],
)  # fmt: skip
def test_all_that_take_one_refuse_several(shops: Shops, call: Call, command: str) -> None:
    ended = call(*command.split())
    assert ended.status == 2
    assert "choose one: --database NAME" in ended.err
    assert shops.states() == ["pending"] * 3


@on_a_dump
def test_a_pattern_that_matches_one_still_has_databases(shops: Shops, call: Call) -> None:
    assert (
        list(call("status", "--json", "--database", f"{shops.prefix}[a]").json["databases"])
        == shops.names[:1]
    )


@on_a_dump
def test_one_that_matches_none_is_2_with_no_database(shops: Shops, call: Call) -> None:
    ended = call("up", "--json", "--database", "nowhere_*")
    assert (ended.status, ended.json["databases"], ended.json["error"]["code"]) == (2, {}, "GM100")
    assert call("up", "--first", "nobody").status == 2


WAYS = {
    "status": "status", "plan": "plan", "up": "up", "up --dry-run": "plan", "down": "plan", "down --yes": "down",
    "verify": "verify", "sweep": "sweep", "doctor": "doctor", "prune --keep 0d": "prune",
}  # fmt: skip
"""Commands that take several, each with what it calls first."""


@on_a_dump
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(("command", "method"), WAYS.items())
def test_stopped_at_once_it_tells_what_came_of_those_before(
    shops: Shops, call: Call, monkeypatch: pytest.MonkeyPatch, command: str, method: str, signum: int
) -> None:
    assert call("up").status == 0
    a, b, c = shops.names
    usual = getattr(Migrator, method)

    def stopped(self: Migrator, *given: Any, **named: Any) -> Any:
        result = usual(self, *given, **named)
        if self._sources.database == b:
            raise StoppedInRun(signum, "")
        return result

    monkeypatch.setattr(Migrator, method, stopped)
    ended = call(*command.split(), "--json")
    assert (ended.status, ended.json["error"]["code"]) == (128 + signum, "GM901"), ended.err
    assert {name: each["error"] and each["error"]["code"] for name, each in ended.json["databases"].items()} == {
        a: None, b: "GM901"
    }  # fmt: skip
    assert ended.json["not_begun"] == [c]
    assert "of 3 databases, 1 not begun" in ended.err


@on_a_dump
@pytest.mark.parametrize("command", WAYS)
@pytest.mark.parametrize(
    ("words", "status"),
    [
        ("--uri nonsense", 2),
        ("--env nowhere", 2),
        ("--config nowhere.ini --database a --database b", 2),
        ("--config nowhere.ini --database=t_*", 2),
        ("--bogus --database a --database b", 2),
        ("--bogus", 2),
        ("--uri mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=50", 8),
    ],
)
def test_what_fails_before_they_are_known_has_databases_too(
    shops: Shops, call: Call, command: str, words: str, status: int
) -> None:
    ended = call(*command.split(), *words.split(), "--json")
    assert ended.status == status, ended.err
    assert (ended.json["databases"], ended.json["not_begun"]) == ({}, [])
    assert ended.json["error"]["code"] in ended.err
    assert shops.states() == ["pending"] * 3


@on_a_dump
def test_where_nobody_is_there_to_answer_it_has_databases_too(shops: Shops, call: Call) -> None:
    call("up")
    for command in ("down", "prune --keep 0d"):
        ended = call(*command.split(), "--json")
        assert (ended.status, ended.json["databases"], ended.json["error"]["code"]) == (9, {}, "GM802")
    one = call("down", "--json", "--database", shops.names[0])
    assert (one.status, "databases" in one.json) == (9, False)
    assert "databases" not in call("history", "--json", "--uri", "nonsense").json


def said(ended: Ended) -> Sequence[str]:
    return ended.out.splitlines()


@on_a_dump
def test_a_line_for_each_and_one_for_all(shops: Shops, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    shops.spoil("c")
    lines = said(call("up"))
    assert [line.split()[:2] for line in lines[1:3]] == [[name, "applied"] for name in shops.names[:2]]
    assert lines[3].startswith(f"! {shops.names[2]}: GM301 double raised KeyError")
    assert lines[-1] == "3 databases: 1 failed"
    monkeypatch.setattr("goaime_migrate.render.databases._APART", 1)
    assert said(call("status"))[1] == f"{shops.names[0]} and 1 more  at 0001"
    whole = call("status", "--verbose").out
    assert whole.count("up to date at 0001") == 2


@on_a_dump
def test_the_exit_is_that_of_the_first_that_failed(shops: Shops, call: Call) -> None:
    ended = call("status", "--check", "--json")
    assert (ended.status, ended.json["error"]["code"]) == (3, "GM501")
    assert ended.json["error"]["message"].endswith("(3 of 3 databases)")
    assert ended.json["error"]["hint"] == "goaime-migrate up"


@on_a_dump
def test_down_asks_once_for_all(shops: Shops, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    assert call("up").status == 0
    refused = call("down")
    assert (refused.status, shops.states()) == (9, ["applied"] * 3)

    class Terminal:
        asked = 0

        def isatty(self) -> bool:
            return True

        def readline(self) -> str:
            self.asked += 1
            return "y\n"

    terminal = Terminal()
    monkeypatch.setattr("sys.stdin", terminal)
    ended = call("down")
    assert "take back these 3 versions in 3 databases? [y/N]" in ended.err
    assert (ended.status, terminal.asked, shops.states()) == (0, 1, ["pending"] * 3)
    assert call("down").status == 0  # nothing to do: nobody is asked
    assert terminal.asked == 1


@on_a_dump
def test_which_may_be_said_in_a_variable(shops: Shops, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOAIME_MIGRATE_DATABASE", f"{shops.names[2]}, {shops.prefix}[a]")
    assert list(call("status", "--json").json["databases"]) == [shops.names[2], shops.names[0]]
    monkeypatch.setenv("GOAIME_MIGRATE_DATABASE", shops.names[2])
    assert call("status", "--json").json["database"] == shops.names[2]
    flags = [word for name in shops.names[:2] for word in ("--database", name)]
    assert list(call("status", "--json", *flags).json["databases"]) == shops.names[:2]


@on_a_dump
def test_progress_says_which_of_how_many(shops: Shops, call: Call) -> None:
    err = call("up").err
    for number, name in enumerate(shops.names, 1):
        assert f"{name} ({number} of 3)" in err
    assert " of 3)" not in call("up").err


@on_a_dump
def test_a_result_is_a_value(shops: Shops) -> None:
    with Databases(shops.settings()) as databases:
        found = databases.each(lambda migrator: migrator.up())
    for each in found.databases:
        assert isinstance(each.result, RunResult)
        assert each.result.versions == ("0001",)
    assert json.dumps([each.database for each in found.databases])
