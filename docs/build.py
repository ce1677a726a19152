"""Writes docs/reference from the code: commands, configuration, JSON, errors, events, rules. A test finds it stale."""

from __future__ import annotations

import ast
import inspect
import json
import types
import typing
from collections.abc import Iterator
from dataclasses import MISSING, fields
from datetime import datetime
from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

from goaime_migrate import errors, results
from goaime_migrate.cli.commands import COMMANDS, function_of
from goaime_migrate.cli.options import Argument, parameters
from goaime_migrate.config import KEYS, PREFIX, Settings
from goaime_migrate.errors import MigrateError
from goaime_migrate.events import EVENTS, name_of
from goaime_migrate.render import json as printed
from goaime_migrate.results import databases
from goaime_migrate.rules import registry

FOLDER = Path(__file__).parent / "reference"
MADE = "<!-- made by `python3 dev docs`; do not edit -->\n"


def pages() -> dict[str, str]:
    """The text of every file of the reference by its name."""
    return {
        "commands.md": commands(),
        "configuration.md": configuration(),
        "errors.md": error_codes(),
        "events.md": events(),
        "json.md": json_output(),
        "rules.md": rules(),
        "schema.json": json.dumps(schema(), indent=2) + "\n",
    }


def commands() -> str:
    """Every command with its options; those that all share stand once, at the end."""
    functions = {name: function_of(name) for name in COMMANDS}
    shared = set.intersection(*({p.name for p in parameters(f)} for f in functions.values()))
    lines = [MADE, "# Commands", ""]
    for name, function in functions.items():
        own = [p for p in parameters(function) if p.name not in shared]
        places = [place(p) for p in own if isinstance(said(p), Argument)]
        lines += [f"## {name}", "", f"`goaime-migrate {' '.join([name, *places, '[OPTIONS]'])}`", ""]
        lines += [inspect.cleandoc(function.__doc__ or ""), ""]
        lines += [*options(own), ""] if own else []
    lines += ["## All commands", ""]
    lines += options([p for p in parameters(functions["status"]) if p.name in shared])
    return "\n".join(lines) + "\n"


def place(argument: inspect.Parameter) -> str:
    """An argument as a usage line has it, in brackets where it may be left out."""
    word = str(said(argument).metavar)
    return word if argument.default is inspect.Parameter.empty else f"[{word}]"


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
    said_of = meanings(Settings)
    defaults = {each.name: each.default for each in fields(Settings)}
    for key in KEYS:
        default = defaults[key]
        shown_default = "" if default in (None, "", ()) else f"`{default}`"
        meaning = cell(said_of[key]["description"])
        lines.append(f"| `{key}` | `{PREFIX}{key.upper()}` | {shown_default} | {meaning} |")
    return "\n".join(lines) + "\n"


def error_codes() -> str:
    """Every error with its exit status and its long form."""
    lines = [MADE, "# Error codes", "", "`goaime-migrate explain CODE` prints the same.", ""]
    for code, found in sorted(errors.by_code().items()):
        lines += [f"## {code} {found.__name__} (exit {found.exit_code})", "", errors.explanation(found), ""]
    return "\n".join(lines).rstrip() + "\n"


def events() -> str:
    """Every event with its fields, as the library hands them on and `--log-json` prints them; and the spans."""
    lines = [
        MADE,
        "# Events",
        "",
        "What a command tells while it works: values of `goaime_migrate.events` for `Migrator(settings, on_event)`.",
        "With `--log-json` each is a line of JSON on standard error, and nothing else is there: `at` (ISO-8601 with Z),",
        "`event`, and the fields below. Events may be added, and fields; none goes.",
        "",
        "The command line itself adds `message` (`text`: for people), `output` (`text`: a line that a migration, or a",
        "program that it starts, has printed) and, where it fails, `error`, with the keys of",
        "[Failure](json.md#failure).",
    ]
    for kind in EVENTS:
        lines += [
            "",
            f"## {name_of(kind)}",
            "",
            f"`{kind.__name__}`. " + " ".join((kind.__doc__ or "").split()),
            "",
        ]
        lines += ["| field | value | |", "|---|---|---|"]
        said_of = meanings(kind)
        for name, hint in typing.get_type_hints(kind).items():
            lines.append(
                f"| `{name}` | {SHOWN[hint]} | {cell(said_of.get(name, {}).get('description', ''))} |"
            )
    return "\n".join(lines) + "\n"


