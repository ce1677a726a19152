"""What the place where text is shown can do: colours, symbols, how many columns."""

from __future__ import annotations

import re
from typing import NamedTuple
from unicodedata import combining, east_asian_width

from goaime_migrate.errors.hint import COMMAND, carrying

GLUE = "\N{NO-BREAK SPACE}"
"""Keeps words on one line; whoever wraps the text puts spaces in its place."""
_CODES = {"bold": 1, "dim": 2, "red": 31, "green": 32, "yellow": 33, "blue": 34, "magenta": 35, "cyan": 36}


_COPIED = re.compile(COMMAND.pattern + r"|--where '[^'\n]*'|db\.\w[^\n]*?\]\)")
"""A command inside a hint: it is copied, so that it stays on one line however long that becomes."""


def whole_commands(text: str) -> str:
    """A text whose commands are not wrapped."""
    return _COPIED.sub(glue, text)


def glue(words: re.Match[str]) -> str:
    """Words that are not wrapped."""
    return words[0].replace(" ", GLUE)


class Style(NamedTuple):
    """The default is a pipe: plain ASCII marks, no colours, nothing cut."""

    color: bool = False
    symbols: bool = False
    width: int | None = None
    """The columns of a terminal; without one a line may be as long as it is."""
    verbose: bool = False
    masked: bool = False
    """Values of documents are told by their types alone: what is shown is read by people who may not see them."""
    options: tuple[tuple[str, str], ...] = ()
    """What was typed to say which project and database are meant: a command that is told has to say it too."""

    def spell(self, hint: str) -> str:
        """A hint, with commands that can be typed as they are."""
        return carrying(hint, self.options)

    def paint(self, text: str, *names: str) -> str:
        """The text in a colour, where there are colours."""
        if not self.color or not text or not names:
            return text
        codes = ";".join(str(_CODES[name]) for name in names)
        return f"\x1b[{codes}m{text}\x1b[0m"

    @property
    def wrap(self) -> int:
        """Where text is wrapped between words."""
        return max(self.width or 80, 40)

    @property
    def ellipsis(self) -> str:
        """The mark of a text that goes on."""
        return "…" if self.symbols else "..."

    @property
    def arrow(self) -> str:
        """Between before and after."""
        return "→" if self.symbols else "->"

    def fit(self, text: str, width: int | None) -> str:
        """The text in at most so many columns, cut at its end."""
        if width is None or columns(text) <= width:
            return text
        room = max(width - columns(self.ellipsis), 0)
        while columns(text) > room:
            text = text[:-1]
        return text + self.ellipsis


def columns(text: str) -> int:
    """How many columns a terminal needs: two for a Chinese character, none for a combining mark."""
    if text.isascii():
        return len(text)
    return sum(0 if combining(char) else 2 if east_asian_width(char) in "WF" else 1 for char in text)


def clean(text: str) -> str:
    r"""A text of somebody else's as a part of one line: nothing in it steers a terminal, turns it round or begins a line.

    >>> clean("a\nb\x1b[2J\u202e")
    'a\\nb\\x1b[2J\\u202e'
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _ESCAPES.get(char) or _escape(ord(char)) for char in text)


def clean_lines(text: str) -> list[str]:
    """The lines of a text that has some, each of them clean."""
    return [clean(line) for line in text.expandtabs(4).replace("\r\n", "\n").split("\n")]


_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _escape(code: int) -> str:
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def bullet(mark: str, text: str, style: Style, indent: int = 2, under: int | None = None) -> list[str]:
    """A text behind a mark, wrapped between words, with its further lines under its first, or `under` columns in."""
    text = GLUE.join(map(clean, text.split(GLUE)))
    lead = " " * indent + mark + " " if mark else " " * indent
    if len(lead + text) <= style.wrap:
        return [(lead + text).rstrip(" ")]
    import textwrap

    further = " " * (columns(lead) if under is None else under)
    return textwrap.wrap(
        text, style.wrap, initial_indent=lead, subsequent_indent=further, break_long_words=False,
        break_on_hyphens=False,
    ) or [lead.rstrip()]  # fmt: skip


def advice(mark: str, hint: str, style: Style, indent: int = 2) -> list[str]:
    """A hint as `bullet` has it, with commands that can be copied."""
    return [
        line.replace(GLUE, " ")
        for line in bullet(mark, whole_commands(clean(style.spell(hint))), style, indent)
    ]
