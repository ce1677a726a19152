"""Settings: where they come from, what wins, what is refused, and that no secret is ever shown."""

from __future__ import annotations

import json
import re
import time
import timeit
from collections.abc import Mapping
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus, unquote_plus

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from goaime_migrate.config import KEYS, Settings, load
from goaime_migrate.errors import InvalidConfiguration, InvalidUri, MigrateError
from goaime_migrate.redaction import hide, redact, redact_uri
from goaime_migrate.results import OnConflict


def settings(
    cwd: Path,
    ini: str | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    config: str | None = None,
    env: str | None = None,
    need_uri: bool = True,
    **flags: Any,
) -> Settings:
    if ini is not None:
        (cwd / "alembic-style.ini").write_text(ini, encoding="utf-8")
    return load(
        config=Path(config) if config else None,
        env=env,
        overrides=flags,
        cwd=cwd,
        environ=environ or {},
        need_uri=need_uri,
    )


MINIMAL = "[goaime-migrate]\nuri = mongodb://h/\n"


class TestPrecedence:
    def test_without_any_file_the_defaults_hold(self, tmp_path: Path) -> None:
        found = settings(tmp_path, uri="mongodb://h/")
        assert found.database is None
        assert found.migrations == tmp_path / "migrations"
        assert found.lock_timeout == 60
        assert found.on_conflict is OnConflict.KEEP
        assert found.config_file is None
        assert found.sources["uri"] == "--uri"
        assert found.sources["lock_timeout"] == "default"

    def test_the_file_then_the_environment_then_the_flag(self, tmp_path: Path) -> None:
        ini = MINIMAL + "workers = 1\nbatch_size = 1\nmax_rate = 1\n"
        environ = {"GOAIME_MIGRATE_BATCH_SIZE": "2", "GOAIME_MIGRATE_MAX_RATE": "2"}
        found = settings(tmp_path, ini, environ=environ, max_rate=3.0)
        assert (found.workers, found.batch_size, found.max_rate) == (1, 2, 3.0)
        assert found.sources["workers"] == "alembic-style.ini [goaime-migrate]"
        assert found.sources["batch_size"] == "GOAIME_MIGRATE_BATCH_SIZE"
        assert found.sources["max_rate"] == "--max-rate"

    def test_an_ini_hides_the_pyproject(self, tmp_path: Path) -> None:
        (tmp_path / "pyproject.toml").write_text("[tool.goaime-migrate]\nworkers = 9\n")
        assert settings(tmp_path, MINIMAL).workers is None

    def test_a_pyproject_with_our_table_is_read(self, tmp_path: Path) -> None:
        (tmp_path / "pyproject.toml").write_text('[tool.goaime-migrate]\nuri = "mongodb://h/"\nworkers = 9\n')
        found = settings(tmp_path)
        assert found.workers == 9
        assert found.sources["workers"] == "pyproject.toml [tool.goaime-migrate]"

    def test_a_pyproject_without_our_table_does_not_count(self, tmp_path: Path) -> None:
        (tmp_path / "pyproject.toml").write_text("[tool.ruff]\n")
        assert settings(tmp_path, uri="mongodb://h/").config_file is None

    def test_a_chosen_file_is_the_only_one_read(self, tmp_path: Path) -> None:
        (tmp_path / "other.ini").write_text(MINIMAL + "workers = 4\n")
        assert settings(tmp_path, MINIMAL + "workers = 1\n", config="other.ini").workers == 4

    @pytest.mark.parametrize("key", KEYS)
    def test_every_key_can_come_from_the_environment(self, tmp_path: Path, key: str) -> None:
        texts = {"uri": "mongodb://x/", "database": "d", "on_conflict": "stop", "migrations": "m"}
        value = {**texts, "executor": "processes", "records": "own"}.get(key, "1")
        environ = {f"GOAIME_MIGRATE_{key.upper()}": value}
        assert settings(tmp_path, MINIMAL, environ=environ).sources[key] == f"GOAIME_MIGRATE_{key.upper()}"

    def test_an_empty_variable_counts_as_not_set(self, tmp_path: Path) -> None:
        assert settings(tmp_path, MINIMAL, environ={"GOAIME_MIGRATE_URI": ""}).uri == "mongodb://h/"

    def test_an_unrelated_variable_with_our_prefix_is_nobodys_mistake(self, tmp_path: Path) -> None:
        settings(tmp_path, MINIMAL, environ={"GOAIME_MIGRATE_SERVICE_HOST": "10.0.0.1"})

    @pytest.mark.parametrize(
        "name", ["LOCKTIMEOUT", "LOCK_TIME_OUT", "URL", "WORKER", "BATCHSIZE", "Max_Lag"]
    )
    def test_a_variable_that_is_nearly_one_is_refused(self, tmp_path: Path, name: str) -> None:
        near = {"URL": "URI", "WORKER": "WORKERS", "BATCHSIZE": "BATCH_SIZE", "Max_Lag": "MAX_LAG"}
        with pytest.raises(InvalidConfiguration) as caught:
            settings(tmp_path, MINIMAL, environ={f"GOAIME_MIGRATE_{name}": "1"})
        assert caught.value.message == f"there is no variable GOAIME_MIGRATE_{name}"
        assert caught.value.hint == f"did you mean GOAIME_MIGRATE_{near.get(name, 'LOCK_TIMEOUT')}?"

    @pytest.mark.parametrize("name", ["TEST_URI", "SERVICE_PORT", "PORT", "TEST_CACHE", "TEST_DATABASE"])
    def test_a_variable_that_resembles_none_is_somebody_elses(self, tmp_path: Path, name: str) -> None:
        settings(tmp_path, MINIMAL, environ={f"GOAIME_MIGRATE_{name}": "1", "GOAIME_MIGRATE_URL": ""})


