"""Errors as text: the cause, the evidence, where, and the next command."""

from __future__ import annotations

import re

from goaime_migrate.errors import MigrateError
from goaime_migrate.render.style import GLUE, Style, bullet, clean, clean_lines, glue, whole_commands
from goaime_migrate.render.values import key, value
from goaime_migrate.results import VersionError


def error(found: MigrateError, style: Style, detail_limit: int = 20) -> str:
    """What goes to stderr: the message is never cut, the evidence only where it is long."""
    lines = _with_head(f"error[{found.code}]:", found.message, style, 2, "red")
    lines += _detail(found, style, detail_limit)
    if where := _where(found, style):
        lines += bullet("at:", where, style)
    hint = found.hint or f"goaime-migrate explain {found.code}"
    lines += _with_head("next:", whole_commands(clean(style.spell(hint))), style, 6, "cyan")
    return "\n".join(lines).replace(GLUE, " ")


_QUOTED = "|"
"""Before a line that is somebody else's."""


def paragraph(text: str, style: Style) -> str:
    """A paragraph, wrapped between words but not within what stands in backquotes."""
    whole = re.sub(r"`[^`]*`", glue, text)
    return "\n".join(bullet("", whole, style, indent=0)).replace(GLUE, " ")


def _with_head(head: str, text: str, style: Style, indent: int, color: str) -> list[str]:
    """A text behind a coloured word, wrapped between words. Its further lines are marked as such: none is a head."""
    first, *rest = text.split("\n")
    lines = bullet(head, first, style, indent=0, under=indent)
    lines += [more for line in rest for more in bullet(_QUOTED, line, style, indent=indent)]
    return [style.paint(head, color, "bold") + lines[0].removeprefix(head), *lines[1:]]


def _detail(found: MigrateError, style: Style, limit: int) -> list[str]:
    lines = [f"  {_QUOTED} {line}".rstrip() for line in clean_lines(found.detail) if found.detail]
    if style.verbose or len(lines) <= limit:
        return lines
    # The end of a traceback says more than its beginning.
    return [f"  {style.ellipsis} {len(lines) - limit} lines before (--verbose shows them)", *lines[-limit:]]


def _where(found: MigrateError, style: Style) -> str:
    version = [f"version {clean(found.version)}"] if found.version else []
    return ", ".join([*version, *place(found, style)])


def place(found: MigrateError | VersionError, style: Style) -> list[str]:
    """The document and the field that an error is about, where they are known."""
    parts = []
    if found.id is not None:
        parts.append(f"_id {value(found.id, style)}")
    if found.field:
        parts.append(f"field {key(found.field) if '.' not in found.field else clean(found.field)}")
    return parts
