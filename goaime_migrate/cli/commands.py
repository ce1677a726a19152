"""Every command, and the module that it lives in."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from keyword import iskeyword

from goaime_migrate.cli.outcome import Outcome

COMMANDS = {
    "init": "project",
    "new": "project",
    "status": "reading",
    "plan": "reading",
    "up": "running",
    "down": "running",
    "verify": "reading",
    "sweep": "sweeping",
    "history": "reading",
    "lint": "reading",
    "wait": "reading",
    "try": "trying",
    "rehearse": "rehearsing",
    "doctor": "doctor",
    "blame": "blaming",
    "prune": "pruning",
    "stamp": "mending",
    "repair": "mending",
    "unlock": "mending",
    "throttle": "mending",
    "explain": "project",
}


def function_of(command: str) -> Callable[..., Outcome]:
    """The function that does what the command says."""
    module = import_module(f"goaime_migrate.cli.{COMMANDS[command]}")
    function: Callable[..., Outcome] = getattr(module, f"{command}_" if iskeyword(command) else command)
    return function