class TestDatabase:
    """Which database: the key, or the path of the connection string."""

    INI = MINIMAL + "database = mine\n[env:other]\nuri = mongodb://h/staging\n"

    @pytest.mark.parametrize(
        ("environ", "flags", "database", "source"),
        [
            ({}, {}, "mine", "alembic-style.ini [goaime-migrate]"),
            ({}, {"uri": "mongodb://x/theirs"}, "theirs", "--uri"),
            ({"URI": "mongodb://u:p%40@x:1,y:2/theirs?w=1"}, {}, "theirs", "GOAIME_MIGRATE_URI"),
            ({"URI": "mongodb://x/theirs"}, {"database": "flag"}, "flag", "--database"),
            ({"URI": "mongodb://x/theirs", "DATABASE": "var"}, {}, "var", "GOAIME_MIGRATE_DATABASE"),
            ({"DATABASE": "var"}, {"uri": "mongodb://x/theirs"}, "theirs", "--uri"),
            ({}, {"uri": "mongodb://x/th%65irs.users"}, "theirs", "--uri"),
            ({}, {"uri": "mongodb://x"}, "mine", "alembic-style.ini [goaime-migrate]"),
            ({}, {"uri": "mongodb://x/?w=1"}, "mine", "alembic-style.ini [goaime-migrate]"),
            ({}, {"uri": "mongodb://x/admin"}, "mine", "alembic-style.ini [goaime-migrate]"),
            ({}, {"uri": "mongodb://x/local"}, "mine", "alembic-style.ini [goaime-migrate]"),
            ({}, {"uri": "mongodb://x/config"}, "mine", "alembic-style.ini [goaime-migrate]"),
            ({}, {"uri": "mongodb://u:p/ss@x/theirs"}, "mine", "alembic-style.ini [goaime-migrate]"),
            ({}, {"uri": "mongodb://u:p/ss?w@x/theirs"}, "mine", "alembic-style.ini [goaime-migrate]"),
            ({}, {"uri": "dump:a/theirs"}, "mine", "alembic-style.ini [goaime-migrate]"),
        ],
    )
    def test_the_stronger_source_names_it(
        self, tmp_path: Path, environ: dict[str, str], flags: dict[str, Any], database: str, source: str
    ) -> None:
        variables = {f"GOAIME_MIGRATE_{name}": value for name, value in environ.items()}
        found = settings(tmp_path, self.INI, environ=variables, **flags)
        assert found.database == database
        assert found.sources["database"] == source

    def test_the_section_of_an_environment_is_stronger_than_the_common_one(self, tmp_path: Path) -> None:
        found = settings(tmp_path, self.INI, env="other")
        assert (found.database, found.sources["database"]) == ("staging", "alembic-style.ini [env:other]")

    def test_in_one_section_the_key_wins(self, tmp_path: Path) -> None:
        ini = "[goaime-migrate]\nuri = mongodb://h/theirs\ndatabase = mine\n"
        assert settings(tmp_path, ini).database == "mine"

    def test_where_no_key_names_one_the_path_does(self, tmp_path: Path) -> None:
        found = settings(tmp_path, uri="mongodb://h/admin")
        assert (found.database, found.sources["database"]) == ("admin", "--uri")


