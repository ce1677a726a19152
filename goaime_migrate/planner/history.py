"""How the files and the history differ."""

from __future__ import annotations

from collections.abc import Iterable

from goaime_migrate.errors import (
    EditedMigration,
    HistoryError,
    MissingMigration,
    OutOfOrder,
    PinnedPassEdited,
    VersionGap,
)
from goaime_migrate.migration import EMPTY
from goaime_migrate.planner.facts import BASE, Facts, VersionFacts, starts_again
from goaime_migrate.results import State


def problems(facts: Facts) -> list[HistoryError]:
    """Every way in which files and history differ."""
    return [*_of_files(facts), *edited_problems(facts), *missing_problems(facts), *_out_of_order(facts)]


def _of_files(facts: Facts) -> Iterable[HistoryError]:
    """What the files alone say, and of their gaps those that something pending would have to be run across.

    A number that is recorded is no gap, it is an applied file that is gone.
    """
    ahead = max((int(v) for v in {*facts.files, *facts.broken} - set(facts.versions)), default=0)
    behind = max(map(int, facts.versions), default=0)
    for problem in facts.file_problems:
        if not isinstance(problem, VersionGap) or problem.version is None:
            yield problem
        elif problem.version not in facts.versions and int(problem.version) < ahead:
            yield _below_applied(problem) if int(problem.version) < behind else problem


def _below_applied(gap: VersionGap) -> VersionGap:
    """The gap where later files are applied, which cannot get other numbers any more."""
    hint = f"put a migration that does nothing in its place: {gap.version}_{EMPTY}"
    return VersionGap(gap.message, version=gap.version, hint=hint)


def edited_problems(facts: Facts) -> Iterable[HistoryError]:
    """Recorded versions whose file has other code now."""
    for version, record in facts.versions.items():
        file = facts.files.get(version)
        if file is None or file.checksum == record.checksum or _takes_any_code(facts, record):
            continue
        if record.state is State.APPLIED:
            yield EditedMigration(
                f"{file.path.name} was edited after it had been applied "
                f"(applied {record.checksum}, now {file.checksum})",
                version=version,
                hint="restore the file and put the change into a new migration; or accept it: goaime-migrate repair",
            )
        else:
            yield PinnedPassEdited(
                f"{file.path.name} was edited after part of it had been applied",
                version=version,
                hint="take the half back: goaime-migrate down; or go on with the new code: goaime-migrate repair",
            )


def _takes_any_code(facts: Facts, record: VersionFacts) -> bool:
    """Whether it makes no difference what its file says now: nothing is in effect, or what is will be run anew.

    A version that was applied and did nothing would never be run again, whatever it is made to do.
    """
    if not record.operations:
        return record.state is not State.APPLIED
    if record.version not in facts.touched:
        return True
    return all(starts_again(o) for o in record.operations if o.started)


def missing_problems(facts: Facts) -> Iterable[HistoryError]:
    """Recorded versions whose file is gone."""
    below = dict(zip(facts.recorded, [BASE, *facts.recorded], strict=False))
    for version, record in facts.versions.items():
        if version not in facts.files and version not in facts.broken:
            highest = version == facts.recorded[-1]
            down = "goaime-migrate down" if highest else f"goaime-migrate down {below[version]}"
            drop = "" if version in facts.unfinished else "; or drop its record: goaime-migrate repair"
            yield MissingMigration(
                f"{version} ({record.name}) is {record.state} in the database, but its file is gone",
                version=version,
                hint=f"restore the file; or take it back: {down}{drop}",
            )


def _out_of_order(facts: Facts) -> Iterable[HistoryError]:
    """A migration that does nothing can do it late."""
    highest = max(map(int, facts.versions), default=0)
    for m in facts.migrations:
        if m.operations and m.version not in facts.versions and int(m.version) < highest:
            yield OutOfOrder(
                f"{m.path.name} is not applied, but {highest:04d} is: it was added below the current version",
                version=m.version,
                hint="give it the next free number, higher than every applied version",
            )
