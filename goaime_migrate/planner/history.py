"""How the files and the history differ."""

from __future__ import annotations

from collections.abc import Iterable

from goaime_migrate.errors import (
    EditedMigration,
    HelperChanged,
    HistoryError,
    MissingMigration,
    OutOfOrder,
    PinnedPassEdited,
    VersionGap,
)
from goaime_migrate.errors.hint import DOWN, REPAIR, Hint
from goaime_migrate.migration import EMPTY
from goaime_migrate.planner.facts import BASE, Facts
from goaime_migrate.planner.lost import lost_records
from goaime_migrate.planner.renumbered import renumbered_problems, takes_any_code
from goaime_migrate.results import State


def problems(facts: Facts) -> list[HistoryError]:
    """Every way in which files and history differ."""
    return [
        *lost_records(facts),
        *_of_files(facts),
        *renumbered_problems(facts),
        *edited_problems(facts),
        *missing_problems(facts),
        *_out_of_order(facts),
    ]


def warnings(facts: Facts) -> list[HistoryError]:
    """What stops nothing, and ought to be known."""
    return [*facts.file_warnings, *_changed_helpers(facts)]


def _changed_helpers(facts: Facts) -> Iterable[HelperChanged]:
    """Modules beside the migrations that are not what a recorded version has imported, each with these versions."""
    versions: dict[str, list[str]] = {}
    for version in facts.recorded:
        file = facts.code.get(version)
        now = {helper.path: helper.checksum for helper in file.helpers} if file else {}
        for helper in facts.versions[version].helpers if file else ():
            if now.get(helper.path) != helper.checksum:
                versions.setdefault(helper.path, []).append(version)
    for path, changed in versions.items():
        yield HelperChanged(
            f"{path} is not what it was when {', '.join(changed)} ran, which import{'s' * (len(changed) == 1)} it",
            version=changed[0],
            hint="put back what it was, and what is new into a module of another name; or leave it, if documents "
            "come out the same",
        )


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
        file = facts.code.get(version)
        if file is None or file.checksum == record.checksum or takes_any_code(facts, record):
            continue
        if record.state is State.APPLIED:
            yield EditedMigration(
                f"{file.path.name} was edited after it had been applied "
                f"(applied {record.checksum}, now {file.checksum})",
                version=version,
                hint=Hint(
                    "restore the file and put the change into a new migration; or accept it: {}", REPAIR
                ),
            )
        else:
            yield PinnedPassEdited(
                f"{file.path.name} was edited after part of it had been applied",
                version=version,
                hint=Hint("take the half back: {}; or go on with the new code: {}", DOWN, REPAIR),
            )


def missing_problems(facts: Facts) -> Iterable[HistoryError]:
    """Recorded versions whose file is gone."""
    below = dict(zip(facts.recorded, [BASE, *facts.recorded], strict=False))
    whose = bool(list(renumbered_problems(facts)))
    for version, record in facts.versions.items():
        known = version in facts.files or version in facts.broken
        if not known and version not in facts.identity.displaced:
            highest = version == facts.recorded[-1]
            down = DOWN if highest else DOWN.to(below[version])
            back = Hint("restore the file; or take it back: {}", down)
            # A record is not to be dropped as long as it may belong to another project.
            unfinished = version in facts.unfinished or whose
            yield MissingMigration(
                f"{version} ({record.name}) is {record.state} in the database, but its file is gone",
                version=version,
                hint=back if unfinished else Hint("{}; or drop its record: {}", back, REPAIR),
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