class TestEnvironments:
    INI = (
        MINIMAL + "workers = 1\nmax_lag = 2\n[env:production]\nuri = mongodb://p/\nworkers = 8\n[env:test]\n"
    )

    def test_a_section_overrides_what_it_names(self, tmp_path: Path) -> None:
        found = settings(tmp_path, self.INI, env="production")
        assert (found.uri, found.workers, found.max_lag, found.env) == ("mongodb://p/", 8, 2, "production")
        assert found.sources["workers"] == "alembic-style.ini [env:production]"
        assert found.sources["max_lag"] == "alembic-style.ini [goaime-migrate]"

    def test_it_works_in_pyproject_too(self, tmp_path: Path) -> None:
        text = '[tool.goaime-migrate]\nuri = "mongodb://h/"\n[tool.goaime-migrate.env.ci]\nworkers = 2\n'
        (tmp_path / "pyproject.toml").write_text(text)
        found = settings(tmp_path, env="ci")
        assert found.workers == 2
        assert found.sources["workers"] == "pyproject.toml [tool.goaime-migrate.env.ci]"

    def test_an_unknown_one_names_those_that_exist(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidConfiguration, match="no environment 'prod'") as error:
            settings(tmp_path, self.INI, env="prod")
        assert error.value.hint == "it has production, test"

    def test_without_a_file_there_is_none_to_choose(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidConfiguration, match="--env prod chooses a section"):
            settings(tmp_path, env="prod", uri="mongodb://h/")


class TestPaths:
    def test_those_in_the_file_count_from_its_folder(self, tmp_path: Path) -> None:
        (tmp_path / "conf").mkdir()
        (tmp_path / "conf" / "a.ini").write_text(
            "[goaime-migrate]\nuri = dump:demo/dump\nmigrations = steps\n"
        )
        found = settings(tmp_path, config="conf/a.ini")
        assert found.migrations == tmp_path / "conf" / "steps"
        assert found.uri == f"dump:{tmp_path / 'conf' / 'demo' / 'dump'}"

    def test_those_of_flags_and_variables_count_from_the_working_directory(self, tmp_path: Path) -> None:
        (tmp_path / "conf").mkdir()
        (tmp_path / "conf" / "a.ini").write_text(MINIMAL)
        environ = {"GOAIME_MIGRATE_MIGRATIONS": "steps"}
        found = settings(tmp_path, config="conf/a.ini", environ=environ, uri="dump:here")
        assert found.migrations == tmp_path / "steps"
        assert found.uri == f"dump:{tmp_path / 'here'}"

    def test_absolute_ones_stay(self, tmp_path: Path) -> None:
        assert settings(tmp_path, uri="dump:/srv/dump").uri == "dump:/srv/dump"

    def test_a_way_up_is_gone(self, tmp_path: Path) -> None:
        assert settings(tmp_path, uri="dump:a/../b").uri == f"dump:{tmp_path / 'b'}"


