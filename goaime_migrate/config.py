"""Where the settings come from: one file, then ``GOAIME_MIGRATE_*`` variables, then flags.

The value of a variable is never expanded again, and nothing but ``${VAR}``, ``${VAR:-default}`` and
``%(here)s`` means anything, so that a percent-encoded password needs no second escaping.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from goaime_migrate.errors import InvalidConfiguration, InvalidUri
from goaime_migrate.redaction import redact, redact_uri
from goaime_migrate.results import OnConflict

INI = "alembic-style.ini"
PYPROJECT = "pyproject.toml"
SECTION = "goaime-migrate"
PREFIX = "GOAIME_MIGRATE_"
DASK = "dask:"
SCHEMES = ("mongodb://", "mongodb+srv://", "dump:")


class Settings(BaseModel):
    """What a command works with. A value, and it does not show its connection string."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False)

    uri: str = Field(default="", repr=False)
    database: str | None = Field(
        default=None, min_length=1, max_length=63, pattern=r'^[^/\\. "$*<>:|?\x00]+$'
    )
    migrations: Path = Path("migrations")
    lock_timeout: float = Field(default=60.0, ge=0)
    workers: int | None = Field(default=None, ge=1)
    executor: str | None = Field(default=None, pattern=rf"^(processes|{DASK}[a-z]+://\S+)$")
    batch_size: int | None = Field(default=None, ge=1)
    max_lag: float | None = Field(default=None, gt=0)
    max_rate: float | None = Field(default=None, gt=0)
    on_conflict: OnConflict = OnConflict.KEEP
    allow_untested_topology: bool = False

    config_file: Path | None = None
    env: str | None = None
    sources: dict[str, str] = Field(default_factory=dict)
    """Where each value came from, for people: "alembic-style.ini [env:production]", "--uri", "default"."""


KEYS = tuple(key for key in Settings.model_fields if key not in ("config_file", "env", "sources"))


def load(
    *,
    config: Path | None,
    env: str | None,
    overrides: Mapping[str, Any],
    cwd: Path,
    environ: Mapping[str, str],
    need_uri: bool = True,
) -> Settings:
    """Settle every key. With `need_uri=False` the connection string is not even looked at: `lint` needs none.

    Raises InvalidConfiguration, InvalidUri. Reads one file; writes nothing.
    """
    file = _find(config, cwd)
    values = dict(_written(file, env)) if file else {}
    if env is not None and file is None:
        raise InvalidConfiguration(
            f"--env {env} chooses a section of a configuration file, and there is none in {cwd}",
            hint="goaime-migrate init writes one; --config FILE names another",
        )
    _refuse_misspelt(environ)
    for key in KEYS:
        if text := environ.get(PREFIX + key.upper()):
            values[key] = _Value(text, PREFIX + key.upper(), cwd, _VARIABLE)
        if overrides.get(key) is not None:
            values[key] = _Value(overrides[key], "--" + key.replace("_", "-"), cwd, _FLAG)
    if not need_uri:
        values.pop("uri", None)
    settled = {key: value for key, given in values.items() if (value := _settle(key, given, environ)) != ""}
    if need_uri and "uri" not in settled:
        raise _no_uri(file, values.get("uri"))
    settled.setdefault("migrations", cwd / "migrations")
    if name := _database_of(settled, values):
        settled["database"], values["database"] = name, values["uri"]
    sources = {key: values[key].source if key in settled and key in values else "default" for key in KEYS}
    return _validated(settled, sources, file.path if file else None, env)


def in_pyproject(folder: Path) -> bool:
    """Whether the folder's pyproject.toml holds the configuration. Raises InvalidConfiguration."""
    path = folder / PYPROJECT
    return path.is_file() and _read_toml(path, PYPROJECT) is not None


@dataclass(frozen=True)
class _Value:
    """A value as it was written, where, and the folder that its relative paths count from."""

    raw: Any
    source: str
    here: Path
    strength: int
    expand: bool = False


_VARIABLE, _FLAG = 2, 3
"""How strong these sources are; the sections of the file are 0 and 1."""


@dataclass(frozen=True)
class _File:
    """A configuration file, parsed: its sections by the name of the environment, "" being the common one."""

    path: Path
    shown: str
    sections: Mapping[str, Mapping[str, Any]]
    toml: bool = False

    def label(self, env: str) -> str:
        """The section, as people find it in the file."""
        if self.toml:
            return f"{self.shown} [tool.{SECTION}{'.env.' + env if env else ''}]"
        return f"{self.shown} [{'env:' + env if env else SECTION}]"


