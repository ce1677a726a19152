"""What every command returns. The names of the fields are the keys that ``--json`` prints.

Times are timezone-aware UTC datetimes, durations seconds, ids and documents plain decoded BSON values. A module is
imported with the first of its names that is used: to make all these classes takes a short command longer than its work.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from goaime_migrate.on_demand import finder
from goaime_migrate.results.words import ABSENT as ABSENT
from goaime_migrate.results.words import REHEARSED as REHEARSED
from goaime_migrate.results.words import Absent as Absent
from goaime_migrate.results.words import Counts as Counts
from goaime_migrate.results.words import Direction as Direction
from goaime_migrate.results.words import Document as Document
from goaime_migrate.results.words import Key as Key
from goaime_migrate.results.words import Mode as Mode
from goaime_migrate.results.words import OnConflict as OnConflict
from goaime_migrate.results.words import State as State
from goaime_migrate.results.words import Value as Value
from goaime_migrate.results.words import VersionError as VersionError
from goaime_migrate.results.words import WarningCount as WarningCount

if TYPE_CHECKING:
    from goaime_migrate.results.blame import *  # noqa: F403
    from goaime_migrate.results.doctor import *  # noqa: F403
    from goaime_migrate.results.findings import *  # noqa: F403
    from goaime_migrate.results.history import *  # noqa: F403
    from goaime_migrate.results.holdup import *  # noqa: F403
    from goaime_migrate.results.mending import *  # noqa: F403
    from goaime_migrate.results.plan import *  # noqa: F403
    from goaime_migrate.results.predicted import *  # noqa: F403
    from goaime_migrate.results.project import *  # noqa: F403
    from goaime_migrate.results.pruning import *  # noqa: F403
    from goaime_migrate.results.reading import *  # noqa: F403
    from goaime_migrate.results.rehearsal import *  # noqa: F403
    from goaime_migrate.results.report import *  # noqa: F403
    from goaime_migrate.results.run import *  # noqa: F403
    from goaime_migrate.results.status import *  # noqa: F403
    from goaime_migrate.results.sweep import *  # noqa: F403
    from goaime_migrate.results.trying import *  # noqa: F403

_NAMES = {
    "blame": ("AsOfResult", "BlameResult", "BlamedChange", "ChangeKind", "FieldChange"),
    "doctor": ("Check", "CheckStatus", "DoctorResult"),
    "findings": ("Finding", "Severity"),
    "mending": ("Renumbering", "RepairResult", "StampResult", "ThrottleResult", "UnlockResult"),
    "plan": ("DownPreview", "OperationPlan", "PlanResult", "Sample", "StepPlan"),
    "predicted": ("Predicted",),
    "project": ("ErrorText", "ExplainResult", "InitResult", "NewResult", "RuleText"),
    "pruning": ("ErasedDocument", "PruneResult"),
    "history": ("HistoryEntry", "HistoryError", "PaceMark", "Work"),
    "reading": ("LintResult", "Straggler", "UncheckedPromise", "VerifyFailure", "VerifyResult"),
    "rehearsal": ("RehearsalCheck", "RehearsalResult"),
    "report": ("Effect", "JournaledChange", "PassReport", "ReportResult", "VersionReport"),
    "run": ("Conflict", "RunResult", "VersionDocuments"),
    "holdup": ("Throttle", "Waiting"),
    "status": ("LockStatus", "Progress", "StatusResult", "StatusWarning", "VersionStatus"),
    "sweep": ("SweepResult", "SweptDocuments"),
    "trying": ("TriedStep", "TryResult"),
}


__getattr__ = finder(__name__, {name: home for home, names in _NAMES.items() for name in names})