SHOWN: dict[Any, str] = {
    str: "text",
    int: "integer",
    float: "seconds",
    tuple[str, ...]: "list of text",
    int | None: "integer or null",
    str | None: "text or null",
    bool | None: "true, false or null",
}


def rules() -> str:
    """Every rule with its severity, and which command it speaks in."""
    lines = [
        MADE,
        "# Rules",
        "",
        "`lint` asks what files alone tell, `plan` what the data tell that are there, on the outcome of the pending",
        "versions. An error would fail for certain, or lose data: `plan` exits 9, and `up` refuses before its first",
        "write what the data of that moment say in bounded time. A warning or a note never stops a run; `lint` exits 4",
        "on errors and warnings. `# allow: RULE because REASON` in the file makes what a rule says of it a note, and",
        "`lint_after` spares the files up to a version.",
        "",
        "| rule | | by | |",
        "|---|---|---|---|",
    ]
    found = registry.rules_by_name()
    for name, speaking in found.items():
        by = ", ".join(dict.fromkeys(command for command, _ in speaking))
        early = ", `up`" if any(rule.early for _, rule in speaking) else ""
        first = speaking[0][1].text.partition("\n\n")[0]
        lines.append(f"| [`{name}`](#{name}) | {speaking[0][1].severity} | `{by}`{early} | {cell(first)} |")
    for name, speaking in found.items():
        lines += ["", f"## {name}", "", *(line for _, rule in speaking for line in rule.text.splitlines())]
    return "\n".join(lines) + "\n"


def json_output() -> str:
    """The JSON of every command, as a table a shape."""
    lines = [
        MADE,
        "# JSON",
        "",
        "With `--json` standard output is exactly one JSON value, also on failure; the message goes to standard error",
        "too. [schema.json](schema.json) is the JSON Schema, each command under `$defs`. Keys may be added, none goes.",
        "Of several databases it is a [Databases](#databases), with what would be printed of each by its name.",
        "Durations are seconds, times ISO-8601 with Z; Extended JSON is canonical, and may be any JSON value.",
        "",
    ]
    found = schema()["$defs"]
    for name in shapes():
        lines.append(f"- `{name}`: {shown(found[name])}")
    for name, made in found.items():
        if "properties" in made:
            lines += ["", f"## {name}", "", made["description"], "", "| key | value | |", "|---|---|---|"]
            for key, each in made["properties"].items():
                lines.append(f"| `{key}` | {cell(shown(each))} | {cell(each.get('description', ''))} |")
    return "\n".join(lines) + "\n"