def _find(config: Path | None, cwd: Path) -> _File | None:
    """The first that exists is the only one read; a pyproject.toml without our table does not count."""
    if config is not None:
        path = cwd / config
        if not path.is_file():
            raise InvalidConfiguration(
                f"the configuration file {config} does not exist", hint="goaime-migrate init writes one"
            )
        file = _read_toml(path, str(config)) if path.suffix == ".toml" else _read_ini(path, str(config))
        if file is None:
            raise InvalidConfiguration(
                f"{config} has no table [tool.{SECTION}]", hint=f"write [tool.{SECTION}]"
            )
        return file
    if (cwd / INI).is_file():
        return _read_ini(cwd / INI, INI)
    if (cwd / PYPROJECT).is_file():
        return _read_toml(cwd / PYPROJECT, PYPROJECT)
    return None


def _read_ini(path: Path, shown: str) -> _File:
    import configparser

    parser = configparser.ConfigParser(interpolation=None, default_section="\0", empty_lines_in_values=False)
    try:
        parser.read_string(_text(path, shown), source=shown)
    except configparser.DuplicateOptionError as error:
        raise InvalidConfiguration(
            f"{shown}, line {error.lineno}: the key {error.option} is in [{error.section}] twice",
            hint="remove one",
        ) from None
    except configparser.DuplicateSectionError as error:
        raise InvalidConfiguration(
            f"{shown}, line {error.lineno}: the section [{error.section}] is there twice", hint="join the two"
        ) from None
    except configparser.Error as error:
        # The parser's own message quotes the line, and the line may hold a password.
        raise InvalidConfiguration(
            f"{shown}, line {_line(error)}: neither a [section] nor a key = value",
            hint="values stand under [goaime-migrate], comments begin with # or ;",
        ) from None
    sections = {_environment(name, shown): dict(parser[name]) for name in parser.sections()}
    return _checked(_File(path, shown, sections))


def _line(error: Exception) -> object:
    if numbers := [number for number, _ in getattr(error, "errors", [])]:
        return numbers[0]
    return getattr(error, "lineno", "?")


def _environment(section: str, shown: str) -> str:
    """The key of a section in `_File.sections`."""
    if section == SECTION:
        return ""
    kind, _, name = section.partition(":")
    if kind == "env" and name.strip():
        return name.strip()
    raise InvalidConfiguration(
        f"{shown} has an unknown section [{section}]", hint=f"the sections are [{SECTION}] and [env:NAME]"
    )


def _read_toml(path: Path, shown: str) -> _File | None:
    import tomllib

    try:
        tool = tomllib.loads(_text(path, shown)).get("tool", {})
    except tomllib.TOMLDecodeError as error:
        raise InvalidConfiguration(
            f"{shown} is not TOML: {redact(str(error))}", hint=f"mend {shown}"
        ) from None
    if not isinstance(tool, dict) or SECTION not in tool:
        return None
    table = tool[SECTION]
    envs = table.get("env", {}) if isinstance(table, dict) else None
    if not isinstance(envs, dict) or not all(isinstance(values, dict) for values in envs.values()):
        raise InvalidConfiguration(
            f"{shown}: [tool.{SECTION}] and [tool.{SECTION}.env.NAME] must be tables", hint=f"mend {shown}"
        )
    common = {key: value for key, value in table.items() if key != "env"}
    return _checked(_File(path, shown, {"": common, **envs}, toml=True))


def _text(path: Path, shown: str) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise InvalidConfiguration(f"{shown} cannot be read: {reason}", hint=f"mend {shown}") from None


def _checked(file: _File) -> _File:
    """Refuse unknown keys in every section, also in those that are not chosen today."""
    for env, values in file.sections.items():
        for key in values:
            if key not in KEYS:
                import difflib

                near = difflib.get_close_matches(key, KEYS, n=1, cutoff=0.5)
                hint = f"did you mean {near[0]}?" if near else f"the keys are {', '.join(KEYS)}"
                raise InvalidConfiguration(
                    f"{file.label(env)} has an unknown key {key}", hint=hint, field=key
                )
    return file


def _written(file: _File, env: str | None) -> Iterator[tuple[str, _Value]]:
    """The values of the file, those of the chosen environment last."""
    if env is not None and (env not in file.sections or not env):
        known = ", ".join(sorted(name for name in file.sections if name))
        raise InvalidConfiguration(
            f"{file.shown} has no environment {env!r}",
            hint=f"it has {known}"
            if known
            else f"write a section {file.label('NAME').removeprefix(file.shown + ' ')}",
        )
    here = file.path.resolve().parent
    for strength, section in enumerate(("", env) if env else ("",)):
        for key, value in file.sections.get(section, {}).items():
            yield key, _Value(value, file.label(section), here, strength, expand=isinstance(value, str))


def _refuse_misspelt(environ: Mapping[str, str]) -> None:
    """Refuse a variable that is nearly one of ours; others that share the prefix, a service's say, are not ours."""
    known = {key.replace("_", ""): PREFIX + key.upper() for key in KEYS}
    for name in environ:
        if name.startswith(PREFIX) and name not in known.values() and environ[name]:
            import difflib

            word = name.removeprefix(PREFIX).lower().replace("_", "")
            near = [key for key in known if abs(len(key) - len(word)) <= 1]
            if found := difflib.get_close_matches(word, near, n=1, cutoff=0.65):
                raise InvalidConfiguration(
                    f"there is no variable {name}", hint=f"did you mean {known[found[0]]}?"
                )


