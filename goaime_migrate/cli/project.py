"""The commands around the files: init, new, explain."""

from __future__ import annotations

import difflib
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from goaime_migrate import errors
from goaime_migrate.cli.invocation import Invocation
from goaime_migrate.cli.options import Argument, Option
from goaime_migrate.cli.outcome import Outcome
from goaime_migrate.render import text
from goaime_migrate.results import ErrorText, ExplainResult, InitResult, RuleText


class Kind(StrEnum):
    """The templates of `new`."""

    TRANSFORM = "transform"
    PIPELINE = "pipeline"
    INDEX = "index"
    INSERT = "insert"
    DELETE = "delete"
    DERIVE = "derive"
    PYTHON = "python"


def init(_: Invocation) -> Outcome:
    """Write alembic-style.ini and migrations/ into this folder.

    What is there already is left alone.
    """
    from goaime_migrate import migrator

    result = migrator.init(Path.cwd())
    shown = InitResult(tuple(map(_nearby, result.created)), tuple(map(_nearby, result.kept)))
    return Outcome(result, lambda style: text.init(shown, style))


def new(
    run: Invocation,
    name: Annotated[str, Argument(metavar="NAME", help="What it does: add_user_id.")],
    *,
    kind: Annotated[Kind, Option(help="The template.")] = Kind.TRANSFORM,
) -> Outcome:
    """Write the next migration file from a template."""
    from goaime_migrate import migrator

    result = migrator.new(run.settings(need_uri=False), name, kind.value)
    shown = replace(result, path=_nearby(result.path))
    return Outcome(result, lambda style: text.new(shown, style))


def explain(
    _: Invocation,
    code: Annotated[
        str | None, Argument(metavar="CODE", help="GM301, or a rule; all codes where it is left out.")
    ] = None,
) -> Outcome:
    """Explain an error by its code."""
    from goaime_migrate.rules import registry

    found = errors.by_code()
    if code is None:
        return Outcome(_explain(*(found[name] for name in sorted(found))), text.codes, read=True)
    if code in registry.rules_by_name():
        rule = RuleText(code, registry.about(code))
        return Outcome(ExplainResult(rules=(rule,)), lambda style: text.rule(rule, style), read=True)
    cls = _find(code, found)
    return Outcome(_explain(cls), lambda style: text.explain(cls, style), read=True)


def _explain(*found: type[errors.MigrateError]) -> ExplainResult:
    return ExplainResult(
        tuple(ErrorText(cls.code, cls.__name__, cls.exit_code, errors.explanation(cls)) for cls in found)
    )


def _nearby(path: str) -> str:
    """A path as a person in this folder would write it."""
    there, here = Path(path), Path.cwd()
    return str(there.relative_to(here)) if there.is_relative_to(here) else path


def _find(code: str, found: dict[str, type[errors.MigrateError]]) -> type[errors.MigrateError]:
    """By code, by its digits, or by the name of the class."""
    wanted = code.upper().removeprefix("ERROR").strip("[]: ")
    names = {cls.__name__.upper(): cls for cls in found.values()}
    for candidate in (wanted, f"GM{wanted}"):
        if cls := found.get(candidate) or names.get(candidate):
            return cls
    near = difflib.get_close_matches(wanted, [*found, *names], n=1)
    hint = f"goaime-migrate explain {near[0]}" if near else "goaime-migrate explain lists the codes"
    raise errors.UsageError(f"there is no error {code}", hint=hint)