def shown(node: dict[str, Any]) -> str:
    """A part of the schema in words."""
    if "anyOf" in node:
        return " or ".join(map(shown, node["anyOf"]))
    if "enum" in node:
        return " or ".join(f'`"{each}"`' for each in node["enum"])
    if "$ref" in node:
        name = node["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if node.get("type") == "array":
        return f"list of {shown(node['items'])}"
    kind: str = node.get("type", "")
    return {"string": "text", "boolean": "true or false", "": "Extended JSON"}.get(kind, kind)


def shapes() -> dict[str, list[type]]:
    """What each command prints; with `--dry-run` the second."""
    found = {name: [getattr(results, kind)] for name, kind in printed.RESULTS.items()}
    for name in ("up", "down"):
        found[name].append(results.PlanResult)
    found["blame"].append(results.AsOfResult)
    return found | {"history": [results.HistoryEntry]}


def schema() -> dict[str, Any]:
    """One JSON Schema for all commands: `#/$defs/status` is what `status --json` prints."""
    objects: dict[str, Any] = {}
    commands: dict[str, Any] = {}
    for name, kinds in shapes().items():
        made = [reference(kind, objects, name) for kind in kinds]
        commands[name] = made[0] if len(made) == 1 else {"anyOf": made}
    objects["Databases"] = of_several(objects)
    commands["history"] = {"type": "array", "items": commands["history"]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$defs": dict(sorted(objects.items())) | commands,
    }


def of_several(objects: dict[str, Any]) -> dict[str, Any]:
    """What is printed where a command works on several databases, or on all that a pattern matches."""
    kind = databases.DatabasesResult
    said = meanings(kind)
    keys = {
        "databases": {
            "type": "object",
            "description": "By the name of each, what the command prints of one.",
        },
        "not_begun": node(tuple[str, ...], objects) | said["not_begun"],
        "error": node(MigrateError | None, objects),
    }
    about = " ".join(inspect.cleandoc(kind.__doc__ or "").split())
    return {"description": about, "type": "object", "properties": keys, "required": list(keys)}


def reference(kind: type, objects: dict[str, Any], command: str = "") -> dict[str, Any]:
    """The place of a class's object among the others; with the error, where it is what a command prints."""
    name = command.title() if kind is results.RunResult else kind.__name__
    if name not in objects:
        said = meanings(kind)
        told = {key: said[name] for key, (name, _) in printed.keys(kind, command).items() if name in said}
        hints = {key: hint for key, (_, hint) in printed.keys(kind, command).items()}
        if command not in ("", "history"):
            hints |= unknown(kind, command) | {"error": MigrateError | None}
        objects[name] = {
            "description": " ".join(inspect.cleandoc(kind.__doc__ or "").split()),
            "type": "object",
            "properties": {key: node(hint, objects) | told.get(key, {}) for key, hint in hints.items()},
            "required": [key for key, hint in hints.items() if not printed.marked(hint)[0].optional],
        }
    return {"$ref": f"#/$defs/{name}"}


def meanings(kind: type) -> dict[str, dict[str, str]]:
    """What the docstrings behind the fields of a class say."""
    (made,) = ast.parse(inspect.getsource(kind)).body
    found = {}
    for field, text in pairwise(typing.cast(ast.ClassDef, made).body):
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr):
            found[ast.unparse(field.target)] = {"description": " ".join(ast.literal_eval(text.value).split())}
    return found


def unknown(kind: type, command: str) -> dict[str, Any]:
    """The keys that are null where a command fails before it has a result."""
    given = {field.name for field in fields(kind) if field.default is not MISSING}
    found = printed.keys(kind, command).items()
    return {k: h | None for k, (name, h) in found if name not in given and printed.zero(h, command) is None}


def node(annotation: Any, objects: dict[str, Any]) -> dict[str, Any]:
    """What is printed of an annotation."""
    said, hint = printed.marked(annotation)
    if said.extended:
        return {}
    args = [each for each in get_args(hint) if each is not types.NoneType]
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        inner = node(args[0], objects)
        return inner if said.none is not None or "anyOf" in inner else {"anyOf": [inner, {"type": "null"}]}
    if typing.get_origin(hint) is tuple:
        return {"type": "array", "items": node(args[0], objects)}
    if issubclass(hint, StrEnum):
        return {"type": "string", "enum": [each.value for each in hint]}
    return PLAIN.get(hint) or reference(printed.Failure if hint is MigrateError else hint, objects)


PLAIN: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    bool: {"type": "boolean"},
    float: {"anyOf": [{"type": "number"}, {"type": "null"}]},  # what is no number is null
    datetime: {"type": "string"},
}


def main() -> None:
    """Write all pages."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
