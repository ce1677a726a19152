"""Command lines that need no parser: whole names, plain values, nothing to complain about.

Most lines are like that, and the parser takes longer to import than a status takes to be read. Whatever is
not plain beyond doubt, and every mistake, is left to the parser, so that there is one place which explains and
refuses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from inspect import Parameter
from pathlib import Path
from typing import Any, get_args

from goaime_migrate.cli.commands import function_of
from goaime_migrate.cli.options import Argument, Option, Request, names_of, parameters


class _NotPlain(Exception):
    """The parser has to look at it."""


def request(command: str, argv: Sequence[str]) -> Request | None:
    """What the parser would make of the line; None where it has to be asked."""
    function = function_of(command)
    taken = parameters(function)
    given = {p.name: p.default for p in taken}
    try:
        for parameter, value in _pairs(taken, argv[1:]):
            given[parameter.name] = value
    except _NotPlain:
        return None
    return None if Parameter.empty in given.values() else Request.of(command, function, given)


def _pairs(taken: Sequence[Parameter], words: Sequence[str]) -> Iterator[tuple[Parameter, Any]]:
    """Each parameter that the words name, with its value."""
    arguments = [p for p in taken if isinstance(_said(p), Argument)]
    options = {name: p for p in taken for name in names_of(p)}
    rest = iter(words)
    for word in rest:
        if not word.startswith("-"):
            if not arguments:
                raise _NotPlain
            parameter = arguments.pop(0)
            yield parameter, _value(parameter, word)
            continue
        name, equals, text = word.partition("=")
        if name not in options:
            raise _NotPlain
        parameter = options.pop(name)
        if bool not in _kinds(parameter):
            yield parameter, _value(parameter, text if equals else next(rest, ""))
        elif equals:
            raise _NotPlain
        else:
            yield parameter, True


def _value(parameter: Parameter, text: str) -> str | list[str] | Path | float:
    kinds = _kinds(parameter)
    if not text or text.startswith("-") or not text.isprintable():
        raise _NotPlain
    if str in kinds:
        return text
    if list[str] in kinds:
        return [text]
    if Path in kinds:
        return Path(text)
    if float in kinds and re.fullmatch(r"[0-9]{1,9}", text):
        return float(text)
    raise _NotPlain


def _said(parameter: Parameter) -> Argument | Option:
    said: Argument | Option = get_args(parameter.annotation)[1]
    return said


def _kinds(parameter: Parameter) -> tuple[type, ...]:
    kind = get_args(parameter.annotation)[0]
    return get_args(kind) or (kind,)
