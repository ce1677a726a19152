"""What a run takes from a migration's file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from goaime_migrate.backends.ports import UserDatabase
from goaime_migrate.errors import MigrateError
from goaime_migrate.ledger import PassRecord
from goaime_migrate.migration import Migration
from goaime_migrate.operations import DocumentOperation
from goaime_migrate.run.work import SourceFile
from goaime_migrate.transform.step import Step, listed


def step_of(migration: Migration, index: int) -> Step:
    """A document operation as the engine runs it."""
    operation = migration.operations[index]
    assert isinstance(operation, DocumentOperation)
    return replace(operation.step(migration.version, str(migration.path)), number=index)


def steps_of(record: PassRecord, migrations: Mapping[str, Migration], level: int = 0) -> list[Step]:
    """The steps of a pass above a level."""
    return [step_of(migrations[version], index) for version, index, _ in record.steps[level:]]


def is_at_hand(record: PassRecord, migrations: Mapping[str, Migration]) -> bool:
    """Whether the code of a pass is there as it was when it was applied."""
    return all(v in migrations and migrations[v].checksum == checksum for v, _, checksum in record.steps)


def steps_at_hand(record: PassRecord, migrations: Mapping[str, Migration]) -> list[Step]:
    """The steps of a pass; none where their code is not there as it was."""
    return steps_of(record, migrations) if is_at_hand(record, migrations) else []


def source_file(migration: Migration) -> SourceFile:
    """The migration's file, as another process will load it."""
    return SourceFile(migration.version, migration.path, migration.checksum)


def findings(backend: UserDatabase, migration: Migration) -> list[str]:
    """What a migration's own `verify(db)` has to say; empty where it holds or there is none."""
    if migration.verify is None:
        return []
    with backend.functions(write=False) as database:
        try:
            return listed(migration.verify(database))
        except (MigrateError, KeyboardInterrupt):
            raise
        except BaseException as error:  # noqa: BLE001 (a statement says no by raising, with whatever it likes)
            return [f"{type(error).__name__}: {error}"]
