"""Settles every key: of the values that it was given, the strongest counts."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

from goaime_migrate.config.expansion import expand
from goaime_migrate.config.files import (
    FLAG,
    VARIABLE,
    ConfigurationFile,
    Value,
    find_file,
    impossible,
    values_of,
)
from goaime_migrate.config.settings import (
    DUMP,
    INI,
    KEYS,
    PREFIX,
    SCHEMES,
    SERVERS_OWN,
    Settings,
    Unfit,
    is_pattern,
)
from goaime_migrate.errors import InvalidConfiguration, InvalidUri, UsageError
from goaime_migrate.errors.hint import INIT, Hint
from goaime_migrate.redaction import hide, redact, redact_uri


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

    Raises InvalidConfiguration, InvalidUri. Reads one file; writes nothing. From here on no text of this process shows
    the secrets of the connection string.
    """
    file = find_file(config, cwd)
    values = dict(values_of(file, env)) if file else {}
    if env is not None and file is None:
        raise InvalidConfiguration(
            f"--env {env} chooses a section of a configuration file, and there is none in {cwd}",
            hint=Hint("{} writes one; --config FILE names another", INIT),
        )
    _refuse_misspelt(environ)
    values |= _stronger(overrides, environ, cwd)
    if not need_uri:
        values.pop("uri", None)
    settled = {key: value for key, given in values.items() if (value := _settle(key, given, environ)) != ""}
    hide(str(settled.get("uri", "")))
    if need_uri and "uri" not in settled:
        raise _no_uri(file, values.get("uri"))
    settled.setdefault("migrations", cwd / "migrations")
    settled.setdefault("prepend_sys_path", (file.path.resolve().parent if file else cwd,))
    if name := _database_of(settled, values):
        settled["database"], values["database"] = (name,), values["uri"]
    sources = {key: values[key].source if key in settled and key in values else "default" for key in KEYS}
    settled |= _several(settled.pop("database", ()))
    return _validate(settled, sources, file.path if file else None, env)


def names_several(
    *,
    config: Path | None,
    env: str | None,
    overrides: Mapping[str, Any],
    cwd: Path,
    environ: Mapping[str, str],
) -> bool:
    """Whether several databases are meant, as far as that is said: also where the settings cannot be made sense of."""
    values: dict[str, Value] = {}
    for section in (None, env):
        with suppress(UsageError):
            file = find_file(config, cwd)
            values |= dict(values_of(file, section)) if file else {}
    values |= _stronger(overrides, environ, cwd)
    settled: dict[str, Any] = {}
    for key in {"uri", "database"} & values.keys():
        with suppress(UsageError):
            settled[key] = _settle(key, values[key], environ)
    one = _database_of(settled, values)
    return one is None and "databases" in _several(settled.get("database") or ())


def _stronger(overrides: Mapping[str, Any], environ: Mapping[str, str], cwd: Path) -> dict[str, Value]:
    """What is stronger than a file: variables, and flags before them."""
    values = {}
    for key in KEYS:
        if text := environ.get(PREFIX + key.upper()):
            values[key] = Value(text, PREFIX + key.upper(), cwd, VARIABLE)
        if overrides.get(key) is not None:
            values[key] = Value(overrides[key], "--" + key.replace("_", "-"), cwd, FLAG)
    return values


def _several(names: tuple[str, ...]) -> Mapping[str, Any]:
    """One database, or several: what more than one name says, or a pattern, however many it matches."""
    if len(names) > 1 or any(map(is_pattern, names)):
        return {"databases": names}
    return {"database": names[0]} if names else {}


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


def _database_of(settled: Mapping[str, Any], values: Mapping[str, Value]) -> str | None:
    """The database in the path of the connection string, if it comes from a stronger source than the key.

    A database of the server's own says nothing of where the documents are: users authenticate in it.
    """
    match = _DATABASE.fullmatch(str(settled.get("uri", "")))
    if match is None:
        return None
    name = unquote_plus(match["name"])
    if "database" not in settled:
        return name
    stronger = values["uri"].strength > values["database"].strength
    return name if stronger and name not in SERVERS_OWN else None


