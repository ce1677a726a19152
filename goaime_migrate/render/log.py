"""Events as lines of JSON: when, the name of the event, and its fields."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from goaime_migrate.events import Event, name_of
from goaime_migrate.redaction import redact
from goaime_migrate.render.json import dumps

SAID = ("message", "output", "error")
"""What the command line itself adds to the events: a message for people, a line that a migration has printed, and the
error that ends a command, with the keys of `error` in its result."""


def event(told: Event) -> str:
    """The line of an event."""
    return line(name_of(type(told)), **asdict(told))


def line(name: str, **fields: Any) -> str:
    """One line, in which every text is without secrets. What stands behind `at` and `event` is the event's own."""
    at = datetime.now(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
    return dumps(
        {"at": at, "event": name, **{key: _plain(value) for key, value in fields.items()}},
        redact,
        indent=None,
    )


def output(text: str) -> str:
    """Whole lines of somebody else's, each as a line of its own; empty ones are left out."""
    lines = (each.rstrip("\r") for each in text.split("\n"))
    return "".join(line("output", text=each) + "\n" for each in lines if each.strip())


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 3)
    return list(value) if isinstance(value, tuple) else value