class TestExpansion:
    @pytest.mark.parametrize(
        ("written", "environ", "meant"),
        [
            ("mongodb://${HOST}/", {"HOST": "h"}, "mongodb://h/"),
            ("${A:-mongodb://h:27017/db}", {}, "mongodb://h:27017/db"),
            ("${A:-mongodb://h/}", {"A": "mongodb://a/"}, "mongodb://a/"),
            ("${A:-mongodb://h/}", {"A": ""}, "mongodb://h/"),
            ("${A:-${B:-mongodb://h/}}", {}, "mongodb://h/"),
            ("${A:-${B}}", {"A": "mongodb://a/"}, "mongodb://a/"),
            ("mongodb://u:$x%y%%z$$@h/", {"x": "no"}, "mongodb://u:$x%y%%z$$@h/"),
            ("mongodb://u:a%(b)s@h/", {}, "mongodb://u:a%(b)s@h/"),
            ("mongodb://u:${P}@h/", {"P": "${Q}%(here)s${"}, "mongodb://u:${Q}%(here)s${@h/"),
            ("mongodb://u:a#b;c@h/", {}, "mongodb://u:a#b;c@h/"),
            ("mongodb://u:${-x}@h/", {}, "mongodb://u:${-x}@h/"),
        ],
    )
    def test_references(self, tmp_path: Path, written: str, environ: dict[str, str], meant: str) -> None:
        assert settings(tmp_path, f"[goaime-migrate]\nuri = {written}\n", environ=environ).uri == meant

    def test_here_is_the_folder_of_the_file(self, tmp_path: Path) -> None:
        found = settings(tmp_path, "[goaime-migrate]\nuri = ${X:-dump:%(here)s/dump}\n")
        assert found.uri == f"dump:{tmp_path.resolve() / 'dump'}"

    def test_an_unset_variable_is_named_with_key_and_file(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidConfiguration) as error:
            settings(tmp_path, "[goaime-migrate]\nuri = ${MONGO}\n")
        assert error.value.message == (
            "uri needs the variable MONGO, which is not set (alembic-style.ini [goaime-migrate])"
        )
        assert error.value.hint == "set MONGO, or write ${MONGO:-default}"

    def test_an_unset_variable_does_not_matter_where_a_flag_wins(self, tmp_path: Path) -> None:
        found = settings(tmp_path, "[goaime-migrate]\nuri = ${MONGO}\n", uri="mongodb://h/")
        assert found.uri == "mongodb://h/"

    def test_nor_where_no_uri_is_needed(self, tmp_path: Path) -> None:
        assert settings(tmp_path, "[goaime-migrate]\nuri = ${MONGO}\n", need_uri=False).uri == ""

    def test_flags_and_variables_are_taken_as_they_are(self, tmp_path: Path) -> None:
        assert settings(tmp_path, uri="mongodb://u:${P}@h/").uri == "mongodb://u:${P}@h/"

    def test_an_open_brace_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidConfiguration, match="never closed"):
            settings(tmp_path, "[goaime-migrate]\nuri = ${A:-x\n")


INI = "alembic-style.ini"
HERE = f"{INI} [goaime-migrate]"
SECTIONS = "the sections are [goaime-migrate] and [env:NAME]"
LINES = "values stand under [goaime-migrate], comments begin with # or ;"
NO_URI = "goaime-migrate init writes a configuration; or --uri mongodb://HOST, or --uri dump:PATH"
NO_INTEGER = "it should be a whole number"


class TestSeveralDatabases:
    @pytest.mark.parametrize(
        ("written", "one", "several"),
        [
            ("shop", "shop", ()),
            ("shop,", "shop", ()),
            ("shop, shop", "shop", ()),
            ("b, a", None, ("b", "a")),
            ("shop, tenant_*", None, ("shop", "tenant_*")),
            ("tenant_*", None, ("tenant_*",)),
            ("tenant_[12]", None, ("tenant_[12]",)),
            ("tenant_?", None, ("tenant_?",)),
            (" , ", None, ()),
        ],
    )
    @pytest.mark.parametrize("where", ["ini", "variable"])
    def test_a_comma_separates_and_a_pattern_is_always_several(
        self, tmp_path: Path, written: str, one: str | None, several: tuple[str, ...], where: str
    ) -> None:
        ini = MINIMAL + (f"database = {written}\n" if where == "ini" else "")
        found = settings(
            tmp_path, ini, environ={"GOAIME_MIGRATE_DATABASE": written} if where == "variable" else {}
        )
        assert (found.database, found.databases) == (one, several)

    def test_a_flag_is_repeated_or_has_commas_too(self, tmp_path: Path) -> None:
        ini = MINIMAL + "database = other_*\n"
        found = settings(tmp_path, ini, database=["a, b", "c"])
        assert (found.database, found.databases) == (None, ("a", "b", "c"))
        assert found.sources["database"] == "--database"
        assert settings(tmp_path, ini, database=["a,b"]).databases == ("a", "b")
        assert settings(tmp_path, ini, database=["a,"]).database == "a"

    def test_the_path_of_a_stronger_connection_string_wins_over_all_of_them(self, tmp_path: Path) -> None:
        ini = MINIMAL + "database = a, b\n"
        found = settings(tmp_path, ini, environ={"GOAIME_MIGRATE_URI": "mongodb://h/mine"})
        assert (found.database, found.databases) == ("mine", ())

    def test_a_list_in_the_pyproject(self, tmp_path: Path) -> None:
        file = tmp_path / "pyproject.toml"
        file.write_text('[tool.goaime-migrate]\nuri = "mongodb://h"\ndatabase = ["a", "b_*"]\n')
        assert settings(tmp_path).databases == ("a", "b_*")
        file.write_text('[tool.goaime-migrate]\nuri = "mongodb://h"\ndatabase = 5\n')
        with pytest.raises(InvalidConfiguration, match="a name, or a list of names"):
            settings(tmp_path)

    def test_a_name_among_them_that_none_can_have(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidConfiguration, match=r"database = a, b/c: a database name has") as error:
            settings(tmp_path, MINIMAL + "database = a, b/c\n")
        assert error.value.hint == f"mend database in {HERE}"