def _settle(key: str, value: Value, environ: Mapping[str, str]) -> Any:
    """Expand, take lists apart, and make paths absolute. An empty text, or list, counts as not written."""
    settled = value.raw
    if isinstance(settled, str):
        if value.expand:
            settled = expand(settled, key, value, environ)
        settled = settled.strip()
        if "\n" in settled:
            raise InvalidConfiguration(
                f"{key} runs on into another line ({value.source})",
                hint="indented lines continue a value",
                field=key,
            )
    if key == "database":
        return _names(settled, value) or ""
    if isinstance(settled, str | Path) and settled != "" and key == "migrations":
        return _possible(value.here / settled, key, value)
    if key == "prepend_sys_path" and isinstance(settled, str | Path | list) and settled:
        paths = str(settled).split(os.pathsep) if isinstance(settled, str | Path) else settled
        return tuple((value.here / str(path).strip()).resolve() for path in paths if str(path).strip())
    if key == "uri" and isinstance(settled, str) and settled:
        return _absolute(settled, value)
    return settled


def _names(given: Any, value: Value) -> tuple[str, ...]:
    """The databases that are named: a comma separates them wherever they are; a list, or a flag, may have several."""
    names = given if isinstance(given, list | tuple) else [given]
    if not all(isinstance(name, str) for name in names):
        raise InvalidConfiguration(
            f"database = {given}: it should be a name, or a list of names ({value.source})",
            hint=f"mend database in {value.source}",
            field="database",
        )
    parts = (part.strip() for name in names for part in name.split(","))
    return tuple(dict.fromkeys(filter(None, parts)))


def _absolute(uri: str, value: Value) -> str:
    """The connection string, with the path of a dump made absolute. Raises InvalidUri."""
    if not uri.startswith(SCHEMES) or uri in SCHEMES:
        raise InvalidUri(
            f"the uri {redact_uri(uri)} begins with none of {', '.join(SCHEMES)} ({value.source})"
            if uri not in SCHEMES
            else f"the uri {uri} names nothing ({value.source})",
            hint="write mongodb://host:27017, or dump:PATH for a mongodump directory",
        )
    if uri.startswith(DUMP):
        return f"{DUMP}{_possible(value.here / uri.removeprefix(DUMP), 'uri', value).resolve()}"
    return uri


def _possible(path: Path, key: str, value: Value) -> Path:
    """The path, unless nothing can ever be called so. Raises InvalidConfiguration."""
    if reason := impossible(path):
        raise InvalidConfiguration(
            f"{key} is no path: {reason} ({value.source})", hint=f"mend {key} in {value.source}", field=key
        )
    return path


def _no_uri(file: ConfigurationFile | None, value: Value | None) -> InvalidConfiguration:
    """The error where nobody has said which database: `value` is one that was written, and is empty."""
    where = (
        f"{value.source} leaves it empty"
        if value
        else f"{file.shown} has none"
        if file
        else f"there is no {INI}"
    )
    return InvalidConfiguration(
        f"no uri, so no database: {where}",
        hint=Hint("{} writes a configuration; or --uri mongodb://HOST, or --uri dump:PATH", INIT),
        field="uri",
    )


def _validate(
    values: Mapping[str, Any], sources: dict[str, str], file: Path | None, env: str | None
) -> Settings:
    try:
        return Settings(**values, sources=sources, config_file=file, env=env)
    except Unfit as error:
        key = error.key
        if key == "databases":
            key, values = "database", {"database": ", ".join(values["databases"])}
        shown = "" if key == "uri" else f" = {redact(str(values[key]))}"
        raise InvalidConfiguration(
            f"{key}{shown}: {error.reason} ({sources[key]})", hint=f"mend {key} in {sources[key]}", field=key
        ) from None
