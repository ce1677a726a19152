"""Errors as text: the cause, the evidence, where, and the next command."""

from __future__ import annotations

from goaime_migrate.errors import MigrateError
from goaime_migrate.render.style import Style, clean
from goaime_migrate.render.values import key, value


def error(found: MigrateError, style: Style, detail_limit: int = 20) -> str:
    """What goes to stderr: the message is never cut, the evidence only where it is long."""
    head, *rest = clean(found.message).splitlines() or [""]
    lines = [
        style.paint(f"error[{found.code}]:", "red", "bold") + f" {head}",
        *(f"  {line}" for line in rest),
    ]
    lines += _detail(found, style, detail_limit)
    if where := _where(found, style):
        lines.append(f"  at: {where}")
    first, *more = clean(found.hint or f"goaime-migrate explain {found.code}").splitlines()
    lines += [style.paint("next:", "cyan", "bold") + f" {first}", *(f"      {line}" for line in more)]
    return "\n".join(lines)


def _detail(found: MigrateError, style: Style, limit: int) -> list[str]:
    lines = [f"  {line}".rstrip() for line in clean(found.detail).splitlines()]
    if style.verbose or len(lines) <= limit:
        return lines
    # The end of a traceback says more than its beginning.
    return [f"  {style.ellipsis} {len(lines) - limit} lines before (--verbose shows them)", *lines[-limit:]]


def _where(found: MigrateError, style: Style) -> str:
    parts = []
    if found.version:
        parts.append(f"version {found.version}")
    if found.id is not None:
        parts.append(f"_id {value(found.id, style)}")
    if found.field:
        parts.append(f"field {key(found.field) if '.' not in found.field else clean(found.field)}")
    return ", ".join(parts)
