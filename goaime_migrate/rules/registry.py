"""The list of all rules. A rule is a function of its subject; what it yields becomes findings."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from goaime_migrate import errors
from goaime_migrate.results import Document, Severity

if TYPE_CHECKING:
    from goaime_migrate.planner.groups import OperationRef
    from goaime_migrate.rules.outlook import Outlook
    from goaime_migrate.rules.source import File
    from goaime_migrate.rules.turn import Turn

Subject = TypeVar("Subject")
_HOMES = (
    "application",
    "collections",
    "compatibility",
    "documents",
    "duplicates",
    "filters",
    "functions",
    "indexes",
    "kinds",
    "lookups",
    "privileges",
    "promises",
    "purity",
    "room",
    "templates",
    "validators",
)
"""The modules that rules live in."""


@dataclass(frozen=True)
class Said:
    """What a rule says; what is left out is that of its rule, its subject or its file."""

    message: str
    remedy: str
    evidence: Document = field(default_factory=dict)
    severity: Severity | None = None
    ref: OperationRef | None = None
    """The operation that it is about, where its subject has several."""
    collection: str | None = None
    line: int | None = None


Ask = Callable[[Subject], Iterable[Said]]


@dataclass(frozen=True)
class Rule(Generic[Subject]):
    """One rule."""

    name: str
    severity: Severity
    ask: Ask[Subject]
    early: bool = False
    """`up` asks it too, before its first write."""

    @property
    def text(self) -> str:
        """What it is about."""
        return inspect.cleandoc(self.ask.__doc__ or "")


class Rules(Generic[Subject]):
    """The rules for one kind of subject."""

    def __init__(self, speaks: str) -> None:
        self.speaks = speaks
        self._rules: list[Rule[Subject]] = []

    def rule(
        self, name: str, severity: Severity, *, early: bool = False
    ) -> Callable[[Ask[Subject]], Ask[Subject]]:
        """Enter a function as a rule."""

        def enter(ask: Ask[Subject]) -> Ask[Subject]:
            self._rules.append(Rule(name, severity, ask, early))
            return ask

        return enter

    @property
    def all(self) -> tuple[Rule[Subject], ...]:
        """All of them, by name."""
        for home in _HOMES:
            import_module(f"goaime_migrate.rules.{home}")
        return tuple(sorted(self._rules, key=lambda rule: rule.name))


FILES: Rules[File] = Rules("lint")
"""Rules that look at a file alone."""
TURNS: Rules[Turn] = Rules("plan")
"""Rules that look at the operations of a plan, each when its turn comes."""
OUTLOOKS: Rules[Outlook] = Rules("plan")
"""Rules that look at a plan as a whole."""


def about(name: str) -> str:
    """What a rule is about; what an error is about, where files do not load."""
    rules = rules_by_name().get(name)
    if rules:
        return rules[0][1].text
    code = errors.by_code().get(name)
    return errors.explanation(code) if code else name


def rules_by_name() -> dict[str, list[tuple[str, Rule[Any]]]]:
    """Every rule by its name, and which command it speaks in."""
    found: dict[str, list[tuple[str, Rule[Any]]]] = {}
    for rules in (FILES, TURNS, OUTLOOKS):
        for rule in rules.all:
            found.setdefault(rule.name, []).append((rules.speaks, rule))
    return dict(sorted(found.items()))
