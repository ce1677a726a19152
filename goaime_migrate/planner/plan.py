"""The way up: what to apply, and which operations run as one pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from goaime_migrate.errors import (
    Refused,
)
from goaime_migrate.migration import Migration
from goaime_migrate.planner.facts import BASE, HEAD, Facts
from goaime_migrate.planner.history import problems
from goaime_migrate.planner.targets import resolve, unapplied
from goaime_migrate.results import Direction


@dataclass(frozen=True)
class Plan:
    """What a command will do. `versions` in the order in which they are worked on."""

    direction: Direction
    target: str
    versions: tuple[str, ...]
    message: str = ""
    """Why there is nothing to do, where there is nothing."""


def plan_up(facts: Facts, target: str | None = None) -> Plan:
    """Pending versions up to and including the target. Raises HistoryError, UnknownTarget, Refused.

    What is thereby proved: the files are whole, in order, and every applied one is what was applied.
    """
    for problem in problems(facts):
        raise problem
    goal = resolve(HEAD if target is None else target, facts, Direction.UP)
    limit = 0 if goal == BASE else int(goal)
    versions = tuple(v for v in unapplied(facts) if int(v) <= limit)
    _refuse_splitting(facts, limit)
    if versions:
        return Plan(Direction.UP, goal, versions)
    return Plan(Direction.UP, goal, (), _nothing_up(facts, limit, goal))


def _nothing_up(facts: Facts, limit: int, goal: str) -> str:
    if not facts.migrations:
        return "there are no migrations"
    current = facts.current or BASE
    passed = facts.current is not None and limit < int(facts.current)
    return f"already at {current}" + (f"; to go back: down {goal}" if passed else "")


def _refuse_splitting(facts: Facts, limit: int) -> None:
    for p in facts.passes.values():
        numbers = [int(v) for v in p.versions]
        if not p.finished and p.committed and min(numbers) <= limit < max(numbers):
            raise Refused(
                f"{limit:04d} lies inside an unfinished pass over {p.versions[0]} to {p.versions[-1]}, "
                "whose documents are migrated together",
                hint=f"finish it: goaime-migrate up {p.versions[-1]}; or take it back: goaime-migrate down",
            )


def stages(migrations: Sequence[Migration], start: Mapping[str, int]) -> list[list[tuple[Migration, int]]]:
    """The operations of these migrations in order, grouped: those of one group run as one pass.

    `start` says for a version how many of its operations are done already. Fused are consecutive document operations
    on one collection with the same filter, whose lookups read no collection that the group writes.
    """
    groups: list[list[tuple[Migration, int]]] = []
    for m in migrations:
        for index in range(start.get(m.version, 0), len(m.operations)):
            if groups and _fuses(groups[-1], m, index):
                groups[-1].append((m, index))
            else:
                groups.append([(m, index)])
    return groups


def _fuses(group: Sequence[tuple[Migration, int]], migration: Migration, index: int) -> bool:
    last_migration, last_index = group[-1]
    last, operation = last_migration.operations[last_index], migration.operations[index]
    return (
        operation.fusion is not None
        and last.fusion == operation.fusion
        and last.collection == operation.collection
        and operation.collection not in operation.reads | last.reads
    )
