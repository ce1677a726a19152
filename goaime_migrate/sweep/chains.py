"""Which collections are swept, with which transforms, and which cannot be. Reads only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from goaime_migrate.backends.ports import Backend
from goaime_migrate.errors import CannotTell, Refused
from goaime_migrate.errors.hint import DOWN, UP, Command, Hint
from goaime_migrate.ledger import Ledger
from goaime_migrate.operations import RunFunctions
from goaime_migrate.planner import Facts, problems, resolve
from goaime_migrate.results import Direction
from goaime_migrate.run.applied import AppliedSteps, Link, applied_steps
from goaime_migrate.run.effects import AppliedChain, tells_apart

_BASE, _HEAD = "base", "head"
_FORWARD = Hint("change such documents in a new migration: {}", Command(("new", "NAME")))


def to_sweep(facts: Facts, ledger: Ledger, target: str | None) -> list[AppliedSteps]:
    """The transforms of the applied versions up to and including the target, by collection.

    Raises HistoryError, UnknownTarget, Refused where a version is unfinished, CannotTell where all that was applied are
    plain functions.
    """
    for problem in problems(facts):
        raise problem
    goal = resolve(_HEAD if target is None else target, facts, Direction.UP)
    _require_finished(ledger)
    versions = [v for v in ledger.applied if goal != _BASE and int(v) <= int(goal)]
    migrations = [facts.code[v] for v in versions]
    found = [each for each in applied_steps(migrations, ledger) if each.links]
    functions = [m for m in migrations if any(isinstance(o, RunFunctions) for o in m.operations)]
    if functions and not found:
        first = functions[0].version
        raise CannotTell(
            f"{first} runs up(db), and nobody can tell which documents that has seen: there is nothing else to sweep",
            version=first,
            hint=_FORWARD,
        )
    return found


def _require_finished(ledger: Ledger) -> None:
    for record in ledger.unfinished:
        raise Refused(
            f"{record.version} is {record.state}: what it has not come to yet is no straggler",
            version=record.version,
            hint=Hint("finish it: {}; or take it back: {}", UP, DOWN),
        )


def chain_to_sweep(
    backend: Backend, applied: AppliedSteps, everything: Sequence[AppliedSteps]
) -> AppliedChain:
    """The transforms of a collection, ready to be applied once more. Raises CannotTell.

    What is thereby proved: they leave alone what all applied versions together have made, and whatever they change has
    a pass whose `down` takes it back. `everything`: what is applied in all, beyond the target too.
    """
    for link in applied.links:
        _require_pass(applied, link)
    whole = next(each for each in everything if each.collection == applied.collection)
    later = [v for v in whole.versions if v not in applied.versions]
    function = applied.function or whole.function
    if function is not None:
        raise _cannot(
            applied, function, f"{function} has run up(db) since, and nobody can tell what that has changed"
        )
    chain = AppliedChain(backend, replace(applied, makers=whole.makers))
    if not tells_apart(backend, whole, chain):
        if later:
            text = f"{later[0]} has changed the documents since, and without it they look old"
            raise _cannot(applied, later[0], text, Hint("sweep them all: {}", Command(("sweep",))))
        raise _cannot(applied, applied.versions[-1], "applied to its own result it would change that again")
    return chain


def _require_pass(applied: AppliedSteps, link: Link) -> None:
    """Refuse what could not be taken back, or would be applied to its own results."""
    version = link.versions[-1]
    if link.record is None:
        text = f"{version} was recorded without being run, and has no journal that `down` could take it back from"
        raise _cannot(applied, version, text)
    if link.changes_its_results:
        raise _cannot(
            applied,
            version,
            f"{version} is not settled: applied to its own result it would change that again",
        )


def _cannot(applied: AppliedSteps, version: str, reason: str, hint: Hint | None = None) -> CannotTell:
    advice = hint or Hint(
        "let where= leave out what is done, in a new migration: {}", Command(("new", "NAME"))
    )
    return CannotTell(f"{applied.collection} is not swept: {reason}", version=version, hint=advice)
