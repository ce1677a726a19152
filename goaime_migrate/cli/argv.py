"""Before the parser sees the words: steps such as -1, commands of other tools, options in front."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from goaime_migrate.errors import UsageError

PROGRAM = "goaime-migrate"

TAKING_A_VALUE = frozenset(
    {
        "--config", "-c", "--env", "--uri", "--database", "--migrations", "--where", "--workers",
        "--batch-size", "--max-lag", "--max-rate", "--lock-timeout", "--on-conflict", "--sample", "--timeout",
        "--kind", "--executor", "--first", "--id", "--doc", "--collection", "--format", "--as-of", "--keep", "--version",
        "--follow", "--html",
    }
)  # fmt: skip
"""Options whose next word is theirs, whatever it looks like."""

_ELSEWHERE = {
    "upgrade": "up",
    "migrate": "up",
    "apply": "up",
    "downgrade": "down",
    "rollback": "down",
    "revert": "down",
    "undo": "down",
    "create": "new NAME",
    "revision": "new NAME",
    "generate": "new NAME",
    "info": "status",
    "current": "status",
    "show": "status",
    "list": "status",
    "check": "status --check",
    "validate": "verify (the documents), or goaime-migrate lint (the files)",
    "log": "history",
    "version": "--version",
    "help": "--help",
}
"""The words of other tools, and of people in a hurry."""


def steps(argv: Sequence[str]) -> list[str]:
    """Rewrite ``-2`` to ``+2`` where it is a target: both mean two steps in the command's direction.

    >>> steps(["down", "-1", "--workers", "-2"])
    ['down', '+1', '--workers', '-2']
    """
    if argv[:1] == ["blame"]:
        return _with_an_id(argv)
    rewritten: list[str] = []
    for at, word in enumerate(argv):
        if word == "--":
            return rewritten + list(argv[at:])
        owned = at > 0 and argv[at - 1] in TAKING_A_VALUE
        rewritten.append("+" + word[1:] if re.fullmatch(r"-\d+", word) and not owned else word)
    return rewritten


def _with_an_id(argv: Sequence[str]) -> list[str]:
    """An `_id` below zero is no option, and no number of steps.

    >>> steps(["blame", "c", "-7", "--json"])
    ['blame', 'c', '--json', '--', '-7']
    """
    if "--" in argv:
        return list(argv)
    below = [
        at
        for at, word in enumerate(argv)
        if re.fullmatch(r"-\d[\d.eE+-]*", word) and argv[at - 1] not in TAKING_A_VALUE
    ]
    rest = [word for at, word in enumerate(argv) if at not in below]
    return [*rest, "--", *(argv[at] for at in below)] if below else rest


def wants(option: str, argv: Sequence[str]) -> bool:
    """Whether an option is there, --json say, even where the rest makes no sense."""
    return option in (argv[: argv.index("--")] if "--" in argv else argv)


def values_of(argv: Sequence[str], *names: str) -> list[str]:
    """The values of an option, even where the rest makes no sense.

    >>> values_of(["up", "--database", "a", "--database=b"], "--database")
    ['a', 'b']
    """
    pairs = zip(argv, [*argv[1:], ""], strict=True)
    words = [(*word.partition("="), following) for word, following in pairs]
    return [value if equals else following for name, equals, value, following in words if name in names]


def check(argv: Sequence[str], commands: Collection[str]) -> str | None:
    """The command that is meant, or None where help is asked for. UsageError says what should be typed."""
    if not argv or argv[0] in ("--help", "-h"):
        return None
    word = argv[0]
    if word in commands:
        return word
    if word.startswith("-"):
        raise _option_in_front(word, argv, commands)
    if word in _ELSEWHERE:
        raise UsageError(f"there is no command {word}", hint=f"{PROGRAM} {_ELSEWHERE[word]}")
    import difflib

    near = difflib.get_close_matches(word, commands, n=1)
    hint = f"{PROGRAM} {near[0]}" if near else f"{PROGRAM} --help lists the commands"
    raise UsageError(f"there is no command {word}", hint=hint)


def _option_in_front(word: str, argv: Sequence[str], commands: Collection[str]) -> UsageError:
    """Options come after the command; say how the line should have been."""
    option, options = word.split("=", maxsplit=1)[0], list[str]()
    for at, candidate in enumerate(argv):
        if candidate in commands and not (at and argv[at - 1] in TAKING_A_VALUE):
            meant = [PROGRAM, candidate, *argv[at + 1 :], *options]
            return UsageError(
                f"{option} stands before the command: options come after it",
                hint=" ".join(meant),
            )
        options.append(candidate)
    return UsageError(
        f"there is no command before {option}",
        hint=f"{PROGRAM} --help lists the commands",
    )
