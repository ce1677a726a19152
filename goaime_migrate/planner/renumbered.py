"""Recorded versions whose file has another number now, or whose number has another file: what is told, what can be done.

No advice may lose a migration, or have one run twice. So the records follow the files only where nothing that has
never run would stand below what has; else the files follow the records, or what is recorded is taken back first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import TYPE_CHECKING

from goaime_migrate.errors import MigrateError, Renumbered
from goaime_migrate.errors.hint import DOWN, REPAIR, STATUS, Command, Hint
from goaime_migrate.migration import Migration, version_of
from goaime_migrate.planner.facts import BASE, Facts, starts_again
from goaime_migrate.planner.way_down import plan_down
from goaime_migrate.results import State

if TYPE_CHECKING:
    from goaime_migrate.ledger import VersionRecord


def renumbered_problems(facts: Facts) -> Iterable[Renumbered]:
    """Recorded versions that are not the file of their number. All have one advice, since they hang together."""
    versions = _displaced_versions(facts)
    hint = _advice(facts, versions) if versions else Hint("")
    for version in versions:
        yield Renumbered(_message(facts, version), version=version, hint=hint)


def new_numbers(facts: Facts) -> Mapping[str, str] | None:
    """The number that each renumbered version has now; None where the records cannot follow the files."""
    moved = facts.identity.moved
    numbers = {version: moved[version].version for version in _displaced_versions(facts) if version in moved}
    return numbers if len(numbers) == len(_displaced_versions(facts)) and _in_order(facts, numbers) else None


def takes_any_code(facts: Facts, record: VersionRecord) -> bool:
    """Whether it makes no difference what its file says now: nothing is in effect, or what is will be run anew.

    A version that was applied and did nothing would never be run again, whatever it is made to do.
    """
    if not record.operations:
        return record.state is not State.APPLIED
    if record.version not in facts.touched:
        return True
    return all(starts_again(o) for o in record.operations if o.started)


def _displaced_versions(facts: Facts) -> list[str]:
    """The versions that are told, ascending: not those whose record `up` gives to the file that has the number now."""
    identity = facts.identity
    return [
        v
        for v in sorted(identity.displaced, key=int)
        if v not in identity.others or not takes_any_code(facts, facts.versions[v])
    ]


def _in_order(facts: Facts, numbers: Mapping[str, str]) -> bool:
    """Whether with these numbers the records are in their old order, and nothing that has never run is below one."""
    now = [int(numbers.get(version, version)) for version in facts.recorded]
    if any(before >= after for before, after in pairwise(now)):
        return False
    waiting = {*facts.unloaded, *(m.version for m in facts.migrations if m.operations)}
    return not now or not any(int(v) < now[-1] for v in waiting if int(v) not in now)


def _message(facts: Facts, version: str) -> str:
    identity, record = facts.identity, facts.versions[version]
    was = "was applied here" if record.state is State.APPLIED else f"is {record.state} here"
    said = f"{version} {was} as {version}_{record.name}, "
    if version in identity.moved:
        said += f"which is {identity.moved[version].path.name} now"
    elif version in identity.namesakes:
        said += f"and {identity.namesakes[version].path.name} has its name, but other code"
    else:
        said += "and no file has its code"
    other = identity.others.get(version)
    if other is None:
        return said
    recorded = {m.version: v for v, m in identity.moved.items()}
    of = recorded.get(other.version)
    if of is not None:
        return f"{said}; {other.path.name} is what has run as {of}_{facts.versions[of].name}"
    return f"{said}; {other.path.name} is another migration, which has never run here"


def _advice(facts: Facts, versions: Sequence[str]) -> Hint:
    """What leads on, the safest first."""
    identity, ways = facts.identity, list[Hint]()
    unknown = [v for v in versions if v not in identity.moved]
    if unknown:
        ways += _ways_to_know(facts, unknown)
    else:
        if new_numbers(facts) is not None:
            ways.append(Hint("let the records follow the files: {}", REPAIR))
        ways.append(Hint("{}", f"let what has run keep its number: rename {_renames(facts, versions)}"))
    back = _way_back(facts, versions)
    if back is not None:
        way = Hint("take back what has run: {}, after which all is applied in its new order", back)
        half = any(facts.versions[v].state is not State.APPLIED for v in versions)
        ways.insert(0 if half and not unknown else len(ways), way)
    return Hint("; or ".join("{}" for _ in ways), *ways)


def _ways_to_know(facts: Facts, unknown: Sequence[str]) -> Iterator[Hint]:
    """What to do where no file is known to be a recorded version."""
    namesakes = [m.path.name for v, m in facts.identity.namesakes.items() if v in unknown]
    gone = [f"{v}_{facts.versions[v].name}.py" for v in unknown if v not in facts.identity.namesakes]
    if gone:
        yield Hint(
            "{}",
            "if another project shares this database, give this one records of its own: records = NAME "
            "in the configuration",
        )
        yield Hint("{}", f"restore {', '.join(gone)}, and give {_others(facts, unknown)}")
    if namesakes:
        yield Hint(
            "undo the edit of {} (a change belongs into a new migration), then look again: {}",
            ", ".join(namesakes),
            STATUS,
        )


def _others(facts: Facts, versions: Sequence[str]) -> str:
    """The files that have the numbers of these versions, with those that are free."""
    others = [facts.identity.others[v] for v in versions if v in facts.identity.others]
    free = _free_numbers(facts, others)
    named = [f"{m.path.name} the number {next(free)}" for m in others]
    return ", ".join(named) + " (a file that was only renamed and edited gets its old name back)"


def _renames(facts: Facts, versions: Sequence[str]) -> str:
    """How the files get the numbers of what has run, and those that have never run the next free ones."""
    identity = facts.identity
    back = [(identity.moved[v], f"{v}_{facts.versions[v].name}.py") for v in versions]
    known = {m.version for m, _ in back}
    new = [m for v, m in identity.others.items() if v in versions and m.version not in known]
    free = _free_numbers(facts, [*new, *(m for m, _ in back)])
    forth = [(m, f"{next(free)}_{m.name}.py") for m in new]
    return ", ".join(f"{m.path.name} to {name}" for m, name in (*back, *forth))


def _free_numbers(facts: Facts, leaving: Iterable[Migration]) -> Iterator[str]:
    """Numbers above everything recorded, those left out that a file has which keeps its own."""
    stay = {*facts.files, *facts.unloaded} - {m.version for m in leaving}
    number = int(facts.recorded[-1])
    while True:
        number += 1
        if version_of(number) not in stay:
            yield version_of(number)


def _way_back(facts: Facts, versions: Sequence[str]) -> Command | None:
    """The command that takes all of these back, with as few others as it can; None where it would be refused."""
    below = [v for v in facts.recorded if int(v) < int(versions[0])]
    for target in dict.fromkeys([*below[-1:], BASE]):
        with suppress(MigrateError):
            least = len(plan_down(facts, target).versions) == 1
            return DOWN if least else DOWN.to(target)
    return None