NO_NAME = 'a database name has 1 to 63 characters, and none of /\\. "$*<>:|?'

REFUSED: list[tuple[str, str, str]] = [
    (
        "[goaime-migrate]\nlock_timout = 1\n",
        f"{HERE} has an unknown key lock_timout",
        "did you mean lock_timeout?",
    ),
    (MINIMAL + "[env:x]\nworker = 1\n", f"{INI} [env:x] has an unknown key worker", "did you mean workers?"),
    (MINIMAL + "[goaime]\n", f"{INI} has an unknown section [goaime]", SECTIONS),
    (MINIMAL + "[env:]\n", f"{INI} has an unknown section [env:]", SECTIONS),
    (MINIMAL + "[DEFAULT]\n", f"{INI} has an unknown section [DEFAULT]", SECTIONS),
    (MINIMAL + "uri = x\n", f"{INI}, line 3: the key uri is in [goaime-migrate] twice", "remove one"),
    (
        MINIMAL + "[goaime-migrate]\n",
        f"{INI}, line 3: the section [goaime-migrate] is there twice",
        "join the two",
    ),
    (MINIMAL + "nonsense\n", f"{INI}, line 3: neither a [section] nor a key = value", LINES),
    ("uri = x\n", f"{INI}, line 1: neither a [section] nor a key = value", LINES),
    (
        MINIMAL + "  workers = 1\n",
        f"uri runs on into another line ({HERE})",
        "indented lines continue a value",
    ),
    (MINIMAL + "workers = many\n", f"workers = many: {NO_INTEGER} ({HERE})", f"mend workers in {HERE}"),
    (
        MINIMAL + "workers = 0\n",
        f"workers = 0: it should be greater than or equal to 1 ({HERE})",
        f"mend workers in {HERE}",
    ),
    (
        MINIMAL + "max_rate = 1e19\n",
        f"max_rate = 1e19: it should be at most 1,000,000,000 ({HERE})",
        f"mend max_rate in {HERE}",
    ),
    (
        MINIMAL + "max_lag = nan\n",
        f"max_lag = nan: it should be a finite number ({HERE})",
        f"mend max_lag in {HERE}",
    ),
    (MINIMAL + "database = ../x\n", f"database = ../x: {NO_NAME} ({HERE})", f"mend database in {HERE}"),
    ("[goaime-migrate]\n", f"no uri, so no database: {INI} has none", NO_URI),
    ("[goaime-migrate]\nuri =\n", f"no uri, so no database: {HERE} leaves it empty", NO_URI),
]


