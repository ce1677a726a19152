"""Everything that can go wrong, as values: a code, an exit status, what, where and the next command.

The docstring of a class is the long form that ``goaime-migrate explain CODE`` prints: its first line names the error
in lists, then come what has happened and how, what is kept, and what to do. The tree, with the modules::

    MigrateError (exit 1)                base
    ├── UsageError (2)                   usage      configuration, credentials, targets, folders
    ├── HistoryError (4)                 history    the files do not match what was applied
    ├── MigrationFailed (1)              migration  a migration stopped; its state is kept, ``up`` resumes
    ├── Refused (9)                      refused    would not be safe, or was not confirmed
    ├── PromiseBroken (5)                stopped    ``verify`` found a difference
    ├── RehearsalFailed (5)              stopped    ``rehearse`` found one on a copy
    ├── PendingMigrations (3)            stopped    ``status --check`` and ``wait``
    ├── LockHeld (6), LeaseLost (7)      stopped
    ├── ServerUnreachable (8)            stopped
    ├── Interrupted (130, 143)           stopped
    └── WorkerFailed (1)                 stopped    another process cannot take part
"""

from goaime_migrate.errors.base import MigrateError as MigrateError
from goaime_migrate.errors.base import Problem as Problem
from goaime_migrate.errors.base import by_code as by_code
from goaime_migrate.errors.base import explanation as explanation
from goaime_migrate.errors.history import DamagedRecord as DamagedRecord
from goaime_migrate.errors.history import DuplicateVersion as DuplicateVersion
from goaime_migrate.errors.history import EditedMigration as EditedMigration
from goaime_migrate.errors.history import FileNotTaken as FileNotTaken
from goaime_migrate.errors.history import HelperChanged as HelperChanged
from goaime_migrate.errors.history import HistoryError as HistoryError
from goaime_migrate.errors.history import InvalidMigration as InvalidMigration
from goaime_migrate.errors.history import LintProblems as LintProblems
from goaime_migrate.errors.history import LoadFailed as LoadFailed
from goaime_migrate.errors.history import MissingMigration as MissingMigration
from goaime_migrate.errors.history import OutOfOrder as OutOfOrder
from goaime_migrate.errors.history import PinnedPassEdited as PinnedPassEdited
from goaime_migrate.errors.history import Renumbered as Renumbered
from goaime_migrate.errors.history import VersionGap as VersionGap
from goaime_migrate.errors.migration import CollectionChanged as CollectionChanged
from goaime_migrate.errors.migration import Conflicts as Conflicts
from goaime_migrate.errors.migration import Contended as Contended
from goaime_migrate.errors.migration import DuplicateKey as DuplicateKey
from goaime_migrate.errors.migration import FunctionFailed as FunctionFailed
from goaime_migrate.errors.migration import IdChanged as IdChanged
from goaime_migrate.errors.migration import InvalidResult as InvalidResult
from goaime_migrate.errors.migration import LookupErased as LookupErased
from goaime_migrate.errors.migration import MigrationFailed as MigrationFailed
from goaime_migrate.errors.migration import NotPure as NotPure
from goaime_migrate.errors.migration import OperationFailed as OperationFailed
from goaime_migrate.errors.migration import ResultBreaksPromise as ResultBreaksPromise
from goaime_migrate.errors.migration import ResultTooLarge as ResultTooLarge
from goaime_migrate.errors.migration import SaveFailed as SaveFailed
from goaime_migrate.errors.migration import TransformFailed as TransformFailed
from goaime_migrate.errors.migration import UndeclaredField as UndeclaredField
from goaime_migrate.errors.migration import Unrepresentable as Unrepresentable
from goaime_migrate.errors.migration import ValidatorRejected as ValidatorRejected
from goaime_migrate.errors.refused import CannotTell as CannotTell
from goaime_migrate.errors.refused import DatabaseRestored as DatabaseRestored
from goaime_migrate.errors.refused import Irreversible as Irreversible
from goaime_migrate.errors.refused import JournalIncomplete as JournalIncomplete
from goaime_migrate.errors.refused import JournalPruned as JournalPruned
from goaime_migrate.errors.refused import MissingCapability as MissingCapability
from goaime_migrate.errors.refused import MissingPrivilege as MissingPrivilege
from goaime_migrate.errors.refused import NewerFormat as NewerFormat
from goaime_migrate.errors.refused import NotConfirmed as NotConfirmed
from goaime_migrate.errors.refused import NothingRuns as NothingRuns
from goaime_migrate.errors.refused import NotReady as NotReady
from goaime_migrate.errors.refused import Refused as Refused
from goaime_migrate.errors.refused import WouldFail as WouldFail
from goaime_migrate.errors.stopped import Interrupted as Interrupted
from goaime_migrate.errors.stopped import LeaseLost as LeaseLost
from goaime_migrate.errors.stopped import LockHeld as LockHeld
from goaime_migrate.errors.stopped import PendingMigrations as PendingMigrations
from goaime_migrate.errors.stopped import PromiseBroken as PromiseBroken
from goaime_migrate.errors.stopped import RehearsalFailed as RehearsalFailed
from goaime_migrate.errors.stopped import ServerUnreachable as ServerUnreachable
from goaime_migrate.errors.stopped import Stragglers as Stragglers
from goaime_migrate.errors.stopped import WorkerFailed as WorkerFailed
from goaime_migrate.errors.usage import AuthenticationFailed as AuthenticationFailed
from goaime_migrate.errors.usage import DumpUnreadable as DumpUnreadable
from goaime_migrate.errors.usage import FolderMissing as FolderMissing
from goaime_migrate.errors.usage import InvalidConfiguration as InvalidConfiguration
from goaime_migrate.errors.usage import InvalidUri as InvalidUri
from goaime_migrate.errors.usage import PackageMissing as PackageMissing
from goaime_migrate.errors.usage import UnknownDocument as UnknownDocument
from goaime_migrate.errors.usage import UnknownTarget as UnknownTarget
from goaime_migrate.errors.usage import UsageError as UsageError