_DATABASE = re.compile(r"mongodb(?:\+srv)?://[^/?]+/(?P<name>[^/?@.]+)(?:\.[^/?@]*)?(?:\?[^@]*)?")
_SERVERS_OWN = ("admin", "config", "local")
"""Users authenticate in these: in the path of a connection string they say nothing of where the documents are."""


def _database_of(settled: Mapping[str, Any], values: Mapping[str, _Value]) -> str | None:
    """The database in the path of the connection string, if it comes from a stronger source than the key."""
    match = _DATABASE.fullmatch(str(settled.get("uri", "")))
    if match is None:
        return None
    name = unquote_plus(match["name"])
    if "database" not in settled:
        return name
    stronger = values["uri"].strength > values["database"].strength
    return name if stronger and name not in _SERVERS_OWN else None


def _settle(key: str, value: _Value, environ: Mapping[str, str]) -> Any:
    """Expand, and make paths absolute. An empty text counts as not written."""
    settled = value.raw
    if isinstance(settled, str):
        if value.expand:
            settled = _expand(settled, key, value, environ)
        settled = settled.strip()
        if "\n" in settled:
            raise InvalidConfiguration(
                f"{key} runs on into another line ({value.source})",
                hint="indented lines continue a value",
                field=key,
            )
    if key == "migrations" and isinstance(settled, str | Path) and settled != "":
        return value.here / settled
    if key == "uri" and isinstance(settled, str) and settled:
        return _absolute(settled, value)
    return settled


def _absolute(uri: str, value: _Value) -> str:
    if not uri.startswith(SCHEMES) or uri in SCHEMES:
        raise InvalidUri(
            f"the uri {redact_uri(uri)} begins with none of {', '.join(SCHEMES)} ({value.source})"
            if uri not in SCHEMES
            else f"the uri {uri} names nothing ({value.source})",
            hint="write mongodb://host:27017, or dump:PATH for a mongodump directory",
        )
    if uri.startswith("dump:"):
        return f"dump:{(value.here / uri.removeprefix('dump:')).resolve()}"
    return uri


_REFERENCE = re.compile(r"%\(here\)s|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<end>:-|\})")
_BRACE = re.compile(r"\$\{|\}")


def _expand(text: str, key: str, value: _Value, environ: Mapping[str, str]) -> str:
    """Replace the references in what the file says. A default may hold some, the value of a variable not."""
    parts: list[str] = []
    start = 0
    while match := _REFERENCE.search(text, start):
        stop = match.end()
        parts.append(text[start : match.start()])
        if (name := match["name"]) is None:
            parts.append(str(value.here))
        elif match["end"] == "}":
            if name not in environ:
                raise InvalidConfiguration(
                    f"{key} needs the variable {name}, which is not set ({value.source})",
                    hint=f"set {name}, or write ${{{name}:-default}}",
                    field=key,
                )
            parts.append(environ[name])
        else:
            stop = _closing(text, match.end(), key, value)
            default = text[match.end() : stop - 1]
            parts.append(environ.get(name) or _expand(default, key, value, environ))
        start = stop
    return "".join(parts) + text[start:]


def _closing(text: str, start: int, key: str, value: _Value) -> int:
    """Where the default that begins at `start` has been closed."""
    depth = 1
    for brace in _BRACE.finditer(text, start):
        depth += 1 if brace[0] == "${" else -1
        if not depth:
            return brace.end()
    raise InvalidConfiguration(
        f"{key} has a ${{ that is never closed ({value.source})", hint="add a }", field=key
    )


def _no_uri(file: _File | None, value: _Value | None) -> InvalidConfiguration:
    where = (
        f"{value.source} leaves it empty"
        if value
        else f"{file.shown} has none"
        if file
        else f"there is no {INI}"
    )
    return InvalidConfiguration(
        f"no uri, so no database: {where}",
        hint="goaime-migrate init writes a configuration; or --uri mongodb://HOST, or --uri dump:PATH",
        field="uri",
    )


def _validated(
    values: Mapping[str, Any], sources: dict[str, str], file: Path | None, env: str | None
) -> Settings:
    try:
        return Settings.model_validate({**values, "sources": sources, "config_file": file, "env": env})
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        key = str(first["loc"][0])
        shown = "" if key == "uri" else f" = {redact(str(values[key]))}"
        raise InvalidConfiguration(
            f"{key}{shown}: {_expectation(key, first['msg'])} ({sources[key]})",
            hint=f"mend {key} in {sources[key]}",
            field=key,
        ) from None


def _expectation(key: str, message: str) -> str:
    if key == "database":
        return 'a database name has 1 to 63 characters, and none of /\\. "$*<>:|?'
    if key == "executor":
        return "it should be processes, or dask:tcp://HOST:PORT"
    return message.replace("Input should be", "it should be")