class TestRefused:
    @pytest.mark.parametrize(("ini", "message", "hint"), REFUSED, ids=[row[1][:60] for row in REFUSED])
    def test_mistakes_in_the_ini(self, tmp_path: Path, ini: str, message: str, hint: str) -> None:
        with pytest.raises(InvalidConfiguration) as error:
            settings(tmp_path, ini)
        assert (error.value.message, error.value.hint) == (message, hint)
        assert error.value.exit_code == 2

    @pytest.mark.parametrize(
        ("toml", "message"),
        [
            ("[tool.goaime-migrate]\nwrokers = 1\n", "unknown key wrokers"),
            ("[tool.goaime-migrate\n", "pyproject.toml is not TOML: .*line 1"),
            ("[tool]\ngoaime-migrate = 1\n", "must be tables"),
            ("[tool.goaime-migrate]\nenv = 1\n", "must be tables"),
            ('[tool.goaime-migrate]\nuri = "mongodb://h"\nworkers = [1]\n', "workers = .1.: it should be"),
            ("[tool.goaime-migrate]\nuri = 5\n", "uri: it should be a valid string"),
        ],
    )
    def test_mistakes_in_the_pyproject(self, tmp_path: Path, toml: str, message: str) -> None:
        (tmp_path / "pyproject.toml").write_text(toml)
        with pytest.raises(InvalidConfiguration, match=message):
            settings(tmp_path)

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidConfiguration, match=r"nope\.ini does not exist"):
            settings(tmp_path, config="nope.ini")

    def test_a_chosen_pyproject_without_our_table(self, tmp_path: Path) -> None:
        (tmp_path / "p.toml").write_text("")
        with pytest.raises(InvalidConfiguration, match=r"no table \[tool.goaime-migrate\]"):
            settings(tmp_path, config="p.toml")

    def test_a_file_that_is_not_utf_8(self, tmp_path: Path) -> None:
        (tmp_path / "alembic-style.ini").write_bytes(b"\xff\xfe\x00")
        with pytest.raises(InvalidConfiguration, match="it is not UTF-8"):
            settings(tmp_path)

    @pytest.mark.parametrize(
        "uri", ["postgres://u:secret@h/", "localhost:27017", "mongodb:/u:secret@h", "dump:", "x"]
    )
    def test_other_schemes(self, tmp_path: Path, uri: str) -> None:
        with pytest.raises(InvalidUri) as error:
            settings(tmp_path, uri=uri)
        assert "secret" not in error.value.message
        assert "dump:PATH" in error.value.hint

    def test_a_byte_order_mark_is_none(self, tmp_path: Path) -> None:
        (tmp_path / "alembic-style.ini").write_text(MINIMAL, encoding="utf-8-sig")
        assert settings(tmp_path).uri == "mongodb://h/"


def test_settings_are_a_value_that_hides_its_uri() -> None:
    found = Settings(uri="mongodb://u:secret@h/")
    assert "secret" not in f"{found!r} {found}"
    with pytest.raises(FrozenInstanceError):
        found.workers = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("key", "written", "meant"),
    [
        ("workers", " 3 ", 3),
        ("workers", "2.0", 2),
        ("batch_size", "1_000", 1000),
        ("lint_after", 0, 0),
        ("lock_timeout", "0", 0.0),
        ("max_lag", 2, 2.0),
        ("max_rate", "1e3", 1000.0),
        ("allow_untested_topology", "Yes", True),
        ("allow_untested_topology", "off", False),
        ("allow_untested_topology", 0, False),
        ("on_conflict", "stop", OnConflict.STOP),
        ("migrations", "steps", Path("steps")),
        ("prepend_sys_path", ["a", Path("b")], (Path("a"), Path("b"))),
        ("databases", ["a", "b_*"], ("a", "b_*")),
        ("executor", "dask:tcp://h:1", "dask:tcp://h:1"),
        ("database", None, None),
    ],
)
def test_what_is_written_is_taken_for_what_it_means(key: str, written: Any, meant: object) -> None:
    found = getattr(Settings(**{key: written}), key)
    assert (type(found), found) == (type(meant), meant)


@pytest.mark.parametrize(
    ("key", "written", "should"),
    [
        ("workers", "2.5", "it should be a whole number"),
        ("workers", [1], "it should be a whole number"),
        ("workers", True, "it should be a whole number"),
        ("workers", "9" * 400, "it should be a finite number"),
        ("workers", 10**400, "it should be a whole number"),
        ("batch_size", "-1", "it should be greater than or equal to 1"),
        ("lock_timeout", "soon", "it should be a number"),
        ("lock_timeout", "inf", "it should be a finite number"),
        ("max_rate", 0, "it should be greater than 0"),
        ("allow_untested_topology", "perhaps", "it should be true or false"),
        ("on_conflict", "KEEP", "it should be 'keep', 'restore' or 'stop'"),
        ("migrations", 5, "it should be a path"),
        ("prepend_sys_path", "a", "it should be a list"),
        ("uri", 5, "it should be a valid string"),
        ("env", 5, "it should be a valid string"),
        ("executor", "threads", "it should be processes, or dask:tcp://HOST:PORT"),
        ("database", "a*", "a database name has 1 to 63 characters"),
        ("database", "x" * 64, "a database name has 1 to 63 characters"),
        ("databases", ("a", ""), "a database name has 1 to 63 characters"),
    ],
)
def test_what_a_setting_cannot_be_is_a_value_error_that_names_it(key: str, written: Any, should: str) -> None:
    with pytest.raises(ValueError, match=f"^{key}: {re.escape(should)}"):
        Settings(**{key: written})


