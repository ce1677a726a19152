"""Writes docs/reference from the code: commands, configuration, JSON, error codes. A test finds what is stale."""

from __future__ import annotations

import inspect
import json
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic import TypeAdapter

from goaime_migrate import errors
from goaime_migrate.cli.commands import COMMANDS, function_of
from goaime_migrate.cli.options import Argument, parameters
from goaime_migrate.config import KEYS, PREFIX, Settings
from goaime_migrate.render import shapes

FOLDER = Path(__file__).parent / "reference"
MADE = "<!-- made by `python3 dev docs`; do not edit -->\n"


def pages() -> dict[str, str]:
    """The text of every file of the reference by its name."""
    return {
        "commands.md": commands(),
        "configuration.md": configuration(),
        "errors.md": error_codes(),
        "json.md": json_output(),
        "schema.json": json.dumps(schema(), indent=2) + "\n",
    }


def commands() -> str:
    """Every command with its options; those that all share stand once, at the end."""
    functions = {name: function_of(name) for name in COMMANDS}
    shared = set.intersection(*({p.name for p in parameters(f)} for f in functions.values()))
    lines = [MADE, "# Commands", ""]
    for name, function in functions.items():
        own = [p for p in parameters(function) if p.name not in shared]
        places = [said(p).metavar for p in own if isinstance(said(p), Argument)]
        lines += [f"## {name}", "", f"`goaime-migrate {' '.join([name, *places, '[OPTIONS]'])}`", ""]
        lines += [inspect.cleandoc(function.__doc__ or ""), ""]
        lines += [*options(own), ""] if own else []
    lines += ["## All commands", ""]
    lines += options([p for p in parameters(functions["status"]) if p.name in shared])
    return "\n".join(lines) + "\n"


def said(parameter: inspect.Parameter) -> Any:
    """The argument or option that a parameter is annotated with."""
    return get_args(parameter.annotation)[1]


def options(found: list[inspect.Parameter]) -> Iterator[str]:
    """A table of arguments and options."""
    yield from ("| | |", "|---|---|")
    for parameter in found:
        words = said(parameter)
        if isinstance(words, Argument):
            yield f"| {words.metavar} | {cell(words.help)} |"
            continue
        names = ", ".join(f"`{n}`" for n in words.names or [f"--{parameter.name.replace('_', '-')}"])
        value = f" {words.metavar}" if words.metavar else ""
        yield f"| {names}{value} | {cell(words.help)} |"


def cell(text: str) -> str:
    """Text that can stand in a table."""
    return text.replace("|", "\\|").replace("\n", " ")


def configuration() -> str:
    """Every key with its variable, its flag and its default."""
    lines = [
        MADE,
        "# Configuration",
        "",
        "The first of these that exists is the only file read: `alembic-style.ini`, section `[goaime-migrate]`;",
        "`pyproject.toml`, table `[tool.goaime-migrate]`. A flag wins over a variable, a variable over the file.",
        "",
        "| key | variable | default | meaning |",
        "|---|---|---|---|",
    ]
    for key in KEYS:
        field = Settings.model_fields[key]
        default = "" if field.default in (None, "") else f"`{field.default}`"
        lines.append(f"| `{key}` | `{PREFIX}{key.upper()}` | {default} | {cell(field.description or '')} |")
    return "\n".join(lines) + "\n"


def error_codes() -> str:
    """Every error with its exit status and its long form."""
    lines = [MADE, "# Error codes", "", "`goaime-migrate explain CODE` prints the same.", ""]
    for code, found in sorted(errors.by_code().items()):
        lines += [f"## {code} {found.__name__} (exit {found.exit_code})", "", errors.explanation(found), ""]
    return "\n".join(lines).rstrip() + "\n"


def json_output() -> str:
    """The JSON of every command, as a table a shape."""
    lines = [
        MADE,
        "# JSON",
        "",
        "With `--json` standard output is exactly one JSON value, also on failure; the message goes to standard error",
        "too. [schema.json](schema.json) is the JSON Schema, each command under `$defs`. Keys may be added, none goes.",
        "",
    ]
    for name, shape in shapes.COMMANDS.items():
        lines.append(f"- `{name}`: {shown(shape)}")
    for name, found in sorted(vars(shapes).items()):
        if typing_extensions_typed_dict(found):
            hints = typing.get_type_hints(found)
            lines += [
                "",
                f"## {name}",
                "",
                inspect.cleandoc(found.__doc__ or ""),
                "",
                "| key | value |",
                "|---|---|",
            ]
            lines += [f"| `{key}` | {cell(shown(hint))} |" for key, hint in hints.items()]
    return "\n".join(lines) + "\n"


def typing_extensions_typed_dict(found: Any) -> bool:
    """Whether it is a shape that is published."""
    return isinstance(found, type) and hasattr(found, "__total__") and not found.__name__.startswith("_")


def shown(hint: Any) -> str:
    """A type in words."""
    origin, args = typing.get_origin(hint), get_args(hint)
    if origin is list:
        return f"list of {shown(args[0])}"
    if origin in (typing.Union, types.UnionType):
        return " or ".join(shown(each) for each in args)
    if origin is typing.Literal:
        return " or ".join(f'`"{each}"`' for each in args)
    if hint is Any:
        return "Extended JSON"
    if hint is type(None):
        return "null"
    names = {str: "text", int: "integer", float: "number", bool: "true or false"}
    return names.get(hint) or f"[{hint.__name__}](#{hint.__name__.lower()})"


def schema() -> dict[str, Any]:
    """One JSON Schema for all commands: `#/$defs/status` is what `status --json` prints."""
    definitions: dict[str, Any] = {}
    for name, shape in shapes.COMMANDS.items():
        made = TypeAdapter(shape).json_schema(ref_template="#/$defs/{model}")
        definitions |= made.pop("$defs", {})
        definitions[name] = made
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$defs": dict(sorted(definitions.items())),
    }


def main() -> None:
    """Write all pages."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
