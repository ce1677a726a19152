"""Everything that can go wrong, as values: a code, an exit status, what, where and the next command.

The docstring of a class is the long form that ``goaime-migrate explain CODE`` prints. The tree::

    MigrateError
    ├── WorkerFailed (exit 1)        another process cannot take part
    ├── UsageError (exit 2)          configuration, credentials, targets, folders
    ├── HistoryError (exit 4)        the files do not match what was applied
    ├── MigrationFailed (exit 1)     a migration stopped; its state is kept, ``up`` resumes
    ├── PromiseBroken (exit 5)       ``verify`` found a difference
    ├── PendingMigrations (exit 3)   ``status --check`` and ``wait``
    ├── LockHeld (exit 6), LeaseLost (exit 7), ServerUnreachable (exit 8)
    ├── Refused (exit 9)             would not be safe, or was not confirmed
    └── Interrupted (exit 130, 143)
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar


class MigrateError(Exception):
    """Something went wrong that the tool has no better name for."""

    code: ClassVar[str] = "GM000"
    exit_code: int = 1

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        version: str | None = None,
        id: Any = None,
        field: str | None = None,
        detail: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.version = version
        self.id = id
        self.field = field
        self.detail = detail
        """Evidence for people, several lines at most: the user's own traceback lines, a document."""

    def at(self, version: str) -> MigrateError:
        """Name the version where this happened, unless something closer to the cause already did."""
        self.version = self.version or version
        return self


class WorkerFailed(MigrateError):
    """A process that was to share the work could not be started or did not get ready. `--workers 1` does without."""

    code = "GM001"


@dataclass(frozen=True)
class Problem:
    """A difference between the files and the history, as ``status`` lists it."""

    code: str
    version: str | None
    message: str
    hint: str


class UsageError(MigrateError):
    """The command line asks for something that does not exist or cannot be combined."""

    code = "GM100"
    exit_code = 2


class InvalidConfiguration(UsageError):
    """A configuration file or variable cannot be read: an unknown key, a value of the wrong type, an unset ${VAR}."""

    code = "GM101"


class InvalidUri(UsageError):
    """The connection string is neither a valid mongodb:// URI nor dump:PATH."""

    code = "GM102"


class AuthenticationFailed(UsageError):
    """The server answered, and refused the user name or password of the connection string."""

    code = "GM103"


class FolderMissing(UsageError):
    """The migrations folder or the dump folder does not exist. Neither is ever created by accident."""

    code = "GM104"


class DumpUnreadable(UsageError):
    """A file of a dump directory is truncated or is not BSON. Nothing was changed."""

    code = "GM105"


class UnknownTarget(UsageError):
    """The target names no version, or more than one."""

    code = "GM106"


class HistoryError(MigrateError):
    """The files in the migrations folder do not match what the database says was applied."""

    code = "GM200"
    exit_code = 4

    def problem(self) -> Problem:
        """This error as a line of ``status``."""
        return Problem(self.code, self.version, self.message, self.hint)


class EditedMigration(HistoryError):
    """A file was changed after it had been applied: its code no longer says what was done to the database."""

    code = "GM201"


class MissingMigration(HistoryError):
    """The database has a version applied whose file is gone."""

    code = "GM202"


class DuplicateVersion(HistoryError):
    """Two files have the same number."""

    code = "GM203"


class VersionGap(HistoryError):
    """The numbers of the files are not consecutive: one is missing in between."""

    code = "GM204"


class OutOfOrder(HistoryError):
    """A pending file has a lower number than a version that is already applied."""

    code = "GM205"


class LoadFailed(HistoryError):
    """A migration file does not load: a syntax error, or an import that raises."""

    code = "GM206"


class InvalidMigration(HistoryError):
    """A migration file loads, but does not declare what the tool needs."""

    code = "GM207"


class PinnedPassEdited(HistoryError):
    """A file was edited after part of its documents had been migrated: one half has the old code's result."""

    code = "GM208"


class LintProblems(HistoryError):
    """`lint` found problems in the migration files."""

    code = "GM209"


class DamagedRecord(HistoryError):
    """A record in the `schema_versions` collections is not one that this tool writes."""

    code = "GM210"


