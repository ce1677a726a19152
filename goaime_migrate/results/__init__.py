"""What every command returns. The names of the fields are the keys that ``--json`` prints.

Times are timezone-aware UTC datetimes, durations seconds, ids and documents plain decoded BSON values. A module is
imported with the first of its names that is used: to make all these classes takes a short command longer than its work.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from goaime_migrate.results.words import Counts as Counts
from goaime_migrate.results.words import Direction as Direction
from goaime_migrate.results.words import Document as Document
from goaime_migrate.results.words import Key as Key
from goaime_migrate.results.words import Mode as Mode
from goaime_migrate.results.words import OnConflict as OnConflict
from goaime_migrate.results.words import State as State
from goaime_migrate.results.words import Value as Value
from goaime_migrate.results.words import WarningCount as WarningCount

if TYPE_CHECKING:
    from goaime_migrate.results.mending import Renumbering as Renumbering
    from goaime_migrate.results.mending import RepairResult as RepairResult
    from goaime_migrate.results.mending import StampResult as StampResult
    from goaime_migrate.results.mending import UnlockResult as UnlockResult
    from goaime_migrate.results.plan import DownPreview as DownPreview
    from goaime_migrate.results.plan import OperationPlan as OperationPlan
    from goaime_migrate.results.plan import PlanResult as PlanResult
    from goaime_migrate.results.plan import Predicted as Predicted
    from goaime_migrate.results.plan import Sample as Sample
    from goaime_migrate.results.plan import StepPlan as StepPlan
    from goaime_migrate.results.project import ErrorText as ErrorText
    from goaime_migrate.results.project import ExplainResult as ExplainResult
    from goaime_migrate.results.project import InitResult as InitResult
    from goaime_migrate.results.project import NewResult as NewResult
    from goaime_migrate.results.reading import HistoryEntry as HistoryEntry
    from goaime_migrate.results.reading import LintResult as LintResult
    from goaime_migrate.results.reading import VerifyFailure as VerifyFailure
    from goaime_migrate.results.reading import VerifyResult as VerifyResult
    from goaime_migrate.results.run import Conflict as Conflict
    from goaime_migrate.results.run import RunResult as RunResult
    from goaime_migrate.results.status import LockStatus as LockStatus
    from goaime_migrate.results.status import Progress as Progress
    from goaime_migrate.results.status import StatusResult as StatusResult
    from goaime_migrate.results.status import StatusWarning as StatusWarning
    from goaime_migrate.results.status import VersionStatus as VersionStatus
    from goaime_migrate.results.status import Waiting as Waiting

_HOMES = {
    "Conflict": "run",
    "DownPreview": "plan",
    "ErrorText": "project",
    "ExplainResult": "project",
    "HistoryEntry": "reading",
    "InitResult": "project",
    "LintResult": "reading",
    "LockStatus": "status",
    "NewResult": "project",
    "OperationPlan": "plan",
    "PlanResult": "plan",
    "Predicted": "plan",
    "Progress": "status",
    "Renumbering": "mending",
    "RepairResult": "mending",
    "RunResult": "run",
    "Sample": "plan",
    "StampResult": "mending",
    "StatusResult": "status",
    "StatusWarning": "status",
    "StepPlan": "plan",
    "UnlockResult": "mending",
    "VerifyFailure": "reading",
    "VerifyResult": "reading",
    "VersionStatus": "status",
    "Waiting": "status",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