def test_settings_arrive_in_another_process_as_they_are() -> None:
    found = Settings(
        uri="mongodb://u:secret@h/",
        databases=("a_*",),
        migrations=Path("m"),
        prepend_sys_path=(Path("p"), Path("q")),
        on_conflict=OnConflict.STOP,
        max_rate=1.5,
        config_file=Path("c.ini"),
        sources={"uri": "--uri"},
    )
    assert Settings(**json.loads(json.dumps(found.record()))) == found


def test_a_database_may_be_called_as_no_setting_could_say_where_a_server_has_it_so() -> None:
    settings = Settings(uri="mongodb://h/", databases=("a*",))
    found = settings.at(database="a*b", databases=())
    assert (found.database, found.databases, found.uri) == ("a*b", (), "mongodb://h/")
    assert settings.database is None


def test_no_error_of_a_broken_file_quotes_a_line_with_a_password(tmp_path: Path) -> None:
    for line in ("mongodb_u_secret", "uri mongodb//u_secret", "[goaime-migrate\nuri = secret"):
        with pytest.raises(MigrateError) as error:
            settings(tmp_path, line)
        assert "secret" not in f"{error.value} {error.value.hint} {error.value.detail}"


class TestRedact:
    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("mongodb://u:p@h:27017/db", "mongodb://u:***@h:27017/db"),
            ("mongodb+srv://u:p@h/?a=b", "mongodb+srv://u:***@h/?a=b"),
            ("at mongodb://u:p@ss@h/ and", "at mongodb://u:***@h/ and"),
            ("mongodb://u:p/a?b#c@h1,h2/db", "mongodb://u:***@h1,h2/db"),
            ("mongodb://u:p w@h mongodb://x:y@z", "mongodb://u:***@h mongodb://x:***@z"),
            ("mongodb://user:secret", "mongodb://user:***"),
            ("mongodb:/u:p@h", "mongodb:/u:***@h"),
            ("MONGODB://u:p@h", "MONGODB://u:***@h"),
            ("mongodb://:p@[::1]:27017/", "mongodb://:***@[::1]:27017/"),
            ("postgres://u:p@h", "postgres://u:***@h"),
            ("x?tlsCertificateKeyFilePassword=a b&w=1", "x?tlsCertificateKeyFilePassword=***&w=1"),
            ("?authMechanismProperties=AWS_SESSION_TOKEN:a,X:b&w=1", "?authMechanismProperties=***&w=1"),
            ("{'AWS_SESSION_TOKEN': 'abc', 'x': 1}", "{'AWS_SESSION_TOKEN': '***', 'x': 1}"),
        ],
    )
    def test_secrets_go(self, text: str, shown: str) -> None:
        assert redact(text) == shown
        assert redact(shown) == shown

    @pytest.mark.parametrize(
        "text",
        [
            "mongodb://h:27017/db?replicaSet=rs0",
            "mongodb://[::1]:27017,h2:27018/",
            "mongodb://u@h:27017/",
            "no answer from mongodb://localhost:27017, says bob@example.com",
            "mongodb+srv://cluster0.abc.mongodb.net/?retryWrites=true",
            "dump:demo/dump",
            "neither a valid mongodb:// URI nor dump:PATH.",
            "none of mongodb://, mongodb+srv://, dump: (--uri)",
            "mail a@b: done",
        ],
    )
    def test_the_rest_stays(self, text: str) -> None:
        assert redact(text) == text

    @given(
        password=st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), min_size=1, max_size=24),
        user=st.text("abcxyz09._-", max_size=6),
        scheme=st.sampled_from(["mongodb://", "mongodb+srv://"]),
        before=st.sampled_from(["", "cannot reach ", "uri='"]),
        after=st.sampled_from(["", "/db?w=1", ":27017/?x=y: refused", " is down"]),
    )
    @example(password="1/x", user="u", scheme="mongodb://", before="", after="/db?w=1")
    @example(password="1,2", user="u", scheme="mongodb://", before="", after="")
    @example(password=" ", user="u", scheme="mongodb://", before="", after="")
    @example(password="@@/@:@", user="", scheme="mongodb://", before="", after=" is down")
    def test_no_password_is_ever_shown(
        self, password: str, user: str, scheme: str, before: str, after: str
    ) -> None:
        # A port number followed by a space cannot be told from a host and a port.
        assume(not re.match(r"\d{1,5}[,;.:'\")\]>}]*\s", password))
        marked = f"Q{password}Q"
        for secret in (marked, password):
            text = f"{before}{scheme}{user}:{secret}@host{after}"
            assume(not secret.startswith("***@"))
            hidden = redact(text)
            assert hidden == f"{before}{scheme}{user}:***@host{after}"

    @given(st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=30))
    def test_redact_uri_shows_nothing_behind_an_unknown_scheme(self, rest: str) -> None:
        assert redact_uri("postgres://" + rest) == "postgres://***"

    @given(st.text(max_size=60))
    def test_redacting_twice_changes_nothing_more(self, text: str) -> None:
        assert redact(redact(text)) == redact(text)

    @pytest.mark.parametrize(
        "hostile",
        [
            "x", "passw", "passw_", "a.", "a-b+", "://", "a://b:", "mongodb://", "mongodb://u:", ".;", ",;", "/.",
            "mongodb:", "AWS_SESSION_TOKEN", "AWS_SESSION_TOKEN  ", " ", "[", "[0:", "u:p@", "@", "=", "\n",
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("frame", ["{}", "mongodb://{}", "mongodb://u:{}@", "mongodb://{}@ ", "a://b:{}"])
    def test_the_time_grows_as_the_text_does(self, hostile: str, frame: str) -> None:
        def seconds(length: int) -> float:
            text = frame.format(hostile * (length // len(hostile)))
            return min(timeit.repeat(lambda: redact(text), timer=time.process_time, number=1, repeat=3))

        # Sixteen times the text: sixteen times as long, or 256 times if it were quadratic.
        assert seconds(80_000) < 80 * max(seconds(5_000), 0.001)


class TestHide:
    @pytest.mark.parametrize(
        ("uri", "text"),
        [
            ("mongodb://u:s3cr%40t%2Fword@h/", "failed with {}"),
            ("mongodb://u:s3cr%40t%2Fword@h/", "in{}side"),
            ("mongodb://u:pw%21x@h/", "as a word: {}."),
            ("mongodb://u:it%27s+me%5C%22@h/", "{}"),
            ("mongodb+srv://u:hunter2@h/", "{}"),
            ("mongodb://h/?tlsCertificateKeyFilePassword=s3cr%40t%2Fword", "x{}x"),
            ("mongodb://u@h/?authMechanismProperties=AWS_SESSION_TOKEN:abcdefgh12", "x{}x"),
        ],
    )
    def test_the_password_of_a_connection_string_is_masked_wherever_it_stands(
        self, uri: str, text: str
    ) -> None:
        hide(uri)
        written = re.search(r"(?::|assword=|TOKEN:)([^:@/]+)(?:@h/)?$", uri)
        assert written is not None
        plain = unquote_plus(written[1])
        for form in (
            written[1],
            plain,
            quote_plus(plain),
            quote(plain),
            repr(plain)[1:-1],
            json.dumps(plain)[1:-1],
        ):
            shown = redact(text.format(form))
            assert shown == text.format("***")
            assert redact(shown) == shown

    @pytest.mark.parametrize(
        ("uri", "text"),
        [
            ("mongodb://u:p@h/", "a p is a p"),
            ("mongodb://u:123@h/", "123 documents"),
            ("mongodb://u:0001@h/", "0001 is pending"),
            ("mongodb://u:word1@h/", "passwords word12 and myword1"),
            ("mongodb://goaime:goaime@h/", "database goaime"),
            ("mongodb://u:goaime@h/goaime", "database goaime"),
            ("mongodb://u:hosting@hosting:27017/", "server hosting"),
            ("mongodb://u:mongodb@h/", "neither a valid mongodb:// URI nor dump:PATH."),
            ("mongodb://u:password@h/", "check user, password and authSource"),
            ("mongodb://u:documents@h/", "documents"),
            ("mongodb://u@h/", "u at h"),
            ("dump:demo/dump", "demo/dump"),
            ("", "nothing"),
        ],
    )
    def test_what_would_ruin_every_message_is_hidden_in_uris_alone(self, uri: str, text: str) -> None:
        hide(uri)
        assert redact(text) == text
