"""Configuration files: an ini, or a table of pyproject.toml."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from goaime_migrate.config.settings import INI, KEYS, PYPROJECT, SECTION
from goaime_migrate.errors import InvalidConfiguration
from goaime_migrate.errors.hint import INIT, Hint
from goaime_migrate.redaction import redact


class Value(NamedTuple):
    """A value as it was written, where, and the folder that its relative paths count from."""

    raw: Any
    source: str
    """For people: the section of a file, a variable or a flag."""
    here: Path
    strength: int
    expand: bool = False
    """Whether references in it mean anything."""


COMMON, CHOSEN, VARIABLE, FLAG = range(4)
"""How strong the sources are: the common section of the file, that of the chosen environment, a variable, a flag."""


class ConfigurationFile(NamedTuple):
    """A configuration file, parsed: its sections by the name of the environment, "" being the common one."""

    path: Path
    shown: str
    """Its path, as it was asked for."""
    sections: Mapping[str, Mapping[str, Any]]
    toml: bool = False

    def label(self, env: str) -> str:
        """The section, as people find it in the file."""
        if self.toml:
            return f"{self.shown} [tool.{SECTION}{'.env.' + env if env else ''}]"
        return f"{self.shown} [{'env:' + env if env else SECTION}]"


def find_file(config: Path | None, cwd: Path) -> ConfigurationFile | None:
    """The file of the settings, if there is one: `config`, else the ini, else a pyproject.toml that has our table.

    The first that exists is the only one read. Raises InvalidConfiguration.
    """
    if config is not None:
        path = cwd / config
        if reason := impossible(path):
            raise InvalidConfiguration(
                f"the configuration file cannot be called so: {reason}", hint="mend --config"
            )
        if not path.is_file():
            raise InvalidConfiguration(
                f"the configuration file {config} does not exist", hint=Hint("{} writes one", INIT)
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


def impossible(path: Path) -> str:
    """Why nothing can ever have this path; empty where something may."""
    try:
        path.lstat()
    except ValueError:
        return "it holds a NUL character"
    except OSError as error:
        return "it is too long" if error.errno == errno.ENAMETOOLONG else ""
    return ""


def in_pyproject(folder: Path) -> bool:
    """Whether the folder's pyproject.toml holds the configuration. Raises InvalidConfiguration."""
    path = folder / PYPROJECT
    return path.is_file() and _read_toml(path, PYPROJECT) is not None


def values_of(file: ConfigurationFile, env: str | None) -> Iterator[tuple[str, Value]]:
    """The values of the file, those of the chosen environment last. Raises InvalidConfiguration."""
    if env is not None and (env not in file.sections or not env):
        known = ", ".join(sorted(name for name in file.sections if name))
        raise InvalidConfiguration(
            f"{file.shown} has no environment {env!r}",
            hint=f"it has {known}"
            if known
            else f"write a section {file.label('NAME').removeprefix(file.shown + ' ')}",
        )
    here = file.path.resolve().parent
    sections = [(COMMON, ""), (CHOSEN, env)] if env else [(COMMON, "")]
    for strength, section in sections:
        for key, value in file.sections.get(section, {}).items():
            yield key, Value(value, file.label(section), here, strength, expand=isinstance(value, str))


def _read_ini(path: Path, shown: str) -> ConfigurationFile:
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
            hint=f"values stand under [{SECTION}], comments begin with # or ;",
        ) from None
    sections = {_environment(name, shown): dict(parser[name]) for name in parser.sections()}
    return _check_keys(ConfigurationFile(path, shown, sections))


def _line(error: Exception) -> object:
    """The number of the first line that the parser complains of."""
    if numbers := [number for number, _ in getattr(error, "errors", [])]:
        return numbers[0]
    return getattr(error, "lineno", "?")


def _environment(section: str, shown: str) -> str:
    """The environment that a section of an ini is for; "" for the common one."""
    if section == SECTION:
        return ""
    kind, _, name = section.partition(":")
    if kind == "env" and name.strip():
        return name.strip()
    raise InvalidConfiguration(
        f"{shown} has an unknown section [{section}]", hint=f"the sections are [{SECTION}] and [env:NAME]"
    )


def _read_toml(path: Path, shown: str) -> ConfigurationFile | None:
    import tomllib

    try:
        tool = tomllib.loads(_text(path, shown)).get("tool", {})
    except RecursionError:
        raise InvalidConfiguration(f"{shown} is nested too deep", hint=f"mend {shown}") from None
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
    return _check_keys(ConfigurationFile(path, shown, {"": common, **envs}, toml=True))


def _text(path: Path, shown: str) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise InvalidConfiguration(f"{shown} cannot be read: {reason}", hint=f"mend {shown}") from None


def _check_keys(file: ConfigurationFile) -> ConfigurationFile:
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