class MigrationFailed(MigrateError):
    """A migration stopped. What was committed before stays recorded; the next `up` goes on from there."""

    code = "GM300"
    exit_code = 1


class TransformFailed(MigrationFailed):
    """A transform raised an exception for one document. The batch was not written."""

    code = "GM301"


class ResultTooLarge(MigrationFailed):
    """A transform made a document larger than the 16 MB that MongoDB can store."""

    code = "GM302"


class IdChanged(MigrationFailed):
    """A transform changed or removed `_id`. A document's identity cannot be migrated in place."""

    code = "GM303"


class InvalidResult(MigrationFailed):
    """A transform returned something that is neither None nor a dict, or that BSON cannot hold."""

    code = "GM304"


class PromiseFailed(MigrationFailed):
    """A result does not satisfy its migration's own `model=`, `check=` or `verify`."""

    code = "GM305"


class UndeclaredField(MigrationFailed):
    """A transform read or wrote a field that its `fields=` does not declare."""

    code = "GM306"


class DuplicateKey(MigrationFailed):
    """A unique index refuses a result: another document already has that key."""

    code = "GM307"


class ValidatorRejected(MigrationFailed):
    """The collection's own validator refuses a result."""

    code = "GM308"


class Unrepresentable(MigrationFailed):
    """A document that cannot be decoded and encoded without loss would have to change."""

    code = "GM309"


class FunctionFailed(MigrationFailed):
    """A plain `up(db)` or `down(db)` raised an exception."""

    code = "GM310"


class Contended(MigrationFailed):
    """The application writes the same documents so often that a batch cannot be committed."""

    code = "GM311"


class CollectionChanged(MigrationFailed):
    """The collection was dropped, renamed or replaced while it was being migrated."""

    code = "GM312"


class Conflicts(MigrationFailed):
    """`down --on-conflict stop` met a document that the application has changed in the same fields."""

    code = "GM313"


class OperationFailed(MigrationFailed):
    """The server refused an index, validator or collection operation."""

    code = "GM314"


class SaveFailed(MigrationFailed):
    """The dump directory could not be written: disk full or read-only. It is as it was before."""

    code = "GM315"


class PromiseBroken(MigrateError):
    """`verify` found documents that do not keep the promises of the applied versions."""

    code = "GM401"
    exit_code = 5


class PendingMigrations(MigrateError):
    """There are versions that are not applied."""

    code = "GM501"
    exit_code = 3


class LockHeld(MigrateError):
    """Another run holds the lock."""

    code = "GM601"
    exit_code = 6


class LeaseLost(MigrateError):
    """This run's lease ended and another run has taken over. Nothing was written since."""

    code = "GM602"
    exit_code = 7


class ServerUnreachable(MigrateError):
    """No server answers at the address of the connection string, or no primary, or no majority."""

    code = "GM701"
    exit_code = 8


class Refused(MigrateError):
    """The command would not be safe, or was not confirmed."""

    code = "GM800"
    exit_code = 9


class Irreversible(Refused):
    """A version in the way has no way back. Nothing was touched."""

    code = "GM801"


class NotConfirmed(Refused):
    """The command asks before it acts, and there is nobody to ask."""

    code = "GM802"


class MissingPrivilege(Refused):
    """The user of the connection string may not do what the command needs."""

    code = "GM803"


class MissingCapability(Refused):
    """This server or collection cannot do what the command needs: a view, a capped or time-series collection, mongos."""

    code = "GM804"


class JournalPruned(Refused):
    """The journal of a version is gone: it can no longer be taken back exactly."""

    code = "GM805"


class NewerFormat(Refused):
    """The records in the database were written by a newer release of the tool. Nothing was touched."""

    code = "GM806"


class Interrupted(MigrateError):
    """The run was stopped by a signal after it had finished its batch."""

    code = "GM901"
    exit_code = 130


def catalogue() -> dict[str, type[MigrateError]]:
    """Every error class by its code."""
    return {cls.code: cls for cls in _tree(MigrateError)}


def explanation(cls: type[MigrateError]) -> str:
    """The long form of an error: its docstring, dedented."""
    return inspect.getdoc(cls) or ""


def _tree(cls: type[MigrateError]) -> Iterator[type[MigrateError]]:
    yield cls
    for sub in cls.__subclasses__():
        yield from _tree(sub)
